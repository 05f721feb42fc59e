//! The Hugging Face hub, or a mirror of it, as a source of models.
//!
//! Files are at `ENDPOINT/REPOSITORY/resolve/REVISION/FILE`. The catalogue states revisions as commits and not as
//! branches, so that the contents never change.

use std::fs;
use std::path::Path;

use crate::Error;
use crate::catalogue::FileSpec;
use crate::digest::{Hasher, Sha256};
use crate::hash_file::hash_file;
use crate::manifest::FileRecord;
use crate::progress::{Phase, Progress, Reporter};
use crate::source::{Failure, Source};
use crate::transfer::Client;

const PUBLIC_HUB: &str = "https://huggingface.co";

/// The address of the hub and the access token for it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    address: String,
    token: Option<String>,
}

impl Endpoint {
    /// The hub whose address is in the environment variable `HF_ENDPOINT`, or the public hub if it is not set. The
    /// token is the value of `HF_TOKEN`, if set.
    pub(crate) fn from_env() -> Self {
        let set =
            |name| std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let address = set("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_HUB.to_owned());
        Self { address: address.trim_end_matches('/').to_owned(), token: set("HF_TOKEN") }
    }

    /// The hub at another address, with the same token.
    pub(crate) fn at(&self, address: &str) -> Result<Self, Error> {
        let endpoint = Self { address: address.trim_end_matches('/').to_owned(), token: self.token.clone() };
        endpoint.check()?;
        Ok(endpoint)
    }

    /// The hub at the same address, with another token.
    pub(crate) fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    fn check(&self) -> Result<(), Error> {
        let host = self.address.strip_prefix("https://").or_else(|| self.address.strip_prefix("http://"));
        match host {
            Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(()),
            _ => Err(Error::BadEndpoint(self.address.clone())),
        }
    }
}

/// A model on the hub.
pub(crate) struct HubSource<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) files: &'a [FileSpec],
}

impl Source for HubSource<'_> {
    fn label(&self) -> String {
        if self.endpoint.address == PUBLIC_HUB {
            format!("Hugging Face hub ({})", self.repository)
        } else {
            format!("hub at {} ({})", self.endpoint.address, self.repository)
        }
    }

    fn fetch(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<Vec<FileRecord>, Failure> {
        self.endpoint.check().map_err(|error| Failure::Source(error.to_string()))?;
        let client = Client::new(&self.endpoint.address, self.endpoint.token.clone())?;
        let total = self.files.iter().map(|file| file.size).sum();
        reporter.start(Phase::Downloading, total)?;
        self.files.iter().map(|file| self.fetch_file(&client, file, dir, reporter)).collect()
    }
}

impl HubSource<'_> {
    fn fetch_file(
        &self,
        client: &Client,
        file: &FileSpec,
        dir: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<FileRecord, Failure> {
        let finished = dir.join("files").join(&file.name);
        let (size, sha256) = if let Some(known) = already_downloaded(&finished, file, reporter)? {
            known
        } else {
            let url = format!("{}/{}/resolve/{}/{}", self.endpoint.address, self.repository, self.revision, file.name);
            let part = dir.join(format!("{}.part", file.name));
            let fetched = client.fetch(&url, file, &part, reporter)?;
            fs::rename(&part, &finished).map_err(Error::io("create", &finished))?;
            fetched
        };
        reporter.report(Progress::Verified { file: &file.name })?;
        Ok(FileRecord { name: file.name.clone(), size, sha256 })
    }
}

/// Size and digest of a file that an earlier fetch has downloaded; `None` if there is none. If the file is no longer
/// intact, this function removes it.
fn already_downloaded(
    path: &Path,
    file: &FileSpec,
    reporter: &mut Reporter<'_>,
) -> Result<Option<(u64, Sha256)>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let before = reporter.bytes();
    let mut hasher = Hasher::new();
    let mut size = 0;
    hash_file(path, &mut hasher, |read| {
        size += read;
        reporter.add(read)
    })?;
    let sha256 = hasher.finish();
    if file.size.is_none_or(|expected| expected == size) && file.sha256.is_none_or(|expected| expected == sha256) {
        return Ok(Some((size, sha256)));
    }
    fs::remove_file(path).map_err(Error::io("remove", path))?;
    reporter.set(before)?;
    Ok(None)
}
