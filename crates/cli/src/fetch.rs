//! Models on their way here, as the user sees it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use amanuensis_models::{Error, Phase, Progress, SPEECH_DETECTOR, Store};
use indicatif::DecimalBytes;

use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const BAR: &str = "{prefix} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const SPINNER: &str = "{spinner} {prefix} {decimal_bytes}, {decimal_bytes_per_sec}";

/// Shows the steps of a pull or a verification.
pub struct Display<'a> {
    console: &'a Console,
    interrupt: &'a Interrupt,
    model: &'a str,
    /// Why the source before failed; said when another is tried, as the final error says it otherwise.
    failed: Option<String>,
}

impl<'a> Display<'a> {
    pub fn new(console: &'a Console, interrupt: &'a Interrupt, model: &'a str) -> Self {
        Self { console, interrupt, model, failed: None }
    }

    /// To be called with every step; the answer says whether to go on.
    pub fn show(&mut self, step: Progress<'_>) -> ControlFlow<()> {
        match step {
            Progress::Waiting { model } => self.console.note(format!("{model}: waiting for another process to finish")),
            Progress::Source { source } => {
                if let Some(failed) = self.failed.take() {
                    self.console.note(format!("{}: {failed}", self.model));
                }
                self.console.note(format!("{}: fetching from {source}", self.model));
            }
            Progress::SourceFailed { source, reason } => self.failed = Some(format!("{source}: {reason}")),
            Progress::Started { phase, total } => {
                let doing = match phase {
                    Phase::Downloading => "fetching",
                    Phase::Unpacking => "unpacking",
                    _ => "checking",
                };
                let template = if total.is_some() { BAR } else { SPINNER };
                self.console.start_bar(total, template, format!("{doing} {}", self.model));
            }
            Progress::Advanced { bytes } => self.console.advance_bar(bytes, String::new()),
            _ => {}
        }
        if self.interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The directory of the model that finds speech, fetched first if it is missing and `offline` does not forbid it.
///
/// Recordings can be transcribed without it, if less well. So where it cannot be had there is a warning, which says why,
/// and `None`.
pub fn speech_detector(
    store: &Store,
    offline: bool,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Option<PathBuf>, Failure> {
    let mut display = Display::new(console, interrupt, SPEECH_DETECTOR);
    let path = interrupt.heed(|| store.path_or_pull(SPEECH_DETECTOR, offline, &mut |step| display.show(step)));
    console.clear_bar();
    match path {
        Ok(path) => Ok(Some(path)),
        Err(Error::Cancelled) => Err(Failure::Interrupted),
        Err(error) => {
            console.warning(format!("speech is not told from silence: {error}"));
            Ok(None)
        }
    }
}

/// A number of bytes as people write it.
pub fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}
