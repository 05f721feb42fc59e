//! Doing jobs: a few at a time, each from behind the last window that is kept.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_transcribe::{
    Audio, Ending, Error as TranscribeError, Event, Transcriber, Transcript, WindowCheckpoint,
};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::{Job, JobError, Jobs};
use crate::decode::{Fate, OpenError};
use crate::pool::{ModelPool, PoolError};

/// Until another try, where there is no memory for a model, or the disk fails.
const PAUSE: Duration = Duration::from_secs(5);

/// How often jobs are looked for that need not be kept any longer.
const SWEEP: Duration = Duration::from_mins(1);

/// Why a job fails that has taken its time.
const LATE: &str = "it took longer than a job may";

/// How often what decodes a recording may be killed without a window in between, before its job fails: it may be the recording
/// for which the system runs out of memory.
const MOST_KILLS: u32 = 3;

/// How work on a job ended.
enum End {
    Transcribed(Transcript),
    /// Not, for this reason.
    Failed(String),
    /// What decodes the recording was killed.
    Killed(String),
    /// It is not to be done, or not now.
    NotWanted,
}

impl Jobs {
    /// Does jobs until the server [stops](Self::stop).
    pub async fn run(self: Arc<Self>, models: Arc<ModelPool>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.settings.workers {
            workers.spawn(Arc::clone(&self).work(Arc::clone(&models)));
        }
        let sweeping = async {
            loop {
                let jobs = Arc::clone(&self);
                let swept = spawn_blocking(move || jobs.remove_old()).await;
                warn_of("old jobs cannot be removed", swept.unwrap_or(Ok(())));
                sleep(SWEEP).await;
            }
        };
        tokio::select! {
            _ = workers.join_all() => {}
            () = sweeping => {}
        }
    }

    async fn work(self: Arc<Self>, models: Arc<ModelPool>) {
        loop {
            // Before looking, so that nothing that comes then is missed.
            let mut work = std::pin::pin!(self.work.notified());
            work.as_mut().enable();
            if self.is_stopping() {
                return;
            }
            let jobs = Arc::clone(&self);
            match spawn_blocking(move || jobs.store.claim()).await.unwrap_or(Ok(None)) {
                Ok(Some(job)) => self.attempt(job, &models).await,
                Ok(None) => work.await,
                Err(error) => {
                    warn_of("no job can be begun", Err(error));
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Does a job, or puts it back for later.
    async fn attempt(self: &Arc<Self>, job: Job, models: &ModelPool) {
        self.tell(&job.id);
        let id = job.id.clone();
        let loaded = match models.get(&job.params.model).await {
            Err(PoolError::MemoryFull) => None,
            loaded => Some(loaded.map_err(|error| error.to_string())),
        };
        let jobs = Arc::clone(self);
        let done = spawn_blocking(move || match loaded {
            Some(Ok(transcriber)) => {
                let end = jobs.transcribe(&job, &transcriber)?;
                jobs.keep_end(&job.id, end)
            }
            Some(Err(reason)) => jobs.keep_end(&job.id, End::Failed(reason)),
            None => jobs.store.put_back(&job.id).map(|()| true),
        });
        let done = match done.await {
            Ok(done) => done,
            // A panic. It would be one the next time too.
            Err(_) => self.keep_end(&id, End::Failed("an error in the program".to_owned())),
        };
        let later = done.unwrap_or_else(|error| {
            warn_of(&format!("{id} has to wait"), Err(error));
            // If the database fails at this too, the next start of the server finds the job.
            warn_of(&id, self.store.put_back(&id));
            true
        });
        if later && !self.is_stopping() {
            sleep(PAUSE).await;
        }
    }

    fn transcribe(self: &Arc<Self>, job: &Job, transcriber: &Transcriber) -> Result<End, JobError> {
        let mut windows = match self.store.windows(&job.id, 0) {
            // Then it begins anew, and those that come have the numbers of these.
            Err(JobError::InvalidContent(_)) => {
                self.store.forget_windows(&job.id)?;
                Vec::new()
            }
            windows => windows?,
        };
        loop {
            if let Some(end) = self.go_on(job, transcriber, windows)? {
                return Ok(end);
            }
            // Read by another version of the program, or of another recording in the folder.
            self.store.forget_windows(&job.id)?;
            windows = Vec::new();
        }
    }

    /// Transcribes what lies behind `windows`, and keeps every further window. None where `windows` are not those of the
    /// recording.
    fn go_on(
        self: &Arc<Self>,
        job: &Job,
        transcriber: &Transcriber,
        windows: Vec<WindowCheckpoint>,
    ) -> Result<Option<End>, JobError> {
        let until = Instant::now() + self.settings.timeout;
        let (audio, fate) = match self.open_recording(job, until)? {
            Ok(opened) => opened,
            Err(_) if !self.is_wanted(&job.id) => return Ok(Some(End::NotWanted)),
            Err(_) if Instant::now() >= until => return Ok(Some(End::Failed(LATE.to_owned()))),
            Err(end) => return Ok(Some(end)),
        };
        let longest = self.settings.max_duration.as_secs_f64();
        let (mut total, mut is_too_long) = (audio.expected_duration(), false);
        let mut kept = Ok(());
        let transcript = transcriber.resume(audio, &job.params.options, windows, &mut |event| {
            match event {
                // What comes now may have been cut where the samples end.
                _ if fate.killed().is_some() => return ControlFlow::Break(()),
                Event::Progress { done, total: said } => {
                    total = said;
                    is_too_long |= done > longest || total.is_some_and(|total| total > longest);
                }
                Event::Checkpoint(window) => {
                    kept = self.store.add_window(&job.id, window, total).map(drop);
                    self.tell(&job.id);
                }
                _ => {}
            }
            let goes_on = kept.is_ok() && !is_too_long && Instant::now() < until && self.is_wanted(&job.id);
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        kept?;
        Ok(match transcript {
            _ if !self.is_wanted(&job.id) => Some(End::NotWanted),
            _ if let Some(reason) = fate.killed() => Some(End::Killed(reason.to_owned())),
            _ if is_too_long => Some(End::Failed(format!("the recording is longer than {longest} s"))),
            _ if Instant::now() >= until => Some(End::Failed(LATE.to_owned())),
            Err(TranscribeError::CannotResume) => None,
            Err(error) => Some(End::Failed(error.to_string())),
            Ok(Transcript { ending: Ending::Failed(reason), .. }) => Some(End::Failed(reason)),
            Ok(transcript) => Some(End::Transcribed(transcript)),
        })
    }

    /// Opens the recording of a job, or says how the job ends for want of it.
    fn open_recording(self: &Arc<Self>, job: &Job, until: Instant) -> Result<Result<(Audio, Fate), End>, JobError> {
        let path = match &job.params.path {
            Some(path) => self.in_folder(path),
            None => Ok(self.files.upload(&job.id)),
        };
        let open = |path| File::open(path).map_err(|error| format!("the recording cannot be opened: {error}"));
        let file = match path.map_err(|error| error.to_string()).and_then(open) {
            Ok(file) => file,
            Err(reason) => return Ok(Err(End::Failed(reason))),
        };
        let (jobs, id) = (Arc::clone(self), job.id.clone());
        match self.decoder.open(file, move || Instant::now() < until && jobs.is_wanted(&id)) {
            // No fault of the recording, and not for ever.
            Err(OpenError::Start(error)) => Err(JobError::DecoderStart(error)),
            Err(OpenError::Killed(reason)) => Ok(Err(End::Killed(reason))),
            Err(error) => Ok(Err(End::Failed(error.to_string()))),
            Ok(opened) => Ok(Ok(opened)),
        }
    }

    /// Keeps how a job ended, and tells of it. True where it is worth another try, later.
    fn keep_end(&self, id: &str, end: End) -> Result<bool, JobError> {
        let is_kept = match end {
            End::Transcribed(transcript) => {
                // First the transcript, then that there is one: a server that is killed in between comes here again.
                self.files.write_result(id, &transcript)?;
                let is_kept = self.store.finish(id, Ok((transcript.duration, &transcript.warnings)))?;
                if !is_kept {
                    self.files.remove_result(id)?;
                }
                is_kept
            }
            End::Failed(reason) => self.store.finish(id, Err(&reason))?,
            End::Killed(reason) => {
                if self.store.put_back_killed(id, MOST_KILLS)? {
                    eprintln!("warning: {id} has to wait: {reason}");
                    return Ok(true);
                }
                let reason = format!("{reason}, and got no further in {MOST_KILLS} attempts");
                self.store.finish(id, Err(&reason))?
            }
            End::NotWanted => return self.store.put_back(id).map(|()| false),
        };
        if is_kept {
            self.ended(id)?;
        }
        Ok(false)
    }
}

/// Tells whoever runs the server of what no caller is to blame for.
fn warn_of(what: &str, result: Result<(), JobError>) {
    if let Err(error) = result {
        eprintln!("warning: {what}: {error}");
    }
}
