//! Runs one HTTP request in a separate thread.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::address::{content_range, origin, redirected};
use crate::digest::Sha256;

const MAX_REDIRECTS: usize = 8;
const BLOCK_BYTES: usize = 256 << 10;
/// The maximum number of messages from the request thread that wait in the channel.
const MAX_QUEUED_EVENTS: usize = 8;

/// A message from the request thread.
pub(super) enum Event {
    Head(Head),
    Data(Vec<u8>),
    End,
    /// The connection was lost, or the server is overloaded. Another attempt may succeed.
    Lost(String),
    /// The server does not have the requested range of bytes. So the partial file cannot be the beginning of the file
    /// on the server.
    NoSuchRange,
    /// The request failed, and another attempt would fail too.
    Refused(String),
}

/// What the headers of the response state about the file.
pub(super) struct Head {
    /// The position within the whole file of the first byte in the response body.
    pub(super) start: u64,
    /// The size of the whole file in bytes, if the response states it.
    pub(super) total: Option<u64>,
    /// The digest of the whole file, if the entity tag (`ETag` header) is a digest. On the hub this is so for large
    /// files.
    pub(super) sha256: Option<Sha256>,
}

/// Starts a thread that requests the bytes of `url` from position `offset` on, and returns the channel of its
/// messages.
pub(super) fn start(agent: Agent, token: Option<String>, url: String, offset: u64) -> Receiver<Event> {
    let (sender, events) = sync_channel(MAX_QUEUED_EVENTS);
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
        // Sending fails if the receiver was dropped because of a cancellation.
        let _ = sender.send(last);
    });
    events
}

/// Sends the request and follows redirects until a response contains the file.
fn open(agent: &Agent, token: Option<&str>, url: &str, offset: u64) -> Result<(Head, Body), Event> {
    let mut address = url.to_owned();
    let mut sha256 = None;
    for _ in 0..=MAX_REDIRECTS {
        let mut request = agent.get(&address).header("accept-encoding", "identity");
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        if let Some(token) = token
            && origin(&address) == origin(url)
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request
            .call()
            .map_err(|error| Event::Refused(format!("cannot reach {}: {}", origin(&address), cause(&error))))?;
        sha256 = sha256.or_else(|| etag_digest(&response, "x-linked-etag"));
        if response.status().is_redirection() {
            let location = header(&response, "location").unwrap_or_default();
            address = redirected(&address, location)
                .ok_or_else(|| Event::Refused(format!("{address} redirects to {location:?}, which is not followed")))?;
            continue;
        }
        return accept(response, &address, offset, sha256);
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

/// Checks the status of the final response, after all redirects. `linked` is the digest that the headers of an
/// earlier redirect stated, if any.
fn accept(response: Response<Body>, url: &str, offset: u64, linked: Option<Sha256>) -> Result<(Head, Body), Event> {
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

/// Sends the body of the response block by block, and returns the final event, which the caller has to send.
fn stream(body: Body, url: &str, sender: &SyncSender<Event>) -> Event {
    let mut reader = body.into_reader();
    loop {
        let mut block = vec![0; BLOCK_BYTES];
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

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The entity tag (an identifier of the contents) in the header `name`, if it is a digest.
fn etag_digest(response: &Response<Body>, name: &str) -> Option<Sha256> {
    header(response, name)?.trim_start_matches("W/").trim_matches('"').parse().ok()
}
