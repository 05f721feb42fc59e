//! `amanuensis transcribe`.

use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_transcribe::{Ending, Event, Segment, SubtitleOptions, TranscribeOptions, Transcriber, Transcript};

use crate::args::TranscribeArgs;
use crate::console::{Console, clock};
use crate::failure::Failure;
use crate::inputs::{Input, check_stdin};
use crate::interrupt::Interrupt;
use crate::npu;
use crate::outputs::Outputs;

const BAR: &str = "{prefix} [{wide_bar}] {percent}%, {msg}";
const SPINNER: &str = "{spinner} {prefix} {msg}";

pub fn run(args: &TranscribeArgs) -> Result<(), Failure> {
    check_stdin(&args.files)?;
    let outputs = Outputs::new(args.output_dir.as_deref(), &args.format, &args.files)?;
    let subtitles = args.subtitles.options(&args.format)?;
    let console = Console::new(args.quiet);
    let interrupt = Interrupt::install()?;

    let inputs = check(&args.files, &outputs, &console)?;
    let transcriber = args.decoding.load(&console, &interrupt)?;
    let options = args.decoding.options(args.language);
    transcriber.check(&options).map_err(|error| Failure::Usage(error.to_string()))?;

    let has_headers = outputs.is_live() && args.files.len() > 1;
    let session = Session { transcriber, options, outputs, subtitles, console, interrupt, has_headers };
    let mut failed = inputs.len() < args.files.len();
    for (at, input) in inputs.iter().enumerate() {
        if session.interrupt.is_requested() {
            return Err(session.interrupted(inputs.len() - at));
        }
        match session.transcribe(input, at == 0) {
            Ok(()) => {}
            Err(Failure::Failed(reason)) => {
                session.console.error(format!("{input}: {reason}"));
                failed = true;
            }
            Err(Failure::Interrupted) => return Err(session.interrupted(inputs.len() - at - 1)),
            Err(end) => return Err(end.after(failed)),
        }
    }
    let engine = session.transcriber.engine();
    if let Some(usage) = engine.npu_usage() {
        session.console.note(npu::summary(engine.device(), &usage));
    }
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

/// The recordings that can be read and whose transcripts can be written, if there are any; tells of the others.
///
/// This is before a model is fetched and hours are spent: nobody should wait for that to learn of a slip in a name.
fn check<'a>(files: &'a [Input], outputs: &Outputs, console: &Console) -> Result<Vec<&'a Input>, Failure> {
    let tell = |input: &Input, reason: &dyn Display| console.error(format!("{input}: {reason}"));
    let mut inputs: Vec<&Input> = files.iter().collect();
    inputs.retain(|input| input.check().inspect_err(|error| tell(input, error)).is_ok());
    if !inputs.is_empty() {
        outputs.prepare()?;
        inputs.retain(|input| outputs.check(input).inspect_err(|reason| tell(input, reason)).is_ok());
    }
    if inputs.is_empty() { Err(Failure::Reported) } else { Ok(inputs) }
}

/// What all recordings of a run have in common.
struct Session {
    transcriber: Transcriber,
    options: TranscribeOptions,
    outputs: Outputs,
    subtitles: SubtitleOptions,
    console: Console,
    interrupt: Interrupt,
    /// Whether the text of each recording is preceded by a line with its name.
    has_headers: bool,
}

impl Session {
    fn transcribe(&self, input: &Input, is_first: bool) -> Result<(), Failure> {
        let audio = input.open().map_err(|error| Failure::Failed(error.to_string()))?;
        if self.has_headers {
            let gap = if is_first { "" } else { "\n" };
            self.print(&format!("{gap}==> {input} <==")).map_err(|error| Failure::of_stdout(&error))?;
        }
        let mut listener = Listener { session: self, input, start: Instant::now(), stdout: Ok(()), has_bar: false };
        let transcript = self.interrupt.heed(|| {
            let transcript = self.transcriber.transcribe(audio, &self.options, &mut |event| listener.hear(event));
            self.console.clear_bar();
            let transcript = transcript.map_err(|error| Failure::Failed(error.to_string()))?;
            listener.stdout.as_ref().map_err(Failure::of_stdout)?;
            if !transcript.segments.is_empty() || transcript.is_complete() {
                self.outputs.write(input, &transcript, &self.subtitles)?;
            }
            Ok(transcript)
        })?;
        let done = clock(transcript.duration);
        match transcript.ending {
            Ending::Complete => {
                let seconds = listener.start.elapsed().as_secs_f64();
                let speed = transcript.duration / seconds;
                self.console.remark(format!("{input}: {done} in {} ({speed:.1}x real time)", clock(seconds)));
                Ok(())
            }
            Ending::Cancelled => {
                self.console.warning(format!(
                    "{input}: interrupted; kept the first {done}{}",
                    self.kept_in(input, &transcript)
                ));
                Err(Failure::Interrupted)
            }
            Ending::Failed(ref reason) => {
                Err(Failure::Failed(format!("{reason}; kept the first {done}{}", self.kept_in(input, &transcript))))
            }
        }
    }

    /// Where the segments of an incomplete transcript are, for people.
    fn kept_in(&self, input: &Input, transcript: &Transcript) -> String {
        let files = self.outputs.partial_files(input).filter(|_| !transcript.segments.is_empty());
        files.map(|files| format!(", in {files}")).unwrap_or_default()
    }

    /// The end of an interrupted run; tells how much of it is missing.
    fn interrupted(&self, not_started: usize) -> Failure {
        if not_started > 0 {
            self.console.warning(format!("recordings not started: {not_started}"));
        }
        Failure::Interrupted
    }

    /// Writes a line to the standard output, at once.
    fn print(&self, line: &str) -> io::Result<()> {
        self.console.apart(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()
        })
    }
}

/// Shows what happens during one transcription.
struct Listener<'a> {
    session: &'a Session,
    input: &'a Input,
    start: Instant,
    /// How writing to the standard output has gone so far.
    stdout: io::Result<()>,
    has_bar: bool,
}

impl Listener<'_> {
    fn hear(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Segment(segment) => self.segment(segment),
            Event::Progress { done, total } => self.progress(done, total),
            Event::Language { language, probability } => {
                let percent = 100.0 * probability;
                self.session.console.remark(format!("{}: the language is {language} ({percent:.0} %)", self.input));
            }
            Event::Warning(warning) => self.session.console.warning(format!("{}: {warning}", self.input)),
            _ => {}
        }
        if self.stdout.is_err() || self.session.interrupt.is_requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn segment(&mut self, segment: &Segment) {
        let line = segment.line();
        if !self.session.outputs.is_live() {
            let (start, end) = (clock(segment.start), clock(segment.end));
            self.session.console.remark(format!("[{start} - {end}] {line}"));
        } else if self.stdout.is_ok() && !line.is_empty() {
            self.stdout = self.session.print(&line);
        }
    }

    fn progress(&mut self, done: f64, total: Option<f64>) {
        let console = &self.session.console;
        if !console.is_interactive() {
            return;
        }
        if !self.has_bar {
            self.has_bar = true;
            let template = if total.is_some() { BAR } else { SPINNER };
            console.start_bar(total.map(milliseconds), template, self.input.short_name());
        }
        let speed = done / self.start.elapsed().as_secs_f64();
        let mut message = clock(done);
        if done > 0.0 {
            message = format!("{message}, {speed:.1}x real time");
            if let Some(left) = total.map(|total| (total - done) / speed).filter(|left| *left > 0.0) {
                message = format!("{message}, {} left", clock(left));
            }
        }
        console.advance_bar(milliseconds(done), message);
    }
}

fn milliseconds(seconds: f64) -> u64 {
    (1000.0 * seconds) as u64
}
