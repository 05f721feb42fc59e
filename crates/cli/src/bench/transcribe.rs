//! `amanuensis bench transcribe`: the speed of transcribing whole recordings.

use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_transcribe::{
    ComputeType, Ending, EngineOptions, Runtime, Timings, TranscribeOptions, Transcriber, Transcript,
};
use serde_json::json;

use super::args::BenchTranscribeArgs;
use super::installed;
use super::memory::peak_rss_mb;
use crate::console;
use crate::failure::Failure;
use crate::input::Input;
use crate::load::thread_count;
use crate::npu;

/// Durations of the phases of transcription (such as encoding and decoding) in seconds, summed over all recordings.
#[derive(Default)]
struct Sums {
    audio: f64,
    wall: f64,
    phases: Timings,
}

/// The results, and the transcriber that was measured.
struct Measurements {
    transcriber: Transcriber,
    threads: usize,
    files: usize,
    load_ms: f64,
    sums: Sums,
}

pub fn measure(args: &BenchTranscribeArgs) -> Result<String, Failure> {
    args.files.iter().try_for_each(check)?;
    let (transcriber, load_ms) = load(args)?;
    let transcriber = match args.batch_size {
        Some(batch_size) => transcriber.with_batch_size(batch_size),
        None => transcriber,
    };
    let (language, strategy) = (args.language.language(), args.strategy);
    let options = TranscribeOptions { language, strategy, ..TranscribeOptions::default() };
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let mut sums = Sums::default();
    for input in &args.files {
        let start = Instant::now();
        let transcript = transcribe(&transcriber, &options, input)
            .map_err(|reason| Failure::Failed(format!("{input}: {reason}")))?;
        sums.add(&transcript, start.elapsed().as_secs_f64());
    }
    if let Some(notice) = transcriber.engine().take_device_notice() {
        console::write_line(&format!("warning: {notice}"));
    }
    let (threads, files) = (thread_count(args.threads), args.files.len());
    let measurements = Measurements { transcriber, threads, files, load_ms, sums };
    Ok(if args.json { measurements.json() } else { measurements.table() })
}

/// Loads the model in int8, and the speech detection model if it is installed. Returns the transcriber and the
/// loading time in milliseconds.
fn load(args: &BenchTranscribeArgs) -> Result<(Transcriber, f64), Failure> {
    let device = args.device.options()?;
    let path = installed::model_path(&args.model)?;
    let (compute_type, runtime, threads) = (ComputeType::Int8, Runtime::Native, thread_count(args.threads));
    let options = EngineOptions { compute_type, threads, device, runtime };
    let start = Instant::now();
    let transcriber = Transcriber::load(&path, &options)
        .map_err(|error| Failure::Failed(format!("cannot load the model {:?}: {error}", args.model)))?;
    let transcriber = match installed::vad()? {
        Some(vad) => transcriber.with_vad(vad),
        None => transcriber,
    };
    Ok((transcriber, 1e3 * start.elapsed().as_secs_f64()))
}

/// Returns an error if a recording cannot be read. Pipes are rejected too, because their speed depends on the program
/// that writes to them.
fn check(input: &Input) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{input}: {error}"));
    let Some(path) = input.path() else {
        return Err(Failure::Usage("the standard input cannot be timed; name a file".to_owned()));
    };
    input.check().map_err(|error| failed(&error))?;
    if !fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"only a regular file can be timed"));
    }
    Ok(())
}

/// Transcribes a recording. Returns the complete transcript, or the reason why the transcription failed.
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

    /// Returns how many seconds of audio are transcribed per second of wall time.
    fn speed(&self) -> f64 {
        self.audio / self.wall
    }

    /// The names of the phases of transcription, with the time spent in each in seconds.
    fn named_phases(&self) -> [(&'static str, f64); 6] {
        let Timings { audio_decode, vad, mel, encode, decode, total } = self.phases;
        [
            ("audio_decode", audio_decode),
            ("vad", vad),
            ("mel", mel),
            ("encode", encode),
            ("decode", decode),
            ("total", total),
        ]
    }
}

impl Measurements {
    fn json(&self) -> String {
        let Self { transcriber, threads, files, load_ms, sums } = self;
        let engine = transcriber.engine();
        let phases: serde_json::Map<_, _> =
            sums.named_phases().iter().map(|(name, seconds)| ((*name).to_owned(), json!(1e3 * seconds))).collect();
        format!(
            "{}\n",
            json!({
                "model": transcriber.name(), "isa": engine.isa().name(), "threads": threads,
                "batch_size": transcriber.batch_size(), "files": files, "audio_s": sums.audio, "wall_s": sums.wall,
                "speed": sums.speed(), "load_ms": load_ms, "phases_ms": phases, "peak_rss_mb": peak_rss_mb(),
                "device": engine.device(), "npu": npu::usage::json(engine),
            })
        )
    }

    fn table(&self) -> String {
        let Self { transcriber, threads, files, load_ms, sums } = self;
        let engine = transcriber.engine();
        let mut table = vec![format!("{}, {}, {threads} thread(s)", transcriber.name(), engine.isa())];
        table.push(format!("{:<16}{load_ms:>10.1} ms, not included below", "load"));
        table.push(format!("{:<16}{:>10.2} s of audio in {files} recording(s)", "audio", sums.audio));
        table.push(format!("{:<16}{:>10.3} s", "wall time", sums.wall));
        table.push(format!("{:<16}{:>10.1} s of audio per second of wall time", "speed", sums.speed()));
        for (name, seconds) in sums.named_phases() {
            table.push(format!("{:<16}{:>10.1} ms", name.replace('_', " "), 1e3 * seconds));
        }
        table.extend(npu::usage::summary(engine));
        if let Some(peak) = peak_rss_mb() {
            table.push(format!("{:<16}{peak:>10.0} MB", "peak memory"));
        }
        table.join("\n") + "\n"
    }
}
