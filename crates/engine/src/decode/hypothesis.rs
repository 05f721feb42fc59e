//! A hypothesis: one possible token sequence for a window.

use super::search::Continuation;
use crate::network::{Sequence, Step};

/// A hypothesis (candidate token sequence) that is still being extended.
pub(super) struct Hypothesis {
    /// The tokens that the decoder has processed.
    pub(super) sequence: Sequence,
    /// All tokens, including the prompt and those that the decoder has not processed yet.
    pub(super) tokens: Vec<u32>,
    /// Sum of the log-probabilities of the sampled tokens.
    pub(super) sum_logprob: f32,
    /// The number of this hypothesis among those that are sampled for the window. It selects the random numbers for
    /// the hypothesis.
    pub(super) draw: usize,
}

impl Hypothesis {
    /// The next decoder step. A prompt takes two steps, because the no-speech probability is computed from the logits
    /// after the start-of-transcript token. The first step ends with that token, at index `sot`; the second step
    /// processes the rest.
    pub(super) fn next_step(&mut self, sot: usize) -> Step<'_> {
        let processed = self.sequence.len();
        let end = if processed <= sot { sot + 1 } else { self.tokens.len() };
        Step { sequence: &mut self.sequence, tokens: &self.tokens[processed..end] }
    }
}

/// Creates the next hypotheses of a window from its current ones, the `parents`. Each of the `continuations` extends
/// a parent by one token.
///
/// The first continuation of a parent takes over the parent's KV cache, and each further continuation gets a copy. If
/// possible, the copy overwrites the cache of a parent without continuations, so that only the tokens in which the
/// two parents differ must be copied. If no such cache is left, `start` creates an empty sequence for the copy.
pub(super) fn fork(
    parents: Vec<Hypothesis>,
    continuations: &[Continuation],
    start: &dyn Fn() -> Sequence,
) -> Vec<Hypothesis> {
    let tokens: Vec<Vec<u32>> = parents.iter().map(|parent| parent.tokens.clone()).collect();
    let draws: Vec<usize> = parents.iter().map(|parent| parent.draw).collect();
    let mut sequences: Vec<Option<Sequence>> = parents.into_iter().map(|parent| Some(parent.sequence)).collect();
    let is_first =
        |index: usize| !continuations[..index].iter().any(|other| other.parent == continuations[index].parent);
    let mut copies = Vec::new();
    for (_, continuation) in continuations.iter().enumerate().filter(|(index, _)| !is_first(*index)) {
        let is_dropped = |parent: &usize| !continuations.iter().any(|other| other.parent == *parent);
        let reusable =
            (0..sequences.len()).filter(is_dropped).find_map(|parent| Some((parent, sequences[parent].take()?)));
        let (mut copy, common_len) = match reusable {
            Some((parent, sequence)) => (sequence, common_length(&tokens[parent], &tokens[continuation.parent])),
            None => (start(), 0),
        };
        // Cannot fail: up to here, only the sequences of parents without continuations were taken.
        let source = sequences[continuation.parent].as_ref().expect("a hypothesis with continuations has its sequence");
        copy.copy_from(source, common_len);
        copies.push(copy);
    }
    let mut copies = copies.into_iter();
    let child = |(index, continuation): (usize, &Continuation)| {
        let is_first = is_first(index);
        let sequence = if is_first { sequences[continuation.parent].take() } else { copies.next() };
        let mut tokens = tokens[continuation.parent].clone();
        tokens.push(continuation.token);
        Hypothesis {
            // Cannot fail: the first continuation takes the sequence of its parent, and each further one takes a copy
            // from `copies`.
            sequence: sequence.expect("every continuation has a sequence"),
            tokens,
            sum_logprob: continuation.sum_logprob,
            draw: if is_first { draws[continuation.parent] } else { index },
        }
    };
    continuations.iter().enumerate().map(child).collect()
}

fn common_length(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
