//! Tests that the encoder's matrix products give the same bits on the fake NPU (a software model of the device) as on
//! the CPU, even if the device fails.

use std::fmt::Write as _;

use amanuensis_engine::backend::open_fake_with_faults;
use amanuensis_engine::{
    ComputeType, DecodeOptions, DecodingResult, Device, DeviceOptions, Engine, EngineOptions, Error,
};
use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, whisper, write_ctranslate2};
use amanuensis_xdna::fake::{Controls, Fault};
use amanuensis_xdna::matmul::Mode;
use tempfile::TempDir;

/// Dimensions of the test model. They do not fill any launch (run of an NPU kernel) completely, and the feed-forward
/// layer needs more than one launch.
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

/// Loads a model on a fake NPU, into which `faults` are injected.
fn load_with_faults(model: &TempDir, faults: &Controls) -> Result<Engine, Box<dyn std::error::Error>> {
    let backend = open_fake_with_faults(&DeviceOptions::default(), faults)?;
    Ok(Engine::load_with_backend(model.path(), &EngineOptions { threads: 2, ..EngineOptions::default() }, backend)?)
}

/// Returns the bits of a window's states, and the result of decoding the window.
fn run(engine: &Engine, seed: usize) -> (Vec<u32>, DecodingResult) {
    let mel: Vec<f32> = (0..40 * 7).map(|i| (((i + seed * 31) * 7919) % 1009) as f32 * 0.002 - 1.0).collect();
    // The states are computed first, because an injected fault occurs in the first encoder run.
    let states = engine.states(&mel).unwrap();
    let decoded = engine.decode(&engine.encode(&mel).unwrap(), &DecodeOptions::default()).unwrap();
    (states.iter().map(|state| state.to_bits()).collect(), decoded)
}

fn tokens((states, decoded): (Vec<u32>, DecodingResult)) -> (Vec<u32>, Vec<u32>) {
    (states, decoded.tokens)
}

#[test]
fn states_and_tokens_are_the_same_as_on_the_cpu() {
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
fn the_cpu_takes_over_after_any_fault_with_the_same_results() {
    let model = model(DType::F16);
    let expected: Vec<_> = {
        let cpu = load(&model, Device::Cpu.into()).unwrap();
        (0..3).map(|seed| tokens(run(&cpu, seed))).collect()
    };
    let while_computing = [
        Fault::SyncFails,
        Fault::Refused,
        Fault::Hangs,
        Fault::CommandTimeout,
        Fault::CommandError,
        Fault::CommandAborted,
        Fault::NoResponse,
        Fault::Gone,
    ];
    for fault in while_computing {
        for after in [0, 13] {
            let faults = Controls::default();
            let npu = load_with_faults(&model, &faults).unwrap();
            assert_eq!(tokens(run(&npu, 0)), expected[0]);
            faults.inject(fault, after);
            assert_eq!(tokens(run(&npu, 1)), expected[1], "{fault:?} after {after}");
            assert_eq!(tokens(run(&npu, 2)), expected[2], "{fault:?} after {after}");
            let notice = npu.take_device_notice().expect("a failure gives a notice");
            assert!(notice.contains("the NPU has failed"), "{notice}");
            assert_eq!(npu.take_device_notice(), None, "a notice is given once");
            // The launches (runs of an NPU kernel) before the failure are still reported. After the failure the CPU
            // computes everything, so their number stays the same.
            let launches = npu.npu_usage().unwrap().counters.launches;
            run(&npu, 0);
            assert_eq!(npu.npu_usage().unwrap().counters.launches, launches);
        }
    }
}

#[test]
fn running_out_of_device_memory_while_loading_falls_back_to_the_cpu() {
    let model = model(DType::F16);
    let expected = tokens(run(&load(&model, Device::Cpu.into()).unwrap(), 0));
    let faults = Controls::default();
    faults.inject(Fault::OutOfMemory, 3);
    let npu = load_with_faults(&model, &faults).unwrap();
    assert!(npu.take_device_notice().unwrap().contains("not enough memory"));
    assert_eq!(tokens(run(&npu, 0)), expected);
}

#[test]
fn a_device_that_cannot_be_opened_is_an_error_with_a_reason() {
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
        let faults = Controls::default();
        faults.inject(fault, 0);
        let error = load_with_faults(&model, &faults).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_fake_npu_rejects_f32() {
    let model = model(DType::F16);
    let f32 = EngineOptions {
        compute_type: ComputeType::F32,
        device: Device::NpuFake.into(),
        threads: 1,
        ..EngineOptions::default()
    };
    let error = Engine::load(model.path(), &f32).unwrap_err().to_string();
    assert!(error.contains("`npu-fake` cannot be used") && error.contains("int8 only"), "{error}");
}

#[test]
fn without_an_npu_auto_uses_the_cpu_without_a_notice() {
    let model = model(DType::F16);
    let auto = load(&model, DeviceOptions::default()).unwrap();
    assert_eq!(auto.device(), "cpu");
    if amanuensis_xdna::Machine::here().has_npu() {
        println!("skipped: this machine has an NPU");
    } else {
        assert_eq!(auto.take_device_notice(), None);
        let error = load(&model, Device::Npu.into()).unwrap_err().to_string();
        assert!(error.contains("no AMD NPU"), "{error}");
    }
}
