//! Tests of the worker processes that decode recordings for a server: the samples that they decode, their resource
//! limits, and what happens when a worker is killed or stopped.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/http.rs"]
mod http;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use amanuensis_audio::{Audio, Error};
use common::Workspace;
use http::{FORM, Server, form, head, read};

const BASE: (&str, &str) = ("model", "whisper-1");
const PATH: &str = "/v1/audio/transcriptions";

/// Reads all audio. Returns the bit patterns of the decoded samples, and the error message if decoding ended with an
/// error.
fn samples_of(audio: Result<Audio, Error>) -> (Vec<u32>, Option<String>) {
    let mut samples = Vec::new();
    let error = audio.and_then(|mut audio| {
        while let Some(block) = audio.next_block()? {
            samples.extend(block.iter().map(|sample| sample.to_bits()));
        }
        Ok(())
    });
    (samples, error.err().map(|error| error.to_string()))
}

#[test]
fn a_worker_decodes_the_same_samples_as_the_library() {
    let workspace = Workspace::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audio/tests/data");
    fs::write(workspace.path("text.txt"), "not a recording").unwrap();
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    for path in files.chain([workspace.path("text.txt")]) {
        let mut command = workspace.amanuensis(&["decode-worker", "256"]);
        let mut worker = command.stdin(File::open(&path).unwrap()).stdout(Stdio::piped()).spawn().unwrap();
        let relayed = samples_of(Audio::from_relay(worker.stdout.take().unwrap()));
        let own = samples_of(File::open(&path).map_err(Error::from).and_then(Audio::from_source));
        assert!(relayed == own, "{}: {:?}, {:?}", path.display(), relayed.1, own.1);
        assert!(worker.wait().unwrap().success(), "{}", path.display());
    }
}

#[test]
fn the_server_and_the_command_line_give_the_same_text() {
    let workspace = Workspace::new();
    let models = std::env::var_os("AMANUENSIS_MODELS");
    let installed = |arguments: &[&str]| {
        let mut command = workspace.amanuensis(arguments);
        command.env_remove("AMANUENSIS_MODELS").envs(models.iter().map(|path| ("AMANUENSIS_MODELS", path)));
        command
    };
    if !installed(&["models", "path", "base"]).output().unwrap().status.success() {
        println!("skipped: the model `base` is not installed");
        return;
    }
    let server = Server::run(installed(&["serve", "--port", "0", "--offline"]));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/offline.opus");
    let response = server.transcribe(&[BASE, ("response_format", "srt")], &fs::read(&sample).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_amanuensis"));
    command.args(["transcribe", "--offline", "--model", "base", "--format", "srt", "-q"]).arg(&sample);
    command.envs(models.iter().map(|path| ("AMANUENSIS_MODELS", path)));
    let own = common::Run::of(&command.output().unwrap());
    own.ended(0, &[]);
    assert_eq!((response.status, response.body.trim()), (200, own.stdout.trim()));
}

#[test]
fn a_recording_that_needs_too_much_memory_does_not_affect_other_requests() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--decode-memory", "64", "--max-duration", "100000"]);
    let tone = fs::read(workspace.recording("tone.wav", 1.0)).unwrap();
    let rejected = server.transcribe(&[BASE], &needs_much_memory());
    rejected.assert_error(422, "file");
    assert!(rejected.body.contains("more than 64 MiB of memory"), "{rejected:?}");
    let job = server.form("/v1/jobs", &[BASE], Some(&needs_much_memory())).json();
    let job = wait_for(|| {
        let job = server.get(&format!("/v1/jobs/{}", job["id"].as_str().unwrap())).json();
        (job["state"] == "failed").then_some(job)
    });
    assert!(job["error"].as_str().unwrap().contains("more than 64 MiB of memory"), "{job}");
    assert_eq!(server.transcribe(&[BASE], &tone).status, 200);
    wait_for(|| workers(&server).is_empty().then_some(()));
}

#[test]
fn a_server_does_not_start_if_its_workers_cannot_decode() {
    let workspace = Workspace::new();
    workspace.model("model");
    let arguments =
        ["serve", "--port", "0", "--default-model", "./model", "--decode-memory", "1", "--data-dir", "data"];
    workspace.run(&arguments).ended(1, &["decode_memory"]);
}

#[test]
fn a_worker_has_resource_limits_and_an_empty_environment() {
    let (_workspace, server, _request) = busy(&["--decode-memory", "99"]);
    let worker = limited_worker(&server);
    let limits = limits(worker);
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(limit("Max address space"), 99 << 20);
    for name in ["Max file size", "Max core file size", "Max open files", "Max processes"] {
        assert_eq!(limit(name), 0, "{name}");
    }
    assert!(limit("Max cpu time") >= 30);
    let environment = fs::read(format!("/proc/{worker}/environ")).unwrap();
    assert!(environment.is_empty(), "{environment:?}");
    signal("TERM", worker);
    signal("INT", worker);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(workers(&server), [worker], "a worker ignores SIGTERM and SIGINT");
}

#[test]
fn a_killed_worker_fails_its_request_with_a_retryable_error() {
    let (workspace, server, request) = busy(&[]);
    let worker = wait_for(|| workers(&server).first().copied());
    signal("KILL", worker);
    let response = read(request);
    response.assert_error(503, "");
    assert_eq!(
        (response.header("retry-after"), &response.json()["error"]["code"]),
        (Some("5"), &"decoder_killed".into())
    );
    let tone = fs::read(workspace.recording("tone.wav", 1.0)).unwrap();
    assert_eq!(server.transcribe(&[BASE], &tone).status, 200);
}

#[test]
fn a_stream_reports_a_killed_worker() {
    let (_workspace, server, request) = busy_with(&[BASE, ("stream", "true")], &[]);
    signal("KILL", wait_for(|| workers(&server).first().copied()));
    // If the stream has already started, the server sends the error as an event of the stream. Otherwise the error is
    // the response itself.
    let response = read(request);
    assert!(response.body.contains("decoder_killed"), "{response:?}");
    server.transcribe(&[BASE, ("stream", "true")], b"no recording").assert_error(415, "file");
}

#[test]
fn a_job_is_retried_after_its_worker_is_killed() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--batch-size", "1", "--threads", "1"]);
    let tone = fs::read(workspace.recording("tone.wav", 600.0)).unwrap();
    let whole = server.transcribe(&[BASE, ("response_format", "verbose_json")], &tone).json();
    wait_for(|| workers(&server).is_empty().then_some(()));
    let job = server.form("/v1/jobs", &[BASE], Some(&tone)).json();
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let reaches = |state: &str| wait_for(|| (server.get(&path).json()["state"] == state).then_some(()));
    reaches("running");
    signal("KILL", wait_for(|| workers(&server).first().copied()));
    // After a worker was killed, the job waits in the queue for some seconds before its next attempt, because the
    // cause may be a lack of memory.
    reaches("queued");
    reaches("succeeded");
    assert_eq!(server.get(&format!("{path}/result?format=verbose_json")).json(), whole);
}

#[test]
fn a_stopped_worker_times_out() {
    let (_workspace, server, request) = busy(&["--request-timeout", "2"]);
    signal("STOP", wait_for(|| workers(&server).first().copied()));
    let response = read(request);
    response.assert_error(422, "file");
    assert_eq!(response.json()["error"]["code"], "timed_out");
    wait_for(|| workers(&server).is_empty().then_some(()));
}

#[test]
fn a_worker_exits_when_the_client_disconnects() {
    let (_workspace, server, request) = busy(&[]);
    signal("STOP", wait_for(|| workers(&server).first().copied()));
    drop(request);
    wait_for(|| workers(&server).is_empty().then_some(()));
}

#[test]
fn a_worker_exits_when_the_server_is_killed() {
    let (_workspace, server, _request) = busy(&[]);
    let worker = limited_worker(&server);
    // SIGSTOP suspends the worker, so that it cannot notice that the server has closed the pipe between them.
    signal("STOP", worker);
    // Dropping `server` sends SIGKILL to the server process, so that process has no chance to stop its worker.
    drop(server);
    wait_for_exit(worker);
}

#[test]
fn a_worker_exits_when_the_server_stops_with_unfinished_requests() {
    let (_workspace, server, _request) = busy(&["--shutdown-timeout", "0"]);
    let worker = limited_worker(&server);
    signal("STOP", worker);
    assert_eq!(server.stop().join().unwrap(), Some(0));
    wait_for_exit(worker);
}

#[test]
fn requests_leave_no_processes_and_no_open_files() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let tone = fs::read(workspace.recording("tone.wav", 0.5)).unwrap();
    let open = || fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let request = || {
        assert_eq!(server.transcribe(&[BASE], &tone).status, 200);
        server.transcribe(&[BASE], b"no recording").assert_error(415, "file");
    };
    request();
    wait_for(|| workers(&server).is_empty().then_some(()));
    let before = open();
    (0..50).for_each(|_| request());
    wait_for(|| (workers(&server).is_empty() && open() <= before).then_some(()));
}

/// Starts a server, and sends it a recording of two hours, so that the server's worker process stays busy. Returns
/// the connection of this request.
fn busy(arguments: &[&str]) -> (Workspace, Server, std::net::TcpStream) {
    busy_with(&[BASE], arguments)
}

/// Like [`busy`], but the request also contains these form fields.
fn busy_with(fields: &[(&str, &str)], arguments: &[&str]) -> (Workspace, Server, std::net::TcpStream) {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[&["--batch-size", "1", "--threads", "1"], arguments].concat());
    // At start, the server runs a worker process once to check that decoding works. Wait until this worker has
    // exited.
    wait_for(|| workers(&server).is_empty().then_some(()));
    workspace.long_recording("long.wav", 2 * 3600);
    let body = form(fields, Some(&fs::read(workspace.path("long.wav")).unwrap()));
    let mut request = server.connect();
    request.write_all(&head("POST", PATH, &[FORM], body.len())).unwrap();
    request.write_all(&body).unwrap();
    (workspace, server, request)
}

/// A `QuickTime` file whose audio track is a single packet of 16 Mi samples at 1000 Hz. Resampled to 16 kHz, the
/// packet has 256 Mi samples, which take 1 GiB.
fn needs_much_memory() -> Vec<u8> {
    const SAMPLES: u32 = 16 << 20;
    const RATE: u32 = 1000;
    let atom = |kind: &[u8; 4], content: &[u8]| {
        let size = 8 + content.len() as u32;
        [&size.to_be_bytes()[..], kind, content].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    // The sound description: one channel with 8 bits per sample.
    let sound = [&[0; 6][..], &[0, 1], &[0; 8], &[0, 1, 0, 8, 0, 0, 0, 0], &words(&[RATE << 16])].concat();
    let beginning = atom(b"ftyp", b"qt  \0\0\0\0qt  ");
    let movie = |offset: u32| {
        let table = [
            atom(b"stsd", &[words(&[0, 1]), atom(b"raw ", &sound)].concat()),
            atom(b"stts", &words(&[0, 1, 1, SAMPLES])),
            atom(b"stsc", &words(&[0, 1, 1, 1, 1])),
            atom(b"stsz", &words(&[0, SAMPLES, 1])),
            atom(b"stco", &words(&[0, 1, offset])),
        ];
        let media = [
            atom(b"mdhd", &words(&[0, 0, 0, RATE, SAMPLES, 0])),
            atom(b"hdlr", b"\0\0\0\0\0\0\0\0soun\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            atom(b"minf", &[atom(b"smhd", &[0; 8]), atom(b"stbl", &table.concat())].concat()),
        ];
        let track =
            [atom(b"tkhd", &[words(&[0, 0, 0, 1, 0, 1000]), vec![0; 60]].concat()), atom(b"mdia", &media.concat())];
        let header = atom(b"mvhd", &[words(&[0, 0, 0, 1000, 1000]), vec![0; 80]].concat());
        atom(b"moov", &[header, atom(b"trak", &track.concat())].concat())
    };
    let offset = (beginning.len() + movie(0).len() + 8) as u32;
    [beginning, movie(offset), atom(b"mdat", &vec![128; SAMPLES as usize])].concat()
}

/// The ids of the child processes of a server, including zombies.
fn workers(server: &Server) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    ids.filter(|&id| stat(id).is_some_and(|(_, parent)| parent == server.id())).collect()
}

/// Waits until the server has a worker process, and until the worker has set all its resource limits. Returns the id
/// of the worker.
fn limited_worker(server: &Server) -> u32 {
    let worker = wait_for(|| workers(server).first().copied());
    // The CPU time limit is the last limit that the worker sets.
    let is_unlimited = |line: &str| line.starts_with("Max cpu time") && line.contains("unlimited            unlimited");
    wait_for(|| (!limits(worker).lines().any(is_unlimited)).then_some(()));
    worker
}

fn limits(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/limits")).unwrap()
}

/// Waits until a process has exited or is a zombie.
#[track_caller]
fn wait_for_exit(process: u32) {
    wait_for(|| stat(process).is_none_or(|(state, _)| state == 'Z').then_some(()));
}

/// The state letter of a process (such as `Z` for a zombie), and the id of its parent process. `None` if there is no
/// such process.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

/// Calls `poll` every 20 ms until it returns a value. Panics if there is no value after 20 s.
#[track_caller]
fn wait_for<T>(poll: impl Fn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = poll() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("timed out after 20 s");
}
