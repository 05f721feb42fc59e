//! Shows the user the progress of a transcription: the text, messages and the progress bar.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_transcribe::{Event, Segment};

use crate::console::{Console, clock};
use crate::input::Input;
use crate::interrupt::Interrupt;

const BAR: &str = "{prefix} [{wide_bar}] {percent}%, {msg}";
const SPINNER: &str = "{spinner} {prefix} {msg}";

/// Shows the user the events of one transcription, such as new segments and warnings.
pub struct ProgressDisplay<'a> {
    console: &'a Console,
    interrupt: &'a Interrupt,
    input: &'a Input,
    /// Whether segments are printed to standard output as soon as they are decoded.
    prints_segments: bool,
    start: Instant,
    /// The first error from writing to standard output, or `Ok` if there was none.
    stdout_result: io::Result<()>,
    has_progress_bar: bool,
}

impl<'a> ProgressDisplay<'a> {
    pub fn new(console: &'a Console, interrupt: &'a Interrupt, input: &'a Input, prints_segments: bool) -> Self {
        let start = Instant::now();
        Self { console, interrupt, input, prints_segments, start, stdout_result: Ok(()), has_progress_bar: false }
    }

    /// Shows an event to the user. Returns `Break` if standard output cannot be written, or if the user asked the
    /// program to stop.
    pub fn on_event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Segment(segment) => self.show_segment(segment),
            Event::Progress { done, total } => self.show_progress(done, total),
            Event::Language { language, probability } => {
                let percent = 100.0 * probability;
                self.console
                    .info_on_terminal(format!("{}: detected language: {language} ({percent:.0} %)", self.input));
            }
            Event::Warning(warning) => self.console.warning(format!("{}: {warning}", self.input)),
            _ => {}
        }
        if self.stdout_result.is_err() || self.interrupt.is_requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Returns the first error that occurred while segments were printed, or `Ok` if there was none.
    pub fn stdout_result(&self) -> Result<(), &io::Error> {
        self.stdout_result.as_ref().copied()
    }

    /// Seconds since this display was created.
    pub fn elapsed_seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn show_segment(&mut self, segment: &Segment) {
        let line = segment.line();
        if !self.prints_segments {
            let (start, end) = (clock(segment.start), clock(segment.end));
            self.console.info_on_terminal(format!("[{start} - {end}] {line}"));
        } else if self.stdout_result.is_ok() && !line.is_empty() {
            self.stdout_result = print_line(self.console, &line);
        }
    }

    /// Updates the progress bar. `done` is the position reached in the recording, and `total` is the length of the
    /// recording if it is known, both in seconds.
    fn show_progress(&mut self, done: f64, total: Option<f64>) {
        if !self.console.is_interactive() {
            return;
        }
        if !self.has_progress_bar {
            self.has_progress_bar = true;
            let template = if total.is_some() { BAR } else { SPINNER };
            self.console.start_progress(total.map(milliseconds), template, self.input.short_name());
        }
        let speed = done / self.elapsed_seconds();
        let mut message = clock(done);
        if done > 0.0 {
            message = format!("{message}, {speed:.1}x real time");
            if let Some(left) = total.map(|total| (total - done) / speed).filter(|left| *left > 0.0) {
                message = format!("{message}, {} left", clock(left));
            }
        }
        self.console.advance_progress(milliseconds(done), message);
    }
}

/// Writes a line to standard output and flushes it.
pub fn print_line(console: &Console, line: &str) -> io::Result<()> {
    console.without_progress(|| {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    })
}

fn milliseconds(seconds: f64) -> u64 {
    (1000.0 * seconds) as u64
}
