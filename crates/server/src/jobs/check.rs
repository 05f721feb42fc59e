//! Whether a job has a recording at all: whoever submits it hears that at once, where its beginning tells.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_audio::ErrorKind;
use tokio::task::spawn_blocking;

use super::{JobError, JobParams, Jobs};
use crate::decode::OpenError;

/// How long a recording is looked at.
const PATIENCE: Duration = Duration::from_secs(5);

impl Jobs {
    /// Opens the recording of a job as doing the job would: `upload`, or that of the folder. No more are opened at once than jobs
    /// are done.
    ///
    /// # Errors
    /// [`JobError::Recording`]; [`JobError::NoFolder`], [`JobError::NotInFolder`] where there is no upload. Where it cannot be
    /// told in time what the recording is, or not now, there is no error.
    pub async fn check(self: &Arc<Self>, asked: &JobParams, upload: Option<&Path>) -> Result<(), JobError> {
        let path = match upload {
            Some(upload) => upload.to_owned(),
            None => self.in_folder(asked.path.as_deref().unwrap_or_default())?,
        };
        let place = Arc::clone(&self.checks).acquire_owned().await;
        let jobs = Arc::clone(self);
        let look = move || {
            // Also where nobody waits for it any more.
            let _place = place;
            jobs.look_at(path)
        };
        // A panic would be one when the job is done, too, which then says so.
        spawn_blocking(look).await.unwrap_or(Ok(()))
    }

    fn look_at(&self, path: PathBuf) -> Result<(), JobError> {
        let Ok(file) = File::open(path) else { return Ok(()) };
        let until = Instant::now() + PATIENCE;
        match self.decoder.open(file, move || Instant::now() < until) {
            Err(OpenError::Audio(error)) if error.kind() != ErrorKind::Unreadable && Instant::now() < until => {
                Err(JobError::Recording(error))
            }
            _ => Ok(()),
        }
    }
}
