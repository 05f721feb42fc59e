//! `amanuensis bench transcribe`: whole recordings.

use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_transcribe::{
    ComputeType, Ending, EngineOptions, Runtime, Timings, TranscribeOptions, Transcriber, Transcript,
};
use serde_json::json;

use super::args::BenchTranscribeArgs;
use super::{installed, installed_detector, peak_rss_mb, threads};
use crate::console;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::language::Spoken;
use crate::npu;

/// All recordings together, in seconds.
#[derive(Default)]
struct Sums {
    audio: f64,
    wall: f64,
    phases: Timings,
}

pub fn measure(args: &BenchTranscribeArgs) -> Result<String, Failure> {
    args.files.iter().try_for_each(check)?;
    let device = args.device.options()?;
    let path = installed(&args.model)?;
    let (compute_type, runtime) = (ComputeType::Int8, Runtime::Native);
    let engine = EngineOptions { compute_type, threads: threads(args.threads), device, runtime };
    let start = Instant::now();
    let transcriber = Transcriber::load(&path, &engine)
        .map_err(|error| Failure::Failed(format!("cannot load the model {:?}: {error}", args.model)))?;
    let transcriber = match installed_detector()? {
        Some(detector) => transcriber.with_vad(detector),
        None => transcriber,
    };
    let load_ms = 1e3 * start.elapsed().as_secs_f64();
    let transcriber = match args.batch_size {
        Some(batch_size) => transcriber.with_batch_size(batch_size),
        None => transcriber,
    };
    let language = match args.language {
        Spoken::Auto => None,
        Spoken::In(language) => Some(language),
    };
    let options = TranscribeOptions { language, strategy: args.strategy, ..TranscribeOptions::default() };
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let mut sums = Sums::default();
    for input in &args.files {
        let start = Instant::now();
        let transcript = transcribe(&transcriber, &options, input)
            .map_err(|reason| Failure::Failed(format!("{input}: {reason}")))?;
        sums.add(&transcript, start.elapsed().as_secs_f64());
    }
    if let Some(notice) = transcriber.engine().take_device_notice() {
        console::line(&format!("warning: {notice}"));
    }
    let (isa, device, npu) =
        (transcriber.engine().isa(), transcriber.engine().device(), transcriber.engine().npu_usage());
    let Sums { audio, wall, phases } = sums;
    let speed = audio / wall;
    let Timings { audio_decode, vad, mel, encode, decode, total } = phases;
    let phases = [
        ("audio_decode", audio_decode),
        ("vad", vad),
        ("mel", mel),
        ("encode", encode),
        ("decode", decode),
        ("total", total),
    ];
    if args.json {
        let phases: serde_json::Map<_, _> =
            phases.iter().map(|(name, seconds)| ((*name).to_owned(), json!(1e3 * seconds))).collect();
        return Ok(format!(
            "{}\n",
            json!({
                "model": transcriber.name(), "isa": isa.name(), "threads": engine.threads,
                "batch_size": transcriber.batch_size(), "files": args.files.len(), "audio_s": audio, "wall_s": wall,
                "speed": speed, "load_ms": load_ms, "phases_ms": phases, "peak_rss_mb": peak_rss_mb(),
                "device": device, "npu": npu.as_ref().map(npu::json),
            })
        ));
    }
    let mut table = vec![format!("{}, {isa}, {} thread(s)", transcriber.name(), engine.threads)];
    table.push(format!("{:<16}{load_ms:>10.1} ms, not in what follows", "load"));
    table.push(format!("{:<16}{audio:>10.2} s of audio in {} recording(s)", "audio", args.files.len()));
    table.push(format!("{:<16}{wall:>10.3} s", "wall time"));
    table.push(format!("{:<16}{speed:>10.1} s of audio a second of wall time", "speed"));
    for (name, seconds) in phases {
        table.push(format!("{:<16}{:>10.1} ms", name.replace('_', " "), 1e3 * seconds));
    }
    if let Some(usage) = npu {
        table.push(npu::summary(device, &usage));
    }
    if let Some(peak) = peak_rss_mb() {
        table.push(format!("{:<16}{peak:>10.0} MB", "peak memory"));
    }
    Ok(table.join("\n") + "\n")
}

/// Refuses what cannot be read, and what cannot be timed because another program decides how long it takes.
fn check(input: &Input) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{input}: {error}"));
    let Some(path) = input.path() else {
        return Err(Failure::Usage("the standard input cannot be timed; name a file".to_owned()));
    };
    input.check().map_err(|error| failed(&error))?;
    if !fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"only a file can be timed"));
    }
    Ok(())
}

/// The transcript of a whole recording, or why there is none.
fn transcribe(transcriber: &Transcriber, options: &TranscribeOptions, input: &Input) -> Result<Transcript, String> {
    let audio = input.open().map_err(|error| error.to_string())?;
    let transcript = transcriber.transcribe(audio, options, &mut |_| ControlFlow::Continue(()));
    let transcript = transcript.map_err(|error| error.to_string())?;
    match transcript.ending {
        Ending::Failed(reason) => Err(reason),
        Ending::Complete | Ending::Cancelled => Ok(transcript),
    }
}

impl Sums {
    fn add(&mut self, transcript: &Transcript, wall: f64) {
        let Timings { audio_decode, vad, mel, encode, decode, total } = transcript.timings;
        self.audio += transcript.duration;
        self.wall += wall;
        self.phases.audio_decode += audio_decode;
        self.phases.vad += vad;
        self.phases.mel += mel;
        self.phases.encode += encode;
        self.phases.decode += decode;
        self.phases.total += total;
    }
}
