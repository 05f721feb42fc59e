//! Tests that every kernel must pass: its int8 results are bit-equal to the definition, for all shapes and values.

use proptest::prelude::*;

use super::*;
use crate::lines::padded_k;
use crate::{Aligned, Context, Cpu, Isa};

/// Deterministic pseudo-random bytes in -127..=127.
fn bytes(length: usize, seed: usize) -> Vec<i8> {
    (0..length).map(|i| ((i * 7919 + seed * 104_729 + i * i % 251) % 255) as i32 - 127).map(|v| v as i8).collect()
}

fn floats(length: usize, seed: usize) -> Vec<f32> {
    bytes(length, seed).into_iter().map(|value| f32::from(value) * 0.031).collect()
}

fn quantised_rows(context: &Context, values: &[i8], k: usize) -> QuantisedRows {
    let mut rows = QuantisedRows::default();
    rows.reset(values.len() / k, k);
    rows.fill(&context.pool, &|row, out, _| {
        out.copy_from_slice(&values[row * k..][..k]);
        1.0
    });
    rows
}

fn packed(context: &Context, values: &[i8], k: usize) -> PackedI8 {
    PackedI8::from_int8(context, values.len() / k, k, &|channel, out| {
        out.copy_from_slice(&values[channel * k..][..k]);
        1.0
    })
}

/// Iterates over one context for each instruction set of this machine. Prints the sets that the machine does not
/// have.
///
/// # Panics
///
/// If the machine does not have an instruction set that the environment variable `EXPECT_ISA` names. The variable
/// holds names separated by commas.
fn contexts() -> impl Iterator<Item = Context> {
    let expected = std::env::var("EXPECT_ISA").unwrap_or_default();
    let missing = missing_sets(&expected, |isa| Cpu::with(isa).is_ok()).unwrap_or_else(|error| panic!("{error}"));
    for isa in missing {
        println!("skipped: this machine has no {isa}");
    }
    Cpu::all().map(|cpu| Context::with(cpu, 2))
}

/// Returns the instruction sets that are not available, or an error if one of the `expected` names is unknown or
/// names such a set.
fn missing_sets(expected: &str, is_available: impl Fn(Isa) -> bool) -> Result<Vec<Isa>, String> {
    for name in expected.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let isa = Isa::ALL.iter().find(|isa| isa.name() == name);
        let isa = isa.ok_or_else(|| format!("EXPECT_ISA names `{name}`, which is not an instruction set"))?;
        if !is_available(*isa) {
            return Err(format!("EXPECT_ISA names {isa}, but this machine has no {isa}"));
        }
    }
    Ok(Isa::ALL.iter().copied().filter(|isa| !is_available(*isa)).collect())
}

#[test]
fn expected_instruction_sets_must_be_available() {
    let on_avx2 = |expected| missing_sets(expected, |isa| matches!(isa, Isa::Avx2 | Isa::Reference));
    for available in ["", "avx2", "reference, avx2", "avx2,"] {
        let skipped = on_avx2(available).unwrap();
        assert!(skipped.contains(&Isa::Amx) && skipped.len() == Isa::ALL.len() - 2, "{available}: {skipped:?}");
    }
    assert!(on_avx2("avx2,amx").unwrap_err().contains("has no amx"));
    assert!(on_avx2("avx2,sse9").unwrap_err().contains("`sse9`"));
}

/// Computes the product `(m, n)` of `a` and the transposed `b` by its definition.
fn exact(a: &[i8], b: &[i8], k: usize) -> Vec<i32> {
    let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    a.chunks_exact(k).flat_map(|a| b.chunks_exact(k).map(move |b| dot(a, b))).collect()
}

/// Compares the int8 product of every kernel with the definition.
fn check_int8(a: &[i8], b: &[i8], k: usize) {
    let (m, n) = (a.len() / k, b.len() / k);
    let expected = exact(a, b, k);
    for context in contexts() {
        let kernel = kernel(context.cpu);
        assert_eq!(kernel.isa(), context.cpu.isa());
        let (rows, weights) = (quantised_rows(&context, a, k), packed(&context, b, k));
        let width = n.next_multiple_of(PANEL);
        let mut sums = vec![i32::MIN; m * width];
        kernel.int8(rows.slice(0, m), weights.panels(0, n.div_ceil(PANEL)), &mut sums);
        for row in 0..m {
            assert_eq!(sums[row * width..][..n], expected[row * n..][..n], "{} {m}x{n}x{k}, row {row}", kernel.isa());
            assert!(sums[row * width..][n..width].iter().all(|sum| *sum == 0), "padding is zero");
        }
    }
}

/// Compares the product of unsigned rows with the definition, for every kernel. The unsigned rows are the values of
/// `a` plus 128.
fn check_uint8(a: &[i8], b: &[i8], k: usize) {
    let (m, n) = (a.len() / k, b.len() / k);
    let (padded_k, width) = (padded_k(k), n.next_multiple_of(PANEL));
    let mut data = vec![0_u8; m * padded_k];
    for (row, a) in data.chunks_exact_mut(padded_k).zip(a.chunks_exact(k)) {
        row.iter_mut().zip(a).for_each(|(out, a)| *out = (i32::from(*a) + 128) as u8);
    }
    let rows = RowsOf { data: &data, stride: padded_k, rows: m, padded_k };
    let dot = |a: &[u8], b: &[i8]| a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
    for context in contexts() {
        let kernel = kernel(context.cpu);
        let weights = packed(&context, b, k);
        let mut sums = vec![i32::MIN; m * width];
        kernel.uint8(rows, weights.panels(0, n.div_ceil(PANEL)), &mut sums);
        for (row, sums) in data.chunks_exact(padded_k).zip(sums.chunks_exact(width)) {
            let expected: Vec<i32> = b.chunks_exact(k).map(|b| dot(row, b)).collect();
            assert_eq!(sums[..n], expected, "{} {m}x{n}x{k}", kernel.isa());
            assert!(sums[n..].iter().all(|sum| *sum == 0), "padding is zero");
        }
    }
}

#[test]
fn int8_is_exact_on_every_small_shape() {
    for m in [1, 2, 3, 4, 5, 7, 8, 9, 33] {
        for n in [1, 15, 16, 17, 33] {
            for k in [1, 3, 4, 5, 63, 64, 65, 130] {
                check_int8(&bytes(m * k, m), &bytes(n * k, n + 1), k);
                check_uint8(&bytes(m * k, m), &bytes(n * k, n + 1), k);
            }
        }
    }
}

#[test]
fn int8_never_saturates() {
    for (a, b) in [(127, 127), (-127, 127), (127, -127), (-127, -127), (127, -128), (-127, -128)] {
        check_int8(&vec![a; 5 * 2048], &vec![b; 17 * 2048], 2048);
        check_uint8(&vec![a; 5 * 2048], &vec![b; 17 * 2048], 2048);
    }
}

#[test]
fn an_f32_row_has_the_same_bits_alone_and_in_a_block() {
    for context in contexts() {
        let kernel = kernel(context.cpu);
        for (m, n, k) in [(1, 16, 5), (1, 80, 64), (2, 48, 7), (3, 33, 20), (4, 16, 9), (5, 17, 64), (13, 50, 31)] {
            let (a, b) = (floats(m * k, m), floats(n * k, n));
            let weights = PackedF32::pack(&context.pool, n, k, &|row, out| out.copy_from_slice(&b[row * k..][..k]));
            let (panels, width) = (n.div_ceil(PANEL), n.next_multiple_of(PANEL));
            let mut out = vec![f32::NAN; m * width];
            kernel.f32(RowsF32::new(&a, k), weights.panels(0, panels), &mut out);
            for (index, row) in a.chunks_exact(k).enumerate() {
                let mut alone = vec![f32::NAN; width];
                kernel.f32(RowsF32::new(row, k), weights.panels(0, panels), &mut alone);
                assert_eq!(
                    alone,
                    out[index * width..][..width],
                    "{} {m}x{n}x{k}: row {index} differs alone",
                    kernel.isa()
                );
                for (column, b) in b.chunks_exact(k).enumerate() {
                    let expected: f64 = row.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    assert!((f64::from(alone[column]) - expected).abs() < 1e-4);
                }
            }
        }
    }
}

#[test]
fn f32_accepts_overlapping_rows_and_uses_the_first_lines_of_a_panel() {
    for context in contexts() {
        let data = floats(40, 1);
        let b = floats(20 * 12, 2);
        let weights = PackedF32::pack(&context.pool, 20, 12, &|row, out| out.copy_from_slice(&b[row * 12..][..12]));
        let a = RowsF32 { data: &data, stride: 4, rows: 8, k: 9 };
        let mut out = vec![0.0; 8 * 32];
        kernel(context.cpu).f32(a, weights.panels(0, 2), &mut out);
        for row in 0..8 {
            for column in 0..20 {
                let expected: f32 = (0..9).map(|k| data[row * 4 + k] * b[column * 12 + k]).sum();
                assert!((out[row * 32 + column] - expected).abs() < 1e-3);
            }
        }
    }
}

/// Shapes whose element counts overflow `usize` must not pass the length checks that memory safety depends on.
#[test]
fn shapes_whose_sizes_overflow_are_rejected() {
    let lines = [LineI8([0; 64]); 16];
    for context in contexts() {
        let kernel = kernel(context.cpu);
        let rows = RowsI8 { data: &[0; 64], stride: 0, rows: 1 << 60, padded_k: 64 };
        let far = RowsI8 { data: &[0; 64], stride: usize::MAX, rows: 2, padded_k: 64 };
        let floats = RowsF32 { data: &[0.0; 64], stride: usize::MAX / 2 + 1, rows: 3, k: 0 };
        let panels = PanelsF32 { lines: &[], stride: 0, count: 1 << 60 };
        let rejected = |work: &mut dyn FnMut()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).expect_err("must be rejected");
        };
        rejected(&mut || kernel.int8(rows, &lines, &mut []));
        rejected(&mut || kernel.int8(far, &lines, &mut [0; 32]));
        rejected(&mut || kernel.f32(floats, panels, &mut []));
    }
}

/// The shapes lie on both sides of each threshold at which the driver splits a product differently.
#[test]
fn every_output_is_right_and_thread_count_does_not_change_it() {
    for (m, n, k) in [(1, 5, 8), (3, 300, 64), (32, 48, 20), (33, 2100, 8), (70, 70, 70), (129, 33, 12)] {
        let (a, b) = (bytes(m * k, 3), bytes(n * k, 4));
        let bias: Vec<f32> = floats(n, 5);
        let expected = exact(&a, &b, k);
        let mut quantised_by_first = None;
        for cpu in Cpu::all() {
            for threads in [1, 2, 3] {
                let context = Context::with(cpu, threads);
                let (rows, weights) = (quantised_rows(&context, &a, k), packed(&context, &b, k));
                let epilogue = Epilogue { bias: Some(&bias), activation: Activation::None };
                let value = |row: usize, column: usize| expected[row * n + column] as f32 + bias[column];
                let mut out = vec![0.0; m * n];
                gemm_int8(&context, &rows, &weights, &epilogue, Output::Write(&mut out));
                gemm_int8(&context, &rows, &weights, &epilogue, Output::Add(&mut out));
                for row in 0..m {
                    for column in 0..n {
                        assert!((out[row * n + column] - 2.0 * value(row, column)).abs() < f32::EPSILON);
                    }
                }
                let mut quantised = QuantisedRows::default();
                gemm_int8(&context, &rows, &weights, &epilogue, Output::Quantise(&mut quantised));
                let result: Vec<(Vec<i8>, u32)> =
                    (0..m).map(|row| (quantised.row(row).to_vec(), quantised.scales()[row].to_bits())).collect();
                assert_eq!(*quantised_by_first.get_or_insert(result.clone()), result, "{cpu:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn finish_sums_has_the_bits_of_gemm_int8() {
    for context in contexts() {
        for (m, n, k) in [(1, 1, 1), (3, 40, 70), (70, 33, 9), (129, 48, 64)] {
            let (a, b, bias) = (bytes(m * k, 1), bytes(n * k, 2), floats(n, 3));
            let mut rows = quantised_rows(&context, &a, k);
            rows.parts().2.iter_mut().enumerate().for_each(|(row, scale)| *scale = 0.01 * (row + 1) as f32);
            let weights = PackedI8::from_int8(&context, n, k, &|channel, out| {
                out.copy_from_slice(&b[channel * k..][..k]);
                0.02 * (channel + 1) as f32
            });
            let mut channel = vec![0; k];
            for (index, expected) in b.chunks_exact(k).enumerate() {
                weights.channel(index, &mut channel);
                assert_eq!(channel, expected);
            }
            let sums = exact(&a, &b, k);
            let epilogue = Epilogue { bias: Some(&bias), activation: Activation::Gelu };
            let run = |uses_gemm: bool, output: Output<'_>| {
                if uses_gemm {
                    gemm_int8(&context, &rows, &weights, &epilogue, output);
                } else {
                    finish_sums(&context, &sums, rows.scales(), weights.scales(), &epilogue, output);
                }
            };
            let written = [true, false].map(|uses_gemm| {
                let mut out = vec![0.5; m * n];
                run(uses_gemm, Output::Write(&mut out));
                run(uses_gemm, Output::Add(&mut out));
                out
            });
            assert_eq!(written[0], written[1]);
            let quantised = [true, false].map(|uses_gemm| {
                let mut out = QuantisedRows::default();
                run(uses_gemm, Output::Quantise(&mut out));
                out
            });
            assert_eq!(quantised[0].scales(), quantised[1].scales());
            assert!((0..m).all(|row| quantised[0].row(row) == quantised[1].row(row)));
            let blocks = [true, false].map(|uses_gemm| {
                let mut out = Blocks::<u16>::default();
                out.reset(m, n, n);
                run(uses_gemm, Output::BlocksBf16(&mut out));
                out
            });
            assert_eq!(blocks[0].block(0), blocks[1].block(0));
        }
    }
}

#[test]
fn gelu_is_applied_after_the_bias_and_before_the_residual() {
    for context in contexts() {
        let weights = PackedF32::pack(&context.pool, 3, 1, &|row, out| out[0] = row as f32);
        let epilogue = Epilogue { bias: Some(&[1.0, 0.0, -1.0]), activation: Activation::Gelu };
        let mut out = vec![10.0; 3];
        gemm_f32(&context, RowsF32::new(&[1.0], 1), &weights, &epilogue, Output::Add(&mut out));
        for value in out {
            assert!((value - 10.841_345).abs() < 1e-5, "{value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn int8_is_exact_on_random_shapes((m, n, k) in (1..40_usize, 1..70_usize, 1..300_usize), seed in 0..1000_usize) {
        check_int8(&bytes(m * k, seed), &bytes(n * k, seed + 1), k);
        check_uint8(&bytes(m * k, seed), &bytes(n * k, seed + 1), k);
    }
}

#[test]
fn bf16_agrees_with_plain_rust_and_groups_do_not_change_its_bits() {
    let bits = |length: usize, seed: usize| -> Vec<u16> {
        floats(length, seed).into_iter().map(crate::vector::to_bf16).collect()
    };
    for (m, panels, k) in [(1, 1, 32), (3, 2, 64), (16, 3, 96), (17, 5, 64), (28, 9, 32), (32, 4, 1504)] {
        let data = bits(m * k, m);
        let b: Vec<LineBf16> = bits(panels * k * PANEL, k).as_chunks().0.iter().map(|line| LineBf16(*line)).collect();
        let a = RowsBf16 { data: &data, stride: k, rows: m, padded_k: k };
        let mut expected = vec![0.0; m * panels * PANEL];
        bf16::multiply(a, &b, &mut expected);
        for context in contexts() {
            let kernel = kernel(context.cpu);
            let mut out = vec![f32::NAN; m * panels * PANEL];
            kernel.bf16(a, &b, &mut out);
            for (got, expected) in out.iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-3 * k as f32, "{} {m}x{panels}x{k}", kernel.isa());
            }
            let mut grouped = vec![f32::NAN; out.len()];
            kernel.bf16_by_groups(a, &b, &mut Aligned::default(), &mut |panel, sums| {
                let width = sums.len() / m;
                for (row, sums) in sums.chunks_exact(width).enumerate() {
                    grouped[(row * panels + panel) * PANEL..][..width].copy_from_slice(sums);
                }
            });
            assert_eq!(grouped, out, "{} {m}x{panels}x{k}", kernel.isa());
        }
    }
}

#[test]
fn int8_in_groups_gives_the_same_sums() {
    for (m, n, k) in [
        (1, 16, 64),
        (1, 530, 64),
        (2, 70, 130),
        (5, 33, 600),
        (9, 530, 64),
        (16, 48, 64),
        (17, 100, 1100),
        (32, 40, 2048),
        (32, 500, 128),
    ] {
        let (a, b) = (bytes(m * k, 1), bytes(n * k, 2));
        for context in contexts() {
            let kernel = kernel(context.cpu);
            let (rows, weights) = (quantised_rows(&context, &a, k), packed(&context, &b, k));
            let panels = n.div_ceil(PANEL);
            let (mut sums, mut grouped) = (vec![0; m * panels * PANEL], vec![i32::MIN; m * panels * PANEL]);
            kernel.int8(rows.slice(0, m), weights.panels(0, panels), &mut sums);
            let (rows, weights) = (rows.slice(0, m), weights.panels(0, panels));
            kernel.int8_by_groups(rows, weights, &mut Aligned::default(), &mut |panel, sums| {
                let width = sums.len() / m;
                for (row, sums) in sums.chunks_exact(width).enumerate() {
                    grouped[(row * panels + panel) * PANEL..][..width].copy_from_slice(sums);
                }
            });
            assert_eq!(grouped, sums, "{} {m}x{n}x{k}", kernel.isa());
        }
    }
}
