//! Shows the progress of model downloads, and finds or downloads the speech detection model.

use std::ops::ControlFlow;
use std::path::PathBuf;

use amanuensis_models::{Error, Phase, Progress, SPEECH_DETECTOR, Store};
use indicatif::DecimalBytes;

use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const BAR: &str = "{prefix} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const SPINNER: &str = "{spinner} {prefix} {decimal_bytes}, {decimal_bytes_per_sec}";

/// Shows the user the progress of a download or of a checksum verification.
pub struct DownloadProgress<'a> {
    console: &'a Console,
    interrupt: &'a Interrupt,
    model: &'a str,
    /// Why the download from the previous source failed. This is printed when the next source is tried. If there is
    /// no next source, the returned error contains it instead.
    source_failure: Option<String>,
}

impl<'a> DownloadProgress<'a> {
    pub fn new(console: &'a Console, interrupt: &'a Interrupt, model: &'a str) -> Self {
        Self { console, interrupt, model, source_failure: None }
    }

    /// Shows one step of a download or a verification to the user. Returns `Break` if the user asked the program to
    /// stop.
    pub fn show(&mut self, step: Progress<'_>) -> ControlFlow<()> {
        match step {
            Progress::Waiting { model } => self.console.info(format!("{model}: waiting for another process to finish")),
            Progress::Source { source } => {
                if let Some(failure) = self.source_failure.take() {
                    self.console.info(format!("{}: {failure}", self.model));
                }
                self.console.info(format!("{}: fetching from {source}", self.model));
            }
            Progress::SourceFailed { source, reason } => self.source_failure = Some(format!("{source}: {reason}")),
            Progress::Started { phase, total } => {
                let action = match phase {
                    Phase::Downloading => "fetching",
                    Phase::Unpacking => "unpacking",
                    _ => "checking",
                };
                let template = if total.is_some() { BAR } else { SPINNER };
                self.console.start_progress(total, template, format!("{action} {}", self.model));
            }
            Progress::Advanced { bytes } => self.console.advance_progress(bytes, String::new()),
            _ => {}
        }
        if self.interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Returns the directory of the speech detection model. If the model is missing, it is downloaded, unless `offline`
/// is set.
///
/// If the model is not available, this function prints a warning with the reason and returns `None`. Transcription
/// also works without this model, but less well.
pub fn speech_detector(
    store: &Store,
    offline: bool,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Option<PathBuf>, Failure> {
    let mut progress = DownloadProgress::new(console, interrupt, SPEECH_DETECTOR);
    let path =
        interrupt.run_interruptible(|| store.path_or_pull(SPEECH_DETECTOR, offline, &mut |step| progress.show(step)));
    console.clear_progress();
    match path {
        Ok(path) => Ok(Some(path)),
        Err(Error::Cancelled) => Err(Failure::Interrupted),
        Err(error) => {
            console.warning(format!("speech detection is off: {error}"));
            Ok(None)
        }
    }
}

/// Formats a number of bytes, for example as `145.2 MB`.
pub fn format_bytes(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}
