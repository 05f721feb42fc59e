//! Tests that products on all devices and in all modes equal the contract exactly, and that the host uses devices
//! correctly.

use std::ops::Range;

use amanuensis_kernels::tile::{TileSize, full_reference, tile_exact_reference};
use amanuensis_kernels::{Context, Cpu};
use proptest::prelude::*;

use super::scaled::{quantise_columns, quantise_rows};
use super::*;
use crate::driver::Direction;
use crate::launch::{Buffer, Counters, Launch, Location, Ticket};

fn threaded(tile: TileSize) -> CpuDevice {
    CpuDevice::new(Cpu::detect(), tile).unwrap()
}

fn direct(tile: TileSize) -> CpuDevice {
    CpuDevice::on_calling_thread(Cpu::detect(), tile)
}

/// Pseudo-random bytes from -128 to 127.
fn bytes(length: usize, seed: usize) -> Vec<i8> {
    let byte = |index: usize| (((index + seed * 7919) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as i8;
    (0..length).map(byte).collect()
}

/// Checks a product in both modes, on the processor with and without a worker thread. A wave (a group of launches)
/// has at most `wave` tiles of results.
fn check(tile: TileSize, a: &[i8], b: &[i8], shape: [usize; 3], wave: usize) {
    let expected = tile_exact_reference(a, b, shape, tile);
    for device in [threaded(tile), direct(tile)] {
        let mut products = TileMatmul::new(device, Cpu::detect()).with_wave_bytes(wave * tile.elements());
        // The first round leaves old values in the buffers, which the later rounds must not use.
        for mode in [Mode::Batched, Mode::Sequential, Mode::Batched] {
            let c = products.multiply(mode, a, b, shape).unwrap();
            assert_eq!(c, expected, "{shape:?} in tiles of {tile}, {mode}, waves of {wave}");
        }
    }
}

#[test]
fn products_of_odd_shapes_equal_the_contract() {
    for tile in TileSize::ALL {
        let t = tile.side();
        for [m, k, n] in
            [[1, 1, 1], [t, t, t], [t + 1, t - 1, 2 * t], [3, 5 * t + 7, 2], [2 * t, 1, t + 3], [1, t, 6 * t]]
        {
            for wave in [1, 5, 1000] {
                check(tile, &bytes(m * k, 1), &bytes(k * n, 2), [m, k, n], wave);
            }
        }
    }
}

#[test]
fn extremes_saturate_as_the_contract_says() {
    for tile in TileSize::ALL {
        let (m, k, n) = (tile.side() + 2, 3 * tile.side() + 1, 5);
        for (a, b) in [(-128, -128), (127, 127), (-128, 127), (127, -128), (-1, 1)] {
            check(tile, &vec![a; m * k], &vec![b; k * n], [m, k, n], 2);
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let shape = [40, 70, 33];
    let (a, b) = (bytes(40 * 70, 3), bytes(70 * 33, 4));
    for (cpu, tile) in Cpu::all().flat_map(|cpu| TileSize::ALL.map(|tile| (cpu, tile))) {
        let mut products = TileMatmul::new(CpuDevice::new(cpu, tile).unwrap(), cpu);
        let c = products.multiply(Mode::Batched, &a, &b, shape).unwrap();
        assert_eq!(c, tile_exact_reference(&a, &b, shape, tile), "{} {tile}", cpu.isa());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn products_equal_the_contract_bit_for_bit(
        tile in prop::sample::select(TileSize::ALL.to_vec()),
        m in 1_usize..100, k in 1_usize..150, n in 1_usize..100,
        seed in 0_usize..1000,
        // The values cover the full int8 range or a smaller one, and may be shifted so that most have the same sign.
        (shift, offset) in (0_u32..6, prop::sample::select(vec![0_i8, -40, 40])),
        wave in 1_usize..40,
    ) {
        let values = |length, seed| -> Vec<i8> {
            bytes(length, seed).into_iter().map(|value| (value >> shift).saturating_add(offset)).collect()
        };
        check(tile, &values(m * k, seed), &values(k * n, seed + 1), [m, k, n], wave);
    }
}

/// A device that makes a mistake or fails.
struct Faulty {
    device: CpuDevice,
    fault: Fault,
}

enum Fault {
    /// The device transposes the tiles of B, a mistake that is easy to make in a real device's code.
    Transposes,
    /// One wait fails, after this many waits have succeeded.
    FailsAfter(usize),
}

impl Faulty {
    fn transposing(tile: TileSize) -> Self {
        Self { device: direct(tile), fault: Fault::Transposes }
    }

    fn transpose(&mut self, launches: &[Launch]) -> Result<(), CpuDeviceError> {
        let t = self.device.tile().side();
        let mut locations: Vec<Location> = launches.iter().map(|launch| launch.b).collect();
        locations.dedup();
        locations.sort_unstable_by_key(|location| location.offset);
        locations.dedup();
        for location in locations {
            let range = location.offset..location.offset + t * t;
            let tile = &mut self.device.host_mut(location.buffer)?[range.clone()];
            let rows = tile.to_vec();
            tile.iter_mut().enumerate().for_each(|(at, value)| *value = rows[at % t * t + at / t]);
            self.device.sync(location.buffer, range, Direction::ToDevice)?;
        }
        Ok(())
    }
}

impl TileDevice for Faulty {
    type Error = CpuDeviceError;

    fn tile(&self) -> TileSize {
        self.device.tile()
    }
    fn allocate(&mut self, bytes: usize) -> Result<Buffer, CpuDeviceError> {
        self.device.allocate(bytes)
    }
    fn free(&mut self, buffer: Buffer) -> Result<(), CpuDeviceError> {
        self.device.free(buffer)
    }
    fn host(&self, buffer: Buffer) -> Result<&[i8], CpuDeviceError> {
        self.device.host(buffer)
    }
    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], CpuDeviceError> {
        self.device.host_mut(buffer)
    }
    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), CpuDeviceError> {
        self.device.sync(buffer, range, direction)
    }
    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, CpuDeviceError> {
        if !matches!(self.fault, Fault::Transposes) {
            return self.device.submit(launches);
        }
        self.transpose(launches)?;
        let ticket = self.device.submit(launches)?;
        self.device.wait(ticket)?;
        self.transpose(launches)?;
        Ok(ticket)
    }
    fn wait(&mut self, ticket: Ticket) -> Result<(), CpuDeviceError> {
        if let Fault::FailsAfter(waits) = &mut self.fault {
            let fails = *waits == 0;
            *waits = waits.wrapping_sub(1);
            if fails {
                return Err(CpuDeviceError::Stopped);
            }
        }
        self.device.wait(ticket)
    }
    fn counters(&self) -> Counters {
        self.device.counters()
    }
}

#[test]
fn a_transposed_right_tile_is_detected() {
    for tile in TileSize::ALL {
        let shape = [2 * tile.side(), 2 * tile.side(), tile.side()];
        let (a, b) = (bytes(shape[0] * shape[1], 5), bytes(shape[1] * shape[2], 6));
        let a: Vec<i8> = a.into_iter().map(|value| value >> 2).collect();
        let expected = tile_exact_reference(&a, &b, shape, tile);
        for mode in [Mode::Sequential, Mode::Batched] {
            let right = TileMatmul::new(direct(tile), Cpu::detect()).multiply(mode, &a, &b, shape).unwrap();
            assert_eq!(right, expected);
            let wrong =
                TileMatmul::new(Faulty::transposing(tile), Cpu::detect()).multiply(mode, &a, &b, shape).unwrap();
            let differ = wrong.iter().zip(&expected).filter(|(wrong, expected)| wrong != expected).count();
            assert!(differ > expected.len() / 2, "{differ} of {} differ", expected.len());
            // If all values of a tile are equal, the transposed tile is the same, so the mistake has no effect. This
            // is why the tiles above have varied values.
            let symmetric = vec![3; b.len()];
            let c = TileMatmul::new(Faulty::transposing(tile), Cpu::detect())
                .multiply(mode, &a, &symmetric, shape)
                .unwrap();
            assert_eq!(c, tile_exact_reference(&a, &symmetric, shape, tile));
        }
    }
}

#[test]
fn a_failure_is_reported_and_the_next_product_is_correct() {
    let (tile, shape) = (TileSize::T16, [64, 64, 64]);
    let (a, b) = (bytes(64 * 64, 11), bytes(64 * 64, 12));
    for mode in [Mode::Sequential, Mode::Batched] {
        for waits in 0..4 {
            let device = Faulty { device: threaded(tile), fault: Fault::FailsAfter(waits) };
            let mut products = TileMatmul::new(device, Cpu::detect()).with_wave_bytes(16 * 256);
            let error = products.multiply(mode, &a, &b, shape).unwrap_err();
            assert!(matches!(error, MatmulError::Device(CpuDeviceError::Stopped)), "{error}");
            assert_eq!(products.multiply(mode, &a, &b, shape).unwrap(), tile_exact_reference(&a, &b, shape, tile));
        }
    }
}

#[test]
fn a_wave_is_synchronised_once_in_each_direction() {
    let (tile, shape) = (TileSize::T16, [64, 64, 64]);
    let (a, b) = (bytes(64 * 64, 7), bytes(64 * 64, 8));
    let counted = |mode, wave_bytes| {
        let mut products = TileMatmul::new(threaded(tile), Cpu::detect()).with_wave_bytes(wave_bytes);
        products.multiply(mode, &a, &b, shape).unwrap();
        products.device().counters()
    };
    let sequential = counted(Mode::Sequential, 1 << 20);
    assert_eq!(
        sequential,
        Counters {
            syncs: 128,
            bytes_to_device: 64 * 512,
            bytes_from_device: 64 * 256,
            submissions: 64,
            launches: 64,
            waits: 64,
        }
    );
    let batched = counted(Mode::Batched, 1 << 20);
    assert_eq!(
        batched,
        Counters {
            syncs: 2,
            bytes_to_device: 32 * 256,
            bytes_from_device: 64 * 256,
            submissions: 1,
            launches: 64,
            waits: 1,
        }
    );
    // Each wave (group of launches) has 16 launches: one depth, four rows and four columns of tiles.
    let small = counted(Mode::Batched, 16 * 256);
    assert_eq!((small.syncs, small.submissions, small.launches, small.waits), (8, 4, 64, 4));
    assert!(batched.syncs * 20 <= sequential.syncs && small.bytes_from_device == batched.bytes_from_device);
}

#[test]
fn only_synchronised_data_is_seen() {
    let mut device = threaded(TileSize::T16);
    let buffer = device.allocate(3 * 256).unwrap();
    let location = |offset| Location { buffer, offset };
    let launch = Launch { a: location(0), b: location(256), c: location(512) };
    device.host_mut(buffer).unwrap()[..512].fill(16);
    let run = |device: &mut CpuDevice| {
        let ticket = device.submit(&[launch]).unwrap();
        device.wait(ticket).unwrap();
        device.host(buffer).unwrap()[512]
    };
    assert_eq!(run(&mut device), 0);
    device.sync(buffer, 512..768, Direction::FromDevice).unwrap();
    assert_eq!(run(&mut device), 0, "the tiles have not been handed over");
    device.sync(buffer, 0..512, Direction::ToDevice).unwrap();
    assert_eq!(run(&mut device), 0, "the result has not been fetched");
    device.sync(buffer, 512..768, Direction::FromDevice).unwrap();
    assert_eq!(run(&mut device), 32);
}

#[test]
fn a_device_refuses_invalid_requests() {
    for mut device in [threaded(TileSize::T16), direct(TileSize::T16)] {
        let buffer = device.allocate(1024).unwrap();
        let location = |offset| Location { buffer, offset };
        let launch = |a, b, c| Launch { a: location(a), b: location(b), c: location(c) };
        let message = |result: Result<Ticket, CpuDeviceError>| result.unwrap_err().to_string();
        assert!(message(device.submit(&[])).contains("at least one launch"));
        assert!(
            message(device.submit(&[launch(0, 256, 800)]))
                .contains("bytes 800 to 1056 are outside of a buffer of 1024")
        );
        assert!(message(device.submit(&[launch(0, 256, 300)])).contains("overlaps one of its operands"));
        assert!(message(device.submit(&[launch(usize::MAX, 256, 512)])).contains("outside of a buffer of 1024"));
        let elsewhere = Location { buffer: Buffer(77), offset: 0 };
        assert!(message(device.submit(&[Launch { a: elsewhere, ..launch(0, 256, 512) }])).contains("no buffer 77"));
        assert!(device.sync(buffer, 1000..1025, Direction::ToDevice).is_err());
        assert!(device.wait(Ticket(1)).unwrap_err().to_string().contains("there is no submission 1"));
        assert_eq!(device.counters().launches, 0);
        device.submit(&[launch(0, 256, 512), launch(0, 256, 768)]).unwrap();
        device.wait(Ticket(1)).unwrap();
        device.wait(Ticket(1)).unwrap();
        device.free(buffer).unwrap();
        assert!(device.free(buffer).is_err() && device.host(buffer).is_err());
    }
}

#[test]
fn matrices_of_another_shape_are_refused() {
    let mut products = TileMatmul::new(direct(TileSize::T16), Cpu::detect());
    let mut message =
        |a: &[i8], b: &[i8], shape| products.multiply(Mode::Batched, a, b, shape).unwrap_err().to_string();
    assert!(message(&[0; 6], &[0; 5], [2, 3, 2]).contains("B has 5 elements, which is not 3 x 2"));
    assert!(message(&[0; 5], &[0; 6], [2, 3, 2]).contains("A has 5"));
    assert!(message(&[], &[], [2, 0, 2]).contains("at least 1"));
    assert!(message(&[], &[], [usize::MAX, 2, 1]).contains("A has 0"));
}

#[test]
fn f32_products_return_their_scales() {
    let cpu = Cpu::detect();
    let [m, k, n] = [33, 50, 20];
    let floats =
        |length, seed| bytes(length, seed).into_iter().map(|v| f32::from(v) * 0.01 + 0.2).collect::<Vec<f32>>();
    let (a, mut b) = (floats(m * k, 9), floats(k * n, 10));
    // One column has much larger values. With a common scale, the other columns would lose precision.
    b.iter_mut().skip(3).step_by(n).for_each(|value| *value *= 100.0);
    let (qa, row_scales) = quantise_rows(cpu, &a, [m, k]).unwrap();
    let (qb, column_scales) = quantise_columns(cpu, &b, [k, n]).unwrap();
    for column in 0..n {
        let largest = b[column..].iter().step_by(n).fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert_eq!(column_scales[column].to_bits(), (largest / 127.0).to_bits());
        assert!(qb[column..].iter().step_by(n).any(|value| value.unsigned_abs() == 127));
    }

    for mode in [Mode::Sequential, Mode::Batched] {
        let mut products = TileMatmul::new(threaded(TileSize::T16), cpu);
        let product = products.multiply_f32(mode, &a, &b, [m, k, n]).unwrap();
        assert_eq!(product.values, tile_exact_reference(&qa, &qb, [m, k, n], TileSize::T16));
        assert_eq!((&product.row_scales, &product.column_scales), (&row_scales, &column_scales));
        let unit = product.unit * row_scales[4] * column_scales[5];
        assert!((product.to_f32()[4 * n + 5] - f32::from(product.values[4 * n + 5]) * unit).abs() <= unit * 1e-5);
    }

    let product = full(&Context::with(cpu, 2), &a, &b, [m, k, n]).unwrap();
    assert_eq!(product.values, full_reference(&qa, &qb, [m, k, n]));
    assert_eq!((&product.row_scales, &product.column_scales), (&row_scales, &column_scales));
    for (index, found) in product.to_f32().into_iter().enumerate() {
        let (row, column) = (index / n, index % n);
        let exact: f32 = (0..k).map(|depth| a[row * k + depth] * b[depth * n + column]).sum();
        // Each factor of a term has a rounding error of at most half a step, and the other factor is at most 127
        // steps. Two such errors per term make 127 steps for each of the `k` terms.
        let bound = k as f32 * 127.0 * 1.01 * row_scales[row] * column_scales[column];
        assert!((found - exact).abs() <= bound, "{found} for {exact}");
    }
}

#[test]
fn infinity_and_nan_are_refused() {
    let mut products = TileMatmul::new(direct(TileSize::T16), Cpu::detect());
    let context = Context::with(Cpu::detect(), 1);
    for bad in [f32::NAN, f32::INFINITY] {
        for (a, b, name) in [([bad], [1.0], "A"), ([1.0], [bad], "B")] {
            let error = products.multiply_f32(Mode::Batched, &a, &b, [1, 1, 1]).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("infinity or NaN"));
            assert_eq!(full(&context, &a, &b, [1, 1, 1]).unwrap_err().to_string(), error);
        }
    }
    assert_eq!(full(&context, &[0.0], &[2.0], [1, 1, 1]).unwrap().to_f32(), [0.0]);
}
