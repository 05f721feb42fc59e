//! Downloads a file with retries, and verifies the result.

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::address::is_loopback;
use super::partial_file::PartialFile;
use super::request::{self, Event, Head};
use crate::catalogue::FileSpec;
use crate::digest::Sha256;
use crate::error::Error;
use crate::progress::Reporter;
use crate::source::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// If no data arrives for this long, the connection counts as lost.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval between calls of the progress callback while no data arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_ATTEMPTS: u32 = 4;
/// The maximum size of a file in bytes if neither the catalogue nor the server states its size.
const MAX_BYTES_OF_UNKNOWN_SIZE: u64 = 16 << 30;

/// An HTTP client for one server.
pub(crate) struct Client {
    agent: Agent,
    token: Option<String>,
}

/// The result of one attempt to download a file.
enum Attempt {
    Done(u64, Sha256),
    /// The attempt failed for this reason, but another one may succeed.
    Lost(String),
}

/// The expected size and digest of the file, from the catalogue and the response.
struct Expected {
    size: Option<u64>,
    sha256: Option<Sha256>,
}

impl Client {
    /// Creates a client for the server at `endpoint`. The `token` is sent to that server only, and not to servers
    /// that it redirects to.
    ///
    /// Proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). Trusted certificates
    /// come from the platform's store, or from `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(crate) fn new(endpoint: &str, token: Option<String>) -> Result<Self, Failure> {
        let mut config: ureq::config::ConfigBuilder<_> = Agent::config_builder()
            .user_agent(concat!("amanuensis/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // The module `request` follows redirects itself, because the hub states the digest in the headers of the
            // redirect.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT));
        if endpoint.starts_with("https:") {
            config = config.tls_config(TlsConfig::builder().root_certs(root_certs()?).build());
        }
        if is_loopback(endpoint) {
            // For a loopback address no proxy is used, because a proxy could not reach the loopback address of this
            // machine.
            config = config.proxy(None);
        }
        let config: Config = config.build();
        Ok(Self { agent: config.into(), token })
    }

    /// Downloads `url` to the file `part`, continuing an earlier download. Returns the size and digest of the file.
    ///
    /// The size and the checksum are compared with those of `file` in the catalogue. If the catalogue has no
    /// checksum, that of the server is used. If neither a size nor a checksum is known, the download is refused.
    /// After a lost connection `part` is kept for the next download; after a mismatch it is removed.
    pub(crate) fn fetch(
        &self,
        url: &str,
        file: &FileSpec,
        part: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<(u64, Sha256), Failure> {
        let base = reporter.bytes();
        let mut reason = String::new();
        for attempt in 0..MAX_ATTEMPTS {
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
        let mut partial = PartialFile::open(part, file.size, reporter)?;
        let is_resumed = partial.written() > 0;
        let mut expected = Expected { size: file.size, sha256: file.sha256 };
        if expected.size != Some(partial.written()) {
            let base = reporter.bytes() - partial.written();
            let events = request::start(self.agent.clone(), self.token.clone(), url.to_owned(), partial.written());
            loop {
                match events.recv_timeout(POLL_INTERVAL) {
                    Ok(Event::Head(head)) => {
                        if head.start != partial.written() {
                            partial.restart()?;
                            reporter.set(base)?;
                        }
                        expected.add(&head, url)?;
                    }
                    Ok(Event::Data(block)) => {
                        let length = partial.written() + block.len() as u64;
                        if length > expected.size.unwrap_or(MAX_BYTES_OF_UNKNOWN_SIZE) {
                            partial.discard()?;
                            return Err(Failure::Source(format!("{url} sends more than the file's size")));
                        }
                        partial.append(&block)?;
                        reporter.add(block.len() as u64)?;
                    }
                    Ok(Event::End) => break,
                    Ok(Event::Lost(reason)) => return Ok(Attempt::Lost(reason)),
                    Ok(Event::NoSuchRange) => {
                        partial.discard()?;
                        return Ok(Attempt::Lost(format!("{url} cannot be resumed")));
                    }
                    Ok(Event::Refused(reason)) => return Err(Failure::Source(reason)),
                    Err(RecvTimeoutError::Timeout) => reporter.tick()?,
                    Err(RecvTimeoutError::Disconnected) => return Ok(Attempt::Lost(format!("{url}: broken off"))),
                }
            }
        }
        expected.verify(partial, is_resumed, url)
    }
}

impl Expected {
    /// Adds the size and the digest that the response states to the expected values. If the response states another
    /// size than the catalogue, this is an error.
    fn add(&mut self, head: &Head, url: &str) -> Result<(), Failure> {
        if let (Some(size), Some(total)) = (self.size, head.total)
            && size != total
        {
            return Err(Failure::Source(format!("{url} has {total} bytes, should have {size}")));
        }
        self.size = self.size.or(head.total);
        self.sha256 = self.sha256.or(head.sha256);
        Ok(())
    }

    /// Compares the complete file with the expected size and digest, and flushes it to the disk.
    fn verify(&self, partial: PartialFile<'_>, is_resumed: bool, url: &str) -> Result<Attempt, Failure> {
        let written = partial.written();
        if self.size.is_none() && self.sha256.is_none() {
            partial.discard()?;
            return Err(Failure::Source(format!("{url}: neither its checksum nor its size is known to check it by")));
        }
        if let Some(size) = self.size
            && written < size
        {
            return Ok(Attempt::Lost(format!("{url}: the connection was lost after {written} of {size} bytes")));
        }
        let actual = partial.digest();
        if let Some(expected) = self.sha256
            && actual != expected
        {
            partial.discard()?;
            let reason = format!("{url}: wrong content, sha256 is {actual}, should be {expected}");
            // After a resumed download, the whole file is downloaded again, because the part from the earlier
            // download may have been wrong.
            return if is_resumed { Ok(Attempt::Lost(reason)) } else { Err(Failure::Source(reason)) };
        }
        partial.sync()?;
        Ok(Attempt::Done(written, actual))
    }
}

/// Waits before the next attempt to download. The waiting time doubles with each attempt.
fn pause(attempt: u32, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let ticks = if attempt == 0 { 0 } else { 5 << attempt };
    for _ in 0..ticks {
        thread::sleep(POLL_INTERVAL);
        reporter.tick()?;
    }
    Ok(())
}

/// The certificates that the client trusts: those of the platform. If the platform has none, the built-in
/// certificates are used. But if `SSL_CERT_FILE` or `SSL_CERT_DIR` is set and no certificate is found, the result is
/// an error.
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
