//! Tests that the fake device enforces the driver's rules, that host and device see only synchronised data, and
//! that each fault leads to a clear error.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::tile::{TileSize, tile_exact_reference};

use super::*;
use crate::design::{Design, Output, Program, Shape};
use crate::driver::HEAP_SIZE;
use crate::gemm::Gemm;
use crate::matmul::{Mode, TileMatmul};
use crate::packet::{self, CommandState, Instructions, Start};
use crate::self_test::self_test;
use crate::{Session, TileNpu};

const TILES: u32 = 16;

fn small(target: Target) -> Design {
    Design::for_fake(target, Shape::new(16, 24, 32), Shape::new(8, 8, 16), Output::Int32)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> i32 {
    outcome.unwrap_err().errno
}

/// Creates a fake device that has a heap.
fn with_heap() -> Fake {
    let mut fake = Fake::new(Target::Npu1, usize::MAX);
    fake.create_buffer(BufferKind::Heap, HEAP_SIZE).unwrap();
    fake
}

#[test]
fn a_context_needs_a_heap() {
    let mut fake = Fake::new(Target::Npu1, usize::MAX);
    assert_eq!(refused(fake.create_context(TILES)), errno::NOENT);
    assert_eq!(refused(fake.create_buffer(BufferKind::Device, 64)), errno::INVAL);
    assert_eq!(refused(fake.create_buffer(BufferKind::Heap, HEAP_SIZE / 2)), errno::INVAL);
    let heap = fake.create_buffer(BufferKind::Heap, HEAP_SIZE).unwrap();
    assert!(heap.address.is_multiple_of(HEAP_SIZE as u64));
    assert_eq!(refused(fake.create_buffer(BufferKind::Heap, HEAP_SIZE)), errno::BUSY);
    assert!(fake.create_context(TILES).is_ok());
    // Buffers take whole pages of the heap. The second buffer takes its last page, so the heap is full.
    fake.create_buffer(BufferKind::Device, HEAP_SIZE - 4096).unwrap();
    fake.create_buffer(BufferKind::Device, 1).unwrap();
    assert_eq!(refused(fake.create_buffer(BufferKind::Device, 1)), errno::NOSPC);
}

#[test]
fn the_heap_must_be_lockable() {
    let mut fake = Fake::new(Target::Npu1, 8 << 20);
    let failure = fake.create_buffer(BufferKind::Heap, HEAP_SIZE).unwrap_err();
    assert!(Error::from(failure).to_string().contains("ulimit -l"));
}

#[test]
fn the_number_of_contexts_is_limited() {
    for (target, limit, tiles) in [(Target::Npu1, 6, 16), (Target::Npu4, 16, 32)] {
        let mut fake = Fake::new(target, usize::MAX);
        fake.create_buffer(BufferKind::Heap, HEAP_SIZE).unwrap();
        for wrong in [0, 3, tiles + 4] {
            assert_eq!(refused(fake.create_context(wrong)), errno::INVAL, "{wrong} tiles");
        }
        let contexts: Vec<Context> = (0..limit).map(|_| fake.create_context(tiles).unwrap()).collect();
        assert_eq!(refused(fake.create_context(tiles)), errno::NOSPC);
        fake.destroy_context(contexts[0]).unwrap();
        assert!(fake.create_context(tiles).is_ok());
    }
}

#[test]
fn a_context_is_configured_once() {
    let mut fake = with_heap();
    let context = fake.create_context(TILES).unwrap();
    let data = fake.create_buffer(BufferKind::Data, 64).unwrap().handle;
    let pdi = fake.create_buffer(BufferKind::Device, 64).unwrap().handle;
    let unit = |buffer| ComputeUnit { buffer, function: 0 };
    assert_eq!(refused(fake.configure(context, &[])), errno::INVAL);
    assert_eq!(refused(fake.configure(context, &[unit(data)])), errno::INVAL);
    let command = fake.create_buffer(BufferKind::Command, 4096).unwrap().handle;
    assert_eq!(refused(fake.execute(context, command, &[])), errno::INVAL, "no design");
    fake.configure(context, &[unit(pdi)]).unwrap();
    assert_eq!(refused(fake.configure(context, &[unit(pdi)])), errno::INVAL);
}

/// A fake device that is used directly, without a session. It is ready for one launch (one run of its kernel).
struct Bare {
    fake: Fake,
    context: Context,
    command: u32,
    data: BufferObject,
    words: Vec<u32>,
}

impl Bare {
    fn new() -> Self {
        let mut fake = with_heap();
        let context = fake.create_context(TILES).unwrap();
        let design = small(Target::Npu1);
        let mut upload = |bytes: &[u8]| {
            let buffer = fake.create_buffer(BufferKind::Device, bytes.len()).unwrap();
            fake.bytes_mut(buffer.handle).unwrap().copy_from_slice(bytes);
            fake.sync(buffer.handle, Direction::ToDevice, 0..bytes.len()).unwrap();
            buffer
        };
        let pdi = upload(&design.pdi);
        let instructions: Vec<u8> = packet::bytes(&design.instructions).collect();
        let address = upload(&instructions).address;
        fake.configure(context, &[ComputeUnit { buffer: pdi.handle, function: 0 }]).unwrap();
        let data = fake.create_buffer(BufferKind::Data, 8192).unwrap();
        let command = fake.create_buffer(BufferKind::Command, 4096).unwrap().handle;
        let [a, b, _] = design.operand_bytes().map(|bytes| bytes as u64);
        let buffers = [data.address, data.address + a, data.address + a + b];
        let instructions = Instructions { address, words: design.instructions.len() as u32 };
        Self { fake, context, command, data, words: packet::start(Start::Cu, instructions, &buffers) }
    }

    fn write(&mut self, handle: u32, words: &[u32]) {
        let bytes: Vec<u8> = packet::bytes(words).collect();
        self.fake.bytes_mut(handle).unwrap()[..bytes.len()].copy_from_slice(&bytes);
    }

    fn execute(&mut self) -> Result<u64, Failure> {
        let words = self.words.clone();
        self.write(self.command, &words);
        self.fake.execute(self.context, self.command, &[self.data.handle])
    }

    fn wait(&mut self, point: u64) -> Result<(), Failure> {
        self.fake.wait(self.context, point, Duration::from_secs(1))
    }

    fn state(&self) -> CommandState {
        CommandState::of_header(u32::from_le_bytes(*self.fake.bytes(self.command).unwrap().first_chunk().unwrap()))
    }

    fn end(&mut self) -> CommandState {
        let point = self.execute().unwrap();
        self.wait(point).unwrap();
        self.state()
    }
}

#[test]
fn commands_go_through_their_states() {
    let mut bare = Bare::new();
    let point = bare.execute().unwrap();
    assert_eq!(bare.state(), CommandState::Queued);
    // A command that is already queued cannot be submitted again.
    let again = bare.fake.execute(bare.context, bare.command, &[bare.data.handle]);
    assert_eq!(refused(again), errno::INVAL);
    bare.wait(point).unwrap();
    assert_eq!(bare.state(), CommandState::Completed);
    let again = bare.fake.execute(bare.context, bare.command, &[bare.data.handle]);
    assert_eq!(refused(again), errno::INVAL);
    assert_eq!(refused(bare.wait(point + 1)), errno::TIME, "nobody submitted it");
}

#[test]
fn a_command_must_name_existing_buffers_once() {
    let mut bare = Bare::new();
    let (context, command, data) = (bare.context, bare.command, bare.data.handle);
    bare.write(command, &bare.words.clone());
    assert_eq!(refused(bare.fake.execute(context, command, &[data, data])), errno::ALREADY);
    assert_eq!(refused(bare.fake.execute(context, command, &[data, 99])), errno::NOENT);
    assert_eq!(refused(bare.fake.execute(context, data, &[data])), errno::INVAL, "not a command");
    // The argument list is empty, so the device must not access the data buffer.
    let point = bare.fake.execute(context, command, &[]).unwrap();
    bare.wait(point).unwrap();
    assert_eq!(bare.state(), CommandState::Error);
}

#[test]
fn an_impossible_command_ends_in_an_error() {
    assert_eq!(Bare::new().end(), CommandState::Completed);
    let changed = |word: usize, change: u32| {
        let mut bare = Bare::new();
        bare.words[word] ^= change;
        bare.end()
    };
    assert_eq!(changed(4, 0x1000), CommandState::Error, "instructions where there are none");
    assert_eq!(changed(6, 1), CommandState::Error, "data at an odd address");
    assert_eq!(changed(10, 0x10_0000), CommandState::Error, "a result outside the buffer");
    assert_eq!(changed(5, 1), CommandState::Error, "instructions of another length");
    let mut bare = Bare::new();
    bare.words[0] ^= 1 << 23;
    assert_eq!(refused(bare.execute()), errno::INVAL, "an unknown opcode");
    // The fake refuses the instructions of a real NPU program, and a tile that does not fit into a core's memory.
    for instructions in [
        vec![0x0603_0100; 9],
        Program {
            target: Target::Npu1,
            launch: Shape::new(256, 256, 256),
            tile: Shape::new(256, 256, 256),
            b: crate::design::Layout::RowMajor,
            output: Output::Int32,
        }
        .instructions(),
    ] {
        let fake = Fake::new(Target::Npu1, usize::MAX);
        let mut gemm =
            Gemm::open(Box::new(fake), Design { instructions, ..small(Target::Npu1) }, Mode::Batched).unwrap();
        let message = self_test(&mut gemm).unwrap_err().to_string();
        assert!(message.contains("the state error"), "{message}");
    }
}

#[test]
fn each_side_sees_only_synchronised_data() {
    let mut bare = Bare::new();
    let [a, b, c] = small(Target::Npu1).operand_bytes();
    let handle = bare.data.handle;
    let result = |bare: &Bare| bare.fake.bytes(handle).unwrap()[a + b..][..4].to_vec();
    bare.fake.bytes_mut(handle).unwrap()[..a + b].fill(1);
    // The host has written the operands but not synchronised them, so the device multiplies zeros.
    assert_eq!(bare.end(), CommandState::Completed);
    bare.fake.sync(handle, Direction::FromDevice, a + b..a + b + c).unwrap();
    assert_eq!(result(&bare), [0, 0, 0, 0]);
    bare.fake.sync(handle, Direction::ToDevice, 0..a + b).unwrap();
    let point = bare.execute().unwrap();
    bare.wait(point).unwrap();
    assert_eq!(result(&bare), [0, 0, 0, 0], "computed, and not brought back");
    bare.fake.sync(handle, Direction::FromDevice, a + b..a + b + c).unwrap();
    assert_eq!(result(&bare), [24, 0, 0, 0]);
    // If a byte in device memory changes, the result must change.
    bare.fake.bytes_mut(handle).unwrap()[0] = 2;
    bare.fake.sync(handle, Direction::ToDevice, 0..1).unwrap();
    let point = bare.execute().unwrap();
    bare.wait(point).unwrap();
    bare.fake.sync(handle, Direction::FromDevice, a + b..a + b + c).unwrap();
    assert_eq!(result(&bare), [25, 0, 0, 0]);
    assert_eq!(refused(bare.fake.sync(handle, Direction::ToDevice, 0..10_000)), errno::INVAL);
    assert_eq!(refused(bare.fake.sync(99, Direction::ToDevice, 0..1)), errno::NOENT);
}

#[test]
fn every_fault_ends_in_a_clear_error() {
    for fault in Fault::ALL {
        let expected = match fault {
            Fault::Absent => "no AMD NPU",
            Fault::Forbidden => "no permission",
            Fault::NoInfo | Fault::Gone => "the device is gone",
            Fault::MemoryLock => "locked memory",
            Fault::OutOfMemory => "not enough memory",
            Fault::HeapFull => "heap is full",
            Fault::NoContext => "in use",
            Fault::BadDesign => "or this is none",
            Fault::SyncFails => "synchronise a buffer",
            Fault::Refused => "queue a command",
            Fault::Hangs => "has not answered",
            Fault::CommandTimeout => "state timed out",
            Fault::CommandError => "state error",
            Fault::CommandAborted => "state aborted",
            Fault::NoResponse => "state no response",
            Fault::FlippedBit => "1 of 819 elements are wrong",
        };
        for mode in [Mode::Batched, Mode::Sequential] {
            let controls = Controls::default();
            // A flipped bit causes no error, so only a comparison of results detects it. The self-test computes three
            // products of eight launches each and compares only the third one, so the fault is injected into the last
            // of the 24 launches.
            controls.inject(fault, if fault == Fault::FlippedBit { 23 } else { 0 });
            let run = || -> Result<(), Error> {
                let fake = Fake::open(Target::Npu1, &controls)?;
                self_test(&mut Gemm::open(Box::new(fake), small(Target::Npu1), mode)?)?.verdict()
            };
            let message = run().unwrap_err().to_string();
            assert!(message.contains(expected), "{fault:?}, {mode:?}: {message}");
        }
    }
}

#[test]
fn the_failed_command_of_a_chain_is_named() {
    let fake = Fake::new(Target::Npu1, usize::MAX);
    let controls = fake.controls();
    let mut gemm = Gemm::open(Box::new(fake), small(Target::Npu1), Mode::Batched).unwrap();
    controls.inject(Fault::CommandError, 3);
    let message = self_test(&mut gemm).unwrap_err().to_string();
    assert!(message.starts_with("command 3 "), "{message}");
}

#[test]
fn a_design_for_another_device_is_refused() {
    let fake = Fake::new(Target::Npu1, usize::MAX);
    let message = Session::open(Box::new(fake), small(Target::Npu4)).unwrap_err().to_string();
    assert!(message.contains("is for npu4") && message.contains("device is npu1"), "{message}");
}

#[test]
fn the_self_test_passes_on_both_generations_with_both_start_commands() {
    for target in Target::ALL {
        for start in [Start::Cu, Start::Npu] {
            let fake = Fake::new(target, usize::MAX);
            let design = Design { start, ..small(target) };
            let tested = self_test(&mut Gemm::open(Box::new(fake), design, Mode::Batched).unwrap()).unwrap();
            tested.verdict().unwrap();
            assert_eq!((tested.wrong, tested.counters.launches), (0, 8));
        }
    }
}

#[test]
fn tile_products_equal_the_contract_bit_for_bit() {
    let noise = |length: usize, seed: usize| -> Vec<i8> {
        (0..length).map(|index| ((index + seed) * 7919 % 1009) as u8 as i8).collect()
    };
    let cpu = Cpu::detect();
    for (size, [m, k, n]) in
        [(TileSize::T16, [50, 70, 40]), (TileSize::T32, [65, 33, 31]), (TileSize::T64, [64, 128, 65])]
    {
        let (a, b) = (noise(m * k, 1), noise(k * n, 2));
        let expected = tile_exact_reference(&a, &b, [m, k, n], size);
        for target in Target::ALL {
            let counters = [Mode::Sequential, Mode::Batched].map(|mode| {
                let fake = Fake::new(target, usize::MAX);
                let device = TileNpu::open(Box::new(fake), TileNpu::design_for_fake(target, size)).unwrap();
                let mut matmul = TileMatmul::new(device, cpu);
                assert_eq!(matmul.multiply(mode, &a, &b, [m, k, n]).unwrap(), expected, "{target}, {size}, {mode:?}");
                crate::matmul::TileDevice::counters(matmul.device())
            });
            assert_eq!(counters[0].launches, counters[1].launches);
            assert!(counters[1].syncs < counters[0].syncs);
        }
    }
}
