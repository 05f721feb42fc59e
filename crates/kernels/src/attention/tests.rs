//! These tests check that attention follows its definition, and that the result of a row has the same bits whether
//! the row is computed alone or in a batch.

use super::*;

/// Deterministic test values between about -2 and 2.
fn wave(length: usize, seed: usize) -> Vec<f32> {
    (0..length).map(|i| (((i + seed) * 7919) % 1009) as f32 * 0.004 - 2.0).collect()
}

/// Iterates over the rows of `all`, and returns for each row the columns of one head, which start at `first`.
fn head_rows(all: &[f32], stride: usize, first: usize, width: usize) -> impl Iterator<Item = &[f32]> {
    all.chunks_exact(stride).map(move |row| &row[first..first + width])
}

/// Computes the attention of one query from its definition, in f64.
fn attend_exactly(query: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let weights: Vec<f64> = keys.iter().map(|key| (dot(query, key) / (query.len() as f64).sqrt()).exp()).collect();
    let total: f64 = weights.iter().sum();
    let column = |i: usize| values.iter().zip(&weights).map(|(v, w)| f64::from(v[i]) * w).sum::<f64>() / total;
    (0..query.len()).map(column).collect()
}

/// Runs `attention` on `qkv`, `(n_ctx, 3 * d)`. Writes `qkv` to the attention's input in the layout that the
/// preceding linear layer produces.
fn attend_all(context: &Context, qkv: &[f32], d: usize, width: usize, attention: &mut SelfAttention) -> Vec<f32> {
    let n_ctx = qkv.len() / d / 3;
    let value = |row: usize, column: usize| qkv[row * 3 * d + column];
    let index_of = |row: usize, column: usize| (column / width * n_ctx + row) * width + column % width;
    match attention.input(n_ctx, d, width) {
        Output::Blocks(blocks) => {
            for (row, column) in (0..n_ctx).flat_map(|row| (0..3 * d).map(move |column| (row, column))) {
                blocks.data_mut()[index_of(row, column)] = value(row, column);
            }
        }
        Output::BlocksBf16(blocks) => {
            for (row, column) in (0..n_ctx).flat_map(|row| (0..3 * d).map(move |column| (row, column))) {
                blocks.data_mut()[index_of(row, column)] = crate::vector::to_bf16(value(row, column));
            }
        }
        _ => unreachable!("the input of attention is stored in blocks"),
    }
    let mut out = vec![0.0; n_ctx * d];
    attention.run(context, n_ctx, &mut out);
    out
}

fn contexts() -> impl Iterator<Item = Context> {
    Cpu::all().flat_map(|cpu| [1, 3].map(|threads| Context::with(cpu, threads)))
}

#[test]
fn self_attention_follows_the_definition() {
    let (n_ctx, heads, width) = (71, 3, 20);
    let d = heads * width;
    let qkv = wave(n_ctx * 3 * d, 0);
    // These are the tolerances of each number format. Int8 rounds queries and keys to 1/127 of their largest value
    // and weights to 1/255; scores reach 12. Bf16 has 8 significant bits.
    let kinds = [(SelfAttention::f32(), 1e-5), (SelfAttention::int8(), 0.12), (SelfAttention::bf16(), 0.03)];
    for (mut packed, tolerance) in kinds {
        for context in contexts() {
            let out = attend_all(&context, &qkv, d, width, &mut packed);
            for head in 0..heads {
                let part =
                    |kind: usize| -> Vec<&[f32]> { head_rows(&qkv, 3 * d, kind * d + head * width, width).collect() };
                let (queries, keys, values) = (part(0), part(1), part(2));
                for (position, query) in queries.into_iter().enumerate() {
                    let expected = attend_exactly(query, &keys, &values);
                    for (got, expected) in out[position * d + head * width..].iter().zip(expected) {
                        assert!((f64::from(*got) - expected).abs() < tolerance, "{got} {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn int8_attention_has_the_same_bits_on_every_instruction_set_and_after_reuse() {
    let (n_ctx, heads, width) = (150, 2, 20);
    let d = heads * width;
    let mut first = Vec::new();
    let mut packed = SelfAttention::int8();
    for context in contexts() {
        // The second run has a larger shape. It checks that the third run does not use values that are left in the
        // reused memory.
        for (rows, seed) in [(n_ctx, 0), (n_ctx + 9, 5), (n_ctx, 0)] {
            let qkv = wave(rows * 3 * d, seed);
            let out = attend_all(&context, &qkv, d, width, &mut packed);
            let bits: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
            if first.is_empty() {
                first = bits;
            } else if rows == n_ctx {
                assert_eq!(bits, first, "{}", context.cpu.isa());
            }
        }
    }
}

#[test]
fn a_causal_row_attends_to_its_own_length_and_has_the_same_bits_alone() {
    for (heads, width, capacity) in [(2, 16, 140), (1, 20, 70), (2, 64, 90)] {
        let d = heads * width;
        let mut cache = Cache::new(d);
        let (keys, values) = (wave(capacity * d, 1), wave(capacity * d, 2));
        for position in 0..capacity {
            cache.set(position, &keys[position * d..][..d], &values[position * d..][..d]);
        }
        let queries = wave(3 * d, 3);
        let lengths = [1, 17, capacity];
        let mut first = Vec::new();
        for context in contexts() {
            let pasts = lengths.map(|length| Past { cache: &cache, length });
            let mut out = vec![0.0; 3 * d];
            causal_attention(&context, RowsF32::new(&queries, d), heads, &pasts, &mut out);
            for (row, length) in lengths.into_iter().enumerate() {
                let mut alone = vec![0.0; d];
                let query = &queries[row * d..][..d];
                causal_attention(&context, RowsF32::new(query, d), heads, &pasts[row..=row], &mut alone);
                assert_eq!(alone, out[row * d..][..d]);
                for head in 0..heads {
                    let part = |all| -> Vec<&[f32]> { head_rows(all, d, head * width, width).take(length).collect() };
                    let (keys, values) = (part(&keys), part(&values));
                    let expected = attend_exactly(&query[head * width..][..width], &keys, &values);
                    for (got, expected) in alone[head * width..].iter().zip(expected) {
                        assert!((f64::from(*got) - expected).abs() < 1e-5);
                    }
                }
            }
            let bits: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
            if first.is_empty() {
                first = bits;
            } else {
                assert_eq!(bits, first, "{}", context.cpu.isa());
            }
        }
    }
}

#[test]
fn a_cross_attention_row_has_the_same_bits_alone_and_in_a_batch() {
    let (n_ctx, heads, width) = (70, 2, 32);
    let d = heads * width;
    for context in contexts() {
        for make in [|| KeyValues::F32(Vec::new()), || KeyValues::Int8(Vec::new())] {
            let windows = [1, 2].map(|seed| {
                let (mut kv, mut window) = (Blocks::default(), make());
                kv.reset(n_ctx, 2 * d, width);
                kv.data_mut().copy_from_slice(&wave(2 * n_ctx * d, seed));
                window.pack(&context, &kv, n_ctx);
                window
            });
            let queries = wave(4 * d, 3);
            let mut out = vec![0.0; 4 * d];
            let rows = [(&windows[0], 3), (&windows[1], 1)];
            cross_attention(&context, RowsF32::new(&queries, d), &rows, &mut out);
            for (row, window) in [0, 0, 0, 1].into_iter().enumerate() {
                let mut alone = vec![0.0; d];
                let query = RowsF32::new(&queries[row * d..][..d], d);
                cross_attention(&context, query, &[(&windows[window], 1)], &mut alone);
                assert_eq!(alone, out[row * d..][..d]);
            }
        }
    }
}

#[test]
fn attention_weights_follow_the_definition_and_have_the_same_bits_alone() {
    let (n_ctx, heads, width, rows) = (70, 2, 20, 37);
    let d = heads * width;
    let (kv, queries) = (wave(2 * n_ctx * d, 1), wave(rows * d, 3));
    for (make, tolerance) in [(KeyValues::F32 as fn(_) -> _, 1e-5), (|_| KeyValues::Int8(Vec::new()), 0.02)] {
        let mut first: Vec<Vec<u32>> = Vec::new();
        for context in contexts() {
            let (mut blocks, mut window) = (Blocks::default(), make(Vec::new()));
            blocks.reset(n_ctx, 2 * d, width);
            blocks.data_mut().copy_from_slice(&kv);
            window.pack(&context, &blocks, 0);
            for (index, (head, positions)) in [(0, n_ctx), (1, 33)].into_iter().enumerate() {
                let mut out = vec![0.0; rows * positions];
                window.weights(&context, head, RowsF32::new(&queries, d), &mut out);
                let keys = &kv[head * n_ctx * width..];
                for (row, weights) in out.chunks_exact(positions).enumerate() {
                    let all = &queries[row * d..][..d];
                    let mut alone = vec![0.0; positions];
                    window.weights(&context, head, RowsF32::new(all, d), &mut alone);
                    assert_eq!(alone, weights);
                    let query = &all[head * width..][..width];
                    let score = |key: &[f32]| query.iter().zip(key).map(|(q, k)| f64::from(q * k)).sum::<f64>();
                    let scores = keys.chunks_exact(width).take(positions).map(score);
                    let exact: Vec<f64> = scores.map(|score| (score / (width as f64).sqrt()).exp()).collect();
                    let total: f64 = exact.iter().sum();
                    for (got, exact) in weights.iter().zip(exact) {
                        assert!((f64::from(*got) - exact / total).abs() < tolerance, "{got} {}", exact / total);
                    }
                }
                // F32 products are rounded differently on different instruction sets; int8 products are exact.
                if matches!(window, KeyValues::Int8(_)) {
                    let bits: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
                    if first.len() <= index {
                        first.push(bits);
                    } else {
                        assert_eq!(bits, first[index], "{}", context.cpu.isa());
                    }
                }
            }
        }
    }
}

/// For scores of hundreds, `2^score` overflows unless the largest score is subtracted first.
#[test]
fn bf16_attention_does_not_overflow_for_large_scores() {
    let (n_ctx, width) = (70, 32);
    for context in contexts() {
        for size in [1.0, 20.0, 400.0, 1e6] {
            let mut qkv = wave(n_ctx * 3 * width, 3);
            // Make the final key much larger than the others. Its position gets all of the attention weight, or none
            // if its score is negative.
            qkv.chunks_exact_mut(3 * width).for_each(|row| row[width..2 * width].fill(0.001));
            qkv[(n_ctx - 1) * 3 * width + width..][..width].fill(size);
            let out = attend_all(&context, &qkv, width, width, &mut SelfAttention::bf16());
            assert!(out.iter().all(|value| value.abs() <= 2.1), "a weighted average of values cannot exceed them");
        }
    }
}

#[test]
fn shrink_frees_a_cache_whose_capacity_is_above_the_limit() {
    let mut cache = Cache::new(3);
    let fill = |cache: &mut Cache, positions: usize| (0..positions).for_each(|i| cache.set(i, &[1.0; 3], &[2.0; 3]));
    fill(&mut cache, 100);
    cache.shrink(128);
    assert_eq!(cache.capacity(), 128);
    fill(&mut cache, 129);
    cache.shrink(128);
    assert_eq!((cache.capacity(), cache.width()), (0, 3));
}
