//! The code that runs in the worker process: reads the recording from standard input and writes samples to standard
//! output.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::ExitCode;

use amanuensis_audio::send;

use crate::limits;

/// The first argument of a program that is started as a worker. The second argument is the memory limit in MiB.
pub const WORKER_ARGUMENT: &str = "decode-worker";

/// The main function of a worker: decodes the recording on standard input and writes the samples to standard output,
/// within `memory_mib` MiB of memory.
///
/// `memory_mib` is the second argument of the program. The exit code is 2 if `memory_mib` is missing or not a number,
/// and 1 if the worker cannot set its limits or cannot write to the pipe. Errors in the recording are sent through
/// the pipe, and the exit code is then 0.
pub fn run_worker(memory_mib: Option<&OsStr>) -> ExitCode {
    match memory_mib.and_then(|memory| memory.to_str()?.parse().ok()).map(decode) {
        Some(Ok(())) => ExitCode::SUCCESS,
        // Nothing is printed. Either nobody reads the output any more, or the parent process notices that the output
        // ends early.
        Some(Err(_)) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}

fn decode(memory_mib: u64) -> io::Result<()> {
    let (file, mut pipe) = (unbuffered(&io::stdin())?, unbuffered(&io::stdout())?);
    ignore_termination_signals()?;
    die_with_parent()?;
    limits::set_limits(memory_mib)?;
    send(file, &mut pipe, &mut limits::allow_cpu_time)
}

/// A standard stream as a file, without the buffer of Rust's standard library.
#[cfg(unix)]
fn unbuffered(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// A standard stream as a file, without the buffer of Rust's standard library.
#[cfg(windows)]
fn unbuffered(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

/// Ignores SIGINT and SIGTERM. A terminal or a service manager sends these signals to the server and all its workers,
/// but the server still finishes its running requests. The server kills its workers when they are no longer needed.
#[cfg(unix)]
fn ignore_termination_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    // In `signal_hook`, the way to ignore a signal without unsafe code is a handler that only sets a flag.
    let flag = std::sync::Arc::default();
    [SIGINT, SIGTERM]
        .into_iter()
        .try_for_each(|signal| signal_hook::flag::register(signal, std::sync::Arc::clone(&flag)).map(drop))
}

#[cfg(not(unix))]
fn ignore_termination_signals() -> io::Result<()> {
    Ok(())
}

/// Makes the kernel kill this process when the thread that started it ends. `process.rs` starts workers on a thread
/// that lives until the worker has exited. So in practice this process is killed when its parent process ends.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Systems other than Linux have no such feature. On these systems, the worker ends when it next writes to the pipe
/// that the parent process has closed.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}
