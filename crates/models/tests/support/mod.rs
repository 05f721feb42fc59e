//! Helpers that the integration tests share: a web server with one thread, wheels, and a replacement for pip.
#![allow(dead_code, reason = "each test file uses only some of these")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use amanuensis_models::{Catalogue, Progress, Sha256, Store};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// A request to the server, with its path and the headers that the tests check.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub path: String,
    pub range: Option<usize>,
    pub authorization: Option<String>,
}

/// A response of the server. With `cut`, the connection closes after that many bytes of the body.
#[derive(Clone)]
pub struct Response {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
    pub has_length: bool,
}

impl Response {
    pub fn new(status: &'static str, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec(), cut: None, has_length: true }
    }

    /// A response with `body`, or with the range of bytes that the request asks for.
    pub fn ranged(body: &[u8], request: &Request) -> Self {
        let Some(start) = request.range else { return Self::new("200 OK", body) };
        if start >= body.len() {
            return Self::new("416 Range Not Satisfiable", b"");
        }
        let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
        Self::new("206 Partial Content", &body[start..]).header("content-range", range)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// Removes the content length from the response, so that the end of the connection marks the end of the body.
    pub fn without_length(mut self) -> Self {
        self.has_length = false;
        self
    }
}

/// A local web server that runs until the end of the test.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                seen.lock().unwrap().push(request.clone());
                // Writing fails if the client has cancelled.
                let _ = write_response(&mut stream, &answer(&request));
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, ..Request::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        match name.to_lowercase().as_str() {
            "range" => request.range = value.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().ok(),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    request
}

fn write_response(stream: &mut TcpStream, response: &Response) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {}\r\nconnection: close\r\n", response.status)?;
    if response.has_length {
        write!(stream, "content-length: {}\r\n", response.body.len())?;
    }
    for (name, value) in &response.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&response.body[..response.cut.unwrap_or(response.body.len())])
}

/// A store in a temporary directory, without an access token and without pip.
pub fn store(catalogue: &str) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("models"))
        .with_catalogue(Catalogue::from_json(catalogue).unwrap())
        .with_hub_token(None)
        .with_pip_commands(Vec::new());
    (dir, store)
}

/// A catalogue of one model `m` on the hub, with the given files as JSON.
pub fn hub_catalogue(files: &str) -> String {
    format!(r#"{{"models": [{}]}}"#, model("m", &hub_source(files)))
}

pub fn model(name: &str, sources: &str) -> String {
    format!(r#"{{"name": "{name}", "description": "a model", "languages": "English", "sources": [{sources}]}}"#)
}

pub fn hub_source(files: &str) -> String {
    format!(r#"{{"kind": "hub", "repository": "org/m", "revision": "r1", "files": [{files}]}}"#)
}

/// The JSON of a file in a hub source, with size and checksum.
pub fn file(name: &str, content: &[u8]) -> String {
    format!(r#"{{"name": "{name}", "size": {}, "sha256": "{}"}}"#, content.len(), Sha256::of(content))
}

/// Pseudo-random bytes that do not repeat in a simple pattern.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A callback that never cancels.
pub fn quiet(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The names of the files and directories in the store's directory, except for the lock file.
pub fn left_in(store: &Store) -> Vec<String> {
    let Ok(entries) = fs::read_dir(store.root()) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| *name != ".m.lock").collect();
    names.sort();
    names
}

/// Writes a wheel that contains these members.
pub fn write_wheel(path: &Path, members: &[(&str, &[u8])]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, content) in members {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap();
}

/// A replacement for pip: a shell script that copies wheels from a directory and records its calls.
pub struct FakePip {
    pub dir: PathBuf,
}

impl FakePip {
    pub fn new(dir: &Path) -> Self {
        let dir = dir.join("index");
        fs::create_dir(&dir).unwrap();
        let script = r#"
here=$(dirname "$0")
if [ "$1" = --version ]; then echo "pip 25.0 from here (python 3.12)"; exit 0; fi
echo "$*" >> "$here/calls"
while [ $# -gt 1 ]; do
    if [ "$1" = --dest ]; then dest=$2; fi
    shift
done
if [ -e "$here/slow" ]; then
    echo half > "$TMPDIR/half.whl"
    touch "$here/started"
    exec sleep 60
fi
if [ -e "$here/full" ]; then
    printf 'ERROR: Exception:\nOSError: [Errno 28] No space left on device\n' >&2
    exit 2
fi
if ! cp "$here/$1.whl" "$dest/"; then
    echo "ERROR: No matching distribution found for $1" >&2
    exit 1
fi
"#;
        fs::write(dir.join("pip"), script).unwrap();
        Self { dir }
    }

    pub fn commands(&self) -> Vec<Vec<std::ffi::OsString>> {
        vec![vec!["no-such-python".into(), "-m".into(), "pip".into()], vec!["sh".into(), self.dir.join("pip").into()]]
    }

    /// Adds a wheel to the package index.
    pub fn offer(&self, requirement: &str, members: &[(&str, &[u8])]) {
        write_wheel(&self.dir.join(format!("{requirement}.whl")), members);
    }

    /// The wheel requirements (`NAME==VERSION`) that pip was called with.
    pub fn requirements(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        calls.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    }
}
