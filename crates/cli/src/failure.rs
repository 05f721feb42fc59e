//! How the program ends when not all went well.

use std::io;
use std::process::ExitCode;

use crate::console;

/// Why a command ends before, or without, having done all that was asked.
#[derive(Debug)]
pub enum Failure {
    /// What was asked makes no sense; exit code 2.
    Usage(String),
    /// What was asked could not be done; exit code 1.
    Failed(String),
    /// The same, and the user has been told already.
    Reported,
    /// Ctrl-C or SIGTERM; exit code 130, as shells have it for the first.
    Interrupted,
    /// Whoever read the standard output has read enough; no failure for us.
    PipeClosed,
}

impl Failure {
    /// What an error of writing to the standard output means.
    pub fn of_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::Failed(format!("cannot write to the standard output: {error}"))
        }
    }

    /// The same at the end of work of which something may have failed already: that a reader has had enough does not
    /// make up for it.
    pub fn after(self, failed: bool) -> Self {
        match self {
            Self::PipeClosed if failed => Self::Reported,
            end => end,
        }
    }

    /// Tells the user, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                console::line(&format!("error: {message}\n\nFor more information, try '--help'."));
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                console::line(&format!("error: {message}"));
                ExitCode::FAILURE
            }
            Self::Reported => ExitCode::FAILURE,
            Self::Interrupted => ExitCode::from(130),
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }
}
