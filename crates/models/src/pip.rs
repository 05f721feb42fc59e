//! Running `pip download`: a wheel from whatever package index this machine's pip is set up for.
//!
//! pip is asked for one wheel and nothing else (`--no-deps --only-binary :all:`), so no code of any package runs: a
//! source distribution, whose build would run code, is refused by pip itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::catalogue::WheelSpec;
use crate::progress::Reporter;
use crate::source::Failure;
use crate::staging::bytes_below;

const TICK: Duration = Duration::from_millis(100);
/// How Python says, in any language, that a disk is full.
const DISK_FULL: &str = "[Errno 28]";

/// The commands that may be pip, in the order they are looked for.
#[derive(Debug, Clone)]
pub(crate) struct PipCommands(Vec<Vec<OsString>>);

impl Default for PipCommands {
    fn default() -> Self {
        let python = |name| vec![name, "-m", "pip"];
        let commands = if cfg!(windows) {
            // `python3` on Windows may be a stub that opens a shop.
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

    /// The first command that answers as pip does. `dir` becomes its working directory.
    pub(crate) fn find(&self, dir: &Path) -> Result<Pip<'_>, Failure> {
        self.0.iter().map(|words| Pip(words)).find(|pip| pip.answers(dir)).ok_or_else(|| {
            let tried: Vec<_> = self.0.iter().map(|words| Pip(words).to_string()).collect();
            Failure::Source(format!(
                "pip was not found (tried {}); install Python 3 with pip, which fetches the wheels",
                tried.join(", ")
            ))
        })
    }
}

/// A command that is pip.
pub(crate) struct Pip<'a>(&'a [OsString]);

impl std::fmt::Display for Pip<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.join(OsStr::new(" ")).display())
    }
}

impl Pip<'_> {
    fn answers(&self, dir: &Path) -> bool {
        let Some(mut command) = self.command(dir) else { return false };
        command.arg("--version").stderr(Stdio::null()).output().is_ok_and(|output| output.stdout.starts_with(b"pip "))
    }

    /// `python -m` runs what it finds in the working directory before what is installed, so that is one of ours.
    fn command(&self, dir: &Path) -> Option<Command> {
        let (program, arguments) = self.0.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).stdin(Stdio::null());
        Some(command)
    }

    /// Downloads `wheel` to the file `target`. All of pip's own files are in `work`, which this function makes and
    /// removes; while pip runs, `reporter` counts what is there.
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
        // Not a file: what pip has to say may be that the disk is full.
        let messages = child.stderr.take().map(|messages| thread::spawn(|| read_all(messages)));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {
                    thread::sleep(TICK);
                    let seen = bytes_below(&destination).max(bytes_below(&temporary)).min(wheel.size);
                    if let Err(error) = reporter.set(base + seen) {
                        // Both fail only if pip has ended by itself.
                        let _ = child.kill();
                        let _ = child.wait();
                        let _ = fs::remove_dir_all(work);
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(Failure::Source(format!("{self} was lost: {error}"))),
            }
        };
        if !status.success() {
            let messages = messages.and_then(|messages| messages.join().ok()).unwrap_or_default();
            fs::remove_dir_all(work).map_err(Error::io("remove", work))?;
            if messages.contains(DISK_FULL) {
                return Err(Error::io("write", work)(io::ErrorKind::StorageFull.into()).into());
            }
            let reason = last_words(&messages).unwrap_or("pip gave no reason");
            let requirement = wheel.requirement();
            return Err(Failure::Source(format!("`{self} download {requirement}` failed ({status}): {reason}")));
        }
        let downloaded = only_wheel(&destination)
            .ok_or_else(|| Failure::Source(format!("{self} got no wheel for {}", wheel.requirement())))?;
        fs::rename(&downloaded, target).map_err(Error::io("create", target))?;
        fs::remove_dir_all(work).map_err(Error::io("remove", work))?;
        reporter.set(base + wheel.size)?;
        Ok(())
    }
}

fn only_wheel(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is worth having.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last error among pip's messages, in one line; of a crash, the exception.
fn last_words(messages: &str) -> Option<&str> {
    let mut lines = messages.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.starts_with("ERROR") && *line != "ERROR: Exception:";
    let last = lines.clone().find(is_error).or_else(|| lines.next())?;
    Some(last.trim_start_matches("ERROR: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_pips_last_error() {
        assert_eq!(last_words("\n"), None);
        let messages = "WARNING: x\nERROR: Could not find\nERROR: No matching distribution\n\nnotice\n";
        assert_eq!(last_words(messages), Some("No matching distribution"));
        assert_eq!(last_words("python: No module named pip\n"), Some("python: No module named pip"));
        let crash = "ERROR: Exception:\nTraceback (most recent call last):\n  File \"x.py\"\nOSError: no luck\n";
        assert_eq!(last_words(crash), Some("OSError: no luck"));
    }

    #[test]
    fn without_pip_the_error_says_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        let commands = PipCommands::new(vec![vec!["no-such-program".into(), "-m".into(), "pip".into()]]);
        let Err(Failure::Source(reason)) = commands.find(dir.path()) else { panic!("pip found") };
        assert!(reason.contains("no-such-program -m pip") && reason.contains("install Python 3"), "{reason}");
    }
}
