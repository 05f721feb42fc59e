//! One of the texts that a window may have.

use crate::sequence::{Sequence, Step};

use super::search::Child;

/// A text so far.
pub(super) struct Hypothesis {
    /// What of it the decoder has taken.
    pub(super) sequence: Sequence,
    /// The prompt, then the text.
    pub(super) tokens: Vec<u32>,
    /// Of what was sampled.
    pub(super) sum_logprob: f32,
    /// Which of the texts drawn by chance this is.
    pub(super) draw: usize,
}

impl Hypothesis {
    /// Hands the decoder what it has not taken yet; the start token, after which it says whether anybody speaks, and what
    /// follows are two steps.
    pub(super) fn next_step(&mut self, start: usize) -> Step<'_> {
        let taken = self.sequence.len();
        let end = if taken <= start { start + 1 } else { self.tokens.len() };
        Step { sequence: &mut self.sequence, tokens: &self.tokens[taken..end] }
    }
}

/// The texts that `children` make of those before. The first child of a text takes its keys and values over; for each
/// further one a text that was given up is made a copy of it, as far as the two differ, or a new one is begun.
pub(super) fn grow(parents: Vec<Hypothesis>, children: &[Child], begin: &dyn Fn() -> Sequence) -> Vec<Hypothesis> {
    let tokens: Vec<Vec<u32>> = parents.iter().map(|parent| parent.tokens.clone()).collect();
    let draws: Vec<usize> = parents.iter().map(|parent| parent.draw).collect();
    let mut sequences: Vec<Option<Sequence>> = parents.into_iter().map(|parent| Some(parent.sequence)).collect();
    let is_first = |index: usize| !children[..index].iter().any(|child| child.parent == children[index].parent);
    let mut copies = Vec::new();
    for (index, child) in children.iter().enumerate().filter(|(index, _)| !is_first(*index)) {
        let given_up = |parent: &usize| !children.iter().any(|child| child.parent == *parent);
        let spare = (0..sequences.len()).filter(given_up).find_map(|parent| Some((parent, sequences[parent].take()?)));
        let (mut copy, common) = match spare {
            Some((parent, sequence)) => (sequence, common_length(&tokens[parent], &tokens[child.parent])),
            None => (begin(), 0),
        };
        // Only texts without a child were taken so far.
        let source = sequences[child.parent].as_ref().expect("a text with children keeps its sequence until the end");
        copy.become_like(source, common);
        copies.push((index, copy));
    }
    let mut copies = copies.into_iter();
    children
        .iter()
        .enumerate()
        .map(|(index, child)| {
            let sequence =
                if is_first(index) { sequences[child.parent].take() } else { copies.next().map(|(_, copy)| copy) };
            let mut tokens = tokens[child.parent].clone();
            tokens.push(child.token);
            Hypothesis {
                // A first child takes its parent's, every other one has a copy.
                sequence: sequence.expect("every child has a sequence"),
                tokens,
                sum_logprob: child.sum_logprob,
                draw: if is_first(index) { draws[child.parent] } else { index },
            }
        })
        .collect()
}

fn common_length(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
