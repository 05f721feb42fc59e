//! Fetching one file over HTTP(S) (RFC 9110): resumable, verified, and stopped within a tenth of a second on request.
//!
//! The `hf-hub` crate is not used: its current version brings an asynchronous runtime and over two hundred crates; the
//! last blocking one trusts built-in certificates alone, sets no timeouts, cannot be cancelled, verifies no checksum,
//! and spoils a partial file when a server answers a range with the whole.
//!
//! A thread talks to the server and hands blocks over a bounded channel, so that a server that says nothing can never
//! keep the caller from cancelling. The thread ends by itself when the channel is gone or the server is silent for
//! `SILENCE`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::Error;
use crate::catalogue::FileSpec;
use crate::digest::{Hasher, Sha256, hash_file};
use crate::progress::Reporter;
use crate::source::Failure;

/// How long to wait for a connection, and for the name of the host.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 4;
const MAX_REDIRECTS: usize = 8;
const BLOCK: usize = 256 << 10;
/// The largest file that is accepted where neither the catalogue nor the server gives a size.
const UNKNOWN_SIZE_LIMIT: u64 = 16 << 30;

/// A client for one server.
pub(crate) struct Client {
    agent: Agent,
    token: Option<String>,
}

/// What the thread tells the caller.
enum Event {
    Head(Head),
    Data(Vec<u8>),
    End,
    /// Worth another try.
    Lost(String),
    /// The server has no such range; the partial file is not a beginning of the file.
    NoSuchRange,
    /// Not worth another try.
    Refused(String),
}

/// The facts before the bytes.
struct Head {
    /// The position of the first byte that follows.
    start: u64,
    /// The size of the whole file.
    total: Option<u64>,
    /// The digest of the whole file, where its entity tag is one, as the hub's are for large files.
    sha256: Option<Sha256>,
}

/// How one attempt ended, if not for good.
enum Attempt {
    Done(u64, Sha256),
    Lost(String),
}

impl Client {
    /// A client for the server at `endpoint`. The `token` is sent to that server alone, not where it redirects to.
    ///
    /// Proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) and trusted
    /// certificates from the platform's store or `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(crate) fn new(endpoint: &str, token: Option<String>) -> Result<Self, Failure> {
        let mut config: ureq::config::ConfigBuilder<_> = Agent::config_builder()
            .user_agent(concat!("amanuensis/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // Redirects are followed here: the hub's digest is in the header of the first answer.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        if endpoint.starts_with("https:") {
            config = config.tls_config(TlsConfig::builder().root_certs(root_certs()?).build());
        }
        if is_loopback(endpoint) {
            // No proxy can reach what only this machine can.
            config = config.proxy(None);
        }
        let config: Config = config.build();
        Ok(Self { agent: config.into(), token })
    }

    /// Fetches `url` to the file `part`, going on where an earlier fetch ended, and returns size and digest.
    ///
    /// The content is held against the checksum of `file`, or the server's where the catalogue has none, and against
    /// the size; where all of these are unknown, it is refused. When the connection is lost for good, `part` stays; when the content is wrong, it goes.
    pub(crate) fn fetch(
        &self,
        url: &str,
        file: &FileSpec,
        part: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<(u64, Sha256), Failure> {
        let base = reporter.bytes();
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            pause(attempt, reporter)?;
            reporter.set(base)?;
            match self.attempt(url, file, part, reporter)? {
                Attempt::Done(size, sha256) => return Ok((size, sha256)),
                Attempt::Lost(why) => reason = why,
            }
        }
        Err(Failure::Source(reason))
    }

    fn attempt(
        &self,
        url: &str,
        file: &FileSpec,
        part: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<Attempt, Failure> {
        let (mut output, mut written, mut hasher) = open_part(part, file.size, reporter)?;
        let resumed = written > 0;
        let mut expected = file.sha256;
        let mut size = file.size;

        if size != Some(written) {
            let base = reporter.bytes() - written;
            let events = self.request(url, written);
            loop {
                match events.recv_timeout(TICK) {
                    Ok(Event::Head(head)) => {
                        if head.start != written {
                            restart(&mut output, part)?;
                            (written, hasher) = (0, Hasher::new());
                            reporter.set(base)?;
                        }
                        if let (Some(size), Some(total)) = (size, head.total)
                            && size != total
                        {
                            return Err(Failure::Source(format!("{url} has {total} bytes, should have {size}")));
                        }
                        size = size.or(head.total);
                        expected = expected.or(head.sha256);
                    }
                    Ok(Event::Data(block)) => {
                        if written + block.len() as u64 > size.unwrap_or(UNKNOWN_SIZE_LIMIT) {
                            discard(part)?;
                            return Err(Failure::Source(format!("{url} sends more than the file's size")));
                        }
                        output.write_all(&block).map_err(Error::io("write", part))?;
                        hasher.update(&block);
                        written += block.len() as u64;
                        reporter.add(block.len() as u64)?;
                    }
                    Ok(Event::End) => break,
                    Ok(Event::Lost(reason)) => return Ok(Attempt::Lost(reason)),
                    Ok(Event::NoSuchRange) => {
                        discard(part)?;
                        return Ok(Attempt::Lost(format!("{url} cannot be resumed")));
                    }
                    Ok(Event::Refused(reason)) => return Err(Failure::Source(reason)),
                    Err(RecvTimeoutError::Timeout) => reporter.tick()?,
                    Err(RecvTimeoutError::Disconnected) => return Ok(Attempt::Lost(format!("{url}: broken off"))),
                }
            }
        }

        if size.is_none() && expected.is_none() {
            discard(part)?;
            return Err(Failure::Source(format!("{url}: neither its checksum nor its size is known to check it by")));
        }
        if let Some(size) = size
            && written < size
        {
            return Ok(Attempt::Lost(format!("{url}: the connection was lost after {written} of {size} bytes")));
        }
        let actual = hasher.finish();
        if let Some(expected) = expected
            && actual != expected
        {
            discard(part)?;
            let reason = format!("{url}: wrong content, sha256 is {actual}, should be {expected}");
            // What was wrong may be the part from an earlier run, so a resumed file gets another chance.
            return if resumed { Ok(Attempt::Lost(reason)) } else { Err(Failure::Source(reason)) };
        }
        output.sync_all().map_err(Error::io("write", part))?;
        Ok(Attempt::Done(written, actual))
    }

    /// Asks for `url` from byte `offset` on, on a thread of its own.
    fn request(&self, url: &str, offset: u64) -> Receiver<Event> {
        let (sender, events) = sync_channel(8);
        let (agent, token, url) = (self.agent.clone(), self.token.clone(), url.to_owned());
        thread::spawn(move || {
            let last = match open(&agent, token.as_deref(), &url, offset) {
                Ok((head, body)) => {
                    if sender.send(Event::Head(head)).is_err() {
                        return;
                    }
                    stream(body, &url, &sender)
                }
                Err(event) => event,
            };
            // Nobody listens any more after a cancellation.
            let _ = sender.send(last);
        });
        events
    }
}

/// Follows redirects to the answer that has the file.
fn open(agent: &Agent, token: Option<&str>, url: &str, offset: u64) -> Result<(Head, Body), Event> {
    let mut at = url.to_owned();
    let mut sha256 = None;
    for _ in 0..=MAX_REDIRECTS {
        let mut request = agent.get(&at).header("accept-encoding", "identity");
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        if let Some(token) = token
            && origin(&at) == origin(url)
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request
            .call()
            .map_err(|error| Event::Refused(format!("cannot reach {}: {}", origin(&at), cause(&error))))?;
        sha256 = sha256.or_else(|| etag_digest(&response, "x-linked-etag"));
        if response.status().is_redirection() {
            let location = header(&response, "location").unwrap_or_default();
            at = redirected(&at, location)
                .ok_or_else(|| Event::Refused(format!("{at} redirects to {location:?}, which is not followed")))?;
            continue;
        }
        return answer(response, &at, offset, sha256);
    }
    Err(Event::Refused(format!("{url} redirects without end")))
}

fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(phase) => format!("no answer in time ({phase})"),
        other => other.to_string(),
    }
}

fn answer(response: Response<Body>, url: &str, offset: u64, linked: Option<Sha256>) -> Result<(Head, Body), Event> {
    let status = response.status();
    let (start, total) = match status {
        StatusCode::OK => (0, response.body().content_length()),
        StatusCode::PARTIAL_CONTENT => match header(&response, "content-range").and_then(content_range) {
            Some((start, total)) if start == offset => (start, total),
            _ => return Err(Event::NoSuchRange),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => return Err(Event::NoSuchRange),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Event::Refused(format!("{url}: access denied ({status}); a token in HF_TOKEN may open it")));
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Err(Event::Lost(format!("{url}: {status}")));
        }
        _ if status.is_server_error() => return Err(Event::Lost(format!("{url}: {status}"))),
        _ => return Err(Event::Refused(format!("{url}: {status}"))),
    };
    let sha256 = linked.or_else(|| etag_digest(&response, "etag"));
    Ok((Head { start, total, sha256 }, response.into_body()))
}

fn stream(body: Body, url: &str, sender: &SyncSender<Event>) -> Event {
    let mut reader = body.into_reader();
    loop {
        let mut block = vec![0; BLOCK];
        match reader.read(&mut block) {
            Ok(0) => return Event::End,
            Ok(read) => {
                block.truncate(read);
                if sender.send(Event::Data(block)).is_err() {
                    return Event::End;
                }
            }
            Err(error) => return Event::Lost(format!("{url}: the connection was lost ({error})")),
        }
    }
}

/// Opens the partial file for appending and digests what it has.
fn open_part(part: &Path, size: Option<u64>, reporter: &mut Reporter<'_>) -> Result<(File, u64, Hasher), Error> {
    let mut output = OpenOptions::new().create(true).append(true).open(part).map_err(Error::io("create", part))?;
    let mut length = output.metadata().map_err(Error::io("read", part))?.len();
    let mut hasher = Hasher::new();
    if size.is_some_and(|size| length > size) {
        restart(&mut output, part)?;
        length = 0;
    }
    if length > 0 {
        hash_file(part, &mut hasher, |read| reporter.add(read))?;
    }
    Ok((output, length, hasher))
}

fn restart(output: &mut File, part: &Path) -> Result<(), Error> {
    output.set_len(0).and_then(|()| output.seek(SeekFrom::Start(0))).map_err(Error::io("write", part))?;
    Ok(())
}

fn discard(part: &Path) -> Result<(), Error> {
    fs::remove_file(part).map_err(Error::io("remove", part))
}

/// Waits before another attempt, longer each time.
fn pause(attempt: u32, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let ticks = if attempt == 0 { 0 } else { 5 << attempt };
    for _ in 0..ticks {
        thread::sleep(TICK);
        reporter.tick()?;
    }
    Ok(())
}

fn root_certs() -> Result<RootCerts, Failure> {
    let native = rustls_native_certs::load_native_certs();
    if !native.certs.is_empty() {
        return Ok(native.certs.iter().map(|cert| Certificate::from_der(cert).to_owned()).into());
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if std::env::var_os(variable).is_some() {
            return Err(Failure::Source(format!("no certificate could be read from where {variable} points")));
        }
    }
    Ok(RootCerts::WebPki)
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The entity tag `name` as a digest, if it has that form.
fn etag_digest(response: &Response<Body>, name: &str) -> Option<Sha256> {
    header(response, name)?.trim_start_matches("W/").trim_matches('"').parse().ok()
}

/// First position and total size of `bytes FIRST-LAST/TOTAL`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    Some((first, total.parse().ok()))
}

/// Scheme, host and port of `url`.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url, |end| &url[..host + end])
}

/// The address that `location` means in an answer from `from`; none where a secure one leads to an open one.
fn redirected(from: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || (location.starts_with("http://") && from.starts_with("http://")) {
        return Some(location.to_owned());
    }
    let on_this_host = location.starts_with('/') && !location.starts_with("//");
    on_this_host.then(|| format!("{}{location}", origin(from)))
}

fn is_loopback(endpoint: &str) -> bool {
    let host = origin(endpoint).split_once("://").map_or("", |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
        assert_eq!(content_range("5-9/10"), None);
    }

    #[test]
    fn redirects_keep_to_secure_addresses() {
        let to = |location| redirected("https://hub.example/a/b?c", location);
        assert_eq!(to("https://cdn.example/x").as_deref(), Some("https://cdn.example/x"));
        assert_eq!(to("/api/x?y").as_deref(), Some("https://hub.example/api/x?y"));
        assert_eq!(to("http://cdn.example/x"), None);
        assert_eq!(to("//cdn.example/x"), None);
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to(""), None);
    }

    #[test]
    fn loopback_is_told_from_other_hosts() {
        for endpoint in ["http://127.0.0.1:80/x", "http://localhost", "http://[::1]:8080"] {
            assert!(is_loopback(endpoint), "{endpoint}");
        }
        for endpoint in ["https://huggingface.co", "http://10.0.0.1:80", "https://localhost.example"] {
            assert!(!is_loopback(endpoint), "{endpoint}");
        }
    }

    proptest! {
        #[test]
        fn hostile_headers_do_no_harm(text in "(bytes )?[0-9*/-]{0,30}|\\PC{0,40}") {
            let _ = content_range(&text);
            let _ = redirected(&text, &text);
            let _ = is_loopback(&text);
        }
    }
}
