//! Starts `amanuensis serve`, and sends HTTP requests to it over real sockets.
#![allow(dead_code)] // Each test file uses only some of these helpers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::Workspace;

/// A server process on a free port. Dropping it kills the process.
pub struct Server {
    child: Child,
    /// The data directory of a server that is started without `--data-dir`. The directory is deleted when this value
    /// is dropped.
    _data: TempDir,
    pub address: String,
}

/// An HTTP response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this response is an error with this status, and that the error names the request parameter
    /// `param`. An empty `param` means that the error must have `null` there.
    #[track_caller]
    pub fn assert_error(&self, status: u16, param: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        assert!(error["type"].is_string() && error.get("code").is_some(), "{self:?}");
        assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
    }
}

impl Server {
    /// Starts a server with these additional arguments. The server's default model is a small model with random
    /// weights, which is stored in the workspace.
    pub fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        if !workspace.path("model").exists() {
            workspace.model("model");
        }
        let mut command = workspace.amanuensis(&["serve", "--port", "0", "--default-model", "./model"]);
        command.args(arguments);
        Self::run(command)
    }

    /// Runs a command that starts a server, and waits until the server has printed the address that it listens on.
    pub fn run(mut command: Command) -> Self {
        let data = tempfile::tempdir().unwrap();
        command.env("AMANUENSIS_DATA_DIR", data.path());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(messages.read_line(&mut line).unwrap() > 0, "the server exited before it printed its address");
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split(',').next().unwrap().trim().to_owned();
            }
        };
        // Read stderr all the time, because the server would block if the pipe were full.
        std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::stderr()));
        Self { child, _data: data, address }
    }

    /// The process id of the server.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut stream = self.connect();
        stream.write_all(&head(method, path, headers, body.len())).unwrap();
        // Ignore a write error: the server may already have responded and closed the connection.
        let _ = stream.write_all(body);
        read(stream)
    }

    /// Sends a request with a multipart form that has these fields, and this file if there is one. Returns the
    /// response.
    pub fn form(&self, path: &str, fields: &[(&str, &str)], file: Option<&[u8]>) -> Response {
        self.request("POST", path, &[FORM], &form(fields, file))
    }

    pub fn transcribe(&self, fields: &[(&str, &str)], file: &[u8]) -> Response {
        self.form("/v1/audio/transcriptions", fields, Some(file))
    }

    /// Sends SIGTERM to the server. Returns a thread that waits until the process has exited. The thread's result is
    /// the exit code, or `None` if a signal ended the process.
    pub fn stop(mut self) -> std::thread::JoinHandle<Option<i32>> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        std::thread::spawn(move || self.child.wait().unwrap().code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=BOUNDARY");

/// The body of a multipart form.
pub fn form(fields: &[(&str, &str)], file: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.bytes());
    }
    if let Some(file) = file {
        // A malicious file name. The server must not use the file names that clients send.
        let name = "../../etc/../a talk.wav";
        let part = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        body.extend(part.bytes().chain(file.iter().copied()).chain("\r\n".bytes()));
    }
    body.extend(b"--BOUNDARY--\r\n");
    body
}

/// The request line and the headers of an HTTP request whose body is `length` bytes long.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let own = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", &length.to_string())];
    let fields = own.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{method} {path} HTTP/1.1\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

/// Reads from the connection until the server closes it, and parses what was read as one response.
pub fn read(mut stream: TcpStream) -> Response {
    let mut bytes = Vec::new();
    // Ignore a read error: if the server rejects a request before it has read the whole body, the connection may be
    // reset after the response.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { dechunked(body) } else { body.to_owned() };
    Response { status, head: head.to_owned(), body }
}

/// Decodes a response body that was sent with chunked transfer encoding.
fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Calls `poll` every 20 ms until it returns a value. Panics if there is no value after 10 s.
#[track_caller]
pub fn wait_for<T>(poll: impl Fn() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = poll() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("timed out after 10 s");
}
