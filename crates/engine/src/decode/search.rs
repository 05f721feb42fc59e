//! Which texts are followed further, and which of those that ended is the best.

/// A token that may follow a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) logprob: f32,
}

/// A text with one token more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Child {
    /// Which of the texts so far it continues.
    pub(super) parent: usize,
    pub(super) token: u32,
    /// Of the whole text.
    pub(super) sum_logprob: f32,
}

/// All continuations of texts of these log-probabilities, in the order of the texts.
pub(super) fn children(sums: &[f32], candidates: &[Vec<Candidate>]) -> Vec<Child> {
    let of_one = |(parent, (sum, candidates)): (usize, (&f32, &Vec<Candidate>))| {
        let sum = *sum;
        let child =
            move |candidate: &Candidate| Child { parent, token: candidate.token, sum_logprob: sum + candidate.logprob };
        candidates.iter().map(child).collect::<Vec<_>>()
    };
    sums.iter().zip(candidates).enumerate().flat_map(of_one).collect()
}

/// The rule of a beam: the best continuations until `size` of them go on; the others are dropped, also those that end.
/// As `BeamSearchDecoder` in the original implementation's `decoding.py`.
pub(super) fn keep_best(children: &mut Vec<Child>, size: usize, eot: u32) {
    let order = |child: &Child| (child.parent, child.token);
    children.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob).then_with(|| order(a).cmp(&order(b))));
    let mut going_on = 0;
    let kept = children.iter().take_while(|child| {
        let is_wanted = going_on < size;
        going_on += usize::from(child.token != eot);
        is_wanted
    });
    let kept = kept.count();
    children.truncate(kept);
}

/// What a text is worth beside others: the higher the better. `length` is the number of its tokens.
pub(super) fn worth(sum_logprob: f32, length: usize, length_penalty: Option<f32>) -> f32 {
    let length = length as f32;
    sum_logprob / length_penalty.map_or(length.max(1.0), |penalty| ((5.0 + length) / 6.0).powf(penalty))
}

/// The `count` largest logits that are not minus infinity, best first, the lower id of equals first.
pub(super) fn largest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    const CHUNK: usize = 64;
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (index, chunk) in logits.chunks(CHUNK).enumerate() {
        let bar = if best.len() < count { f32::NEG_INFINITY } else { best[count - 1].1 };
        // Most chunks hold nothing of interest, which this finds out without a branch a logit.
        if chunk.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a }) <= bar {
            continue;
        }
        for (offset, logit) in chunk.iter().enumerate() {
            let place = best.partition_point(|(_, better)| better >= logit);
            if place < count && *logit > f32::NEG_INFINITY {
                best.insert(place, ((index * CHUNK + offset) as u32, *logit));
                best.truncate(count);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(parent: usize, token: u32, sum_logprob: f32) -> Child {
        Child { parent, token, sum_logprob }
    }

    #[test]
    fn a_beam_keeps_the_best_that_go_on_and_the_ends_before_them() {
        let candidates =
            |list: &[(u32, f32)]| list.iter().map(|&(token, logprob)| Candidate { token, logprob }).collect::<Vec<_>>();
        let lists = [candidates(&[(7, -0.1), (9, -0.5), (1, -4.0)]), candidates(&[(9, -0.2), (2, -0.3), (7, -0.4)])];
        let mut found = children(&[-1.0, -1.0], &lists);
        keep_best(&mut found, 2, 9);
        // Two ends (9) lie among the best; the third of those that go on is dropped, and the end behind it too.
        assert_eq!(found.iter().map(|c| (c.parent, c.token)).collect::<Vec<_>>(), [(0, 7), (1, 9), (1, 2)]);
        let mut equal = vec![child(1, 3, -1.0), child(0, 5, -1.0), child(0, 4, -1.0)];
        keep_best(&mut equal, 2, 9);
        assert_eq!(equal, [child(0, 4, -1.0), child(0, 5, -1.0)]);
    }

    #[test]
    fn worth_is_by_token_or_by_penalty() {
        assert!((worth(-6.0, 3, None) + 2.0).abs() < 1e-6);
        assert!((worth(-6.0, 7, Some(1.0)) + 3.0).abs() < 1e-6);
        assert!((worth(-6.0, 7, Some(0.0)) + 6.0).abs() < 1e-6);
        assert!(worth(-6.0, 0, None).is_finite());
    }

    #[test]
    fn the_largest_are_found_as_by_sorting() {
        let logits: Vec<f32> = (0..1000_u32).map(|i| f64::from(i.wrapping_mul(7919) % 251) as f32).collect();
        let mut sorted: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for count in [1, 6, 40] {
            assert_eq!(largest(&logits, count), sorted[..count]);
        }
        assert_eq!(largest(&[f32::NEG_INFINITY, 1.0], 5), [(1, 1.0)]);
    }
}
