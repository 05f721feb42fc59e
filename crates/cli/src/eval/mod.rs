//! `amanuensis eval`: how many errors a model makes in recordings whose text is known, and how fast it is.

pub mod args;
pub mod manifest;
mod results;
mod table;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_score::Scorer;
use amanuensis_transcribe::{
    Ending, Language, OutputFormat, Segment, Strategy, SubtitleOptions, Transcriber, Transcript, UnknownFormat,
};

use crate::console::Console;
use crate::failure::Failure;
use crate::file;
use crate::inputs::Input;
use crate::interrupt::Interrupt;
use crate::language::Spoken;
use crate::outputs::Outputs;
use args::EvalArgs;
use manifest::Clip;
use results::{ClipResult, Results, language_of};

const BAR: &str = "[{wide_bar}] {pos}/{len}, {msg}";

pub fn run(args: &EvalArgs) -> Result<(), Failure> {
    let console = Console::new(args.quiet);
    let clips = manifest::read(&args.manifest)?;
    let format: OutputFormat = "json".parse().map_err(|error: UnknownFormat| Failure::Failed(error.to_string()))?;
    if let Some(directory) = &args.output_dir {
        Outputs::Directory(directory.clone(), vec![format]).prepare()?;
    }
    let interrupt = Interrupt::install()?;
    let transcriber = args.decoding.load(&console, &interrupt)?;
    let options = args.decoding.options(args.language.unwrap_or(Spoken::Auto));
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let session = Session { args, format, transcriber, console, interrupt, scorer: Scorer::new() };
    let (results, failed) = session.evaluate(&clips)?;
    let report = if args.json { results.json() } else { table::table(&results) };
    io::stdout().write_all(report.as_bytes()).map_err(|error| Failure::of_stdout(&error).after(failed))?;
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

/// What all recordings have in common.
struct Session<'a> {
    args: &'a EvalArgs,
    /// The format of transcripts that are kept.
    format: OutputFormat,
    transcriber: Transcriber,
    console: Console,
    interrupt: Interrupt,
    scorer: Scorer,
}

impl Session<'_> {
    /// Transcribes all recordings and counts the errors; says too whether one has failed.
    fn evaluate<'c>(&self, clips: &'c [Clip]) -> Result<(Results<'c>, bool), Failure> {
        let mut results = Results {
            model: self.transcriber.name().to_owned(),
            compute_type: self.args.decoding.arithmetic(),
            strategy: match self.args.decoding.strategy {
                Strategy::Batched => "batched",
                Strategy::Sequential => "sequential",
            },
            audio: 0.0,
            wall: 0.0,
            clips: Vec::new(),
        };
        let mut failed = false;
        self.console.start_bar(Some(clips.len() as u64), BAR, String::new());
        for (at, clip) in clips.iter().enumerate() {
            self.console.advance_bar(at as u64, clip.id.clone());
            let start = Instant::now();
            let transcript = self.interrupt.heed(|| self.transcribe(clip));
            let seconds = start.elapsed().as_secs_f64();
            match transcript {
                Ok(transcript) => {
                    self.keep(clip, &transcript)?;
                    results.audio += transcript.duration;
                    results.wall += seconds;
                    results.clips.push(self.heard(clip, transcript));
                }
                Err(Failure::Failed(reason)) => {
                    self.console.error(format!("{}: {reason}", clip.id));
                    failed = true;
                    results.clips.push(self.failed(clip, reason));
                }
                Err(end) => {
                    self.console.clear_bar();
                    return Err(end);
                }
            }
        }
        self.console.clear_bar();
        Ok((results, failed))
    }

    fn transcribe(&self, clip: &Clip) -> Result<Transcript, Failure> {
        let failure = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let input = Input::File(clip.path.clone());
        input.check().map_err(|error| failure(&error))?;
        let audio = input.open().map_err(|error| failure(&error))?;
        let options = self.args.decoding.options(self.spoken(clip));
        let transcript = self.transcriber.transcribe(audio, &options, &mut |_| {
            if self.interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let transcript = transcript.map_err(|error| failure(&error))?;
        match transcript.ending {
            Ending::Complete => Ok(transcript),
            Ending::Cancelled => Err(Failure::Interrupted),
            Ending::Failed(reason) => Err(Failure::Failed(reason)),
        }
    }

    /// The language that a recording is transcribed in: the one asked for, or else the manifest's.
    fn spoken(&self, clip: &Clip) -> Spoken {
        // Where it is detected in every window, what the manifest says is only compared with.
        let known = clip.language.filter(|_| !self.args.decoding.search.multilingual);
        self.args.language.unwrap_or(known.map_or(Spoken::Auto, Spoken::In))
    }

    /// Writes the transcript where the user wants to have it.
    fn keep(&self, clip: &Clip, transcript: &Transcript) -> Result<(), Failure> {
        let Some(directory) = self.args.output_dir.as_deref() else { return Ok(()) };
        let path = directory.join(format!("{}.{}", clip.id, self.format.name()));
        let options = SubtitleOptions::default();
        file::write(&path, |out| self.format.write(transcript, &options, out))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
    }

    fn heard<'c>(&self, clip: &'c Clip, transcript: Transcript) -> ClipResult<'c> {
        let text = transcript.text();
        let reference = clip.reference.as_deref();
        let is_detected = self.spoken(clip) == Spoken::Auto;
        ClipResult {
            clip,
            detected: transcript.language.filter(|_| is_detected).map(Language::code),
            errors: reference.map(|reference| self.scorer.compare(reference, &text, language_of(clip))),
            text,
            flags: flags(&transcript.segments),
            warnings: transcript.warnings,
        }
    }

    /// A recording that failed: nothing was heard of it.
    fn failed<'c>(&self, clip: &'c Clip, reason: String) -> ClipResult<'c> {
        let reference = clip.reference.as_deref();
        ClipResult {
            clip,
            detected: None,
            errors: reference.map(|reference| self.scorer.compare(reference, "", language_of(clip))),
            text: String::new(),
            flags: vec!["failed".to_owned()],
            warnings: vec![reason],
        }
    }
}

/// What is suspicious about any of the segments, each once.
fn flags(segments: &[Segment]) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    for flag in segments.iter().flat_map(|segment| &segment.flags) {
        let name = serde_json::to_value(flag).ok().and_then(|name| name.as_str().map(str::to_owned));
        flags.extend(name.filter(|name| !flags.contains(name)));
    }
    flags
}
