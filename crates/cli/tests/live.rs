//! Tests of realtime sessions of `amanuensis serve`, over real sockets.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/socket.rs"]
mod socket;

use std::net::{Shutdown, TcpStream};

use common::Workspace;
use http::{Server, wait_for};
use serde_json::json;
use socket::{CLOSE, Socket, TEXT};

const BINARY: u8 = 2;
const CONTINUED: u8 = 0;
const PING: u8 = 9;
const UNKNOWN: u8 = 3;

const TRANSCRIPTION: &str = "conversation.item.input_audio_transcription.";

/// Appends this many seconds of silence to the session's input buffer. When the client commits the buffer, the server
/// transcribes it even though it contains no speech.
fn append(socket: &mut Socket, seconds: usize) {
    // A sample has two bytes. Base64 encodes three bytes as four letters, and the letter `A` stands for six zero
    // bits.
    let audio = "A".repeat(seconds * 24_000 * 2 / 3 * 4);
    socket.send_event(&json!({"type": "input_audio_buffer.append", "audio": audio}));
}

/// Returns the event if it is a `completed` event, which has the whole transcript of an utterance. Otherwise returns
/// `None`.
fn completed(event: serde_json::Value) -> Option<serde_json::Value> {
    assert_ne!(event["type"], "error", "{event}");
    (event["type"] == format!("{TRANSCRIPTION}completed")).then_some(event)
}

/// Returns `Some(())` if the server's metrics contain exactly this line.
fn counts(server: &Server, line: &str) -> Option<()> {
    server.get("/metrics").body.lines().any(|found| found == line).then_some(())
}

#[test]
fn utterances_and_sessions_are_counted_in_the_metrics() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    assert!(counts(&server, "amanuensis_live_sessions 1").is_some());
    append(&mut socket, 1);
    socket.send_event(&json!({"type": "input_audio_buffer.commit"}));
    while socket.event()["type"] != format!("{TRANSCRIPTION}completed") {}
    wait_for(|| counts(&server, "amanuensis_live_turns_total 1"));
    wait_for(|| counts(&server, "amanuensis_live_seconds_total 1"));
    socket.send(CLOSE, true, &1000_u16.to_be_bytes());
    assert_eq!(socket.until_closed().1, Some(1000));
    wait_for(|| counts(&server, "amanuensis_live_sessions 0"));
}

#[test]
fn audio_received_before_a_format_change_is_committed_too() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    let configure = |input: serde_json::Value| json!({"type": "session.update", "session": {"type": "transcription", "audio": {"input": input}}});
    socket.send_event(&configure(json!({"turn_detection": null})));
    append(&mut socket, 1);
    socket.send_event(&configure(json!({"format": {"type": "audio/pcmu"}})));
    socket.send_event(&json!({"type": "input_audio_buffer.commit"}));
    while completed(socket.event()).is_none() {}
    wait_for(|| counts(&server, "amanuensis_live_seconds_total 1"));
}

#[test]
fn included_logprobs_cover_the_whole_transcript() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut socket = Socket::open(&server);
    let include = json!(["item.input_audio_transcription.logprobs"]);
    socket.send_event(&json!({"type": "session.update", "session": {"type": "transcription", "include": include}}));
    append(&mut socket, 1);
    socket.send_event(&json!({"type": "input_audio_buffer.commit"}));
    let completed = std::iter::repeat_with(|| socket.event()).find_map(completed).unwrap();
    let logprobs = completed["logprobs"].as_array().unwrap();
    let text: String = logprobs.iter().map(|logprob| logprob["token"].as_str().unwrap()).collect();
    assert!(text.trim() == completed["transcript"].as_str().unwrap().trim(), "{completed}");
    assert!(logprobs.iter().all(|logprob| logprob["logprob"].as_f64().unwrap() <= 0.0), "{completed}");
}

#[test]
fn a_stopping_server_transcribes_the_audio_it_has_received() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut idle = Socket::open(&server);
    let mut socket = Socket::open(&server);
    append(&mut socket, 1);
    // The server handles the messages of a session in order. When it answers this settings update, it has therefore
    // received the audio.
    socket.send_event(&json!({"type": "session.update", "session": {"type": "transcription"}}));
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
fn malformed_frames_close_only_their_own_session() {
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
        let mut socket = wait_for(|| counts(&server, "amanuensis_live_sessions 1").map(|()| Socket::open(&server)));
        for (opcode, is_last, payload) in sent {
            socket.send(*opcode, *is_last, payload);
        }
        socket.until_closed();
    }
    // A text message that is not a valid event: the server answers it with an error event, and the session stays
    // open. A message in several frames is accepted.
    let mut socket = wait_for(|| counts(&server, "amanuensis_live_sessions 1").map(|()| Socket::open(&server)));
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
    // The malformed frames have not affected the other open session or the rest of the server.
    other.send_event(&json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(other.event()["type"], "input_audio_buffer.cleared");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_client_that_never_reads_does_not_block_others() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let mut stalled = Socket::open(&server);
    stalled.0.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    // The server answers each of these messages with an error event that the client does not read. The client sends
    // until the socket buffers of both directions are full.
    let nonsense = "x".repeat(4096);
    while stalled.send(TEXT, true, nonsense.as_bytes()) {}
    let mut other = Socket::open(&server);
    other.send_event(&json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(other.event()["type"], "input_audio_buffer.cleared");
    assert_eq!(server.get("/health").status, 200);
    drop(stalled);
    wait_for(|| counts(&server, "amanuensis_live_sessions 1"));
    other.0.shutdown(Shutdown::Both).unwrap();
    wait_for(|| counts(&server, "amanuensis_live_sessions 0"));
}
