//! The exit status of a worker process, and whether the recording is the cause of the exit.

use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};

/// Tells whether the worker of a recording was killed from outside. This value can still be used after the
/// [`Audio`](amanuensis_audio::Audio) was read or dropped.
#[derive(Debug, Clone, Default)]
pub struct WorkerExit(Arc<OnceLock<String>>);

impl WorkerExit {
    /// The reason, if the worker was killed from outside, that is, neither by this program nor by the worker's own
    /// limits. The usual cause is the kernel's out-of-memory killer. The samples that were read before are valid, but
    /// the rest of the recording is missing. Another attempt may succeed.
    ///
    /// `None` while the worker runs, after any other exit, and if the recording is decoded in this process.
    pub fn killed(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    pub(crate) fn set_killed(&self, reason: &str) {
        // Setting fails if a reason is already stored. A process exits only once, so that reason is the same.
        let _ = self.0.set(reason.to_owned());
    }
}

/// The reason why a worker exited before it had sent the whole recording.
pub(crate) struct EarlyExit {
    pub(crate) reason: String,
    /// Whether the worker was killed from outside. In that case the recording is not the cause.
    pub(crate) was_killed: bool,
}

impl EarlyExit {
    /// Determines the reason from the exit status of the worker. `memory_mib` is the worker's memory limit in MiB.
    #[cfg(unix)]
    pub(crate) fn from_status(status: ExitStatus, memory_mib: u64) -> Self {
        use std::os::unix::process::ExitStatusExt;

        use rustix::process::Signal;

        let by_recording = |reason| Self { reason, was_killed: false };
        match status.signal().map(Signal::from_named_raw) {
            // Rust aborts when an allocation fails, and a stack that cannot grow causes SIGSEGV. Both mean that the
            // memory limit was exceeded.
            Some(Some(Signal::ABORT | Signal::SEGV)) => {
                by_recording(format!("it takes more than {memory_mib} MiB of memory"))
            }
            Some(Some(Signal::XCPU)) => {
                by_recording("it takes too much of the processor's time for its length".to_owned())
            }
            // These signals mean that the decoder itself crashed.
            Some(Some(Signal::BUS | Signal::FPE | Signal::ILL | Signal::SYS | Signal::TRAP | Signal::XFSZ)) | None => {
                by_recording(format!("its decoder ended before it was done ({status})"))
            }
            Some(_) => Self {
                reason: format!("the process that decodes the recording was killed ({status})"),
                was_killed: true,
            },
        }
    }

    /// Systems other than Unix do not report whether a process was killed.
    #[cfg(not(unix))]
    pub(crate) fn from_status(status: ExitStatus, _memory_mib: u64) -> Self {
        Self { reason: format!("its decoder ended before it was done ({status})"), was_killed: false }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_exit_status_distinguishes_limits_kills_and_crashes() {
        let cases = [
            (6, "64 MiB", false),
            (11, "64 MiB", false),
            (24, "time", false),
            (4, "signal: 4", false),
            (1 << 8, "exit status: 1", false),
            (9, "signal: 9", true),
            (15, "signal: 15", true),
        ];
        for (raw_status, expected_text, expected_kill) in cases {
            let EarlyExit { reason, was_killed } = EarlyExit::from_status(ExitStatus::from_raw(raw_status), 64);
            assert!(reason.contains(expected_text) && was_killed == expected_kill, "{reason}");
        }
    }
}
