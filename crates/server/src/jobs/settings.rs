//! The settings of the job queue.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;

/// How jobs are stored and run.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// The data directory. Only one server may use it at a time.
    pub directory: PathBuf,
    /// The folder of recordings. A job may name a file in it instead of uploading one.
    pub folder: Option<PathBuf>,
    /// Maximum number of jobs that run at the same time.
    pub workers: usize,
    /// Maximum number of queued jobs.
    pub max_queued: usize,
    /// Maximum duration of a job's recording.
    pub max_duration: Duration,
    /// Maximum time that a job may take, counted from its most recent start.
    pub timeout: Duration,
    /// How long a finished job and its transcript are kept. `None` means forever.
    pub retention: Option<Duration>,
}

impl JobSettings {
    /// The job settings in the server settings `config`, with the data directory `directory`.
    pub fn new(config: &Config, directory: PathBuf) -> Self {
        Self {
            directory,
            folder: config.job_folder.clone(),
            workers: config.max_active_jobs,
            max_queued: config.max_queued_jobs,
            max_duration: Duration::from_secs(config.max_job_duration),
            timeout: Duration::from_secs(config.job_timeout),
            retention: (config.keep_jobs > 0).then(|| Duration::from_secs(config.keep_jobs)),
        }
    }
}
