//! Live sessions of `amanuensis serve`, over real sockets.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/socket.rs"]
mod socket;

use std::net::{Shutdown, TcpStream};

use common::Workspace;
use http::{Server, until};
use serde_json::json;
use socket::{CLOSE, Socket, TEXT};

const BINARY: u8 = 2;
const CONTINUED: u8 = 0;
const PING: u8 = 9;
const UNKNOWN: u8 = 3;

const TRANSCRIPTION: &str = "conversation.item.input_audio_transcription.";

/// Appends so many seconds of silence, which is written down like all that is committed.
fn append(socket: &mut Socket, seconds: usize) {
    // Two bytes a sample, three to four letters, of which `A` is zero.
    let audio = "A".repeat(seconds * 24_000 * 2 / 3 * 4);
    socket.tell(&json!({"type": "input_audio_buffer.append", "audio": audio}));
}

/// An event, if it is the one behind all of a turn.
fn completed(event: serde_json::Value) -> Option<serde_json::Value> {
    assert_ne!(event["type"], "error", "{event}");
    (event["type"] == format!("{TRANSCRIPTION}completed")).then_some(event)
}

fn counts(server: &Server, line: &str) -> Option<()> {
    server.get("/metrics").body.lines().any(|found| found == line).then_some(())
}

#[test]
fn turns_are_counted() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    assert!(counts(&server, "amanuensis_live_sessions 1").is_some());
    append(&mut socket, 1);
    socket.tell(&json!({"type": "input_audio_buffer.commit"}));
    while socket.event()["type"] != format!("{TRANSCRIPTION}completed") {}
    until(|| counts(&server, "amanuensis_live_turns_total 1"));
    until(|| counts(&server, "amanuensis_live_seconds_total 1"));
    socket.send(CLOSE, true, &1000_u16.to_be_bytes());
    assert_eq!(socket.until_closed().1, Some(1000));
    until(|| counts(&server, "amanuensis_live_sessions 0"));
}

#[test]
fn what_was_said_in_another_format_is_committed_with_the_rest() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    let configure = |input: serde_json::Value| json!({"type": "session.update", "session": {"type": "transcription", "audio": {"input": input}}});
    socket.tell(&configure(json!({"turn_detection": null})));
    append(&mut socket, 1);
    socket.tell(&configure(json!({"format": {"type": "audio/pcmu"}})));
    socket.tell(&json!({"type": "input_audio_buffer.commit"}));
    while completed(socket.event()).is_none() {}
    until(|| counts(&server, "amanuensis_live_seconds_total 1"));
}

#[test]
fn words_are_as_probable_as_they_are_included() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    let include = json!(["item.input_audio_transcription.logprobs"]);
    socket.tell(&json!({"type": "session.update", "session": {"type": "transcription", "include": include}}));
    append(&mut socket, 1);
    socket.tell(&json!({"type": "input_audio_buffer.commit"}));
    let completed = std::iter::repeat_with(|| socket.event()).find_map(completed).unwrap();
    let logprobs = completed["logprobs"].as_array().unwrap();
    let text: String = logprobs.iter().map(|logprob| logprob["token"].as_str().unwrap()).collect();
    assert!(text.trim() == completed["transcript"].as_str().unwrap().trim(), "{completed}");
    assert!(logprobs.iter().all(|logprob| logprob["logprob"].as_f64().unwrap() <= 0.0), "{completed}");
}

#[test]
fn told_to_stop_it_writes_down_what_was_said() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut idle = Socket::open(&server);
    let mut socket = Socket::open(&server);
    append(&mut socket, 1);
    // What is told after it has been heard.
    socket.tell(&json!({"type": "session.update", "session": {"type": "transcription"}}));
    while socket.event()["type"] != "session.updated" {}
    append(&mut socket, 1);
    let address = server.address.clone();
    let ended = server.stop();
    let (kinds, code) = socket.until_closed();
    assert_eq!(kinds.last().unwrap(), &format!("{TRANSCRIPTION}completed"), "{kinds:?}");
    assert_eq!((code, idle.until_closed()), (Some(1001), (vec![], Some(1001))));
    assert_eq!(ended.join().unwrap(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn floods_of_frames() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-live", "2"]);
    let mut other = Socket::open(&server);
    let huge = vec![b' '; 17 << 20];
    let frames: [&[(u8, bool, &[u8])]; 6] = [
        &[(TEXT, true, &huge)],
        &[(TEXT, false, &huge[..9 << 20]), (CONTINUED, true, &huge[..9 << 20])],
        &[(UNKNOWN, true, b"?")],
        &[(CONTINUED, true, b"nothing was begun")],
        &[(PING, false, b"a fragment")],
        &[(TEXT, true, b"\xff\xfe")],
    ];
    for sent in frames {
        let mut socket = until(|| counts(&server, "amanuensis_live_sessions 1").map(|()| Socket::open(&server)));
        for (opcode, is_last, payload) in sent {
            socket.send(*opcode, *is_last, payload);
        }
        socket.until_closed();
    }
    // What is no event is told of, piecemeal or not, and the session goes on.
    let mut socket = until(|| counts(&server, "amanuensis_live_sessions 1").map(|()| Socket::open(&server)));
    for (opcode, payload) in
        [(BINARY, &b"bytes"[..]), (TEXT, b"{"), (TEXT, b""), (TEXT, b"[1]"), (TEXT, b"{\"type\": 7}")]
    {
        socket.send(opcode, true, payload);
        assert_eq!(socket.event()["type"], "error");
    }
    for (at, byte) in br#"{"type": "input_audio_buffer.clear"}"#.iter().enumerate() {
        socket.send(if at == 0 { TEXT } else { CONTINUED }, false, &[*byte]);
    }
    socket.send(CONTINUED, true, b"");
    assert_eq!(socket.event()["type"], "input_audio_buffer.cleared");
    // The one beside them is unharmed, and so is the server.
    other.tell(&json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(other.event()["type"], "input_audio_buffer.cleared");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_client_that_never_reads() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut deaf = Socket::open(&server);
    deaf.0.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    // Each is answered by an error, until neither of the two can send any more.
    let nonsense = "x".repeat(4096);
    while deaf.send(TEXT, true, nonsense.as_bytes()) {}
    let mut other = Socket::open(&server);
    other.tell(&json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(other.event()["type"], "input_audio_buffer.cleared");
    assert_eq!(server.get("/health").status, 200);
    drop(deaf);
    until(|| counts(&server, "amanuensis_live_sessions 1"));
    other.0.shutdown(Shutdown::Both).unwrap();
    until(|| counts(&server, "amanuensis_live_sessions 0"));
}
