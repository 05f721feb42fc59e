//! What is written to the standard error: messages, and a bar while something takes its time.
//!
//! The bar is only there on a terminal. Whatever is written while it is there goes through [`Console`], which puts the
//! bar aside for as long.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The standard error.
pub struct Console {
    quiet: bool,
    /// Whether somebody is watching.
    interactive: bool,
    bar: RefCell<ProgressBar>,
}

impl Console {
    pub fn new(quiet: bool) -> Self {
        let interactive = !quiet && io::stderr().is_terminal();
        Self { quiet, interactive, bar: RefCell::new(ProgressBar::hidden()) }
    }

    /// Whether somebody is watching.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    pub fn error(&self, message: impl Display) {
        self.apart(|| line(&format!("error: {message}")));
    }

    pub fn warning(&self, message: impl Display) {
        self.apart(|| line(&format!("warning: {message}")));
    }

    /// Something worth knowing, unless the user wants quiet.
    pub fn note(&self, message: impl Display) {
        if !self.quiet {
            self.apart(|| line(&message.to_string()));
        }
    }

    /// Something for those who watch.
    pub fn remark(&self, message: impl Display) {
        if self.interactive {
            self.apart(|| line(&message.to_string()));
        }
    }

    /// Runs `write`, which writes to the terminal, while the bar is put aside.
    pub fn apart<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self.bar.borrow().clone();
        bar.suspend(write)
    }

    /// Shows a bar of `length` steps in place of the one before; of unknown length, something that turns. `what` is the
    /// template's prefix.
    pub fn start_bar(&self, length: Option<u64>, template: &str, what: String) {
        self.clear_bar();
        if !self.interactive {
            return;
        }
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        // A template with a mistake in it shows the plain bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar.borrow_mut() = bar;
    }

    pub fn advance_bar(&self, position: u64, message: String) {
        let bar = self.bar.borrow();
        bar.set_position(bar.length().map_or(position, |length| position.min(length)));
        bar.set_message(message);
    }

    pub fn clear_bar(&self) {
        self.bar.replace(ProgressBar::hidden()).finish_and_clear();
    }
}

/// Writes a message to the standard error. Where that is closed, nobody wants to know.
pub fn line(message: &str) {
    let lines: Vec<String> = message.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// The text with its control characters spelt out: the name of a file may hold any, and a terminal would obey them.
pub fn printable(text: &str) -> String {
    let spell = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(spell).collect()
}

/// Seconds as people write them: `4:07`, `1:02:03`.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(printable("Grüße \u{1b}[31m\r\n\u{9b}.mp3"), "Grüße \\u{1b}[31m\\r\\n\\u{9b}.mp3");
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(0.4), "0:00");
        assert_eq!(clock(247.0), "4:07");
        assert_eq!(clock(3599.9), "1:00:00");
    }
}
