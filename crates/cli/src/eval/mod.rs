//! `amanuensis eval`: measures the error rate and speed of a model on recordings with known text.

pub mod args;
pub mod manifest;
mod results;
mod table;

use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_score::Scorer;
use amanuensis_transcribe::{
    Ending, Language, OutputFormat, Segment, SubtitleOptions, Transcriber, Transcript, UnknownFormat,
};

use crate::atomic_file;
use crate::console::Console;
use crate::failure::Failure;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::options::language::LanguageChoice;
use crate::stdout::print;
use args::EvalArgs;
use manifest::Clip;
use results::{ClipResult, Results, scoring_language};

const BAR: &str = "[{wide_bar}] {pos}/{len}, {msg}";

pub fn run(args: &EvalArgs) -> Result<(), Failure> {
    let console = Console::new(args.quiet);
    let clips = manifest::read(&args.manifest)?;
    let format: OutputFormat = "json".parse().map_err(|error: UnknownFormat| Failure::Failed(error.to_string()))?;
    if let Some(directory) = &args.output_dir {
        atomic_file::create_directory(directory)?;
    }
    let interrupt = Interrupt::install()?;
    let transcriber = args.decoding.load(&console, &interrupt)?;
    let options = args.decoding.options(args.language.unwrap_or(LanguageChoice::Auto));
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let session = Session { args, format, transcriber, console, interrupt, scorer: Scorer::new() };
    let (results, has_failed) = session.evaluate(&clips)?;
    let report = if args.json { results.json() } else { table::table(&results) };
    print(&report).map_err(|failure| failure.after_failures(has_failed))?;
    if has_failed { Err(Failure::Reported) } else { Ok(()) }
}

/// The settings and the state that all recordings of an evaluation share.
struct Session<'a> {
    args: &'a EvalArgs,
    /// The format of the transcripts written into `--output-dir`.
    format: OutputFormat,
    transcriber: Transcriber,
    console: Console,
    interrupt: Interrupt,
    scorer: Scorer,
}

impl Session<'_> {
    /// Transcribes and scores all recordings. The returned flag is true if at least one recording failed. Returns an
    /// error if a transcript cannot be written or the user asked the program to stop.
    fn evaluate<'c>(&self, clips: &'c [Clip]) -> Result<(Results<'c>, bool), Failure> {
        let mut results = Results {
            model: self.transcriber.name().to_owned(),
            compute_type: self.args.decoding.compute_type_name(),
            strategy: self.args.decoding.strategy().to_string(),
            audio_s: 0.0,
            wall_s: 0.0,
            clips: Vec::new(),
        };
        let mut has_failed = false;
        self.console.start_progress(Some(clips.len() as u64), BAR, String::new());
        for (index, clip) in clips.iter().enumerate() {
            self.console.advance_progress(index as u64, clip.id.clone());
            let start = Instant::now();
            let transcript = self.interrupt.run_interruptible(|| self.transcribe(clip));
            let seconds = start.elapsed().as_secs_f64();
            match transcript {
                Ok(transcript) => {
                    self.write_transcript(clip, &transcript)?;
                    results.audio_s += transcript.duration;
                    results.wall_s += seconds;
                    results.clips.push(self.scored(clip, transcript));
                }
                Err(Failure::Failed(reason)) => {
                    self.console.error(format!("{}: {reason}", clip.id));
                    has_failed = true;
                    results.clips.push(self.failed(clip, reason));
                }
                Err(failure) => {
                    self.console.clear_progress();
                    return Err(failure);
                }
            }
        }
        self.console.clear_progress();
        Ok((results, has_failed))
    }

    fn transcribe(&self, clip: &Clip) -> Result<Transcript, Failure> {
        let failure = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let input = Input::File(clip.path.clone());
        input.check().map_err(|error| failure(&error))?;
        let audio = input.open().map_err(|error| failure(&error))?;
        let options = self.args.decoding.options(self.language_choice(clip));
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

    /// The language in which to transcribe a recording: the language given with `--language`, otherwise the one in
    /// the manifest, otherwise `auto`.
    fn language_choice(&self, clip: &Clip) -> LanguageChoice {
        // With --multilingual, the language is detected in every window, so the language in the manifest must not be
        // used.
        let known = clip.language.filter(|_| !self.args.decoding.multilingual());
        self.args.language.unwrap_or(known.map_or(LanguageChoice::Auto, LanguageChoice::Known))
    }

    /// Writes the transcript into `--output-dir`, if that option is given.
    fn write_transcript(&self, clip: &Clip, transcript: &Transcript) -> Result<(), Failure> {
        let Some(directory) = self.args.output_dir.as_deref() else { return Ok(()) };
        let path = directory.join(format!("{}.{}", clip.id, self.format.name()));
        let options = SubtitleOptions::default();
        atomic_file::write(&path, |out| self.format.write(transcript, &options, out))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
    }

    fn scored<'c>(&self, clip: &'c Clip, transcript: Transcript) -> ClipResult<'c> {
        let text = transcript.text();
        let reference = clip.reference.as_deref();
        let is_detected = self.language_choice(clip) == LanguageChoice::Auto;
        ClipResult {
            clip,
            detected: transcript.language.filter(|_| is_detected).map(Language::code),
            errors: reference.map(|reference| self.scorer.compare(reference, &text, scoring_language(clip))),
            text,
            flags: distinct_flags(&transcript.segments),
            warnings: transcript.warnings,
        }
    }

    /// Returns the result for a recording that failed. The recording is scored as if its transcript were empty.
    fn failed<'c>(&self, clip: &'c Clip, reason: String) -> ClipResult<'c> {
        let reference = clip.reference.as_deref();
        ClipResult {
            clip,
            detected: None,
            errors: reference.map(|reference| self.scorer.compare(reference, "", scoring_language(clip))),
            text: String::new(),
            flags: vec!["failed".to_owned()],
            warnings: vec![reason],
        }
    }
}

/// Returns the names of the flags of all segments, without duplicates. A flag marks a suspicious segment, for example
/// one with repeated text.
fn distinct_flags(segments: &[Segment]) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    for flag in segments.iter().flat_map(|segment| &segment.flags) {
        let name = serde_json::to_value(flag).ok().and_then(|name| name.as_str().map(str::to_owned));
        flags.extend(name.filter(|name| !flags.contains(name)));
    }
    flags
}
