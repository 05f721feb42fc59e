//! The parent's side of a worker process: starts the process and reads its output.
//!
//! Each worker has a supervisor thread. This thread starts the process, copies the data from the pipe to a channel,
//! and reaps the process at the end (collects its exit status). There are two reasons for this thread. First, on
//! Linux a worker is killed when the *thread* that started it ends (`PR_SET_PDEATHSIG`). So that thread must live as
//! long as the worker, even if other threads open and read the recording. Second, a read from a pipe has no timeout,
//! but a receive from a channel has. So whoever reads the samples notices a cancellation even if the worker hangs.

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

/// The interval at which the cancellation callback is called while a read waits for samples.
const CANCELLATION_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The time that a worker may continue to run after it has closed its output. If it still runs after this time, it is
/// killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval at which the supervisor checks whether the worker has exited.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The size in bytes of the supervisor's reads, which is the size of a pipe buffer on Linux.
const CHUNK_BYTES: usize = 64 << 10;

/// The maximum number of chunks of output that wait in the channel. When the channel is full, the pipe fills up and
/// the worker pauses.
const MAX_WAITING_CHUNKS: usize = 2;

/// A message from the supervisor: a chunk of the worker's output, or, when the output has ended, how the worker
/// exited.
type Output = Result<Vec<u8>, io::Result<EarlyExit>>;

/// A running worker process. Reading returns its output, and dropping this value kills the process.
pub(crate) struct WorkerProcess {
    worker: Arc<WorkerHandle>,
    /// The channel from the supervisor. `None` after [`Self::kill`]. The mutex is never locked; it only makes this
    /// type `Sync`, as [`Audio`](amanuensis_audio::Audio) requires.
    output: Option<Mutex<Receiver<Output>>>,
    /// The current chunk of output. Its first `n_read` bytes were already returned.
    chunk: Vec<u8>,
    n_read: usize,
    is_cancelled: IsCancelled,
    exit: WorkerExit,
}

impl WorkerProcess {
    /// Starts `program` as a worker that decodes `file` with a memory limit of `memory_mib` MiB.
    pub(crate) fn start(
        program: &Path,
        memory_mib: u64,
        file: File,
        is_cancelled: IsCancelled,
        exit: WorkerExit,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        // The worker gets only the open file and the pipe. It does not get the path of the file, nor the environment,
        // which may contain API keys. It sends error messages through the pipe, so it needs no standard error.
        command.args([OsStr::new(WORKER_ARGUMENT), OsStr::new(&memory_mib.to_string())]).env_clear();
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, "amanuensis");

        let (started, start_result) = sync_channel(1);
        let (sender, output) = sync_channel(MAX_WAITING_CHUNKS);
        thread::Builder::new().name("amanuensis-decode".to_owned()).spawn(move || {
            let spawned = command.spawn();
            // Dropping the command closes the parent's copy of the recording's file descriptor.
            drop(command);
            match spawned {
                Ok(mut child) => {
                    let pipe = child.stdout.take().expect("standard output was set to a pipe");
                    let worker = Arc::new(WorkerHandle(Mutex::new(child)));
                    // Sending fails if the receiver was dropped. Then sending the first chunk fails, too, and the
                    // worker is killed.
                    let _ = started.send(Ok(Arc::clone(&worker)));
                    supervise(&worker, pipe, memory_mib, &sender);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        let worker = start_result.recv().map_err(|_| io::Error::other("the supervisor thread ended"))??;
        Ok(Self { worker, output: Some(Mutex::new(output)), chunk: Vec::new(), n_read: 0, is_cancelled, exit })
    }

    /// Waits for the next chunk of output. If the output ends early or the recording is cancelled, returns an error.
    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        while let Some(output) = self.output.as_mut().filter(|_| !(self.is_cancelled)()) {
            let output = output.get_mut().unwrap_or_else(PoisonError::into_inner);
            match output.recv_timeout(CANCELLATION_POLL_INTERVAL) {
                Ok(Ok(chunk)) => return Ok(chunk),
                Ok(Err(exit)) => {
                    let EarlyExit { reason, was_killed } = exit?;
                    // The kill is reported only now, after all chunks were read, because the output before the kill
                    // is valid.
                    if was_killed {
                        self.exit.set_killed(&reason);
                    }
                    return Err(io::Error::other(reason));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its decoder has ended")),
            }
        }
        // Kill the worker now, and do not wait until this value is dropped. This value may live for a long time,
        // while the samples that were already read are transcribed.
        self.kill();
        Err(cancelled())
    }

    /// Kills the worker if it is still running. The supervisor reaps the process.
    fn kill(&mut self) {
        self.worker.kill();
        // Dropping the receiver wakes the supervisor if the supervisor is waiting for space in the channel.
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

/// Copies the worker's output to `output`, then waits until the worker exits and reaps it, so that it does not remain
/// as a zombie.
fn supervise(worker: &WorkerHandle, mut pipe: ChildStdout, memory_mib: u64, output: &SyncSender<Output>) {
    let is_complete = copy_output(&mut pipe, output);
    if !is_complete {
        worker.kill();
    }
    let exit = match worker.wait(EXIT_TIMEOUT) {
        Ok(Some(status)) => Ok(EarlyExit::from_status(status, memory_mib)),
        Ok(None) => {
            worker.kill();
            // SIGKILL eventually ends the process, even if the process is waiting for a disk.
            let _ = worker.wait(Duration::MAX);
            Ok(EarlyExit { reason: "the decoder process stopped responding".to_owned(), was_killed: false })
        }
        Err(error) => {
            worker.kill();
            Err(error)
        }
    };
    // Sending fails if the receiver was dropped, because the worker was killed or the whole recording was read. In
    // both cases nobody needs the exit reason.
    let _ = output.send(Err(exit));
}

/// Copies data until the worker closes its output. Returns false if the receiver of the channel was dropped before
/// that.
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
            // A read error is treated as the end of the output.
            Ok(0) | Err(_) => return true,
        }
    }
}

/// The worker process. It is shared by the reading thread, which may kill the process, and the supervisor, which
/// waits until the process exits.
struct WorkerHandle(Mutex<Child>);

impl WorkerHandle {
    /// Kills the process if it is still running.
    fn kill(&self) {
        // Killing fails only if the process has already exited.
        let _ = self.lock().kill();
    }

    /// Waits until the process exits, and reaps it. `None` if it has not exited after `timeout`. The function polls,
    /// because a blocking wait would hold the lock, and then no other thread could kill the process.
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
        // No code panics while it holds the lock, so the data is valid even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
