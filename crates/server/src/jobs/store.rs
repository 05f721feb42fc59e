//! Where jobs are kept: a database, of which every change is whole or not made at all.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use amanuensis_transcribe::WindowCheckpoint;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use super::{Job, JobError, JobParams, JobState, schema};

/// Frames of 10 ms, in which windows are measured.
const FRAMES_PER_SECOND: f64 = 100.0;

/// How often work on a job is begun without a single window done, before others go first: it may be what ends the server. It does
/// not fail for that: who kills a server over and over does not say whose fault it is.
const SUSPICIOUS_STARTS: u32 = 3;

/// The jobs, of one data directory.
pub struct JobStore {
    connection: Mutex<Connection>,
}

impl JobStore {
    /// Opens the database at `path`, or makes it. Jobs that were being done when the server ended wait again.
    ///
    /// # Errors
    /// [`JobError::Database`], [`JobError::TooNew`].
    pub fn open(path: &Path) -> Result<Self, JobError> {
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection)?;
        connection.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'", [])?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// A name that no job has.
    pub fn new_id(&self) -> Result<String, JobError> {
        Ok(self.lock().query_row("SELECT 'job_' || lower(hex(randomblob(16)))", [], |row| row.get(0))?)
    }

    /// Keeps a job, unless `most` or more wait already.
    ///
    /// # Errors
    /// [`JobError::QueueFull`], [`JobError::Database`].
    pub fn add(&self, id: &str, job: &JobParams, most: usize) -> Result<Job, JobError> {
        let added = self.lock().execute(
            "INSERT INTO jobs (id, state, name, path, model, options, created)
             SELECT :id, 'queued', :name, :path, :model, :options, :now
             WHERE (SELECT count(*) FROM jobs WHERE state = 'queued') < :most",
            named_params! {
                ":id": id, ":name": job.name, ":path": job.path, ":model": job.model,
                ":options": serde_json::to_string(&job.options)?, ":now": now(), ":most": most,
            },
        )?;
        if added == 0 { Err(JobError::QueueFull) } else { self.get(id) }
    }

    /// The job called `id`.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Database`].
    pub fn get(&self, id: &str) -> Result<Job, JobError> {
        let found = self.lock().query_row("SELECT * FROM jobs WHERE id = ?", [id], job).optional()?;
        found.ok_or(JobError::NotFound)
    }

    /// Up to `limit` jobs, the newest first, older than the one called `after` and in `state`, where these are given.
    ///
    /// # Errors
    /// [`JobError::NotFound`] where there is no job `after`, [`JobError::Database`].
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
        let found = statement.query_map(named_params! {":before": before, ":state": state, ":limit": limit}, job)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// How many jobs are in `state`.
    pub fn count(&self, state: JobState) -> Result<usize, JobError> {
        Ok(self.lock().query_row("SELECT count(*) FROM jobs WHERE state = ?", [state], |row| row.get(0))?)
    }

    /// Takes the job that waits for longest to be worked on, if one does. Those that were begun over and over, and never got
    /// any further, come last.
    pub fn claim(&self) -> Result<Option<Job>, JobError> {
        let connection = self.lock();
        let claimed = connection.query_row(
            "UPDATE jobs SET state = 'running', starts = starts + 1, started = coalesce(started, ?)
             WHERE number = (SELECT number FROM jobs WHERE state = 'queued' ORDER BY starts >= ?, number LIMIT 1)
             RETURNING *",
            params![now(), SUSPICIOUS_STARTS],
            job,
        );
        Ok(claimed.optional()?)
    }

    /// Keeps what was read of a running job, which says that it is `total` seconds long. False if it is no longer to be
    /// worked on.
    pub fn add_window(&self, id: &str, window: &WindowCheckpoint, total: Option<f64>) -> Result<bool, JobError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let number = transaction.query_row(
            "UPDATE jobs SET done = ?, total = ?, starts = 0, kills = 0 WHERE id = ? AND state = 'running' RETURNING number",
            params![window.end as f64 / FRAMES_PER_SECOND, total, id],
            |row| row.get::<_, i64>(0),
        );
        let Some(job) = number.optional()? else { return Ok(false) };
        let last = transaction.query_row(
            "SELECT number, segments FROM windows WHERE job = ? ORDER BY number DESC LIMIT 1",
            [job],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)),
        );
        let (last, before) = last.optional()?.unwrap_or((-1, 0));
        transaction.execute(
            "INSERT INTO windows (job, number, segments, content) VALUES (?, ?, ?, ?)",
            params![job, last + 1, before + window.segments.len(), serde_json::to_string(window)?],
        )?;
        transaction.commit()?;
        Ok(true)
    }

    /// What was read of a job, in order, but for windows all of whose segments are among the first `segments`.
    pub fn windows(&self, id: &str, segments: usize) -> Result<Vec<WindowCheckpoint>, JobError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT content FROM windows JOIN jobs ON jobs.number = job
             WHERE id = ? AND (segments > ? OR ? = 0) ORDER BY windows.number",
        )?;
        let found = statement.query_map(params![id, segments, segments], |row| row.get::<_, String>(0))?;
        found.map(|content| Ok(serde_json::from_str(&content?)?)).collect()
    }

    /// What was read of a job is of no use; it begins anew.
    pub fn forget_windows(&self, id: &str) -> Result<(), JobError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM windows WHERE job = (SELECT number FROM jobs WHERE id = ?)", [id])?;
        transaction.execute("UPDATE jobs SET done = 0 WHERE id = ?", [id])?;
        Ok(transaction.commit()?)
    }

    /// A running job has come to its end: it has succeeded, after so many seconds and with these warnings, or failed. False if it
    /// is no longer running.
    pub fn finish(&self, id: &str, end: Result<(f64, &[String]), &str>) -> Result<bool, JobError> {
        let state = if end.is_ok() { JobState::Succeeded } else { JobState::Failed };
        let (duration, warnings) = end.map_or((None, &[][..]), |(duration, warnings)| (Some(duration), warnings));
        let changed = self.lock().execute(
            "UPDATE jobs SET state = :state, finished = :now, error = :error, warnings = :warnings,
                 done = coalesce(:duration, done), total = coalesce(:duration, total)
             WHERE id = :id AND state = 'running'",
            named_params! {
                ":id": id, ":state": state, ":now": now(), ":error": end.err(), ":duration": duration,
                ":warnings": serde_json::to_string(warnings)?,
            },
        )?;
        Ok(changed > 0)
    }

    /// A running job waits again, for no fault of its own.
    pub fn put_back(&self, id: &str) -> Result<(), JobError> {
        self.lock().execute(
            "UPDATE jobs SET state = 'queued', starts = max(starts - 1, 0) WHERE id = ? AND state = 'running'",
            [id],
        )?;
        Ok(())
    }

    /// A running job whose decoder was killed waits again, unless that has come to pass `most` times since its last window. False
    /// if it has, or if the job is no longer running.
    pub fn put_back_killed(&self, id: &str, most: u32) -> Result<bool, JobError> {
        let changed = self.lock().execute(
            "UPDATE jobs SET state = 'queued', kills = kills + 1 WHERE id = ? AND state = 'running' AND kills + 1 < ?",
            params![id, most],
        )?;
        Ok(changed > 0)
    }

    /// Gives a job up, if it has not ended. False if it has.
    pub fn cancel(&self, id: &str) -> Result<bool, JobError> {
        let changed = self.lock().execute(
            "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state IN ('queued', 'running')",
            params![now(), id],
        )?;
        Ok(changed > 0)
    }

    /// Forgets a job that has ended.
    pub fn remove(&self, id: &str) -> Result<(), JobError> {
        let sql = "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running')";
        let removed = self.lock().execute(sql, [id])?;
        if removed == 0 { Err(JobError::NotFound) } else { Ok(()) }
    }

    /// The jobs that ended more than `seconds` ago.
    pub fn ended_before(&self, seconds: i64) -> Result<Vec<String>, JobError> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT id FROM jobs WHERE finished < ?")?;
        let ids = statement.query_map([now().saturating_sub(seconds)], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A change that a panic cut short was not committed.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let (options, warnings): (String, String) = (row.get("options")?, row.get("warnings")?);
    let unreadable = |error: serde_json::Error| FromSqlError::Other(error.into());
    Ok(Job {
        id: row.get("id")?,
        params: JobParams {
            name: row.get("name")?,
            path: row.get("path")?,
            model: row.get("model")?,
            options: serde_json::from_str(&options).map_err(unreadable)?,
        },
        state: row.get("state")?,
        created: row.get("created")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
        done: row.get("done")?,
        total: row.get("total")?,
        error: row.get("error")?,
        warnings: serde_json::from_str(&warnings).map_err(unreadable)?,
    })
}

impl ToSql for JobState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: super::UnknownState| FromSqlError::Other(error.into()))
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() as i64
}

#[cfg(test)]
mod tests;
