//! The ways in which a command can fail, and the exit code for each of them.

use std::io;
use std::process::ExitCode;

use amanuensis_models::Error as StoreError;

use crate::console;

/// Why a command stopped early or failed.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage, such as options that contradict each other; exit code 2.
    Usage(String),
    /// The work could not be done; exit code 1.
    Failed(String),
    /// The work could not be done, and the error message was already printed; exit code 1.
    Reported,
    /// Interrupted by Ctrl-C or SIGTERM; exit code 130, which shells use for SIGINT.
    Interrupted,
    /// The program that reads standard output, such as `head`, closed the pipe; exit code 0.
    PipeClosed,
}

impl Failure {
    /// Converts an error that occurred while writing to standard output.
    pub fn from_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::Failed(format!("cannot write to the standard output: {error}"))
        }
    }

    /// Returns the failure to report if an earlier part of the work may have failed. If `has_failed` is set, a closed
    /// pipe ends the program with exit code 1 instead of 0. Other failures are returned unchanged.
    pub fn after_failures(self, has_failed: bool) -> Self {
        match self {
            Self::PipeClosed if has_failed => Self::Reported,
            failure => failure,
        }
    }

    /// Prints the error message and returns the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                console::write_line(&format!("error: {message}\n\nFor more information, try '--help'."));
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                console::write_line(&format!("error: {message}"));
                ExitCode::FAILURE
            }
            Self::Reported => ExitCode::FAILURE,
            Self::Interrupted => ExitCode::from(130),
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownModel { .. }
            | StoreError::DoesNotTranscribe { .. }
            | StoreError::NoSuchPath(_)
            | StoreError::BadEndpoint(_) => Self::Usage(error.to_string()),
            StoreError::Cancelled => Self::Interrupted,
            error => Self::Failed(error.to_string()),
        }
    }
}
