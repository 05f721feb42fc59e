//! Clients that do not behave, and others at the same time, over real sockets.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use common::Workspace;
use http::{Answer, FORM, Server, form, head, read, until};

const BASE: (&str, &str) = ("model", "whisper-1");
const PATH: &str = "/v1/audio/transcriptions";

/// Sends bytes, and reads the answer.
fn raw(server: &Server, bytes: &[u8]) -> Answer {
    let mut stream = server.connect();
    // It may have answered and closed already.
    let _ = stream.write_all(bytes);
    read(stream)
}

/// Sends a form as it is, in one piece.
fn post(server: &Server, body: &[u8]) -> Answer {
    server.ask("POST", PATH, &[FORM], body)
}

fn tone(workspace: &Workspace) -> Vec<u8> {
    fs::read(workspace.recording("tone.wav", 1.0)).unwrap()
}

#[test]
fn bodies_that_are_not_what_their_heads_say() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    // Shorter than its length.
    let mut short = server.connect();
    short.write_all(&head("POST", PATH, &[FORM], body.len() + 1000)).unwrap();
    short.write_all(&body[..body.len() - 20]).unwrap();
    short.shutdown(Shutdown::Write).unwrap();
    read(short).refuses(400, "");
    // Chunks that are none.
    let chunked = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        FORM.0, FORM.1
    );
    raw(&server, (chunked.clone() + "no number\r\n--BOUNDARY\r\n").as_bytes()).refuses(400, "");
    raw(&server, (chunked.clone() + "ffffffffffffffffff\r\n--BOUNDARY\r\n").as_bytes()).refuses(400, "");
    raw(&server, (chunked + "4\r\n--BO\r\n0\r\n\r\n").as_bytes()).refuses(400, "");
    // A length and chunks, two lengths, and a length that is none: what another server may understand otherwise.
    for headers in ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: four", "Content-Length: -1"] {
        let request = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\nbody");
        assert_eq!(raw(&server, request.as_bytes()).status, 400, "{headers}");
    }
    assert_eq!(server.transcribe(&[BASE], &tone(&workspace)).status, 200, "the server is unharmed");
}

#[test]
fn forms_that_are_none() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    for kind in ["multipart/form-data", "multipart/mixed; boundary=BOUNDARY"] {
        server.ask("POST", PATH, &[("Content-Type", kind)], &body).refuses(415, "");
    }
    server.ask("POST", PATH, &[("Content-Type", "multipart/form-data; boundary=")], &body).refuses(400, "");
    server.ask("POST", PATH, &[("Content-Type", "multipart/form-data; boundary=OTHER")], &body).refuses(400, "");
    post(&server, b"").refuses(400, "");
    // Many parts, of one name and of many.
    let part = |name: &str| format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");
    let many = (0..10_000).map(|i| part(&format!("field{i}"))).collect::<String>() + "--BOUNDARY--\r\n";
    assert_eq!(post(&server, many.as_bytes()).status, 400);
    let same = part("keywords[]").repeat(10_000) + "--BOUNDARY--\r\n";
    post(&server, same.as_bytes()).refuses(400, "keywords[]");
    // A part with a head without end, one without a name, and one that is a form itself.
    let huge = format!("--BOUNDARY\r\nX-Huge: {}\r\n\r\nx\r\n--BOUNDARY--\r\n", "x".repeat(4 << 20));
    post(&server, huge.as_bytes()).refuses(400, "");
    post(&server, b"--BOUNDARY\r\nContent-Disposition: form-data\r\n\r\nx\r\n--BOUNDARY--\r\n").refuses(400, "");
    let nested = "--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: multipart/mixed; boundary=IN\r\n\r\n\
        --IN\r\nContent-Disposition: file; filename=\"a.wav\"\r\n\r\nRIFF\r\n--IN--\r\n--BOUNDARY--\r\n";
    assert_eq!(
        post(&server, &[&form(&[BASE], None)[..form(&[BASE], None).len() - 14], nested.as_bytes()].concat()).status,
        415
    );
    assert_eq!(post(&server, &body).status, 200, "the server is unharmed");
}

#[test]
fn heads_that_are_too_much() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let long = "x".repeat(1 << 20);
    let many = "X-Many: x\r\n".repeat(1000);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"), 431),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        ("this is no HTTP\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nno field\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(raw(&server, request.as_bytes()).status, status, "{request:.60}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn old_and_unusual_clients_are_served() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    // HTTP/1.0, which has neither a host nor chunks.
    let head = format!("POST {PATH} HTTP/1.0\r\n{}: {}\r\nContent-Length: {}\r\n\r\n", FORM.0, FORM.1, body.len());
    let answer = raw(&server, &[head.as_bytes(), &body].concat());
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
    // A client that wants to hear first that it may send, as curl does.
    let mut stream = server.connect();
    let expecting = [FORM, ("Expect", "100-continue")];
    stream.write_all(&http::head("POST", PATH, &expecting, body.len())).unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body).unwrap();
    assert_eq!(read(stream).status, 200);
    // Requests one after the other, before there is an answer.
    let get = |path: &str, rest: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n");
    let requests = get("/health", "") + &get("/v1/models", "") + &get("/v1/nothing", "Connection: close\r\n");
    let mut stream = server.connect();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
}

#[test]
fn those_who_only_hold_connections_do_not_keep_others_out() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-connections", "90", "--header-timeout", "1"]);
    // Half of them say nothing, the others a letter of what they want; more than there are places.
    let idle: Vec<TcpStream> = (0..100)
        .map(|i| {
            let mut stream = server.connect();
            if i % 2 == 0 {
                stream.write_all(b"G").unwrap();
            }
            stream
        })
        .collect();
    // Their time runs out.
    let answer = server.transcribe(&[BASE], &tone(&workspace));
    assert_eq!(answer.status, 200);
    drop(idle);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn whoever_has_an_answer_may_stay_for_another() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-connections", "2"]);
    let mut kept = server.connect();
    for _ in 0..3 {
        kept.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 512];
        assert!(kept.read(&mut answer).unwrap() > 0 && answer.starts_with(b"HTTP/1.1 200"));
    }
    until(|| (server.get("/health").status == 200).then_some(()));
}
