//! Dynamic time warping (Giorgino, "Computing and visualizing dynamic time warping alignments in R", 2009): the way
//! through a matrix of tokens and times that sees most.
//!
//! Ties fall as in `openai-whisper` (`whisper/timing.py`), so that equal matrices give equal times.

/// How the best way comes to an element.
#[derive(Clone, Copy)]
enum Step {
    /// From the token and the time before.
    Both,
    /// From the token before, at the same time.
    Token,
    /// From the time before, in the same token.
    Time,
}

/// The first time of each token on the way from the first token and time to the last of both that has the largest sum of
/// `weights`, `(tokens, times)`, stepping on in tokens, in times, or in both. As many as there are tokens, and in order.
///
/// # Panics
/// If the matrix has no times, or is not one.
pub(crate) fn first_times(weights: &[f32], times: usize) -> Vec<usize> {
    assert!(times > 0 && weights.len().is_multiple_of(times), "no matrix of {times} columns");
    let tokens = weights.len() / times;
    let mut steps = vec![Step::Time; weights.len()];
    // The cost of the best way to each element of the row before and of this row, the element before the first included.
    let mut before = vec![f32::INFINITY; times + 1];
    let mut costs = vec![f32::INFINITY; times + 1];
    before[0] = 0.0;
    for (weights, steps) in weights.chunks_exact(times).zip(steps.chunks_exact_mut(times)) {
        costs[0] = f32::INFINITY;
        for (time, (weight, step)) in weights.iter().zip(steps).enumerate() {
            let (both, token, same) = (before[time], before[time + 1], costs[time]);
            let (cost, best) = if both < token && both < same {
                (both, Step::Both)
            } else if token < both && token < same {
                (token, Step::Token)
            } else {
                (same, Step::Time)
            };
            costs[time + 1] = cost - weight;
            *step = best;
        }
        std::mem::swap(&mut before, &mut costs);
    }
    let mut first = vec![0; tokens];
    let (mut token, mut time) = (tokens, times - 1);
    while token > 0 {
        first[token - 1] = time;
        // At the borders there is one way only.
        let step = match (token, time) {
            (1, _) => Step::Time,
            (_, 0) => Step::Token,
            _ => steps[(token - 1) * times + time],
        };
        match step {
            Step::Time if time == 0 => break,
            Step::Time => time -= 1,
            Step::Token => token -= 1,
            Step::Both => (token, time) = (token - 1, time - 1),
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_the_ridge() {
        #[rustfmt::skip]
        let weights = [
            1.0, 1.0, -1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, 1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, 1.0, 1.0, 1.0,
        ];
        assert_eq!(first_times(&weights, 6), [0, 2, 3]);
    }

    #[test]
    fn more_tokens_than_times_share_them() {
        let first = first_times(&[0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0], 2);
        assert_eq!(first.len(), 4);
        assert!(first.is_sorted() && first.iter().all(|time| *time < 2));
        assert_eq!(first_times(&[1.0, 2.0, 3.0], 1), [0, 0, 0]);
        assert_eq!(first_times(&[1.0, 2.0, 3.0], 3), [0]);
        assert!(first_times(&[], 3).is_empty());
    }

    /// The largest sum of any way, by trying them all.
    fn best(weights: &[f32], times: usize, (token, time): (usize, usize)) -> f32 {
        let own = weights[token * times + time];
        let before = [(1, 1), (1, 0), (0, 1)].into_iter().filter(|(a, b)| *a <= token && *b <= time);
        let best = before.map(|(a, b)| best(weights, times, (token - a, time - b))).max_by(f32::total_cmp);
        own + best.unwrap_or(0.0)
    }

    #[test]
    fn no_way_sees_more() {
        for seed in 0..50 {
            let (tokens, times) = (2 + seed % 4, 2 + seed % 5);
            // Whole numbers that add up to the same in any order.
            let weights: Vec<f32> = (0..tokens * times).map(|i| f32::from(1_u16 << ((i + seed) * 13 % 16))).collect();
            let first = first_times(&weights, times);
            // A token is seen from its first time to that of the next, which both may see.
            let ends = first.iter().skip(1).copied().chain([times - 1]);
            let total = |shared: &dyn Fn(usize) -> bool| -> f32 {
                let rows = first.iter().zip(ends.clone()).enumerate();
                rows.map(|(token, (start, end))| {
                    let end = if token + 1 == tokens || shared(token) || *start == end { end } else { end - 1 };
                    weights[token * times + start..=token * times + end].iter().sum::<f32>()
                })
                .sum()
            };
            let totals = (0..1 << (tokens - 1)).map(|mask: usize| total(&|token| mask >> token & 1 == 1));
            let most = totals.max_by(f32::total_cmp).unwrap();
            assert_eq!(most.to_bits(), best(&weights, times, (tokens - 1, times - 1)).to_bits(), "seed {seed}");
        }
    }
}
