//! Gives request handlers access to the jobs.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::jobs::{JobError, Jobs};
use crate::state::AppState;

/// The jobs of the server.
///
/// # Errors
/// An [`ApiError`] with status 503 if this server has no jobs.
pub fn jobs(state: &AppState) -> Result<&Arc<Jobs>, ApiError> {
    let error = || ApiError::overloaded("this server accepts no jobs because it has no data directory", 60);
    state.jobs.as_ref().ok_or_else(error)
}

/// Runs a function that accesses the disk on a thread for blocking work.
///
/// # Errors
/// The errors of the function. An [`ApiError`] with status 500 if the function panics.
pub async fn run_blocking<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Arc<Jobs>) -> Result<T, JobError> + Send + 'static,
) -> Result<T, ApiError> {
    let jobs = Arc::clone(jobs(state)?);
    let done = spawn_blocking(move || work(&jobs)).await;
    Ok(done.map_err(|_| ApiError::internal("internal server error"))??)
}
