//! Tests of `amanuensis serve` with malformed requests and misbehaving clients, over real sockets.
#![cfg(unix)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use common::Workspace;
use http::{FORM, Response, Server, form, head, read, wait_for};

const BASE: (&str, &str) = ("model", "whisper-1");
const PATH: &str = "/v1/audio/transcriptions";

/// Sends these bytes over a new connection, and reads the response.
fn raw(server: &Server, bytes: &[u8]) -> Response {
    let mut stream = server.connect();
    // Ignore a write error: the server may already have responded and closed the connection.
    let _ = stream.write_all(bytes);
    read(stream)
}

/// Sends a POST request with this body and the content type of a multipart form. Returns the response.
fn post(server: &Server, body: &[u8]) -> Response {
    server.request("POST", PATH, &[FORM], body)
}

fn tone(workspace: &Workspace) -> Vec<u8> {
    fs::read(workspace.recording("tone.wav", 1.0)).unwrap()
}

#[test]
fn bodies_that_contradict_their_headers_are_rejected() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    // The client closes its side of the connection before it has sent as many bytes as Content-Length states.
    let mut short = server.connect();
    short.write_all(&head("POST", PATH, &[FORM], body.len() + 1000)).unwrap();
    short.write_all(&body[..body.len() - 20]).unwrap();
    short.shutdown(Shutdown::Write).unwrap();
    read(short).assert_error(400, "");
    // Chunked bodies that are malformed: chunk sizes that are not numbers or are too large, and a body that ends too
    // early.
    let chunked = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        FORM.0, FORM.1
    );
    raw(&server, (chunked.clone() + "no number\r\n--BOUNDARY\r\n").as_bytes()).assert_error(400, "");
    raw(&server, (chunked.clone() + "ffffffffffffffffff\r\n--BOUNDARY\r\n").as_bytes()).assert_error(400, "");
    raw(&server, (chunked + "4\r\n--BO\r\n0\r\n\r\n").as_bytes()).assert_error(400, "");
    // Requests with two different values of Content-Length, or with a value that is not a number. Proxies may
    // interpret such headers differently, which makes request smuggling possible.
    for headers in ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: four", "Content-Length: -1"] {
        let request = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\nbody");
        assert_eq!(raw(&server, request.as_bytes()).status, 400, "{headers}");
    }
    assert_eq!(server.transcribe(&[BASE], &tone(&workspace)).status, 200, "the server still works");
}

#[test]
fn malformed_forms_are_rejected() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    for kind in ["multipart/form-data", "multipart/mixed; boundary=BOUNDARY"] {
        server.request("POST", PATH, &[("Content-Type", kind)], &body).assert_error(415, "");
    }
    server.request("POST", PATH, &[("Content-Type", "multipart/form-data; boundary=")], &body).assert_error(400, "");
    server
        .request("POST", PATH, &[("Content-Type", "multipart/form-data; boundary=OTHER")], &body)
        .assert_error(400, "");
    post(&server, b"").assert_error(400, "");
    // Too many parts: first with different names, then all with the same name.
    let part = |name: &str| format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");
    let many = (0..10_000).map(|i| part(&format!("field{i}"))).collect::<String>() + "--BOUNDARY--\r\n";
    assert_eq!(post(&server, many.as_bytes()).status, 400);
    let same = part("keywords[]").repeat(10_000) + "--BOUNDARY--\r\n";
    post(&server, same.as_bytes()).assert_error(400, "keywords[]");
    // A part with a huge header, a part without a name, and a part whose content is a multipart body.
    let huge = format!("--BOUNDARY\r\nX-Huge: {}\r\n\r\nx\r\n--BOUNDARY--\r\n", "x".repeat(4 << 20));
    post(&server, huge.as_bytes()).assert_error(400, "");
    post(&server, b"--BOUNDARY\r\nContent-Disposition: form-data\r\n\r\nx\r\n--BOUNDARY--\r\n").assert_error(400, "");
    let nested = "--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: multipart/mixed; boundary=IN\r\n\r\n\
        --IN\r\nContent-Disposition: file; filename=\"a.wav\"\r\n\r\nRIFF\r\n--IN--\r\n--BOUNDARY--\r\n";
    assert_eq!(
        post(&server, &[&form(&[BASE], None)[..form(&[BASE], None).len() - 14], nested.as_bytes()].concat()).status,
        415
    );
    assert_eq!(post(&server, &body).status, 200, "the server still works");
}

#[test]
fn oversized_and_malformed_headers_are_rejected() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let long = "x".repeat(1 << 20);
    let many = "X-Many: x\r\n".repeat(1000);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"), 431),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        ("this is not HTTP\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nno field\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(raw(&server, request.as_bytes()).status, status, "{request:.60}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn http_1_0_expect_continue_and_pipelining_work() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &[]);
    let body = form(&[BASE], Some(&tone(&workspace)));
    // A request in HTTP/1.0, which has no Host header and no chunked transfer encoding.
    let head = format!("POST {PATH} HTTP/1.0\r\n{}: {}\r\nContent-Length: {}\r\n\r\n", FORM.0, FORM.1, body.len());
    let response = raw(&server, &[head.as_bytes(), &body].concat());
    assert_eq!((response.status, response.header("transfer-encoding")), (200, None));
    // A client that waits for the response `100 Continue` before it sends the body, as curl does.
    let mut stream = server.connect();
    let expecting = [FORM, ("Expect", "100-continue")];
    stream.write_all(&http::head("POST", PATH, &expecting, body.len())).unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body).unwrap();
    assert_eq!(read(stream).status, 200);
    // Pipelining: the client sends three requests before it reads the first response.
    let get = |path: &str, rest: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n");
    let requests = get("/health", "") + &get("/v1/models", "") + &get("/v1/nothing", "Connection: close\r\n");
    let mut stream = server.connect();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut responses = String::new();
    stream.read_to_string(&mut responses).unwrap();
    let statuses: Vec<&str> = responses.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
}

#[test]
fn idle_connections_do_not_block_other_clients() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-connections", "90", "--header-timeout", "1"]);
    // Open more connections than the server accepts. Half of them send nothing, the others send the first byte of a
    // request.
    let idle: Vec<TcpStream> = (0..100)
        .map(|i| {
            let mut stream = server.connect();
            if i % 2 == 0 {
                stream.write_all(b"G").unwrap();
            }
            stream
        })
        .collect();
    // The server closes these idle connections after the header timeout of 1 s. Then it accepts this request.
    let response = server.transcribe(&[BASE], &tone(&workspace));
    assert_eq!(response.status, 200);
    drop(idle);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_kept_alive_connection_serves_several_requests() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &["--max-connections", "2"]);
    let mut kept = server.connect();
    for _ in 0..3 {
        kept.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = [0; 512];
        assert!(kept.read(&mut response).unwrap() > 0 && response.starts_with(b"HTTP/1.1 200"));
    }
    wait_for(|| (server.get("/health").status == 200).then_some(()));
}
