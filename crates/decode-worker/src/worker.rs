//! The worker's side: reads the recording from standard input and writes samples to standard output.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::ExitCode;

use amanuensis_audio::send;

use crate::limits;

/// The first argument of a program that is started as a worker. The second is the memory limit in MiB.
pub const WORKER_ARGUMENT: &str = "decode-worker";

/// The `main` of a worker: decodes the recording on standard input to standard output, within `memory_mib` MiB.
///
/// `memory_mib` is the program's second argument. The exit code is 2 if it is missing or no number, and 1 if the reader has
/// closed the pipe. Faults of the recording are sent through the pipe and are no failure of the worker.
pub fn run_worker(memory_mib: Option<&OsStr>) -> ExitCode {
    match memory_mib.and_then(|memory| memory.to_str()?.parse().ok()).map(decode) {
        Some(Ok(())) => ExitCode::SUCCESS,
        // Nothing is printed: the reader has gone, or notices that the pipe ends early.
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

/// The file of a standard stream, without Rust's buffer.
#[cfg(unix)]
fn unbuffered(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// The file of a standard stream, without Rust's buffer.
#[cfg(windows)]
fn unbuffered(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

/// Ignores SIGINT and SIGTERM. A terminal or a service manager sends them to all processes of the server, but the server still
/// finishes its running requests. It kills the workers itself when it no longer needs them.
#[cfg(unix)]
fn ignore_termination_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    // A handler that only sets a flag is the safe way to ignore a signal in this library.
    let flag = std::sync::Arc::default();
    [SIGINT, SIGTERM]
        .into_iter()
        .try_for_each(|signal| signal_hook::flag::register(signal, std::sync::Arc::clone(&flag)).map(drop))
}

#[cfg(not(unix))]
fn ignore_termination_signals() -> io::Result<()> {
    Ok(())
}

/// Has the kernel kill this process when the thread that started it ends. `process.rs` starts workers on a thread that lives
/// until the worker is reaped, so in effect this means: when the parent process ends.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Other systems have no such signal. There the worker ends when it next writes to the closed pipe.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}
