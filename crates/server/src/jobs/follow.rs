//! Follows one job: each segment once and in order, the progress, and the final state.

use std::collections::VecDeque;
use std::sync::Arc;

use amanuensis_transcribe::Segment;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::error::JobError;
use super::job::Job;
use super::queue::Jobs;

/// An event of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A new segment.
    Segment(Segment),
    /// The job has made progress.
    Progress(Job),
    /// The job has succeeded, failed or was cancelled. No event follows.
    Finished(Job),
}

/// The event stream of a job. All events come from the database; the notification channel only says when to look there.
pub struct Follower {
    jobs: Arc<Jobs>,
    id: String,
    /// Number of segments that were returned, or that the client has from an earlier stream.
    n_segments: usize,
    /// `None` if the job is finished or the server shuts down.
    changes: Option<watch::Receiver<()>>,
    /// Events that were found and not yet returned.
    pending: VecDeque<JobEvent>,
    is_first: bool,
    is_complete: bool,
}

impl Jobs {
    /// Follows a job from the segment with the index `n_segments` on.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn follow(self: &Arc<Self>, id: &str, n_segments: usize) -> Result<Follower, JobError> {
        let (jobs, changes) = (Arc::clone(self), self.subscribe(id));
        self.get(id)?;
        let (id, pending) = (id.to_owned(), VecDeque::new());
        Ok(Follower { jobs, id, n_segments, changes, pending, is_first: true, is_complete: false })
    }
}

impl Follower {
    /// The next event; `None` after [`JobEvent::Finished`], or when the server shuts down.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the job was removed, and errors of the database.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, JobError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            if self.is_complete {
                return Ok(None);
            }
            self.wait_for_change().await;
            self.query().await?;
        }
    }

    async fn wait_for_change(&mut self) {
        // The first query needs no change: it returns what is there already.
        if std::mem::take(&mut self.is_first) {
            return;
        }
        let Some(changes) = &mut self.changes else { return };
        if changes.changed().await.is_err() {
            // The sender was dropped: one last query, then the stream ends.
            self.changes = None;
        }
    }

    async fn query(&mut self) -> Result<(), JobError> {
        let (jobs, id, n_segments) = (Arc::clone(&self.jobs), self.id.clone(), self.n_segments);
        let query = move || {
            // The job first. If it is finished, the segments after it are complete.
            let job = jobs.get(&id)?;
            Ok((job, jobs.segments(&id, n_segments)?))
        };
        let result: Result<_, JobError> = spawn_blocking(query).await.unwrap_or_else(|_| Err(JobError::NotFound));
        let (job, segments) = result?;
        self.n_segments = segments.last().map_or(n_segments, |segment| segment.id + 1);
        self.pending.extend(segments.into_iter().map(JobEvent::Segment));
        self.is_complete = job.state.is_final() || self.changes.is_none();
        self.pending.push_back(if job.state.is_final() { JobEvent::Finished(job) } else { JobEvent::Progress(job) });
        Ok(())
    }
}
