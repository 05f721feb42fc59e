//! Transcribes the queued jobs, a limited number at the same time. A job resumes from the newest stored checkpoint.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_decode_worker::{OpenError, WorkerExit};
use amanuensis_transcribe::{
    Audio, Ending, Error as TranscribeError, Event, Transcriber, Transcript, WindowCheckpoint,
};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::error::JobError;
use super::job::Job;
use super::queue::Jobs;
use crate::pool::{ModelPool, PoolError};

/// Delay before a job is tried again, if there was no memory for its model, if its worker process was killed, or if
/// the disk failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Interval at which the jobs that have passed their retention time are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);

/// The error message of a job that exceeds its time limit.
const TIMED_OUT: &str = "the job took longer than its time limit";

/// How often the worker process of a job may be killed in a row, without a new checkpoint in between, until the job
/// fails. The recording itself may be the reason why the machine runs out of memory.
const MAX_KILLS: u32 = 3;

/// How an attempt to transcribe a job ended.
enum Outcome {
    Transcribed(Transcript),
    /// The job failed, with this error message.
    Failed(String),
    /// The worker process that decodes the recording was killed by another process or by the kernel. The value is an
    /// error message.
    Killed(String),
    /// The job was cancelled, or the server is shutting down.
    Cancelled,
}

impl Jobs {
    /// Runs jobs until [`Self::stop`] is called.
    pub async fn run(self: Arc<Self>, models: Arc<ModelPool>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.settings.workers {
            workers.spawn(Arc::clone(&self).run_worker(Arc::clone(&models)));
        }
        let cleanup = async {
            loop {
                let jobs = Arc::clone(&self);
                let removed = spawn_blocking(move || jobs.remove_expired()).await;
                warn_on_error("old jobs cannot be removed", removed.unwrap_or(Ok(())));
                sleep(CLEANUP_INTERVAL).await;
            }
        };
        tokio::select! {
            _ = workers.join_all() => {}
            () = cleanup => {}
        }
    }

    async fn run_worker(self: Arc<Self>, models: Arc<ModelPool>) {
        loop {
            // Register for notifications before reading the queue. Otherwise a job that is added in between would be
            // missed.
            let mut wake = std::pin::pin!(self.wake_runner.notified());
            wake.as_mut().enable();
            if self.is_stopping() {
                return;
            }
            let jobs = Arc::clone(&self);
            match spawn_blocking(move || jobs.store.claim()).await.unwrap_or(Ok(None)) {
                Ok(Some(job)) => self.run_job(job, &models).await,
                Ok(None) => wake.await,
                Err(error) => {
                    warn_on_error("no job can be started", Err(error));
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Transcribes a job. Then stores the outcome, or queues the job again.
    async fn run_job(self: &Arc<Self>, job: Job, models: &ModelPool) {
        self.notify_followers(&job.id);
        let id = job.id.clone();
        let loaded = match models.get(&job.params.model).await {
            Err(PoolError::MemoryFull) => None,
            loaded => Some(loaded.map_err(|error| error.to_string())),
        };
        let jobs = Arc::clone(self);
        let result = spawn_blocking(move || match loaded {
            Some(Ok(transcriber)) => {
                let outcome = jobs.transcribe(&job, &transcriber)?;
                jobs.store_outcome(&job.id, outcome)
            }
            Some(Err(reason)) => jobs.store_outcome(&job.id, Outcome::Failed(reason)),
            None => jobs.store.requeue(&job.id).map(|()| true),
        });
        let result = match result.await {
            Ok(result) => result,
            // The transcription thread panicked. Fail the job, because another attempt would panic too.
            Err(_) => self.store_outcome(&id, Outcome::Failed("an error in the program".to_owned())),
        };
        let retry = result.unwrap_or_else(|error| {
            warn_on_error(&format!("{id} is requeued"), Err(error));
            // If the database fails again, the job stays `running`. The next start of the server then queues it
            // again.
            warn_on_error(&id, self.store.requeue(&id));
            true
        });
        if retry && !self.is_stopping() {
            sleep(RETRY_DELAY).await;
        }
    }

    /// Transcribes a job from its newest checkpoint, or from the beginning if the checkpoints do not belong to this
    /// recording.
    fn transcribe(self: &Arc<Self>, job: &Job, transcriber: &Transcriber) -> Result<Outcome, JobError> {
        let mut checkpoints = match self.store.checkpoints(&job.id, 0) {
            Err(JobError::InvalidContent(_)) => {
                self.store.delete_checkpoints(&job.id)?;
                Vec::new()
            }
            checkpoints => checkpoints?,
        };
        loop {
            if let Some(outcome) = self.resume(job, transcriber, checkpoints)? {
                return Ok(outcome);
            }
            // The checkpoints cannot be used: another version of the program wrote them, or the recording in the
            // folder was replaced.
            self.store.delete_checkpoints(&job.id)?;
            checkpoints = Vec::new();
        }
    }

    /// Transcribes the part of the recording that `checkpoints` do not cover, and stores each new checkpoint. Returns
    /// `None` if `checkpoints` do not belong to the recording.
    fn resume(
        self: &Arc<Self>,
        job: &Job,
        transcriber: &Transcriber,
        checkpoints: Vec<WindowCheckpoint>,
    ) -> Result<Option<Outcome>, JobError> {
        let deadline = Instant::now() + self.settings.timeout;
        let (audio, exit) = match self.open_recording(job, deadline)? {
            Ok(opened) => opened,
            Err(_) if !self.is_wanted(&job.id) => return Ok(Some(Outcome::Cancelled)),
            Err(_) if Instant::now() >= deadline => return Ok(Some(Outcome::Failed(TIMED_OUT.to_owned()))),
            Err(outcome) => return Ok(Some(outcome)),
        };
        let max_seconds = self.settings.max_duration.as_secs_f64();
        let (mut total, mut is_too_long) = (audio.expected_duration(), false);
        let mut stored = Ok(());
        let transcript = transcriber.resume(audio, &job.params.options, checkpoints, &mut |event| {
            match event {
                // If the worker process was killed, the decoded audio ends too early, so this event may belong to an
                // incomplete window.
                _ if exit.killed().is_some() => return ControlFlow::Break(()),
                Event::Progress { done, total: expected } => {
                    total = expected;
                    is_too_long |= done > max_seconds || total.is_some_and(|total| total > max_seconds);
                }
                Event::Checkpoint(window) => {
                    stored = self.store.add_checkpoint(&job.id, window, total).map(drop);
                    self.notify_followers(&job.id);
                }
                _ => {}
            }
            let proceed = stored.is_ok() && !is_too_long && Instant::now() < deadline && self.is_wanted(&job.id);
            if proceed { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        stored?;
        Ok(match transcript {
            _ if !self.is_wanted(&job.id) => Some(Outcome::Cancelled),
            _ if let Some(reason) = exit.killed() => Some(Outcome::Killed(reason.to_owned())),
            _ if is_too_long => Some(Outcome::Failed(format!("the recording is longer than {max_seconds} s"))),
            _ if Instant::now() >= deadline => Some(Outcome::Failed(TIMED_OUT.to_owned())),
            Err(TranscribeError::CannotResume) => None,
            Err(error) => Some(Outcome::Failed(error.to_string())),
            Ok(Transcript { ending: Ending::Failed(reason), .. }) => Some(Outcome::Failed(reason)),
            Ok(transcript) => Some(Outcome::Transcribed(transcript)),
        })
    }

    /// Opens the recording of a job. The inner error is the outcome of the job if the recording cannot be opened. The
    /// outer error is a failure of the server, after which the job is requeued.
    fn open_recording(
        self: &Arc<Self>,
        job: &Job,
        deadline: Instant,
    ) -> Result<Result<(Audio, WorkerExit), Outcome>, JobError> {
        let path = match &job.params.path {
            Some(path) => self.find_in_folder(path),
            None => Ok(self.files.upload(&job.id)),
        };
        let open = |path| File::open(path).map_err(|error| format!("the recording cannot be opened: {error}"));
        let file = match path.map_err(|error| error.to_string()).and_then(open) {
            Ok(file) => file,
            Err(reason) => return Ok(Err(Outcome::Failed(reason))),
        };
        let (jobs, id) = (Arc::clone(self), job.id.clone());
        match self.decoder.open(file, move || Instant::now() >= deadline || !jobs.is_wanted(&id)) {
            Err(OpenError::Start(error)) => Err(JobError::DecoderStart(error)),
            Err(OpenError::Killed(reason)) => Ok(Err(Outcome::Killed(reason))),
            Err(error) => Ok(Err(Outcome::Failed(error.to_string()))),
            Ok(opened) => Ok(Ok(opened)),
        }
    }

    /// Stores the outcome of a job and ends its event streams. Returns true if the job was queued again instead and
    /// should be tried later.
    fn store_outcome(&self, id: &str, outcome: Outcome) -> Result<bool, JobError> {
        let is_finished = match outcome {
            Outcome::Transcribed(transcript) => {
                // Write the transcript file before the state. If the server is killed in between, the next server
                // only transcribes the final window again.
                self.files.write_result(id, &transcript)?;
                let is_finished = self.store.finish(id, Ok((transcript.duration, &transcript.warnings)))?;
                if !is_finished {
                    self.files.remove_result(id)?;
                }
                is_finished
            }
            Outcome::Failed(reason) => self.store.finish(id, Err(&reason))?,
            Outcome::Killed(reason) => {
                if self.store.requeue_killed(id, MAX_KILLS)? {
                    eprintln!("warning: {id} is requeued: {reason}");
                    return Ok(true);
                }
                let reason = format!("{reason}, and made no progress in {MAX_KILLS} attempts");
                self.store.finish(id, Err(&reason))?
            }
            Outcome::Cancelled => return self.store.requeue(id).map(|()| false),
        };
        if is_finished {
            self.close(id)?;
        }
        Ok(false)
    }
}

/// Prints a warning about a failure of the server itself. Clients do not get these errors.
fn warn_on_error(what: &str, result: Result<(), JobError>) {
    if let Err(error) = result {
        eprintln!("warning: {what}: {error}");
    }
}
