//! The parent's side: starts a worker process and reads what it writes.
//!
//! Each worker has a supervisor thread. It starts the process, copies the pipe to a channel, and reaps the process at the end.
//! It exists for two reasons. On Linux a worker is killed when the *thread* that started it ends (`PR_SET_PDEATHSIG`), so that
//! thread must live as long as the worker, whatever threads open and read the recording. And a read from a pipe cannot time out,
//! while waiting for the channel can: the reader notices a cancellation even if the worker hangs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancellation::{IsCancelled, cancelled};
use crate::exit::{EarlyExit, WorkerExit};
use crate::worker::WORKER_ARGUMENT;

/// How often a reader that waits for samples checks for a cancellation.
const CANCELLATION_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a worker may run on after it has closed its output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the supervisor checks whether the worker has exited.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Size of the supervisor's reads: that of a pipe's buffer on Linux.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that may wait for the reader. When they do, the pipe fills up and the worker pauses.
const MAX_WAITING_CHUNKS: usize = 2;

/// The output of a worker: chunks of bytes, and the reason when the output has ended.
type Output = Result<Vec<u8>, io::Result<EarlyExit>>;

/// A running worker. Reading gives its output; dropping it kills the worker.
pub(crate) struct WorkerProcess {
    worker: Arc<WorkerHandle>,
    /// `None` once the worker was killed by [`Self::kill`]. The mutex is never locked: it only makes this type `Sync`, as
    /// [`Audio`](amanuensis_audio::Audio) requires.
    output: Option<Mutex<Receiver<Output>>>,
    /// The chunk that is being read, and how many of its bytes were read.
    chunk: Vec<u8>,
    n_read: usize,
    is_cancelled: IsCancelled,
    exit: WorkerExit,
}

impl WorkerProcess {
    /// Starts `program` as a worker with `memory_mib` MiB that decodes `file`.
    pub(crate) fn start(
        program: &Path,
        memory_mib: u64,
        file: File,
        is_cancelled: IsCancelled,
        exit: WorkerExit,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        // The worker gets the file and the pipe and nothing else: no path, and no API keys from the environment. Its error
        // messages are frames in the pipe, so standard error is not needed.
        command.args([OsStr::new(WORKER_ARGUMENT), OsStr::new(&memory_mib.to_string())]).env_clear();
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, "amanuensis");

        let (started, start_result) = sync_channel(1);
        let (sender, output) = sync_channel(MAX_WAITING_CHUNKS);
        thread::Builder::new().name("amanuensis-decode".to_owned()).spawn(move || {
            let spawned = command.spawn();
            // It holds a copy of the recording's file descriptor.
            drop(command);
            match spawned {
                Ok(mut child) => {
                    let pipe = child.stdout.take().expect("standard output was set to a pipe");
                    let worker = Arc::new(WorkerHandle(Mutex::new(child)));
                    // If the receiver has gone, sending the first chunk fails, too, and the worker is killed.
                    let _ = started.send(Ok(Arc::clone(&worker)));
                    supervise(&worker, pipe, memory_mib, &sender);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        let worker = start_result.recv().map_err(|_| io::Error::other("the supervisor thread ended"))??;
        Ok(Self { worker, output: Some(Mutex::new(output)), chunk: Vec::new(), n_read: 0, is_cancelled, exit })
    }

    /// Waits for the next chunk of output.
    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        while let Some(output) = self.output.as_mut().filter(|_| !(self.is_cancelled)()) {
            let output = output.get_mut().unwrap_or_else(PoisonError::into_inner);
            match output.recv_timeout(CANCELLATION_POLL_INTERVAL) {
                Ok(Ok(chunk)) => return Ok(chunk),
                Ok(Err(exit)) => {
                    let EarlyExit { reason, was_killed } = exit?;
                    // Only now, and not when the process exited: the chunks before this one are valid.
                    if was_killed {
                        self.exit.set_killed(&reason);
                    }
                    return Err(io::Error::other(reason));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its decoder has ended")),
            }
        }
        // At once, and not when this is dropped: the reader may first transcribe the samples that it has.
        self.kill();
        Err(cancelled())
    }

    /// Kills the worker, if it still runs. The supervisor reaps it.
    fn kill(&mut self) {
        self.worker.kill();
        // The supervisor may be waiting for a free slot in the channel.
        self.output = None;
    }
}

impl Read for WorkerProcess {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.n_read == self.chunk.len() {
            (self.chunk, self.n_read) = (self.next_chunk()?, 0);
        }
        let n = buffer.len().min(self.chunk.len() - self.n_read);
        buffer[..n].copy_from_slice(&self.chunk[self.n_read..self.n_read + n]);
        self.n_read += n;
        Ok(n)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies the worker's output to `output`, then waits for its exit, so that no zombie stays.
fn supervise(worker: &WorkerHandle, mut pipe: ChildStdout, memory_mib: u64, output: &SyncSender<Output>) {
    let is_complete = copy_output(&mut pipe, output);
    if !is_complete {
        worker.kill();
    }
    let exit = match worker.wait(EXIT_TIMEOUT) {
        Ok(Some(status)) => Ok(EarlyExit::from_status(status, memory_mib)),
        Ok(None) => {
            worker.kill();
            // The kernel delivers SIGKILL sooner or later, even to a process that waits for a disk.
            let _ = worker.wait(Duration::MAX);
            Ok(EarlyExit { reason: "its decoder says nothing more".to_owned(), was_killed: false })
        }
        Err(error) => Err(error),
    };
    // Fails if the reader has killed the worker or has the whole recording. Then nobody asks for the reason.
    let _ = output.send(Err(exit));
}

/// Copies until the worker closes its output. False if the reader has gone first.
fn copy_output(pipe: &mut ChildStdout, output: &SyncSender<Output>) -> bool {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        match pipe.read(&mut chunk) {
            Ok(n @ 1..) => {
                chunk.truncate(n);
                if output.send(Ok(chunk)).is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe that fails is treated as one that was closed.
            Ok(0) | Err(_) => return true,
        }
    }
}

/// The process, shared by the reader, which may kill it, and the supervisor, which waits for it.
struct WorkerHandle(Mutex<Child>);

impl WorkerHandle {
    /// Kills the process, if it still runs.
    fn kill(&self) {
        // Fails only if the process has exited by itself.
        let _ = self.lock().kill();
    }

    /// Waits for the process to exit, and reaps it; `None` after `timeout`. It polls: a blocking wait would hold the lock, and
    /// the reader could not kill the process.
    fn wait(&self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.lock().try_wait()?;
            if status.is_some() || start.elapsed() >= timeout {
                return Ok(status);
            }
            thread::sleep(EXIT_POLL_INTERVAL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
