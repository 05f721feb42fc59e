//! Receives a multipart form. The recording is written to disk as it arrives. The other fields are kept in memory.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};

use super::fields::Fields;
use super::upload::{Upload, multipart_error, too_large};
use crate::api::{drain, rejections};
use crate::error::ApiError;
use crate::state::AppState;

/// The largest size of a form field other than the recording, in bytes, and the largest number of such fields.
const MAX_FIELD_BYTES: usize = 64 << 10;
const MAX_FIELDS: usize = 256;

/// A received form. Reading a field removes it, and [`Self::finish`] rejects the fields that have not been read.
pub struct Form {
    /// The directory in which the recording will be stored. `None` means the system's directory for temporary files.
    folder: Option<PathBuf>,
    upload: Option<Upload>,
    fields: Vec<(String, String)>,
}

impl Form {
    /// Receives the form of a request that must wait in the request queue before it is transcribed. Takes a slot of
    /// the queue first.
    ///
    /// # Errors
    /// An [`ApiError`] with status 503 if the queue is full. All errors of [`Self::receive_in`].
    pub async fn receive(state: &Arc<AppState>, request: Request) -> Result<Self, ApiError> {
        if state.limits.is_queue_full() {
            return Err(drain::before_error(state.overloaded("too many requests are waiting"), request).await);
        }
        Self::receive_in(None, state, request).await
    }

    /// Receives the form of a request, and stores the recording in the directory `folder`.
    ///
    /// # Errors
    /// An [`ApiError`] if the body is not a multipart form, is malformed or too large, or arrives too slowly, or if
    /// too many uploads are running.
    pub async fn receive_in(
        folder: Option<PathBuf>,
        state: &Arc<AppState>,
        request: Request,
    ) -> Result<Self, ApiError> {
        if let Err(error) = check_headers(&request) {
            return Err(drain::before_error(error, request).await);
        }
        let Some(_upload_slot) = state.limits.try_upload_slot() else {
            let error = state.overloaded("too many recordings are being uploaded");
            return Err(drain::before_error(error, request).await);
        };
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|bytes: u64| bytes > state.config.max_upload_bytes() + MAX_FIELD_BYTES as u64) {
            return Err(drain::before_error(too_large(state), request).await);
        }
        let multipart = Multipart::from_request(request, state).await.map_err(|rejection| {
            ApiError::unsupported(format!("the body must be a multipart form: {}", rejection.body_text()))
        })?;
        let form = Self { folder, upload: None, fields: Vec::new() };
        let received = tokio::time::timeout(state.config.upload_timeout(), form.read_all(state, multipart)).await;
        received.unwrap_or_else(|_| Err(ApiError::request_timeout("the upload took too long")))
    }

    async fn read_all(mut self, state: &AppState, mut multipart: Multipart) -> Result<Self, ApiError> {
        // Many clients read no response before they have sent the whole request. Therefore remember the first error,
        // and return it only after the rest of the form has been received.
        let mut first_error = None;
        while let Some(field) = multipart.next_field().await.map_err(|error| multipart_error(&error, state))? {
            match self.add_field(state, field).await {
                Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(error),
                Err(error) => drop(first_error.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        first_error.map_or(Ok(self), Err)
    }

    async fn add_field(&mut self, state: &AppState, mut field: Field<'_>) -> Result<(), ApiError> {
        let Some(name) = field.name().map(str::to_owned) else {
            return Err(ApiError::invalid("a part of the form has no name"));
        };
        if name == "file" {
            if self.upload.is_some() {
                return Err(ApiError::invalid("only one recording per request is allowed").with_param("file"));
            }
            self.upload = Some(Upload::save(self.folder.clone(), state, field).await?);
            return Ok(());
        }
        let is_file = field.file_name().is_some();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| multipart_error(&error, state))? {
            // A field that is too long is received completely, so that the upload can continue, but only its
            // beginning is kept.
            if bytes.len() <= MAX_FIELD_BYTES {
                bytes.extend_from_slice(&chunk);
            }
        }
        if is_file {
            let message = format!("unknown file field {name:?}; the recording must be sent as `file`");
            return Err(ApiError::invalid(message).with_param(name).with_code("unknown_parameter"));
        }
        if bytes.len() > MAX_FIELD_BYTES || self.fields.len() >= MAX_FIELDS {
            return Err(ApiError::invalid("the field is too long, or the form has too many fields").with_param(name));
        }
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| ApiError::invalid("the field is not valid UTF-8").with_param(&name))?;
        self.fields.push((name, text));
        Ok(())
    }

    /// Removes the recording from the form and returns it.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the form has no recording.
    pub fn upload(&mut self) -> Result<Upload, ApiError> {
        self.upload.take().ok_or_else(|| ApiError::invalid("the recording is missing").with_param("file"))
    }

    /// Whether the form has a recording that has not been removed with [`Self::upload`].
    pub fn has_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// The value of a field. The field stays in the form. `None` if the form has no such field.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, text)| text.as_str())
    }

    /// Removes the field `model` from the form and returns the name of the model.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the form names no model.
    pub fn model(&mut self) -> Result<String, ApiError> {
        self.text("model")?.ok_or_else(|| ApiError::invalid("the model is missing").with_param("model"))
    }

    /// Removes a field and parses it as `true` or `false`. A missing field counts as `false`. Case does not matter,
    /// because Python clients send `True`.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 for any other value.
    pub fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)?.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name} must be true or false")).with_param(name)),
        }
    }

    /// Rejects the form if it has fields that have not been read.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 that names the first of these fields.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.fields.first() {
            Some((name, _)) => Err(ApiError::invalid(format!("unknown option {name:?}"))
                .with_param(name)
                .with_code("unknown_parameter")),
            None => Ok(()),
        }
    }

    /// Removes the fields whose names satisfy `matches`, and returns the values of these fields.
    fn take(&mut self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        let taken = self.fields.extract_if(.., |(field, _)| matches(field));
        taken.map(|(_, text)| text).collect()
    }

    /// A form for tests, with these fields and an empty recording.
    #[cfg(test)]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        Self { folder: None, upload: Some(Upload::empty()), fields }
    }
}

impl Fields for Form {
    fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut found = self.take(|field| field == name);
        if found.len() > 1 {
            return Err(ApiError::invalid("the field is given more than once").with_param(name));
        }
        Ok(found.pop().filter(|text| !text.trim().is_empty()))
    }

    /// Removes all fields that are called `name` or `name[]`, and returns their values.
    fn list(&mut self, name: &str) -> Vec<String> {
        let bracketed = format!("{name}[]");
        let found = self.take(|field| field == name || field == bracketed);
        found.into_iter().filter(|text| !text.trim().is_empty()).collect()
    }

    fn object(&mut self, name: &str) -> Vec<(String, String)> {
        let key = |field: &str| {
            let key = field.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some(key.to_owned()).filter(|key| !key.is_empty())
        };
        let found = self.fields.iter().filter_map(|(field, text)| Some((key(field)?, text.clone()))).collect();
        self.fields.retain(|(field, _)| key(field).is_none());
        found
    }
}

/// Rejects a request that has query parameters, or whose body is not a multipart form.
fn check_headers(request: &Request) -> Result<(), ApiError> {
    rejections::no_query(request.uri().query())?;
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(ApiError::unsupported("compressed bodies are not supported: remove the header Content-Encoding"));
    }
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default().trim_start();
    if media_type.get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data")) {
        return Ok(());
    }
    Err(ApiError::unsupported("the body must be a multipart form: `Content-Type: multipart/form-data`"))
}
