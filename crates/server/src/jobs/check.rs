//! Checks the recording of a job before the job is accepted, so that the client learns at once about a file that is no recording.

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

/// Time limit of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

impl Jobs {
    /// Opens the recording of a job in the way the runner will: `upload`, or a file of the folder. The number of checks at once
    /// is limited to the number of jobs that run at once.
    ///
    /// # Errors
    /// [`JobError::Recording`]; without an upload [`JobError::NoFolder`], [`JobError::NotInFolder`]. A check that times out, or
    /// cannot be done now, is no error.
    pub async fn check(self: &Arc<Self>, params: &JobParams, upload: Option<&Path>) -> Result<(), JobError> {
        let path = match upload {
            Some(upload) => upload.to_owned(),
            None => self.find_in_folder(params.path.as_deref().unwrap_or_default())?,
        };
        let slot = Arc::clone(&self.check_slots).acquire_owned().await;
        let jobs = Arc::clone(self);
        let check = move || {
            // Held until the check has finished, even if the client disconnects.
            let _slot = slot;
            jobs.check_recording(path)
        };
        // A panic happens again when the job runs, and is then the job's error.
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
