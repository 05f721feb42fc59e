//! A worker, as the server sees it: a process that reads a file and writes samples.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::runtime::Handle;

use super::worker::WORKER;
use super::{Fate, IsWanted, limits, not_wanted};

/// How often it is asked whether a silent worker is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// How long a worker may take to end that has closed its output.
const PATIENCE: Duration = Duration::from_secs(1);

/// A worker at work, read as the pipe that it writes to; it is killed when this is dropped.
pub(super) struct Process {
    /// There until it is killed.
    child: Option<Child>,
    output: ChildStdout,
    memory: u64,
    is_wanted: IsWanted,
    fate: Fate,
    runtime: Handle,
}

impl Process {
    /// Starts `program` as a worker with `memory` MiB that decodes `file`.
    pub(super) fn start(program: &Path, memory: u64, file: File, is_wanted: IsWanted, fate: Fate) -> io::Result<Self> {
        let mut command = Command::new(program);
        // It gets the file and the pipe, and nothing of the server's: no path, no key in the environment, and its messages
        // are the frames in the pipe.
        command.args([OsStr::new(WORKER), OsStr::new(&memory.to_string())]).env_clear();
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        #[cfg(unix)]
        command.arg0("amanuensis");
        let mut child = command.spawn()?;
        let output = child.stdout.take().expect("it was asked for");
        Ok(Self { child: Some(child), output, memory, is_wanted, fate, runtime: Handle::current() })
    }

    /// Ends the worker, and has the system forget it.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.runtime.spawn(async move { child.kill().await });
        }
    }

    /// Why the worker has closed its output.
    fn end(&mut self) -> io::Error {
        let Self { child: Some(child), memory, fate, .. } = self else { return not_wanted() };
        match within(PATIENCE, child.wait()) {
            Some(Ok(status)) => {
                let (reason, is_to_blame) = reason(status, *memory);
                if !is_to_blame {
                    // It ends once.
                    let _ = fate.0.set(reason.clone());
                }
                io::Error::other(reason)
            }
            Some(Err(error)) => error,
            None => io::Error::other("its decoder says nothing more"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while (self.is_wanted)() {
            match within(TICK, self.output.read(buffer)) {
                Some(Ok(0)) => return Err(self.end()),
                Some(read) => return read,
                None => {}
            }
        }
        // The transcription may go on for a while with what it has, and only then drop this.
        self.kill();
        Err(not_wanted())
    }
}

/// What comes of `future` within `patience`. It is this thread that counts the time: a runtime that ends while somebody reads has
/// no timers any more.
fn within<T>(patience: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, until) = (pin!(future), Instant::now() + patience);
    let waker = Waker::from(Arc::new(Reader(thread::current())));
    loop {
        if let Poll::Ready(found) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(found);
        }
        thread::park_timeout(until.checked_duration_since(Instant::now())?);
    }
}

/// A thread that waits.
struct Reader(Thread);

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What the end of a worker says, and whether the recording is to blame. How much it had decoded, whoever reads knows.
#[cfg(unix)]
fn reason(status: ExitStatus, memory: u64) -> (String, bool) {
    use std::os::unix::process::ExitStatusExt;

    use rustix::process::Signal;

    match status.signal().map(Signal::from_named_raw) {
        // A program that gets no memory aborts, and has no room for its stack.
        Some(Some(Signal::ABORT | Signal::SEGV)) => (format!("it takes more than {memory} MiB of memory"), true),
        Some(Some(Signal::XCPU)) => (limits::TOO_SLOW.to_owned(), true),
        // A program does these to itself.
        Some(Some(Signal::BUS | Signal::FPE | Signal::ILL | Signal::SYS | Signal::TRAP | Signal::XFSZ)) | None => {
            (format!("its decoder ended before it was done ({status})"), true)
        }
        Some(_) => (format!("the process that decodes the recording was killed ({status})"), false),
    }
}

/// What the end of a worker says; that it was killed, it does not.
#[cfg(not(unix))]
fn reason(status: ExitStatus, _memory: u64) -> (String, bool) {
    (format!("its decoder ended before it was done ({status})"), true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_end_of_a_worker_says_whether_the_recording_is_to_blame() {
        let ends = [
            (6, "64 MiB", true),
            (11, "64 MiB", true),
            (24, "time", true),
            (4, "signal: 4", true),
            (1 << 8, "exit status: 1", true),
            (9, "signal: 9", false),
            (15, "signal: 15", false),
        ];
        for (status, words, is_to_blame) in ends {
            let (reason, is_so) = reason(ExitStatus::from_raw(status), 64);
            assert!(reason.contains(words) && is_so == is_to_blame, "{reason}");
        }
    }
}
