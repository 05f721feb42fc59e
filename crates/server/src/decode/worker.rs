//! A worker, as it sees itself: the recording is its standard input, its samples are the standard output.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::ExitCode;

use amanuensis_audio::send;

use super::limits;

/// The first argument of the program where it is to be a worker; the second is the memory, in MiB.
pub const WORKER: &str = "decode-worker";

/// Decodes the recording that is the standard input, within `memory` MiB, to the standard output, and ends when nobody
/// reads that any more.
pub fn decode_worker(memory: Option<&OsStr>) -> ExitCode {
    match memory.and_then(|memory| memory.to_str()?.parse().ok()).map(decode) {
        Some(Ok(())) => ExitCode::SUCCESS,
        // The one who reads has had enough, or sees the pipe end before its time.
        Some(Err(_)) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}

fn decode(memory: u64) -> io::Result<()> {
    let (file, mut pipe) = (own(&io::stdin())?, own(&io::stdout())?);
    outlive_signals()?;
    end_with_server()?;
    limits::confine(memory)?;
    send(file, &mut pipe, &mut limits::allow)
}

/// The file behind a standard stream, without the buffers before it.
#[cfg(unix)]
fn own(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// The file behind a standard stream, without the buffers before it.
#[cfg(windows)]
fn own(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

/// Whoever stops the server may send its signal to all of its processes, but the server lets requests finish. It decides when
/// a worker is to end.
#[cfg(unix)]
fn outlive_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    // A signal that sets a flag does nothing else.
    let flag = std::sync::Arc::default();
    [SIGINT, SIGTERM]
        .into_iter()
        .try_for_each(|signal| signal_hook::flag::register(signal, std::sync::Arc::clone(&flag)).map(drop))
}

#[cfg(not(unix))]
fn outlive_signals() -> io::Result<()> {
    Ok(())
}

/// The server may end with its requests unfinished, or be killed. More exactly, this process ends with the thread that started
/// it, which reads what is decoded.
#[cfg(target_os = "linux")]
fn end_with_server() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Elsewhere it ends when it writes the next time, which nobody reads.
#[cfg(not(target_os = "linux"))]
fn end_with_server() -> io::Result<()> {
    Ok(())
}
