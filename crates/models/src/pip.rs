//! Runs `pip download` to get a wheel from the package index that pip is configured for.
//!
//! The options `--no-deps --only-binary :all:` restrict pip to this one wheel. So no code of any package is run: pip
//! refuses source distributions, which would have to be built by running their code.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::catalogue::WheelSpec;
use crate::progress::Reporter;
use crate::source::Failure;
use crate::staging::bytes_below;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The part of Python's error message for a full disk that is the same in every language.
const DISK_FULL: &str = "[Errno 28]";

/// The commands that may run pip, in the order in which they are tried.
#[derive(Debug, Clone)]
pub(crate) struct PipCommands(Vec<Vec<OsString>>);

impl Default for PipCommands {
    fn default() -> Self {
        let python = |name| vec![name, "-m", "pip"];
        let commands = if cfg!(windows) {
            // `python3` comes last: on Windows it may be a stub that opens an app store.
            vec![python("py"), python("python"), vec!["pip"], python("python3")]
        } else {
            vec![python("python3"), python("python"), vec!["pip3"], vec!["pip"]]
        };
        Self(commands.into_iter().map(|words| words.into_iter().map(OsString::from).collect()).collect())
    }
}

impl PipCommands {
    pub(crate) fn new(commands: Vec<Vec<OsString>>) -> Self {
        Self(commands)
    }

    /// Finds the first command whose `--version` output is that of pip. Runs the commands in the working directory
    /// `dir`. Fails if no command is pip.
    pub(crate) fn find(&self, dir: &Path) -> Result<Pip<'_>, Failure> {
        self.0.iter().map(|words| Pip(words)).find(|pip| pip.is_available(dir)).ok_or_else(|| {
            let tried: Vec<_> = self.0.iter().map(|words| Pip(words).to_string()).collect();
            Failure::Source(format!(
                "pip was not found (tried {}); install Python 3 with pip, which downloads the wheels",
                tried.join(", ")
            ))
        })
    }
}

/// A command that runs pip.
pub(crate) struct Pip<'a>(&'a [OsString]);

impl std::fmt::Display for Pip<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.join(OsStr::new(" ")).display())
    }
}

impl Pip<'_> {
    fn is_available(&self, dir: &Path) -> bool {
        let Some(mut command) = self.command(dir) else { return false };
        command.arg("--version").stderr(Stdio::null()).output().is_ok_and(|output| output.stdout.starts_with(b"pip "))
    }

    /// Builds the pip command, with a directory of the store as its working directory. In another directory, `python
    /// -m pip` might find a module `pip` there and prefer it to the installed one.
    fn command(&self, dir: &Path) -> Option<Command> {
        let (program, arguments) = self.0.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).stdin(Stdio::null());
        Some(command)
    }

    /// Downloads `wheel` to the file `target`. All files that pip writes are in the directory `work`, which this
    /// function creates and removes. While pip runs, their total size is reported as progress.
    pub(crate) fn download(
        &self,
        wheel: &WheelSpec,
        work: &Path,
        target: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Failure> {
        let (destination, temporary) = (work.join("wheel"), work.join("temporary"));
        for dir in [work, &destination, &temporary] {
            fs::create_dir(dir).map_err(Error::io("create", dir))?;
        }
        let Some(mut command) = self.command(work) else { return Err(Failure::Source("no pip command".to_owned())) };
        command
            .args(["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--no-cache-dir"])
            .args(["--disable-pip-version-check", "--progress-bar", "off", "--quiet", "--retries", "2", "--dest"])
            .arg(&destination)
            .arg(wheel.requirement())
            .envs([("TMPDIR", &temporary), ("TEMP", &temporary), ("TMP", &temporary)])
            .env("PIP_REQUIRE_VIRTUALENV", "false")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());

        let base = reporter.bytes();
        let mut child =
            command.spawn().map_err(|error| Failure::Source(format!("{self} could not be started: {error}")))?;
        // pip's messages are read from a pipe and not from a file, because the disk may be full.
        let messages = child.stderr.take().map(|messages| thread::spawn(|| read_all(messages)));
        let downloaded = || base + bytes_below(&destination).max(bytes_below(&temporary)).min(wheel.size);
        let status = match self.wait(&mut child, downloaded, reporter) {
            Err(Failure::Fatal(error)) => {
                let _ = fs::remove_dir_all(work);
                return Err(error.into());
            }
            status => status?,
        };
        if !status.success() {
            let messages = messages.and_then(|messages| messages.join().ok()).unwrap_or_default();
            fs::remove_dir_all(work).map_err(Error::io("remove", work))?;
            return Err(self.failure(wheel, work, status, &messages));
        }
        let downloaded = only_wheel(&destination)
            .ok_or_else(|| Failure::Source(format!("{self} got no wheel for {}", wheel.requirement())))?;
        fs::rename(&downloaded, target).map_err(Error::io("create", target))?;
        fs::remove_dir_all(work).map_err(Error::io("remove", work))?;
        reporter.set(base + wheel.size)?;
        Ok(())
    }

    /// Waits until pip exits, and reports the downloaded bytes while it waits. Kills pip if the progress callback
    /// cancels.
    fn wait(
        &self,
        child: &mut Child,
        downloaded: impl Fn() -> u64,
        reporter: &mut Reporter<'_>,
    ) -> Result<ExitStatus, Failure> {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {
                    thread::sleep(POLL_INTERVAL);
                    if let Err(error) = reporter.set(downloaded()) {
                        // These calls fail only if pip has already exited.
                        let _ = child.kill();
                        let _ = child.wait();
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(Failure::Source(format!("{self} cannot be waited for: {error}"))),
            }
        }
    }

    fn failure(&self, wheel: &WheelSpec, work: &Path, status: ExitStatus, messages: &str) -> Failure {
        if messages.contains(DISK_FULL) {
            return Error::io("write", work)(io::ErrorKind::StorageFull.into()).into();
        }
        let reason = last_error(messages).unwrap_or("pip gave no reason");
        let requirement = wheel.requirement();
        Failure::Source(format!("`{self} download {requirement}` failed ({status}): {reason}"))
    }
}

/// The path of the wheel in the directory `dir`, which should contain exactly one wheel.
fn only_wheel(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // If reading fails, the part that was read before the error is used.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last error message in pip's output, on one line. If pip crashed, this is the Python exception.
fn last_error(messages: &str) -> Option<&str> {
    let mut lines = messages.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.starts_with("ERROR") && *line != "ERROR: Exception:";
    let last = lines.clone().find(is_error).or_else(|| lines.next())?;
    Some(last.trim_start_matches("ERROR: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_error_of_pip() {
        assert_eq!(last_error("\n"), None);
        let messages = "WARNING: x\nERROR: Could not find\nERROR: No matching distribution\n\nnotice\n";
        assert_eq!(last_error(messages), Some("No matching distribution"));
        assert_eq!(last_error("python: No module named pip\n"), Some("python: No module named pip"));
        let crash = "ERROR: Exception:\nTraceback (most recent call last):\n  File \"x.py\"\nOSError: no luck\n";
        assert_eq!(last_error(crash), Some("OSError: no luck"));
    }

    #[test]
    fn without_pip_the_error_says_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        let commands = PipCommands::new(vec![vec!["no-such-program".into(), "-m".into(), "pip".into()]]);
        let Err(Failure::Source(reason)) = commands.find(dir.path()) else { panic!("pip found") };
        assert!(reason.contains("no-such-program -m pip") && reason.contains("install Python 3"), "{reason}");
    }
}
