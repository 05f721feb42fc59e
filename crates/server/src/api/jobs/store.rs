//! Gives HTTP request handlers access to the job queue.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::jobs::{JobError, Jobs};
use crate::state::AppState;

/// The job queue of the server.
///
/// # Errors
/// An [`ApiError`] with status 503 if this server runs without jobs.
pub fn jobs(state: &AppState) -> Result<&Arc<Jobs>, ApiError> {
    let error = || ApiError::overloaded("this server accepts no jobs because it has no data directory", 60);
    state.jobs.as_ref().ok_or_else(error)
}

/// Calls `work` with the job queue, on a thread where it may block while it accesses the disk. Returns the result of
/// `work`.
///
/// # Errors
/// The errors of `work`. An [`ApiError`] with status 503 if this server runs without jobs, or with status 500 if
/// `work` panics.
pub async fn run_blocking<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Arc<Jobs>) -> Result<T, JobError> + Send + 'static,
) -> Result<T, ApiError> {
    let jobs = Arc::clone(jobs(state)?);
    let done = spawn_blocking(move || work(&jobs)).await;
    Ok(done.map_err(|_| ApiError::internal("internal server error"))??)
}
