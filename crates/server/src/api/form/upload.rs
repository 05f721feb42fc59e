//! A recording that a client has uploaded.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use amanuensis_transcribe::AudioError;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::TranscriptionError;

/// A recording that a client has uploaded to a temporary file. Dropping this value deletes the file.
pub struct Upload(TempPath);

impl Upload {
    /// The path of the temporary file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the temporary file, so that the caller can keep it after the request has ended.
    pub fn into_path(self) -> TempPath {
        self.0
    }

    /// Writes the content of a form field to a new file in the directory `folder`. If `folder` is `None`, the file is
    /// in the system's directory for temporary files. The file name that the client has sent is not used.
    ///
    /// # Errors
    /// An [`ApiError`] if the recording is empty or too large, if the request is malformed, or if the file cannot be
    /// written.
    pub async fn save(folder: Option<PathBuf>, state: &AppState, mut field: Field<'_>) -> Result<Self, ApiError> {
        let failed = |error: &dyn Display| ApiError::internal(format!("the recording cannot be stored: {error}"));
        let create = || match folder {
            Some(folder) => NamedTempFile::with_prefix_in(".new-", folder),
            None => NamedTempFile::with_prefix("amanuensis-"),
        };
        let file = spawn_blocking(create).await;
        let (file, path) = file.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?.into_parts();
        let (mut file, mut size) = (tokio::fs::File::from_std(file), 0);
        while let Some(chunk) = field.chunk().await.map_err(|error| multipart_error(&error, state))? {
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
        Ok(Self(path))
    }

    /// An empty recording for tests.
    #[cfg(test)]
    pub fn empty() -> Self {
        Self(NamedTempFile::new().unwrap().into_temp_path())
    }
}

/// The error for a recording that is larger than the upload limit of the server.
pub fn too_large(state: &AppState) -> ApiError {
    ApiError::too_large(format!("the recording is larger than {} MiB", state.config.max_upload)).with_param("file")
}

/// The error for a form that is malformed or too large.
pub fn multipart_error(error: &MultipartError, state: &AppState) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(state);
    }
    ApiError::invalid(format!("the multipart form cannot be read: {}", error.body_text()))
}
