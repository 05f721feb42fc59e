//! The tables of the job database, and the migrations from older versions.

use rusqlite::Connection;

use super::error::JobError;

/// Each entry is the SQL that upgrades the tables from the previous version to the next. The first entry creates the
/// tables. Existing entries must never change, because databases of users were created with them.
const VERSIONS: &[&str] = &[
    "
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        name TEXT,
        path TEXT,
        model TEXT NOT NULL,
        options TEXT NOT NULL,
        created INTEGER NOT NULL,
        started INTEGER,
        finished INTEGER,
        done REAL NOT NULL DEFAULT 0,
        total REAL,
        error TEXT,
        -- How often work was begun since the last window was kept.
        starts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, number);

    CREATE TABLE windows (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        -- Segments in this window and those before it.
        segments INTEGER NOT NULL,
        content TEXT NOT NULL,
        PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- How often the worker process was killed since the last window was stored.
    ALTER TABLE jobs ADD COLUMN kills INTEGER NOT NULL DEFAULT 0;
    -- Warnings about the recording of a job that has succeeded: a JSON list of strings.
    ALTER TABLE jobs ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
",
    "
    -- The tables are unchanged. The JSON of options and checkpoints has new field names (logits_filters, resets_prompt).
    -- This version reads the old names too, but earlier versions of the program cannot read the new ones.
",
];

/// Configures a new connection to the job database, and upgrades the tables to the newest version.
///
/// # Errors
/// [`JobError::TooNew`] if a newer version of the program has written the database. [`JobError::Database`].
pub fn prepare(connection: &mut Connection) -> Result<(), JobError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // With this setting SQLite waits until the data is on disk, so that an accepted job survives a power failure.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = VERSIONS.get(version..).ok_or(JobError::TooNew)?;
    for (next, change) in (version + 1..).zip(missing) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(change)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_the_first_schema_version_are_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let job = "INSERT INTO jobs (id, state, model, options, created) VALUES ('a', 'queued', 'base', '{}', 1)";
        connection.execute(job, []).unwrap();
        prepare(&mut connection).unwrap();
        let added = connection.query_row("SELECT kills, warnings FROM jobs", [], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))
        });
        assert_eq!(added.unwrap(), (0, "[]".to_owned()));
    }

    #[test]
    fn tables_are_created_once_and_a_newer_schema_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jobs.sqlite");
        for _ in 0..2 {
            let mut connection = Connection::open(&path).unwrap();
            prepare(&mut connection).unwrap();
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
            connection.execute_batch("INSERT INTO windows SELECT 1, 1, 1, '' WHERE false").unwrap();
        }
        let mut connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", VERSIONS.len() + 1).unwrap();
        assert!(matches!(prepare(&mut connection), Err(JobError::TooNew)));
    }
}
