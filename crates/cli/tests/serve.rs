//! Tests of `amanuensis serve` over real sockets: requests, errors, access control, models, start and shutdown.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Workspace;
use http::{FORM, Response, Server, form, head, read, wait_for};

const BASE: (&str, &str) = ("model", "whisper-1");

/// Creates a WAV file with a tone, and returns the bytes of the file.
fn recording(workspace: &Workspace, seconds: f32) -> Vec<u8> {
    fs::read(workspace.recording("tone.wav", seconds)).unwrap()
}

#[test]
fn every_response_format_works() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let tone = recording(&workspace, 2.0);
    let plain = server.transcribe(&[BASE], &tone);
    assert_eq!(plain.status, 200, "{plain:?}");
    assert!(plain.json()["text"].is_string());
    assert_eq!(plain.json()["usage"], serde_json::json!({"type": "duration", "seconds": 2.0}));
    let fields = [BASE, ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")];
    let verbose = server.transcribe(&fields, &tone).json();
    assert_eq!((&verbose["language"], &verbose["duration"]), (&"english".into(), &2.0.into()));
    assert!(verbose["words"].is_array() && verbose.get("segments").is_none());
    for format in ["text", "srt", "vtt"] {
        let response = server.transcribe(&[BASE, ("response_format", format)], &tone);
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    }
    let stream = server.transcribe(&[BASE, ("stream", "true")], &tone);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(stream.body.contains("\"type\":\"transcript.text.done\""), "{stream:?}");
    let listed = server.get("/v1/models").json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["model", "whisper-1"]);
    assert_eq!(server.get("/v1/models/gpt-4o-transcribe").json()["object"], "model");
    assert!(server.get("/metrics").body.contains("amanuensis_transcriptions_total 6\n"));
    let document = server.get("/openapi.json").json();
    assert!(document["paths"]["/v1/audio/transcriptions"]["post"].is_object());
    assert!(server.get("/docs").body.contains("<html"));
}

#[test]
fn invalid_requests_get_the_right_error() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-upload", "1", "--max-duration", "3"]);
    let tone = recording(&workspace, 1.0);
    let path = "/v1/audio/transcriptions";
    server.transcribe(&[BASE, ("shout", "1")], &tone).assert_error(400, "shout");
    server.transcribe(&[], &tone).assert_error(400, "model");
    server.transcribe(&[("model", "nothing")], &tone).assert_error(404, "model");
    server.transcribe(&[("model", "../model")], &tone).assert_error(404, "model");
    server.transcribe(&[("model", "gpt-4o-transcribe-diarize")], &tone).assert_error(400, "model");
    server.transcribe(&[BASE, ("response_format", "diarized_json")], &tone).assert_error(400, "response_format");
    server.transcribe(&[BASE, ("language", "de")], &tone).assert_error(400, "language");
    server.form(path, &[BASE], None).assert_error(400, "file");
    server.transcribe(&[BASE], b"").assert_error(400, "file");
    server.transcribe(&[BASE], &b"no recording at all ".repeat(50)).assert_error(415, "file");
    server.transcribe(&[BASE], &tone[..30]).assert_error(422, "file");
    server.transcribe(&[BASE], &recording(&workspace, 4.0)).assert_error(413, "file");
    server.transcribe(&[BASE], &vec![0; 3 << 20]).assert_error(413, "file");
    server.form("/v1/audio/translations", &[BASE], Some(&tone)).assert_error(400, "model");
    server.request("POST", path, &[("Content-Type", "application/json")], b"{}").assert_error(415, "");
    let gzip = ("Content-Encoding", "gzip");
    server.request("POST", path, &[FORM, gzip], &form(&[BASE], Some(&tone))).assert_error(415, "");
    server.form(&format!("{path}?response_format=text"), &[BASE], Some(&tone)).assert_error(400, "response_format");
    server.form("/v1/jobs", &[BASE], Some(b"")).assert_error(400, "file");
    server.get("/v1/jobs?limit=x").assert_error(400, "limit");
    server
        .transcribe(&[BASE, ("chunking_strategy", r#"{"type":"server_vad","threshold":7}"#)], &tone)
        .assert_error(400, "chunking_strategy");
    assert_eq!((server.get("/").status, server.get("/").header("location")), (303, Some("docs")));
    server.request("POST", path, &[FORM], b"--BOUNDARY\r\nContent-Disp").assert_error(400, "");
    server.request("DELETE", path, &[], b"").assert_error(405, "");
    server.get("/v1/nothing").assert_error(404, "");
    server.get("/v1/models/%FF").assert_error(400, "id");
    assert_eq!(server.transcribe(&[BASE], &tone).status, 200, "the server still works");
}

#[test]
fn only_requests_with_a_valid_api_key_are_accepted() {
    let workspace = Workspace::new();
    fs::write(workspace.path("keys"), "# ours\nfirst\n\nsecond\n").unwrap();
    workspace.model("model");
    let arguments = ["serve", "--port", "0", "--default-model", "./model", "--api-key-file", "keys"];
    let mut command = workspace.amanuensis(&arguments);
    command.env("AMANUENSIS_API_KEY", "third");
    let server = Server::run(command);
    let with = |key: &str| server.request("GET", "/v1/models", &[("Authorization", key)], b"");
    server.get("/v1/models").assert_error(401, "");
    for wrong in ["Bearer firs", "Bearer firstt", "Bearer", "first", "Basic first", "Bearer # ours"] {
        with(wrong).assert_error(401, "");
    }
    for key in ["Bearer first", "bearer second", "Bearer third"] {
        assert_eq!(with(key).status, 200, "{key}");
    }
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!((server.get("/health").status, server.get("/docs").status), (200, 200));
    server.transcribe(&[BASE], &recording(&workspace, 1.0)).assert_error(401, "");
}

#[test]
fn a_public_address_needs_an_api_key_or_allow_anyone() {
    let workspace = Workspace::new();
    workspace.model("model");
    let arguments = ["serve", "--port", "0", "--default-model", "./model", "--host", "0.0.0.0"];
    workspace.run(&arguments).ended(2, &["--api-key", "--allow-anyone"]);
    // The settings are checked before the model is downloaded. The model hub cannot be reached in this test, so a
    // download would give another error.
    workspace.run(&["serve", "--port", "0", "--host", "0.0.0.0"]).ended(2, &["--api-key", "--allow-anyone"]);
    Server::start(&workspace, &["--host", "0.0.0.0", "--allow-anyone"]);
}

#[test]
fn requests_per_minute_are_limited() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--requests-per-minute", "2"]);
    assert_eq!((server.get("/v1/models").status, server.get("/v1/models").status), (200, 200));
    let limited = server.transcribe(&[BASE], &recording(&workspace, 1.0));
    limited.assert_error(429, "");
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_disconnected_client_frees_its_upload_slot() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-uploads", "1"]);
    let (upload, _) = begin_upload(&server, &workspace);
    let rejected = server.transcribe(&[BASE], &recording(&workspace, 1.0));
    rejected.assert_error(503, "");
    assert!(rejected.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    drop(upload);
    wait_for(|| {
        Some(server.transcribe(&[BASE], &recording(&workspace, 1.0))).filter(|response| response.status == 200)
    });
}

#[test]
fn a_request_whose_client_disconnects_is_cancelled() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-active", "1", "--batch-size", "1"]);
    workspace.long_recording("long.wav", 2 * 3600);
    let body = form(&[BASE], Some(&fs::read(workspace.path("long.wav")).unwrap()));
    let mut begun = server.connect();
    begun.write_all(&head("POST", "/v1/audio/transcriptions", &[FORM], body.len())).unwrap();
    begun.write_all(&body).unwrap();
    let counts = |line: &str| server.get("/metrics").body.contains(line).then_some(());
    wait_for(|| counts("active_requests 1\n"));
    drop(begun);
    wait_for(|| counts("active_requests 0\n"));
    assert!(counts("transcriptions_total 0\n").is_some(), "the request was transcribed to the end");
}

#[test]
fn slow_headers_and_slow_uploads_time_out() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--header-timeout", "1", "--upload-timeout", "1"]);
    let mut head_only = server.connect();
    head_only.write_all(b"GET /health HTTP/1.1\r\nHost:").unwrap();
    let mut upload = server.connect();
    upload.write_all(&head("POST", "/v1/audio/transcriptions", &[FORM], 1000)).unwrap();
    assert_eq!(server.get("/health").status, 200);
    let mut closed = Vec::new();
    std::io::Read::read_to_end(&mut head_only, &mut closed).unwrap();
    read(upload).assert_error(408, "");
}

#[test]
fn only_allowed_origins_get_cors_headers() {
    let workspace = Workspace::new();
    let origin = [("Origin", "https://chat.example.org")];
    let allows = |response: Response| response.header("access-control-allow-origin").map(str::to_owned);
    let closed = Server::start(&workspace, &[]);
    assert_eq!(allows(closed.request("GET", "/health", &origin, b"")), None);
    let open = Server::start(&workspace, &["--cors-origin", "https://chat.example.org", "--api-key", "k"]);
    assert_eq!(allows(open.request("GET", "/health", &origin, b"")).as_deref(), Some("https://chat.example.org"));
    assert_eq!(allows(open.request("GET", "/health", &[("Origin", "https://other.example")], b"")), None);
    let headers =
        [origin[0], ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
    let preflight = open.request("OPTIONS", "/v1/audio/transcriptions", &headers, b"");
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (200, Some("authorization")));
}

#[test]
fn web_pages_of_other_origins_are_rejected() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let submit = |origin: &str| {
        let body = form(&[BASE], Some(&recording(&workspace, 1.0)));
        server.request("POST", "/v1/audio/transcriptions", &[FORM, ("Origin", origin)], &body)
    };
    submit("http://evil.example").assert_error(403, "");
    submit("null").assert_error(403, "");
    assert_eq!(submit("http://localhost").status, 200);
    let upgrade = [("Upgrade", "websocket"), ("Origin", "http://evil.example")];
    server.request("GET", "/v1/realtime", &upgrade, b"").assert_error(403, "");
    let open = Server::start(&workspace, &["--cors-origin", "http://evil.example"]);
    open.request("DELETE", "/v1/jobs/none", &[upgrade[1]], b"").assert_error(404, "");
    let named = |server: &Server, host: &str| {
        let mut stream = server.connect();
        write!(stream, "GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        read(stream)
    };
    named(&server, "evil.example:9700").assert_error(403, "");
    assert_eq!((named(&server, "localhost:80").status, named(&server, "[::1]").status), (200, 200));
    let anyone = Server::start(&workspace, &["--allow-anyone"]);
    assert_eq!(named(&anyone, "nas.local").status, 200);
}

#[test]
fn a_truncated_recording_is_reported_as_a_warning() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut cut = fs::read(sample()).unwrap();
    cut.truncate(cut.len() / 2);
    let verbose = server.transcribe(&[BASE, ("response_format", "verbose_json")], &cut);
    let warning = verbose.json()["warnings"][0].as_str().unwrap_or_else(|| panic!("{verbose:?}")).to_owned();
    assert!(warning.contains("cut off"), "{warning}");
    let text = server.transcribe(&[BASE, ("response_format", "text")], &cut);
    assert!(text.header("x-amanuensis-warnings").is_some_and(|warnings| warnings.contains("cut off")), "{text:?}");
    let stream = server.transcribe(&[BASE, ("stream", "True")], &cut);
    assert!(stream.body.contains("\"warnings\":["), "{stream:?}");
    let submitted = server.form("/v1/jobs", &[BASE], Some(&cut)).json();
    let path = format!("/v1/jobs/{}", submitted["id"].as_str().unwrap());
    wait_for(|| server.get(&path).body.contains("cut off").then_some(()));
    assert_eq!(server.get("/v1/jobs").json()["data"][0]["warnings"][0], warning);
}

#[test]
fn sigterm_lets_running_requests_finish() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-uploads", "1"]);
    let (mut upload, rest) = begin_upload(&server, &workspace);
    let address = server.address.clone();
    let ended = server.stop();
    wait_for(|| TcpStream::connect(&address).is_err().then_some(()));
    upload.write_all(&rest).unwrap();
    assert_eq!(read(upload).status, 200);
    assert_eq!(ended.join().unwrap(), Some(0));
}

#[test]
fn a_second_signal_exits_at_once() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-uploads", "1"]);
    let _upload = begin_upload(&server, &workspace);
    let (id, address) = (server.id(), server.address.clone());
    let ended = server.stop();
    wait_for(|| TcpStream::connect(&address).is_err().then_some(()));
    Command::new("kill").args(["-s", "INT", &id.to_string()]).status().unwrap();
    assert_eq!(ended.join().unwrap(), Some(130));
}

#[test]
fn sigterm_during_a_model_download_exits() {
    let workspace = Workspace::new();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = format!("http://{}", mute.local_addr().unwrap());
    let mut child = workspace.amanuensis(&["serve", "--port", "0"]).env("HF_ENDPOINT", hub).spawn().unwrap();
    let _connection = mute.accept().unwrap();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    // The program handles the signal itself and exits with its own exit code. It cannot rely on the default action of
    // a signal, because the kernel does not apply this action to the first process of a container.
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_real_model_transcribes_and_translates_speech() {
    let workspace = Workspace::new();
    let Some(server) = with_installed(&workspace, &["base"], &[]) else { return };
    let sample = fs::read(sample()).unwrap();
    let response = server.transcribe(&[BASE], &sample);
    assert!(response.json()["text"].as_str().unwrap().contains("on an ordinary computer"), "{response:?}");
    let response = server.transcribe(&[BASE, ("include[]", "logprobs")], &sample).json();
    let tokens = response["logprobs"].as_array().unwrap();
    let text: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text.trim(), response["text"]);
    let translated = server.form("/v1/audio/translations", &[BASE], Some(&sample)).json();
    assert!(translated["text"].as_str().unwrap().contains("computer"), "{translated}");
}

#[test]
fn a_model_is_unloaded_to_make_room_for_another() {
    let workspace = Workspace::new();
    let Some(server) = with_installed(&workspace, &["base", "tiny.en"], &["--model-memory", "160"]) else { return };
    let sample = fs::read(sample()).unwrap();
    for model in ["base", "tiny.en", "base"] {
        assert_eq!(server.transcribe(&[("model", model)], &sample).status, 200);
        let metrics = server.get("/metrics").body;
        let loaded: Vec<&str> = metrics.lines().filter(|line| line.starts_with("amanuensis_batch_fill{")).collect();
        assert_eq!(loaded.len(), 1, "{loaded:?}");
        assert!(loaded[0].contains(&format!("\"{model}\"")), "{loaded:?}");
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/offline.opus")
}

/// Starts a server that uses the models installed on this machine. Returns `None` if one of `models` is not
/// installed.
fn with_installed(workspace: &Workspace, models: &[&str], arguments: &[&str]) -> Option<Server> {
    let with_models = |arguments: &[&str]| {
        let mut command = workspace.amanuensis(arguments);
        match std::env::var_os("AMANUENSIS_MODELS") {
            Some(models) => command.env("AMANUENSIS_MODELS", models),
            None => command.env_remove("AMANUENSIS_MODELS"),
        };
        command
    };
    for model in models {
        if !with_models(&["models", "path", model]).output().unwrap().status.success() {
            println!("skipped: the model `{model}` is not installed");
            return None;
        }
    }
    let arguments = [&["serve", "--port", "0", "--offline", "--default-model", models[0]], arguments].concat();
    Some(Server::run(with_models(&arguments)))
}

/// Sends the headers of an upload and the first 100 bytes of its body. Returns the connection and the remaining
/// bytes.
fn begin_upload(server: &Server, workspace: &Workspace) -> (TcpStream, Vec<u8>) {
    let tone = recording(workspace, 1.0);
    let body = form(&[BASE], Some(&tone));
    let mut upload = server.connect();
    upload.write_all(&head("POST", "/v1/audio/transcriptions", &[FORM], body.len())).unwrap();
    upload.write_all(&body[..100]).unwrap();
    wait_for(|| server.get("/metrics").body.contains("uploading_requests 1\n").then_some(()));
    (upload, body[100..].to_vec())
}
