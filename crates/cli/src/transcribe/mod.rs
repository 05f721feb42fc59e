//! `amanuensis transcribe`: transcribes recordings to text, subtitles or JSON.

pub mod args;
mod outputs;
mod progress;
mod subtitles;

use std::fmt::Display;

use amanuensis_transcribe::{Ending, SubtitleOptions, TranscribeOptions, Transcriber, Transcript};

use crate::console::{Console, clock};
use crate::failure::Failure;
use crate::input::{Input, check_stdin};
use crate::interrupt::Interrupt;
use crate::npu;
use args::TranscribeArgs;
use outputs::Outputs;
use progress::ProgressDisplay;

pub fn run(args: &TranscribeArgs) -> Result<(), Failure> {
    check_stdin(&args.files)?;
    let outputs = Outputs::new(args.output_dir.as_deref(), &args.format, &args.files)?;
    let subtitles = args.subtitles.options(&args.format)?;
    let console = Console::new(args.quiet);
    let interrupt = Interrupt::install()?;

    let inputs = usable_inputs(&args.files, &outputs, &console)?;
    let transcriber = args.decoding.load(&console, &interrupt)?;
    let options = args.decoding.options(args.language);
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let has_headers = outputs.is_live() && args.files.len() > 1;
    let session = Session { transcriber, options, outputs, subtitles, console, interrupt, has_headers };
    let mut has_failed = inputs.len() < args.files.len();
    for (index, input) in inputs.iter().enumerate() {
        if session.interrupt.is_requested() {
            return Err(session.interrupted(inputs.len() - index));
        }
        match session.transcribe(input, index == 0) {
            Ok(()) => {}
            Err(Failure::Failed(reason)) => {
                session.console.error(format!("{input}: {reason}"));
                has_failed = true;
            }
            Err(Failure::Interrupted) => return Err(session.interrupted(inputs.len() - index - 1)),
            Err(failure) => return Err(failure.after_failures(has_failed)),
        }
    }
    if let Some(summary) = npu::usage::summary(session.transcriber.engine()) {
        session.console.info(summary);
    }
    if has_failed { Err(Failure::Reported) } else { Ok(()) }
}

/// Returns the recordings that can be read and whose transcripts can be written. Prints an error for each of the
/// other recordings. Fails if no recording is usable.
///
/// These checks run before the model is downloaded and loaded, so that a mistyped file name is reported at once.
fn usable_inputs<'a>(files: &'a [Input], outputs: &Outputs, console: &Console) -> Result<Vec<&'a Input>, Failure> {
    let report = |input: &Input, reason: &dyn Display| console.error(format!("{input}: {reason}"));
    let mut inputs: Vec<&Input> = files.iter().collect();
    inputs.retain(|input| input.check().inspect_err(|error| report(input, error)).is_ok());
    if !inputs.is_empty() {
        outputs.prepare()?;
        inputs.retain(|input| outputs.check(input).inspect_err(|reason| report(input, reason)).is_ok());
    }
    if inputs.is_empty() { Err(Failure::Reported) } else { Ok(inputs) }
}

/// The settings and the state that all recordings of a run share.
struct Session {
    transcriber: Transcriber,
    options: TranscribeOptions,
    outputs: Outputs,
    subtitles: SubtitleOptions,
    console: Console,
    interrupt: Interrupt,
    /// Whether a line with the name of the recording is printed before the text of each recording.
    has_headers: bool,
}

impl Session {
    fn transcribe(&self, input: &Input, is_first: bool) -> Result<(), Failure> {
        let audio = input.open().map_err(|error| Failure::Failed(error.to_string()))?;
        if self.has_headers {
            let gap = if is_first { "" } else { "\n" };
            progress::print_line(&self.console, &format!("{gap}==> {input} <=="))
                .map_err(|error| Failure::from_stdout(&error))?;
        }
        let mut display = ProgressDisplay::new(&self.console, &self.interrupt, input, self.outputs.is_live());
        let transcript = self.interrupt.run_interruptible(|| -> Result<Transcript, Failure> {
            let transcript = self.transcriber.transcribe(audio, &self.options, &mut |event| display.on_event(event));
            self.console.clear_progress();
            let transcript = transcript.map_err(|error| Failure::Failed(error.to_string()))?;
            display.stdout_result().map_err(Failure::from_stdout)?;
            if !transcript.segments.is_empty() || transcript.is_complete() {
                self.outputs.write(input, &transcript, &self.subtitles)?;
            }
            Ok(transcript)
        })?;
        self.report_ending(input, &transcript, display.elapsed_seconds())
    }

    /// If the transcription of `input` is complete or was interrupted, prints a message that says so. Returns a
    /// failure if the transcription was interrupted or failed.
    fn report_ending(&self, input: &Input, transcript: &Transcript, seconds: f64) -> Result<(), Failure> {
        let duration = clock(transcript.duration);
        let kept = || format!("kept the first {duration}{}", self.partial_files(input, transcript));
        match &transcript.ending {
            Ending::Complete => {
                let speed = transcript.duration / seconds;
                self.console
                    .info_on_terminal(format!("{input}: {duration} in {} ({speed:.1}x real time)", clock(seconds)));
                Ok(())
            }
            Ending::Cancelled => {
                self.console.warning(format!("{input}: interrupted; {}", kept()));
                Err(Failure::Interrupted)
            }
            Ending::Failed(reason) => Err(Failure::Failed(format!("{reason}; {}", kept()))),
        }
    }

    /// Returns the text `, in FILES` for a message, if an incomplete transcript was written to the files FILES.
    /// Otherwise, returns an empty text.
    fn partial_files(&self, input: &Input, transcript: &Transcript) -> String {
        let files = self.outputs.partial_files(input).filter(|_| !transcript.segments.is_empty());
        files.map(|files| format!(", in {files}")).unwrap_or_default()
    }

    /// Tells the user how many recordings were not started. Returns the failure that ends an interrupted run.
    fn interrupted(&self, not_started: usize) -> Failure {
        if not_started > 0 {
            self.console.warning(format!("recordings not started: {not_started}"));
        }
        Failure::Interrupted
    }
}
