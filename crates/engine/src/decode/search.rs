//! Beam search and the ranking of hypotheses (candidate token sequences).

/// A candidate for the next token of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) logprob: f32,
}

/// A hypothesis, extended by one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Continuation {
    /// The index of the hypothesis that this continuation extends.
    pub(super) parent: usize,
    pub(super) token: u32,
    /// The sum of the log-probabilities of all sampled tokens, including the new one.
    pub(super) sum_logprob: f32,
}

/// All continuations of all hypotheses, in the order of the hypotheses. `sums` contains the sum of log-probabilities
/// of each hypothesis.
pub(super) fn continuations(sums: &[f32], candidates: &[Vec<Candidate>]) -> Vec<Continuation> {
    let of_parent = |(parent, (sum, candidates)): (usize, (&f32, &Vec<Candidate>))| {
        let extend = |candidate: &Candidate| Continuation {
            parent,
            token: candidate.token,
            sum_logprob: *sum + candidate.logprob,
        };
        candidates.iter().map(extend).collect::<Vec<_>>()
    };
    sums.iter().zip(candidates).enumerate().flat_map(of_parent).collect()
}

/// Prunes the continuations as beam search does. It sorts them, best first. Of the continuations that do not end with
/// the end token `eot`, it keeps the best `size`. A continuation that ends with `eot` is kept only if it ranks before
/// the last of these. `BeamSearchDecoder` in openai-whisper's `decoding.py` does the same.
pub(super) fn prune_to_beam(continuations: &mut Vec<Continuation>, size: usize, eot: u32) {
    let order = |continuation: &Continuation| (continuation.parent, continuation.token);
    continuations.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob).then_with(|| order(a).cmp(&order(b))));
    let mut n_unfinished = 0;
    let kept = continuations.iter().take_while(|continuation| {
        let is_kept = n_unfinished < size;
        n_unfinished += usize::from(continuation.token != eot);
        is_kept
    });
    let kept = kept.count();
    continuations.truncate(kept);
}

/// The score for ranking the hypotheses of a window; higher is better. `length` is the number of sampled tokens,
/// without the end token.
pub(super) fn score(sum_logprob: f32, length: usize, length_penalty: Option<f32>) -> f32 {
    let length = length as f32;
    sum_logprob / length_penalty.map_or(length.max(1.0), |penalty| ((5.0 + length) / 6.0).powf(penalty))
}

/// The `count` largest logits as `(token, logit)`, largest first. Among equal logits, lower ids come first. Logits of minus
/// infinity are left out.
pub(super) fn largest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    const CHUNK: usize = 64;
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (index, chunk) in logits.chunks(CHUNK).enumerate() {
        let threshold = if best.len() < count { f32::NEG_INFINITY } else { best[count - 1].1 };
        // Most chunks contain none of the largest logits, so they are skipped. The maximum of a chunk shows that
        // quickly, because it is computed without a branch per logit.
        if chunk.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a }) <= threshold {
            continue;
        }
        for (offset, logit) in chunk.iter().enumerate() {
            let rank = best.partition_point(|(_, better)| better >= logit);
            if rank < count && *logit > f32::NEG_INFINITY {
                best.insert(rank, ((index * CHUNK + offset) as u32, *logit));
                best.truncate(count);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuation(parent: usize, token: u32, sum_logprob: f32) -> Continuation {
        Continuation { parent, token, sum_logprob }
    }

    #[test]
    fn a_beam_keeps_the_best_unfinished_continuations_and_better_ended_ones() {
        let candidates =
            |list: &[(u32, f32)]| list.iter().map(|&(token, logprob)| Candidate { token, logprob }).collect::<Vec<_>>();
        let lists = [candidates(&[(7, -0.1), (9, -0.5), (1, -4.0)]), candidates(&[(9, -0.2), (2, -0.3), (7, -0.4)])];
        let mut found = continuations(&[-1.0, -1.0], &lists);
        prune_to_beam(&mut found, 2, 9);
        // Token 9 is the end token. The two best continuations without it are kept. Of the two continuations with it,
        // only the one of hypothesis 1 ranks before the second of these, so the other one is dropped.
        assert_eq!(found.iter().map(|c| (c.parent, c.token)).collect::<Vec<_>>(), [(0, 7), (1, 9), (1, 2)]);
    }

    #[test]
    fn equal_continuations_are_ordered_by_parent_and_token() {
        let mut equal = vec![continuation(1, 3, -1.0), continuation(0, 5, -1.0), continuation(0, 4, -1.0)];
        prune_to_beam(&mut equal, 2, 9);
        assert_eq!(equal, [continuation(0, 4, -1.0), continuation(0, 5, -1.0)]);
    }

    #[test]
    fn the_score_is_the_mean_or_uses_the_length_penalty() {
        assert!((score(-6.0, 3, None) + 2.0).abs() < 1e-6);
        assert!((score(-6.0, 7, Some(1.0)) + 3.0).abs() < 1e-6);
        assert!((score(-6.0, 7, Some(0.0)) + 6.0).abs() < 1e-6);
        assert!(score(-6.0, 0, None).is_finite());
    }

    #[test]
    fn the_largest_logits_equal_the_result_of_sorting() {
        let logits: Vec<f32> = (0..1000_u32).map(|i| f64::from(i.wrapping_mul(7919) % 251) as f32).collect();
        let mut sorted: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for count in [1, 6, 40] {
            assert_eq!(largest(&logits, count), sorted[..count]);
        }
        assert_eq!(largest(&[f32::NEG_INFINITY, 1.0], 5), [(1, 1.0)]);
    }
}
