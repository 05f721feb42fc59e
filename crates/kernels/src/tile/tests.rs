//! These tests check that the products of tiles are bit-equal to the definition on every instruction set.

use proptest::prelude::*;

use super::*;
use crate::Cpu;

/// Computes one launch (the product of two tiles) by its definition, element by element.
fn launch(size: TileSize, a: &[i8], b: &[i8]) -> Vec<i8> {
    let t = size.side();
    let sum = |row: usize, column: usize| -> i32 {
        (0..t).map(|depth| i32::from(a[row * t + depth]) * i32::from(b[depth * t + column])).sum()
    };
    let at = |index: usize| sum(index / t, index % t).div_euclid(1 << SHIFT).clamp(-128, 127) as i8;
    (0..t * t).map(at).collect()
}

fn check(size: TileSize, a: &[i8], b: &[i8]) {
    let expected = launch(size, a, b);
    for cpu in Cpu::all() {
        let mut c = vec![0; size.elements()];
        product(cpu, size, a, b, &mut c);
        assert_eq!(c, expected, "{} {size}", cpu.isa());
    }
}

#[test]
fn extreme_values_neither_overflow_nor_saturate_early() {
    let mixed = |index: usize| [-128, 127, -1, 1, 0, -128, 127][index % 7];
    for size in TileSize::ALL {
        let tile = |value: &dyn Fn(usize) -> i8| (0..size.elements()).map(value).collect::<Vec<i8>>();
        let tiles = [tile(&|_| -128), tile(&|_| 127), tile(&|_| -1), tile(&|_| 0), tile(&mixed)];
        for a in &tiles {
            for b in &tiles {
                check(size, a, b);
            }
        }
    }
}

#[test]
fn the_shift_rounds_towards_minus_infinity() {
    // The only product that is not zero is -1. Shifted right by 7, it stays -1, whereas a division by 128 would give
    // 0.
    let size = TileSize::T16;
    let (mut a, mut b, mut c) = (vec![0; 256], vec![0; 256], vec![0; 256]);
    (a[0], b[0]) = (-1, 1);
    for cpu in Cpu::all() {
        product(cpu, size, &a, &b, &mut c);
        assert_eq!((c[0], c[1]), (-1, 0));
    }
}

#[test]
fn tile_sides_are_16_32_and_64() {
    assert_eq!(TileSize::ALL.map(TileSize::side), [16, 32, 64]);
    assert_eq!((TileSize::of(32), TileSize::of(17)), (Some(TileSize::T32), None));
}

/// Compares `tile_exact_reference` with examples that were calculated by hand.
#[test]
fn each_launch_shifts_and_saturates_on_its_own() {
    // There are two launches (products of two tiles). The sum of each is 16 * 127 * 127 >> 7 = 2016, clamped to 127.
    // Together they are 254, clamped to 127.
    let (a, b) = (vec![127; 32], vec![127; 32]);
    assert_eq!(tile_exact_reference(&a, &b, [1, 32, 1], TileSize::T16), [127]);
    // The two launches saturate to 127 and -128, which add up to -1. The exact sum, shifted once, would be -2032 >> 7
    // = -16.
    let mut opposed = vec![127; 32];
    opposed[16..].fill(-128);
    assert_eq!(tile_exact_reference(&a, &opposed, [1, 32, 1], TileSize::T16), [-1]);
    assert_eq!(full_reference(&a, &opposed, [1, 32, 1]), [-2032]);
    // With tiles of side 16 there are eight launches, each with the sum -1. With tiles of side 64 there are two, each
    // with the sum -4. The shift turns each of these sums into -1.
    let sparse: Vec<i8> = (0..128).map(|depth| i8::from(depth % 16 == 0)).collect();
    assert_eq!(tile_exact_reference(&sparse, &[-1; 128], [1, 128, 1], TileSize::T16), [-8]);
    assert_eq!(tile_exact_reference(&sparse, &[-1; 128], [1, 128, 1], TileSize::T64), [-2]);
}

#[test]
fn any_number_of_tiles_is_added_exactly() {
    for count in [0, 1, 3, 256, 257, 600] {
        for value in [-128_i8, 127, 5] {
            for cpu in Cpu::all() {
                let mut sums = vec![7; 256];
                accumulate(cpu, &vec![value; count * 256], &mut sums);
                assert_eq!(sums, [7 + i32::from(value) * count as i32; 256], "{}", cpu.isa());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn products_are_bit_equal_to_the_definition(
        size in prop::sample::select(TileSize::ALL.to_vec()),
        values in prop::collection::vec(any::<i8>(), 2 * 64 * 64),
        // With large values nearly all results saturate. Shifting the random values right makes them smaller, so that
        // unsaturated results are tested too.
        shift in 0_u32..6,
    ) {
        let values: Vec<i8> = values.into_iter().map(|value| value >> shift).collect();
        let (a, b) = values.split_at(64 * 64);
        check(size, &a[..size.elements()], &b[..size.elements()]);
    }

    #[test]
    fn accumulated_sums_are_exact_and_clamped_once(tiles in prop::collection::vec(any::<i8>(), 5 * 64)) {
        let expected: Vec<i32> = (0..64).map(|at| tiles.iter().skip(at).step_by(64).map(|v| i32::from(*v)).sum()).collect();
        for cpu in Cpu::all() {
            let (mut sums, mut out) = (vec![0; 64], vec![0; 64]);
            accumulate(cpu, &tiles, &mut sums);
            prop_assert_eq!(&sums, &expected);
            clamp_sums(cpu, &sums, &mut out);
            prop_assert!(out.iter().zip(&sums).all(|(out, sum)| i32::from(*out) == (*sum).clamp(-128, 127)));
        }
    }
}
