//! Following a job: every segment once and in order, whenever one begins to, and how far the job is.

use std::collections::VecDeque;
use std::sync::Arc;

use amanuensis_transcribe::Segment;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::{Job, JobError, Jobs};

/// What happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A segment was found.
    Segment(Segment),
    /// The job, further than before.
    Progress(Job),
    /// The job, at its end; the last of all.
    Finished(Job),
}

/// Follows a job. The database is what is believed; the channel only says when to look.
pub struct Follower {
    jobs: Arc<Jobs>,
    id: String,
    /// Segments that are known.
    known: usize,
    /// Where changes are told of; none if the job has ended, or the server is being stopped.
    changes: Option<watch::Receiver<()>>,
    /// What was found and not yet given.
    found: VecDeque<JobEvent>,
    is_first: bool,
    is_over: bool,
}

impl Follower {
    pub(super) fn new(jobs: Arc<Jobs>, id: &str, known: usize, changes: Option<watch::Receiver<()>>) -> Self {
        Self { jobs, id: id.to_owned(), known, changes, found: VecDeque::new(), is_first: true, is_over: false }
    }

    /// What happens next; nothing behind the end of the job, nor when the server is being stopped.
    ///
    /// # Errors
    /// [`JobError::NotFound`] where the job is removed, and whatever the database may fail of.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, JobError> {
        loop {
            if let Some(event) = self.found.pop_front() {
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            self.wait().await;
            self.look().await?;
        }
    }

    /// Waits for something to look for.
    async fn wait(&mut self) {
        if std::mem::take(&mut self.is_first) {
            return;
        }
        let Some(changes) = &mut self.changes else { return };
        if changes.changed().await.is_err() {
            // Nothing more will be told.
            self.changes = None;
        }
    }

    async fn look(&mut self) -> Result<(), JobError> {
        let (jobs, id, known) = (Arc::clone(&self.jobs), self.id.clone(), self.known);
        let look = move || {
            // In this order: what is found behind it belongs to a job that has not ended.
            let job = jobs.get(&id)?;
            Ok((job, jobs.segments(&id, known)?))
        };
        let looked: Result<_, JobError> = spawn_blocking(look).await.unwrap_or_else(|_| Err(JobError::NotFound));
        let (job, segments) = looked?;
        self.known = segments.last().map_or(known, |segment| segment.id + 1);
        self.found.extend(segments.into_iter().map(JobEvent::Segment));
        self.is_over = job.state.is_final() || self.changes.is_none();
        self.found.push_back(if job.state.is_final() { JobEvent::Finished(job) } else { JobEvent::Progress(job) });
        Ok(())
    }
}
