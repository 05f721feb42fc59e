//! Tests of worker processes, with shell scripts as workers. Killing and reaping work the same way, whatever a worker
//! decodes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use amanuensis_audio::{Audio, send};
use tempfile::TempDir;

use super::*;

/// A shell script that is used as the worker program. In the script, `$0` is its own path.
struct Script {
    directory: TempDir,
}

impl Script {
    fn new(commands: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = Self { directory };
        let text = format!("#!/bin/sh\n{commands}\n");
        // A separate process writes the script file. If this process wrote it, another test might fork a child at
        // that moment, and the child would inherit the open file. The kernel refuses to execute a file that is open
        // for writing.
        let write = r#"printf '%s' "$1" > "$0" && chmod +x "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(script.program()).arg(text).status().unwrap();
        assert!(status.success());
        script
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("program")
    }

    fn start(&self, is_cancelled: impl Fn() -> bool + Send + Sync + 'static) -> (WorkerProcess, WorkerExit) {
        let exit = WorkerExit::default();
        let file = tempfile::tempfile().unwrap();
        let process = WorkerProcess::start(&self.program(), 64, file, Box::new(is_cancelled), exit.clone()).unwrap();
        (process, exit)
    }
}

/// A script that runs on without writing any output.
fn silent() -> Script {
    Script::new("exec sleep 60")
}

fn id(process: &WorkerProcess) -> u32 {
    process.worker.lock().id()
}

/// Waits until a process has exited and was reaped. A process that was not reaped still has a directory in `/proc`.
fn wait_until_reaped(id: u32) {
    let start = Instant::now();
    while PathBuf::from(format!("/proc/{id}")).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "process {id} is still there");
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_to_error(process: &mut WorkerProcess) -> (Vec<u8>, io::Error) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 100]);
    loop {
        match process.read(&mut buffer) {
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(error) => return (bytes, error),
        }
    }
}

#[test]
fn a_dropped_worker_is_killed_and_reaped() {
    let script = silent();
    let (process, exit) = script.start(|| false);
    let id = id(&process);
    drop(process);
    wait_until_reaped(id);
    assert_eq!(exit.killed(), None);
}

#[test]
fn a_cancelled_worker_is_killed_and_reaped_before_it_is_dropped() {
    let script = silent();
    let cancelled = Arc::new(AtomicBool::new(false));
    let token = Arc::clone(&cancelled);
    let (mut process, exit) = script.start(move || token.load(Ordering::Relaxed));
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        cancelled.store(true, Ordering::Relaxed);
    });
    let (bytes, error) = read_to_error(&mut process);
    assert!(bytes.is_empty() && error.to_string().contains("cancelled"), "{error}");
    wait_until_reaped(id(&process));
    assert_eq!(exit.killed(), None, "this program killed it");
    canceller.join().unwrap();
}

#[test]
fn a_cancelled_worker_is_reaped_even_if_its_output_was_not_read() {
    let script = Script::new("while :; do printf 1234567890123456789012345678901234567890; done");
    let cancelled = Arc::new(AtomicBool::new(false));
    let token = Arc::clone(&cancelled);
    let (mut process, _) = script.start(move || token.load(Ordering::Relaxed));
    process.read_exact(&mut [0; 10]).unwrap();
    // After this time the worker has filled the channel with output.
    thread::sleep(Duration::from_millis(300));
    cancelled.store(true, Ordering::Relaxed);
    // Reads the rest of the first chunk, and then the error.
    read_to_error(&mut process);
    wait_until_reaped(id(&process));
}

#[test]
fn a_kill_from_outside_is_reported_after_all_output() {
    let script = Script::new("printf 1234; kill -s KILL $$");
    let (mut process, exit) = script.start(|| false);
    wait_until_reaped(id(&process));
    assert_eq!(exit.killed(), None, "its output is not read yet");
    let (bytes, error) = read_to_error(&mut process);
    assert_eq!(bytes, b"1234");
    assert!(error.to_string().contains("was killed (signal: 9"), "{error}");
    assert_eq!(exit.killed(), Some(error.to_string().as_str()));
}

#[test]
fn a_failed_decoder_is_not_reported_as_killed() {
    for (commands, expected) in [("exit 3", "exit status: 3"), ("kill -s ABRT $$", "64 MiB")] {
        let script = Script::new(commands);
        let (mut process, exit) = script.start(|| false);
        let (_, error) = read_to_error(&mut process);
        assert!(error.to_string().contains(expected) && exit.killed().is_none(), "{error}");
    }
}

#[test]
fn a_worker_that_closes_its_output_and_runs_on_is_killed() {
    let script = Script::new("exec >&-; exec sleep 60");
    let (mut process, exit) = script.start(|| false);
    let (_, error) = read_to_error(&mut process);
    assert!(error.to_string().contains("stopped responding") && exit.killed().is_none(), "{error}");
    wait_until_reaped(id(&process));
}

#[test]
fn a_worker_gets_its_arguments_and_no_environment() {
    let script = Script::new(r#"printf '%s %s|' "$1" "$2"; cat /proc/$$/environ"#);
    let (mut process, _) = script.start(|| false);
    let (bytes, _) = read_to_error(&mut process);
    assert_eq!(String::from_utf8(bytes).unwrap(), "decode-worker 64|");
}

/// The kernel kills a worker when the thread that started it ends. The worker must nevertheless survive if the thread
/// that opened a recording ends before another thread reads the recording.
#[test]
fn a_recording_can_be_read_by_another_thread_than_the_one_that_opened_it() {
    let mut frames = Vec::new();
    let recording = include_bytes!("../../../audio/tests/data/stereo.opus");
    send(io::Cursor::new(recording), &mut frames, &mut |_| Ok(())).unwrap();
    let script = Script::new(r#"sleep 0.3; cat "${0%program}frames"; exec sleep 60"#);
    fs::write(script.directory.path().join("frames"), frames).unwrap();
    let start = || script.start(|| false).0;
    let process = thread::scope(|scope| scope.spawn(start).join().unwrap());
    let id = id(&process);
    let mut audio = Audio::from_relay(process).unwrap();
    let mut n_samples = 0;
    while let Some(block) = audio.next_block().unwrap() {
        n_samples += block.len();
    }
    assert!(n_samples > 0);
    drop(audio);
    wait_until_reaped(id);
}
