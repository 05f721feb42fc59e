//! The settings of the job queue.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;

/// How jobs are stored and run.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// The data directory. Only one server may use it at a time.
    pub directory: PathBuf,
    /// A folder of recordings that jobs may name instead of uploading one.
    pub folder: Option<PathBuf>,
    /// Number of jobs that run at once.
    pub workers: usize,
    /// Maximum number of queued jobs.
    pub max_queued: usize,
    /// The longest recording that is transcribed.
    pub max_duration: Duration,
    /// The longest time that a job may take since it was last started.
    pub timeout: Duration,
    /// How long a finished job is kept; `None` keeps it forever.
    pub retention: Option<Duration>,
}

impl JobSettings {
    /// The job settings of `config`, with the data directory `directory`.
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
