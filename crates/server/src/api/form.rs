//! Multipart forms: the recording goes to disk as it arrives, the other fields to memory. A field that nobody takes is
//! refused.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use amanuensis_transcribe::AudioError;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::{gate, query};
use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::TranscriptionError;

/// Bytes that a field other than the recording may have, and how many of them there may be.
const LONGEST_FIELD: usize = 64 << 10;
const MOST_FIELDS: usize = 256;

/// A recording that was sent; deleted when it is dropped.
pub struct Upload(TempPath);

impl Upload {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file, for whoever keeps it.
    pub fn into_path(self) -> TempPath {
        self.0
    }
}

/// A form whose fields are taken one by one.
pub struct Form {
    /// Where the recording goes; to the system's temporary files where there is none.
    folder: Option<PathBuf>,
    upload: Option<Upload>,
    fields: Vec<(String, String)>,
}

impl Form {
    /// Receives the form of a request, if there is a place for it.
    pub async fn receive(state: &Arc<AppState>, request: Request) -> Result<Self, ApiError> {
        if state.limits.is_queue_full() {
            return Err(gate::refuse(state.overloaded("too many requests are waiting"), request).await);
        }
        Self::receive_in(None, state, request).await
    }

    /// Receives the form of a request, with the recording in a file of `folder`.
    pub async fn receive_in(
        folder: Option<PathBuf>,
        state: &Arc<AppState>,
        request: Request,
    ) -> Result<Self, ApiError> {
        if let Err(error) = check_head(&request) {
            return Err(gate::refuse(error, request).await);
        }
        let Some(_upload_slot) = state.limits.try_upload_slot() else {
            return Err(gate::refuse(state.overloaded("too many recordings are being uploaded"), request).await);
        };
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|bytes: u64| bytes > state.config.max_upload_bytes() + LONGEST_FIELD as u64) {
            return Err(gate::refuse(too_large(state), request).await);
        }
        let multipart = Multipart::from_request(request, state).await.map_err(|rejection| {
            ApiError::unsupported(format!("the body has to be a multipart form: {}", rejection.body_text()))
        })?;
        let received = tokio::time::timeout(state.config.upload_timeout(), Self::read(folder, state, multipart)).await;
        received.unwrap_or_else(|_| Err(ApiError::request_timeout("the upload took too long")))
    }

    async fn read(folder: Option<PathBuf>, state: &AppState, mut multipart: Multipart) -> Result<Self, ApiError> {
        let mut form = Self { folder, upload: None, fields: Vec::new() };
        // The first error is told once the client has sent all, since many do not listen before.
        let mut refused = None;
        while let Some(field) = multipart.next_field().await.map_err(|error| malformed(&error, state))? {
            match form.take_in(state, field).await {
                Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(error),
                Err(error) => drop(refused.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        refused.map_or(Ok(form), Err)
    }

    async fn take_in(&mut self, state: &AppState, mut field: Field<'_>) -> Result<(), ApiError> {
        let Some(name) = field.name().map(str::to_owned) else {
            return Err(ApiError::invalid("a part of the form has no name"));
        };
        if name == "file" {
            if self.upload.is_some() {
                return Err(ApiError::invalid("one recording at a time").with_param("file"));
            }
            self.upload = Some(save(self.folder.clone(), state, field).await?);
            return Ok(());
        }
        let is_file = field.file_name().is_some();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error, state))? {
            // What is refused is still read to its end.
            if bytes.len() <= LONGEST_FIELD {
                bytes.extend_from_slice(&chunk);
            }
        }
        if is_file {
            let message = format!("there is no option {name:?}; the recording is the field `file`");
            return Err(ApiError::invalid(message).with_param(name).with_code("unknown_parameter"));
        }
        if bytes.len() > LONGEST_FIELD || self.fields.len() >= MOST_FIELDS {
            return Err(ApiError::invalid("the field is too long, or there are too many of them").with_param(name));
        }
        let text = String::from_utf8(bytes).map_err(|_| ApiError::invalid("the field is no text").with_param(&name))?;
        self.fields.push((name, text));
        Ok(())
    }

    /// The recording.
    pub fn upload(&mut self) -> Result<Upload, ApiError> {
        self.upload.take().ok_or_else(|| ApiError::invalid("the recording is missing").with_param("file"))
    }

    /// Whether there is a recording.
    pub fn has_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// A field, which stays to be taken.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, text)| text.as_str())
    }

    /// A field that may be missing; one that is empty counts as missing.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut found: Vec<String> = self.take(|field| field == name);
        if found.len() > 1 {
            return Err(ApiError::invalid("the field is given more than once").with_param(name));
        }
        Ok(found.pop().filter(|text| !text.trim().is_empty()))
    }

    /// A field that may be missing, parsed.
    pub fn value<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let parse = |text: String| {
            text.trim().parse().map_err(|error| ApiError::invalid(format!("{name}: {error}")).with_param(name))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// Yes or no, no where it is missing; in any case, since Python writes `True`.
    pub fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)?.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name} is true or false")).with_param(name)),
        }
    }

    /// A list: every field of this name, with `[]` or without.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let bracketed = format!("{name}[]");
        let found = self.take(|field| field == name || field == bracketed);
        found.into_iter().filter(|text| !text.trim().is_empty()).collect()
    }

    /// The fields of an object that is sent as `name[key]`, by key.
    pub fn object(&mut self, name: &str) -> Vec<(String, String)> {
        let key = |field: &str| {
            let key = field.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some(key.to_owned()).filter(|key| !key.is_empty())
        };
        let found = self.fields.iter().filter_map(|(field, text)| Some((key(field)?, text.clone()))).collect();
        self.fields.retain(|(field, _)| key(field).is_none());
        found
    }

    /// Refuses what was not taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.fields.first() {
            Some((name, _)) => Err(ApiError::invalid(format!("there is no option {name:?}"))
                .with_param(name)
                .with_code("unknown_parameter")),
            None => Ok(()),
        }
    }

    fn take(&mut self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let (found, rest) = std::mem::take(&mut self.fields).into_iter().partition(|(field, _)| is_wanted(field));
        self.fields = rest;
        let found: Vec<(String, String)> = found;
        found.into_iter().map(|(_, text)| text).collect()
    }

    /// A form of these fields, for tests.
    #[cfg(test)]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        Self { folder: None, upload: Some(Upload(NamedTempFile::new().unwrap().into_temp_path())), fields }
    }
}

/// Refuses what is no form, or has options elsewhere.
fn check_head(request: &Request) -> Result<(), ApiError> {
    query::refuse_any(request.uri().query())?;
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(ApiError::unsupported("the body must not be encoded: no Content-Encoding is understood"));
    }
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default().trim_start();
    if media_type.get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data")) {
        return Ok(());
    }
    Err(ApiError::unsupported("the body has to be a multipart form: `Content-Type: multipart/form-data`"))
}

/// Writes a recording to a temporary file, whose name has nothing of what the client calls it.
async fn save(folder: Option<PathBuf>, state: &AppState, mut field: Field<'_>) -> Result<Upload, ApiError> {
    let failed = |error: &dyn Display| ApiError::internal(format!("the recording cannot be stored: {error}"));
    let create = || match folder {
        Some(folder) => NamedTempFile::with_prefix_in(".new-", folder),
        None => NamedTempFile::with_prefix("amanuensis-"),
    };
    let file = spawn_blocking(create).await;
    let (file, path) = file.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?.into_parts();
    let (mut file, mut size) = (tokio::fs::File::from_std(file), 0);
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error, state))? {
        size += chunk.len() as u64;
        if size > state.config.max_upload_bytes() {
            return Err(too_large(state));
        }
        file.write_all(&chunk).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    if size == 0 {
        return Err(TranscriptionError::Audio(AudioError::Empty).into());
    }
    Ok(Upload(path))
}

fn too_large(state: &AppState) -> ApiError {
    ApiError::too_large(format!("the recording is larger than {} MiB", state.config.max_upload)).with_param("file")
}

fn malformed(error: &MultipartError, state: &AppState) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(state);
    }
    ApiError::invalid(format!("the multipart form cannot be read: {}", error.body_text()))
}
