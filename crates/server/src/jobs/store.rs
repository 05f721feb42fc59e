//! The job database. Every change is a single `SQLite` transaction.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use amanuensis_transcribe::WindowCheckpoint;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use super::error::JobError;
use super::job::{Job, JobParams, JobState, UnknownState};
use super::schema;

/// The number of 10 ms frames per second. It converts the bounds of windows, which are counted in these frames, to
/// seconds.
const FRAMES_PER_SECOND: f64 = 100.0;

/// If a job was started this often without a new checkpoint, all other jobs are started before it, because it may be
/// the job that crashes the server. It does not fail, because the cause may also be repeated restarts of the server.
const MAX_STARTS_WITHOUT_PROGRESS: u32 = 3;

/// The job database, which is in the data directory.
pub struct JobStore {
    connection: Mutex<Connection>,
}

impl JobStore {
    /// Opens the database at `path`, or creates it. Jobs that were running when the previous server ended become
    /// queued.
    ///
    /// # Errors
    /// [`JobError::Database`], [`JobError::TooNew`].
    pub fn open(path: &Path) -> Result<Self, JobError> {
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection)?;
        connection.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'", [])?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// A new random id for a job.
    pub fn new_id(&self) -> Result<String, JobError> {
        Ok(self.lock().query_row("SELECT 'job_' || lower(hex(randomblob(16)))", [], |row| row.get(0))?)
    }

    /// Adds a queued job.
    ///
    /// # Errors
    /// [`JobError::QueueFull`] if at least `max_queued` jobs are already queued. [`JobError::Database`].
    pub fn add(&self, id: &str, params: &JobParams, max_queued: usize) -> Result<Job, JobError> {
        let added = self.lock().execute(
            "INSERT INTO jobs (id, state, name, path, model, options, created)
             SELECT :id, 'queued', :name, :path, :model, :options, :now
             WHERE (SELECT count(*) FROM jobs WHERE state = 'queued') < :max_queued",
            named_params! {
                ":id": id, ":name": params.name, ":path": params.path, ":model": params.model,
                ":options": serde_json::to_string(&params.options)?, ":now": now(), ":max_queued": max_queued,
            },
        )?;
        if added == 0 { Err(JobError::QueueFull) } else { self.get(id) }
    }

    /// The job with this id.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Database`].
    pub fn get(&self, id: &str) -> Result<Job, JobError> {
        let found = self.lock().query_row("SELECT * FROM jobs WHERE id = ?", [id], job_from_row).optional()?;
        found.ok_or(JobError::NotFound)
    }

    /// Returns up to `limit` jobs, the newest first. With `after`, only jobs that are older than the job with this
    /// id. With `state`, only jobs in this state.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if no job has the id `after`. [`JobError::Database`].
    pub fn list(&self, limit: usize, after: Option<&str>, state: Option<JobState>) -> Result<Vec<Job>, JobError> {
        let connection = self.lock();
        let number = |id: &str| {
            let number = connection.query_row("SELECT number FROM jobs WHERE id = ?", [id], |row| row.get::<_, i64>(0));
            number.optional()?.ok_or(JobError::NotFound)
        };
        let before = after.map(number).transpose()?;
        let mut statement = connection.prepare(
            "SELECT * FROM jobs WHERE (:before IS NULL OR number < :before) AND (:state IS NULL OR state = :state)
             ORDER BY number DESC LIMIT :limit",
        )?;
        let found =
            statement.query_map(named_params! {":before": before, ":state": state, ":limit": limit}, job_from_row)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The number of jobs in the state `state`.
    pub fn count(&self, state: JobState) -> Result<usize, JobError> {
        Ok(self.lock().query_row("SELECT count(*) FROM jobs WHERE state = ?", [state], |row| row.get(0))?)
    }

    /// Marks the oldest queued job as running, and returns it. Returns `None` if the queue is empty. Jobs that were
    /// started [`MAX_STARTS_WITHOUT_PROGRESS`] times without a new checkpoint are taken last.
    pub fn claim(&self) -> Result<Option<Job>, JobError> {
        let connection = self.lock();
        let claimed = connection.query_row(
            "UPDATE jobs SET state = 'running', starts = starts + 1, started = coalesce(started, ?)
             WHERE number = (SELECT number FROM jobs WHERE state = 'queued' ORDER BY starts >= ?, number LIMIT 1)
             RETURNING *",
            params![now(), MAX_STARTS_WITHOUT_PROGRESS],
            job_from_row,
        );
        Ok(claimed.optional()?)
    }

    /// Stores the checkpoint of the window that a running job has decoded most recently. `total` is the expected
    /// duration of the recording in seconds. Returns false and stores nothing if the job is not running any more.
    pub fn add_checkpoint(&self, id: &str, window: &WindowCheckpoint, total: Option<f64>) -> Result<bool, JobError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let number = transaction.query_row(
            "UPDATE jobs SET done = ?, total = ?, starts = 0, kills = 0 WHERE id = ? AND state = 'running' RETURNING number",
            params![window.end as f64 / FRAMES_PER_SECOND, total, id],
            |row| row.get::<_, i64>(0),
        );
        let Some(job_number) = number.optional()? else { return Ok(false) };
        let last = transaction.query_row(
            "SELECT number, segments FROM windows WHERE job = ? ORDER BY number DESC LIMIT 1",
            [job_number],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)),
        );
        let (last_number, n_segments) = last.optional()?.unwrap_or((-1, 0));
        transaction.execute(
            "INSERT INTO windows (job, number, segments, content) VALUES (?, ?, ?, ?)",
            params![job_number, last_number + 1, n_segments + window.segments.len(), serde_json::to_string(window)?],
        )?;
        transaction.commit()?;
        Ok(true)
    }

    /// The checkpoints of a job, one per decoded window, in order. Starts with the window that contains the segment
    /// with the index `skip_segments`. If `skip_segments` is 0, returns all checkpoints.
    pub fn checkpoints(&self, id: &str, skip_segments: usize) -> Result<Vec<WindowCheckpoint>, JobError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT content FROM windows JOIN jobs ON jobs.number = job
             WHERE id = ? AND (segments > ? OR ? = 0) ORDER BY windows.number",
        )?;
        let found = statement.query_map(params![id, skip_segments, skip_segments], |row| row.get::<_, String>(0))?;
        found.map(|content| Ok(serde_json::from_str(&content?)?)).collect()
    }

    /// Deletes the checkpoints of a job, so that the job is transcribed from the beginning.
    pub fn delete_checkpoints(&self, id: &str) -> Result<(), JobError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM windows WHERE job = (SELECT number FROM jobs WHERE id = ?)", [id])?;
        transaction.execute("UPDATE jobs SET done = 0 WHERE id = ?", [id])?;
        Ok(transaction.commit()?)
    }

    /// Stores the final state of a running job. `Ok` means that it succeeded, with the duration of the recording in
    /// seconds and the warnings. `Err` means that it failed, with the error message. Returns false and stores nothing
    /// if the job is not running any more.
    pub fn finish(&self, id: &str, result: Result<(f64, &[String]), &str>) -> Result<bool, JobError> {
        let state = if result.is_ok() { JobState::Succeeded } else { JobState::Failed };
        let (duration, warnings) = result.map_or((None, &[][..]), |(duration, warnings)| (Some(duration), warnings));
        let changed = self.lock().execute(
            "UPDATE jobs SET state = :state, finished = :now, error = :error, warnings = :warnings,
                 done = coalesce(:duration, done), total = coalesce(:duration, total)
             WHERE id = :id AND state = 'running'",
            named_params! {
                ":id": id, ":state": state, ":now": now(), ":error": result.err(), ":duration": duration,
                ":warnings": serde_json::to_string(warnings)?,
            },
        )?;
        Ok(changed > 0)
    }

    /// Puts a running job back into the queue. Its start does not count as a start without a new checkpoint.
    pub fn requeue(&self, id: &str) -> Result<(), JobError> {
        self.lock().execute(
            "UPDATE jobs SET state = 'queued', starts = max(starts - 1, 0) WHERE id = ? AND state = 'running'",
            [id],
        )?;
        Ok(())
    }

    /// Puts a running job back into the queue after its worker process was killed. Returns false if the worker was
    /// killed `max_kills` times since the newest checkpoint, or if the job is not running any more.
    pub fn requeue_killed(&self, id: &str, max_kills: u32) -> Result<bool, JobError> {
        let changed = self.lock().execute(
            "UPDATE jobs SET state = 'queued', kills = kills + 1 WHERE id = ? AND state = 'running' AND kills + 1 < ?",
            params![id, max_kills],
        )?;
        Ok(changed > 0)
    }

    /// Cancels a queued or running job. Returns false if the job is in another state.
    pub fn cancel(&self, id: &str) -> Result<bool, JobError> {
        let changed = self.lock().execute(
            "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state IN ('queued', 'running')",
            params![now(), id],
        )?;
        Ok(changed > 0)
    }

    /// Deletes a finished job and its checkpoints.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if there is no such job, or if it is queued or running. [`JobError::Database`].
    pub fn remove(&self, id: &str) -> Result<(), JobError> {
        let sql = "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running')";
        let removed = self.lock().execute(sql, [id])?;
        if removed == 0 { Err(JobError::NotFound) } else { Ok(()) }
    }

    /// The ids of the jobs that finished more than `seconds` ago.
    pub fn finished_before(&self, seconds: i64) -> Result<Vec<String>, JobError> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT id FROM jobs WHERE finished < ?")?;
        let ids = statement.query_map([now().saturating_sub(seconds)], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // The connection is usable even if a thread has panicked, because SQLite rolls back an unfinished
        // transaction.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job_from_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    let (options, warnings): (String, String) = (row.get("options")?, row.get("warnings")?);
    let invalid = |error: serde_json::Error| FromSqlError::Other(error.into());
    Ok(Job {
        id: row.get("id")?,
        params: JobParams {
            name: row.get("name")?,
            path: row.get("path")?,
            model: row.get("model")?,
            options: serde_json::from_str(&options).map_err(invalid)?,
        },
        state: row.get("state")?,
        created: row.get("created")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
        done: row.get("done")?,
        total: row.get("total")?,
        error: row.get("error")?,
        warnings: serde_json::from_str(&warnings).map_err(invalid)?,
    })
}

impl ToSql for JobState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: UnknownState| FromSqlError::Other(error.into()))
    }
}

/// The current time, in seconds since 1970.
fn now() -> i64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() as i64
}

#[cfg(test)]
mod tests;
