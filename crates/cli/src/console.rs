//! Messages and the progress bar on standard error.
//!
//! The progress bar is shown only if standard error is a terminal. While it is shown, all other output must go through
//! [`Console`], which hides the bar while it writes.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Writes messages to standard error, and shows a progress bar there.
pub struct Console {
    quiet: bool,
    /// Whether the progress bar can be shown: standard error is a terminal and `quiet` is off.
    interactive: bool,
    progress_bar: RefCell<ProgressBar>,
}

impl Console {
    /// Creates a console. If `quiet` is set, the console prints only errors and warnings.
    pub fn new(quiet: bool) -> Self {
        let interactive = !quiet && io::stderr().is_terminal();
        Self { quiet, interactive, progress_bar: RefCell::new(ProgressBar::hidden()) }
    }

    /// Whether standard error is a terminal and `quiet` is off. If so, the progress bar and the messages of
    /// [`Self::info_on_terminal`] are shown.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    pub fn error(&self, message: impl Display) {
        self.without_progress(|| write_line(&format!("error: {message}")));
    }

    pub fn warning(&self, message: impl Display) {
        self.without_progress(|| write_line(&format!("warning: {message}")));
    }

    /// Prints a message, unless `quiet` is set.
    pub fn info(&self, message: impl Display) {
        if !self.quiet {
            self.without_progress(|| write_line(&message.to_string()));
        }
    }

    /// Prints a message, but only if standard error is a terminal and `quiet` is off. So the message does not appear
    /// in log files.
    pub fn info_on_terminal(&self, message: impl Display) {
        if self.interactive {
            self.without_progress(|| write_line(&message.to_string()));
        }
    }

    /// Calls `write` while the progress bar is hidden, so that `write` can write to the terminal.
    pub fn without_progress<T>(&self, write: impl FnOnce() -> T) -> T {
        let progress_bar = self.progress_bar.borrow().clone();
        progress_bar.suspend(write)
    }

    /// Replaces the progress bar with a new one of `length` steps. If `length` is `None`, a spinner is shown instead.
    ///
    /// `template` is a template of the crate `indicatif`. The placeholder `{prefix}` in it is replaced with `prefix`.
    pub fn start_progress(&self, length: Option<u64>, template: &str, prefix: String) {
        self.clear_progress();
        if !self.interactive {
            return;
        }
        let progress_bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        // If the template is invalid, the default style is used.
        if let Ok(style) = ProgressStyle::with_template(template) {
            progress_bar.set_style(style.progress_chars("=> "));
        }
        progress_bar.set_prefix(prefix);
        progress_bar.enable_steady_tick(Duration::from_millis(200));
        *self.progress_bar.borrow_mut() = progress_bar;
    }

    pub fn advance_progress(&self, position: u64, message: String) {
        let progress_bar = self.progress_bar.borrow();
        progress_bar.set_position(progress_bar.length().map_or(position, |length| position.min(length)));
        progress_bar.set_message(message);
    }

    pub fn clear_progress(&self) {
        self.progress_bar.replace(ProgressBar::hidden()).finish_and_clear();
    }
}

/// Writes a message to standard error. If that fails, the error is ignored, because there is no other stream to
/// report it on.
pub fn write_line(message: &str) {
    let lines: Vec<String> = message.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// Escapes the control characters in `text`, such as terminal escape sequences in a file name.
pub fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Formats a duration in seconds as `4:07` or `1:02:03`.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("Grüße \u{1b}[31m\r\n\u{9b}.mp3"), "Grüße \\u{1b}[31m\\r\\n\\u{9b}.mp3");
    }

    #[test]
    fn the_clock_shows_hours_only_from_one_hour_on() {
        assert_eq!(clock(0.4), "0:00");
        assert_eq!(clock(247.0), "4:07");
        assert_eq!(clock(3599.9), "1:00:00");
    }
}
