//! Checks the recording of a job before the job is accepted, so that the client gets an error immediately if the file
//! is not a recording.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_audio::ErrorKind;
use amanuensis_decode_worker::OpenError;
use tokio::task::spawn_blocking;

use super::error::JobError;
use super::job::JobParams;
use super::queue::Jobs;

/// Time limit for checking one recording.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

impl Jobs {
    /// Checks that the recording of a job can be opened. The recording is the file `upload`. If there is no upload,
    /// it is the file in the folder of recordings that `params` names. The number of concurrent checks is limited to
    /// the maximum number of concurrent jobs.
    ///
    /// # Errors
    /// [`JobError::Recording`] if the file is not a recording that can be decoded. If there is no upload, also
    /// [`JobError::NoFolder`] and [`JobError::NotInFolder`]. A check that times out or cannot be made is no error.
    pub async fn check(self: &Arc<Self>, params: &JobParams, upload: Option<&Path>) -> Result<(), JobError> {
        let path = match upload {
            Some(upload) => upload.to_owned(),
            None => self.find_in_folder(params.path.as_deref().unwrap_or_default())?,
        };
        let slot = Arc::clone(&self.check_slots).acquire_owned().await;
        let jobs = Arc::clone(self);
        let check = move || {
            // Hold the slot until this check has finished, even if the client disconnects earlier.
            let _slot = slot;
            jobs.check_recording(path)
        };
        // Ignore a panic: it will happen again when the job runs, and the job will then fail with an error.
        spawn_blocking(check).await.unwrap_or(Ok(()))
    }

    fn check_recording(&self, path: PathBuf) -> Result<(), JobError> {
        let Ok(file) = File::open(path) else { return Ok(()) };
        let deadline = Instant::now() + CHECK_TIMEOUT;
        match self.decoder.open(file, move || Instant::now() >= deadline) {
            Err(OpenError::Audio(error)) if error.kind() != ErrorKind::Unreadable && Instant::now() < deadline => {
                Err(JobError::Recording(error))
            }
            _ => Ok(()),
        }
    }
}
