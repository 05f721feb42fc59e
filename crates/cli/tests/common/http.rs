//! `amanuensis serve` at work, and just enough of HTTP to ask it.
#![allow(dead_code)] // Each test file uses some of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::Workspace;

/// A server at a port of its own; ends when it is dropped.
pub struct Server {
    child: Child,
    /// What it keeps, where the test does not say.
    _data: TempDir,
    pub address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is an error of this status, which concerns `param`, or none where that is empty.
    #[track_caller]
    pub fn refuses(&self, status: u16, param: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        assert!(error["type"].is_string() && error.get("code").is_some(), "{self:?}");
        assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
    }
}

impl Server {
    /// A server whose default model is the gibberish one of the workspace.
    pub fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        if !workspace.path("model").exists() {
            workspace.model("model");
        }
        let mut command = workspace.amanuensis(&["serve", "--port", "0", "--default-model", "./model"]);
        command.args(arguments);
        Self::run(command)
    }

    pub fn run(mut command: Command) -> Self {
        let data = tempfile::tempdir().unwrap();
        command.env("AMANUENSIS_DATA_DIR", data.path());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(messages.read_line(&mut line).unwrap() > 0, "the server ended");
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split(',').next().unwrap().trim().to_owned();
            }
        };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::stderr()));
        Self { child, _data: data, address }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&head(method, path, headers, body.len())).unwrap();
        // It may have answered and closed already.
        let _ = stream.write_all(body);
        read(stream)
    }

    /// Posts a form with these fields, and a file where there is one.
    pub fn form(&self, path: &str, fields: &[(&str, &str)], file: Option<&[u8]>) -> Answer {
        self.ask("POST", path, &[FORM], &form(fields, file))
    }

    pub fn transcribe(&self, fields: &[(&str, &str)], file: &[u8]) -> Answer {
        self.form("/v1/audio/transcriptions", fields, Some(file))
    }

    /// Asks the server to stop; its exit code comes when it has.
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

pub fn form(fields: &[(&str, &str)], file: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.bytes());
    }
    if let Some(file) = file {
        let name = "../../etc/../a talk.wav";
        let part = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        body.extend(part.bytes().chain(file.iter().copied()).chain("\r\n".bytes()));
    }
    body.extend(b"--BOUNDARY--\r\n");
    body
}

pub fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let own = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", &length.to_string())];
    let fields = own.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{method} {path} HTTP/1.1\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

/// The answer that comes on a connection.
pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // Where a body was refused half-way, the connection may be reset after the answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { dechunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Asks until there is something.
#[track_caller]
pub fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = ask() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing came of it");
}
