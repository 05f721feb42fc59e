//! Tests of the job endpoints of `amanuensis serve` over real sockets.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::fs;
use std::io::Write as _;

use common::Workspace;
use http::{Response, Server, head, read, wait_for};
use serde_json::Value;

const BASE: (&str, &str) = ("model", "whisper-1");

/// Starts a server with these additional arguments, with a data directory and a folder of recordings in the
/// workspace.
fn start(workspace: &Workspace, arguments: &[&str]) -> Server {
    fs::create_dir_all(workspace.path("recordings")).unwrap();
    Server::start(workspace, &[&["--data-dir", "data", "--job-folder", "recordings"], arguments].concat())
}

fn submit(server: &Server, fields: &[(&str, &str)], file: Option<&[u8]>) -> Value {
    let response = server.form("/v1/jobs", fields, file);
    assert_eq!(response.status, 201, "{response:?}");
    response.json()
}

/// Sends `GET /v1/jobs/{id}` for this job, with `suffix` appended to the path.
fn get(server: &Server, job: &Value, suffix: &str) -> Response {
    server.get(&format!("/v1/jobs/{}{suffix}", job["id"].as_str().unwrap()))
}

/// Reads the event stream of a job until the job ends. Returns the name, the id and the data of each event.
fn events(server: &Server, job: &Value, headers: &[(&str, &str)]) -> Vec<(String, Option<String>, Value)> {
    let response = server.request("GET", &format!("/v1/jobs/{}/events", job["id"].as_str().unwrap()), headers, b"");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")), "{response:?}");
    let event = |event: &str| {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some((field("event: ")?, field("id: "), serde_json::from_str(&field("data: ")?).unwrap()))
    };
    response.body.split("\n\n").filter_map(event).collect()
}

#[test]
fn a_job_can_be_submitted_followed_read_and_deleted() {
    let workspace = Workspace::new();
    let server = start(&workspace, &[]);
    let tone = fs::read(workspace.recording("tone.wav", 65.0)).unwrap();
    let whole = server.transcribe(&[BASE, ("response_format", "verbose_json")], &tone).json();

    let job = submit(&server, &[BASE, ("name", "tone"), ("timestamp_granularities[]", "segment")], Some(&tone));
    assert_eq!((&job["object"], &job["name"], &job["model"]), (&"job".into(), &"tone".into(), &"model".into()));
    let events_seen = events(&server, &job, &[]);
    let (name, _, last) = events_seen.last().unwrap();
    assert_eq!((name.as_str(), &last["state"], &last["progress"]), ("done", &"succeeded".into(), &1.0.into()));
    let segments: Vec<_> = events_seen.iter().filter(|(name, ..)| name == "segment").collect();
    let texts: String = segments.iter().map(|(.., segment)| segment["text"].as_str().unwrap()).collect();
    assert_eq!(texts.trim(), whole["text"].as_str().unwrap());
    let ids: Vec<_> = segments.iter().map(|(_, id, _)| id.clone().unwrap().parse::<usize>().unwrap()).collect();
    assert_eq!(ids, (0..segments.len()).collect::<Vec<_>>());
    let rest = events(&server, &job, &[("Last-Event-ID", "0")]);
    assert_eq!(rest.iter().filter(|(name, ..)| name == "segment").count(), segments.len() - 1);

    assert_eq!(get(&server, &job, "").json()["text"], whole["text"]);
    assert_eq!(get(&server, &job, "/result").json()["text"], whole["text"]);
    assert_eq!(get(&server, &job, "/result?format=verbose_json").json(), whole);
    assert!(get(&server, &job, "/result?format=srt").body.starts_with("1\n00:00:"));
    get(&server, &job, "/result?format=pdf").assert_error(400, "format");

    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(server.request("DELETE", &path, &[], b"").json()["deleted"], true);
    for gone in ["", "/result", "/events"] {
        get(&server, &job, gone).assert_error(404, "");
    }
}

#[test]
fn jobs_continue_after_the_server_is_killed() {
    let workspace = Workspace::new();
    let limited = ["--max-job-duration", "100"];
    let server = start(&workspace, &limited);
    workspace.recording("recordings/tone.wav", 95.0);
    workspace.long_recording("recordings/long.wav", 101);
    let tone = fs::read(workspace.path("recordings/tone.wav")).unwrap();
    let whole = server.transcribe(&[BASE, ("response_format", "verbose_json")], &tone).json();
    let jobs = [
        submit(&server, &[BASE], Some(&tone)),
        submit(&server, &[BASE, ("path", "tone.wav")], None),
        submit(&server, &[BASE, ("path", "long.wav")], None),
    ];
    // Dropping `server` sends SIGKILL to the server process. The jobs may be in any state at this moment.
    drop(server);
    let server = start(&workspace, &limited);
    let listed = server.get("/v1/jobs").json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    for job in &jobs[..2] {
        events(&server, job, &[]);
        assert_eq!(get(&server, job, "/result?format=verbose_json").json(), whole);
    }
    let events_seen = events(&server, &jobs[2], &[]);
    assert_eq!(events_seen.last().unwrap().2["state"], "failed");
    get(&server, &jobs[2], "/result").assert_error(409, "");
    let failed = server.get("/v1/jobs?state=failed&limit=1").json();
    assert_eq!((&failed["data"][0]["id"], &failed["has_more"]), (&jobs[2]["id"], &false.into()));
    assert_eq!(server.stop().join().unwrap(), Some(0));
}

#[test]
fn event_streams_end_when_the_server_stops() {
    let workspace = Workspace::new();
    let server = start(&workspace, &["--batch-size", "1"]);
    workspace.long_recording("recordings/long.wav", 2 * 3600);
    let job = submit(&server, &[BASE, ("path", "long.wav")], None);
    let mut followed = server.connect();
    let path = format!("/v1/jobs/{}/events", job["id"].as_str().unwrap());
    followed.write_all(&head("GET", &path, &[], 0)).unwrap();
    wait_for(|| (get(&server, &job, "").json()["state"] == "running").then_some(()));
    let ended = server.stop();
    let response = read(followed);
    assert_eq!(response.status, 200);
    assert!(response.body.contains("event: progress") && !response.body.contains("event: done"), "{response:?}");
    assert_eq!(ended.join().unwrap(), Some(0));
}

#[test]
fn invalid_requests_get_the_right_error() {
    let workspace = Workspace::new();
    let server = start(&workspace, &["--max-upload", "1"]);
    let tone = fs::read(workspace.recording("tone.wav", 1.0)).unwrap();
    let job = |fields: &[(&str, &str)], file: Option<&[u8]>| server.form("/v1/jobs", fields, file);
    job(&[BASE], None).assert_error(400, "file");
    job(&[BASE, ("path", "a.wav")], Some(&tone)).assert_error(400, "path");
    job(&[BASE, ("path", "../tone.wav")], None).assert_error(404, "path");
    fs::write(workspace.path("recordings/notes.txt"), "no recording at all").unwrap();
    job(&[BASE, ("path", "notes.txt")], None).assert_error(415, "path");
    job(&[BASE], Some(b"no recording at all")).assert_error(415, "file");
    job(&[BASE, ("response_format", "srt")], Some(&tone)).assert_error(400, "response_format");
    job(&[BASE, ("language", "de")], Some(&tone)).assert_error(400, "language");
    job(&[("model", "none")], Some(&tone)).assert_error(404, "model");
    job(&[BASE], Some(&vec![0; 3 << 20])).assert_error(413, "file");
    server.request("POST", "/v1/jobs", &[("Content-Type", "application/json")], b"{}").assert_error(415, "");
    server.get("/v1/jobs?limit=0").assert_error(400, "limit");
    server.get("/v1/jobs?state=lost").assert_error(400, "state");
    server.get("/v1/jobs?order=asc").assert_error(400, "order");
    server.get("/v1/jobs?after=job_0").assert_error(404, "");
    server.get("/v1/jobs/job_0").assert_error(404, "");
    server.get("/v1/jobs/%FF").assert_error(400, "id");
    server.request("DELETE", "/v1/jobs/job_0", &[], b"").assert_error(404, "");
    server.request("GET", "/v1/jobs/job_0/events", &[("Last-Event-ID", "x")], b"").assert_error(400, "Last-Event-ID");
    assert!(server.get("/v1/jobs").json()["data"].as_array().unwrap().is_empty());
    let uploads = fs::read_dir(workspace.path("data/uploads")).unwrap();
    assert_eq!(uploads.count(), 0, "rejected uploads are deleted");

    let arguments = ["serve", "--port", "0", "--default-model", "./model", "--data-dir", "data"];
    workspace.run(&arguments).ended(1, &["another server"]);
}
