//! Dynamic time warping (Giorgino, "Computing and visualizing dynamic time warping alignments in R", 2009). It finds
//! the path with the largest sum of weights through a matrix whose rows are tokens and whose columns are times.
//!
//! If two paths are equally good, the choice is the same as in openai-whisper (`dtw_cpu` in `whisper/timing.py`), so
//! that equal matrices give equal times.

/// The final step of the best path to a matrix element.
#[derive(Clone, Copy)]
enum Step {
    /// The step leads from one token to the next, and also from one time to the next.
    Both,
    /// The step leads from one token to the next; the time stays the same.
    Token,
    /// The step leads from one time to the next; the token stays the same.
    Time,
}

/// Finds the best path through `weights`, a matrix `(rows, columns)` whose rows are tokens and whose columns are
/// times. Returns, for each row, the first column that the path visits. The path leads from the first to the last
/// element and advances by one row, one column, or both. The result is in ascending order.
///
/// # Panics
/// If there are no columns, or `weights` is not a whole number of rows.
pub(super) fn start_columns(weights: &[f32], columns: usize) -> Vec<usize> {
    assert!(columns > 0 && weights.len().is_multiple_of(columns), "not a matrix of {columns} columns");
    trace_back(&best_steps(weights, columns), columns)
}

/// Computes, for each matrix element, the final step of the best path to that element. The result has the shape
/// `(rows, columns)`.
fn best_steps(weights: &[f32], columns: usize) -> Vec<Step> {
    let mut steps = vec![Step::Time; weights.len()];
    // The costs of the best paths to the elements of the previous row and of this row. Index 0 stands for an extra
    // column before the first one.
    let mut previous = vec![f32::INFINITY; columns + 1];
    let mut costs = vec![f32::INFINITY; columns + 1];
    previous[0] = 0.0;
    for (weights, steps) in weights.chunks_exact(columns).zip(steps.chunks_exact_mut(columns)) {
        costs[0] = f32::INFINITY;
        for (time, (weight, step)) in weights.iter().zip(steps).enumerate() {
            let (both, token, same) = (previous[time], previous[time + 1], costs[time]);
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
        std::mem::swap(&mut previous, &mut costs);
    }
    steps
}

/// Follows the steps from the last element back to the first. Returns, for each row, the first column that the path
/// visits.
fn trace_back(steps: &[Step], columns: usize) -> Vec<usize> {
    let rows = steps.len() / columns;
    let mut starts = vec![0; rows];
    let (mut row, mut column) = (rows, columns - 1);
    while row > 0 {
        starts[row - 1] = column;
        // In the first row and the first column, only one step is possible.
        let step = match (row, column) {
            (1, _) => Step::Time,
            (_, 0) => Step::Token,
            _ => steps[(row - 1) * columns + column],
        };
        match step {
            Step::Time if column == 0 => break,
            Step::Time => column -= 1,
            Step::Token => row -= 1,
            Step::Both => (row, column) = (row - 1, column - 1),
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_large_weights() {
        #[rustfmt::skip]
        let weights = [
            1.0, 1.0, -1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, 1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, 1.0, 1.0, 1.0,
        ];
        assert_eq!(start_columns(&weights, 6), [0, 2, 3]);
    }

    #[test]
    fn several_tokens_may_share_a_time() {
        let starts = start_columns(&[0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0], 2);
        assert_eq!(starts.len(), 4);
        assert!(starts.is_sorted() && starts.iter().all(|time| *time < 2));
        assert_eq!(start_columns(&[1.0, 2.0, 3.0], 1), [0, 0, 0]);
        assert_eq!(start_columns(&[1.0, 2.0, 3.0], 3), [0]);
        assert!(start_columns(&[], 3).is_empty());
    }

    /// The largest sum of weights on any path from the first element to the given one. It is found by trying all
    /// paths.
    fn largest_sum(weights: &[f32], columns: usize, (row, column): (usize, usize)) -> f32 {
        let own = weights[row * columns + column];
        let previous = [(1, 1), (1, 0), (0, 1)].into_iter().filter(|(a, b)| *a <= row && *b <= column);
        let best = previous.map(|(a, b)| largest_sum(weights, columns, (row - a, column - b))).max_by(f32::total_cmp);
        own + best.unwrap_or(0.0)
    }

    #[test]
    fn the_path_has_the_largest_sum_of_all_paths() {
        for seed in 0..50 {
            let (rows, columns) = (2 + seed % 4, 2 + seed % 5);
            // The weights are integers, so that sums do not depend on the order of addition.
            let weights: Vec<f32> = (0..rows * columns).map(|i| f32::from(1_u16 << ((i + seed) * 13 % 16))).collect();
            let starts = start_columns(&weights, columns);
            // Each token covers the columns from its own start to that of the next token. The column at which the
            // next token starts may or may not belong to both tokens, so all combinations are tried.
            let ends = starts.iter().skip(1).copied().chain([columns - 1]);
            let sum = |is_shared: &dyn Fn(usize) -> bool| -> f32 {
                let spans = starts.iter().zip(ends.clone()).enumerate();
                spans
                    .map(|(row, (start, end))| {
                        let end = if row + 1 == rows || is_shared(row) || *start == end { end } else { end - 1 };
                        weights[row * columns + start..=row * columns + end].iter().sum::<f32>()
                    })
                    .sum()
            };
            let sums = (0..1 << (rows - 1)).map(|mask: usize| sum(&|row| mask >> row & 1 == 1));
            let largest = sums.max_by(f32::total_cmp).unwrap();
            let expected = largest_sum(&weights, columns, (rows - 1, columns - 1));
            assert_eq!(largest.to_bits(), expected.to_bits(), "seed {seed}");
        }
    }
}
