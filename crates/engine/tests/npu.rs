//! The encoder's products on the fake NPU: the bits of the processor, whatever fails.

use std::fmt::Write as _;

use amanuensis_engine::{ComputeType, DecodingResult};
use amanuensis_engine::{DecodeOptions, Device, DeviceOptions, Engine, EngineOptions, Error};
use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, whisper, write_ctranslate2};
use amanuensis_xdna::fake::{Controls, Fault};
use amanuensis_xdna::matmul::Mode;
use tempfile::TempDir;

/// Sizes of which no launch is filled, and an inner layer wider than one.
const SIZES: Dimensions = Dimensions {
    n_mels: 7,
    n_state: 24,
    n_ff: 300,
    n_audio_ctx: 20,
    n_audio_layer: 2,
    n_text_ctx: 130,
    n_text_layer: 1,
    n_vocab: 71,
};

fn model(dtype: DType) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_ctranslate2(&directory.path().join("model.bin"), &whisper(&SIZES, 5), [2, 3], dtype).unwrap();
    let mut vocabulary: String = ('a'..='z').chain('0'..='9').fold(String::new(), |mut list, c| {
        writeln!(list, "{c}").unwrap();
        list
    });
    let special = ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startofprev", "nospeech"];
    for name in special.iter().chain(&["notimestamps"]) {
        writeln!(vocabulary, "<|{name}|>").unwrap();
    }
    std::fs::write(directory.path().join("vocabulary.txt"), vocabulary).unwrap();
    directory
}

fn load(model: &TempDir, device: DeviceOptions) -> Result<Engine, Error> {
    Engine::load(model.path(), &EngineOptions { threads: 2, device, ..EngineOptions::default() })
}

/// The bits of a window's states, and its text.
fn run(engine: &Engine, seed: usize) -> (Vec<u32>, DecodingResult) {
    let mel: Vec<f32> = (0..40 * 7).map(|i| (((i + seed * 31) * 7919) % 1009) as f32 * 0.002 - 1.0).collect();
    // First, for what goes wrong does so in the first pass.
    let states = engine.states(&mel).unwrap();
    let decoded = engine.decode(&engine.encode(&mel).unwrap(), &DecodeOptions::default()).unwrap();
    (states.iter().map(|state| state.to_bits()).collect(), decoded)
}

fn tokens((states, decoded): (Vec<u32>, DecodingResult)) -> (Vec<u32>, Vec<u32>) {
    (states, decoded.tokens)
}

#[test]
fn states_and_tokens_are_the_processors() {
    for dtype in [DType::F16, DType::Int8] {
        let model = model(dtype);
        let cpu = load(&model, Device::Cpu.into()).unwrap();
        assert_eq!((cpu.device(), cpu.npu_usage().is_none()), ("cpu", true));
        for npu_mode in [Mode::Batched, Mode::Sequential] {
            let npu = load(&model, DeviceOptions { npu_mode, ..Device::NpuFake.into() }).unwrap();
            assert_eq!(npu.device(), "npu-fake");
            for seed in 0..2 {
                assert_eq!(tokens(run(&npu, seed)), tokens(run(&cpu, seed)), "{dtype:?}, {npu_mode:?}");
            }
            assert_eq!(npu.take_device_notice(), None);
            let usage = npu.npu_usage().unwrap();
            assert!(usage.counters.launches >= 4 * 10 && usage.predicted.low > 0.0);
        }
    }
}

#[test]
fn whatever_fails_nothing_is_lost() {
    let model = model(DType::F16);
    let expected: Vec<_> = {
        let cpu = load(&model, Device::Cpu.into()).unwrap();
        (0..3).map(|seed| tokens(run(&cpu, seed))).collect()
    };
    let in_use = [
        Fault::SyncFails,
        Fault::Refused,
        Fault::Hangs,
        Fault::CommandTimeout,
        Fault::CommandError,
        Fault::CommandAborted,
        Fault::NoResponse,
        Fault::Gone,
    ];
    for fault in in_use {
        for after in [0, 13] {
            let fake = Controls::default();
            let npu = load(&model, DeviceOptions { fake: fake.clone(), ..Device::NpuFake.into() }).unwrap();
            assert_eq!(tokens(run(&npu, 0)), expected[0]);
            fake.inject(fault, after);
            assert_eq!(tokens(run(&npu, 1)), expected[1], "{fault:?} after {after}");
            assert_eq!(tokens(run(&npu, 2)), expected[2], "{fault:?} after {after}");
            let notice = npu.take_device_notice().expect("a failure is told");
            assert!(notice.contains("the NPU has failed"), "{notice}");
            assert_eq!(npu.take_device_notice(), None, "once");
            // What was done until then is still known, and after that nothing was asked.
            let launches = npu.npu_usage().unwrap().counters.launches;
            run(&npu, 0);
            assert_eq!(npu.npu_usage().unwrap().counters.launches, launches);
        }
    }
}

#[test]
fn memory_that_runs_out_while_loading_is_no_failure_of_the_model() {
    let model = model(DType::F16);
    let expected = tokens(run(&load(&model, Device::Cpu.into()).unwrap(), 0));
    let fake = Controls::default();
    fake.inject(Fault::OutOfMemory, 3);
    let npu = load(&model, DeviceOptions { fake, ..Device::NpuFake.into() }).unwrap();
    assert!(npu.take_device_notice().unwrap().contains("not enough memory"));
    assert_eq!(tokens(run(&npu, 0)), expected);
}

#[test]
fn a_device_that_cannot_be_opened_is_refused_with_a_reason() {
    let model = model(DType::F16);
    let cases = [
        (Fault::Absent, "no AMD NPU"),
        (Fault::Forbidden, "usermod"),
        (Fault::NoInfo, "is gone"),
        (Fault::MemoryLock, "ulimit"),
        (Fault::HeapFull, "heap is full"),
        (Fault::NoContext, "in use"),
        (Fault::BadDesign, "load the design"),
    ];
    for (fault, expected) in cases {
        let fake = Controls::default();
        fake.inject(fault, 0);
        let error = load(&model, DeviceOptions { fake, ..Device::NpuFake.into() }).unwrap_err().to_string();
        assert!(error.contains("`npu-fake` cannot be used") && error.contains(expected), "{error}");
    }
    let f32 = EngineOptions {
        compute_type: ComputeType::F32,
        device: Device::NpuFake.into(),
        threads: 1,
        ..EngineOptions::default()
    };
    let error = Engine::load(model.path(), &f32).unwrap_err().to_string();
    assert!(error.contains("int8 only"), "{error}");
}

#[test]
fn without_a_usable_npu_auto_is_the_processor() {
    let model = model(DType::F16);
    let auto = load(&model, DeviceOptions::default()).unwrap();
    assert_eq!(auto.device(), "cpu");
    if amanuensis_xdna::Machine::here().has_npu() {
        println!("skipped: this machine has an NPU");
    } else {
        assert_eq!(auto.take_device_notice(), None, "of what is not there, nobody wants to hear");
        let error = load(&model, Device::Npu.into()).unwrap_err().to_string();
        assert!(error.contains("no AMD NPU"), "{error}");
    }
}
