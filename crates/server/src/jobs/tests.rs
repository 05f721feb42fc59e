//! Tests that transcribe jobs with a small model that has random weights. The model's text is gibberish, but it is
//! always the same for the same recording.

mod stored_jobs;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amanuensis_decode_worker::Decoder;
use amanuensis_models::Store;
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, Segment, Timings, TranscribeOptions, Transcriber, Transcript, WindowCheckpoint,
};
use amanuensis_weights::fixture::write_random_model;
use clap::{Args, Command, FromArgMatches};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::follow::Follower;
use super::*;
use crate::config::Config;
use crate::pool::ModelPool;

/// A temporary directory with a model, a folder of recordings, and the data directory of a job queue.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        write_model(&workspace.path("tiny"));
        fs::create_dir(workspace.path("recordings")).unwrap();
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn jobs(&self) -> Arc<Jobs> {
        Arc::new(Jobs::open(self.settings(), Decoder::InProcess).unwrap())
    }

    fn settings(&self) -> JobSettings {
        JobSettings {
            directory: self.path("data"),
            folder: Some(self.path("recordings")),
            workers: 2,
            max_queued: 3,
            max_duration: Duration::from_mins(10),
            timeout: Duration::from_mins(10),
            retention: None,
        }
    }

    /// Starts to run the jobs of this queue in the background.
    fn start(&self, jobs: &Arc<Jobs>) -> JoinHandle<()> {
        let matches = Config::augment_args(Command::new("serve")).get_matches_from(["serve", "--threads=1"]);
        let config = Config::from_arg_matches(&matches).unwrap();
        let store = Store::at(self.path("store"));
        let models = Arc::new(ModelPool::new(store, self.path("tiny"), &config));
        tokio::spawn(Arc::clone(jobs).run(models))
    }

    /// Writes a recording with a tone to the workspace's folder of recordings.
    fn recording(&self, name: &str, seconds: u32) {
        fs::write(self.path("recordings").join(name), wav(seconds)).unwrap();
    }

    /// Transcribes a recording directly, without the job queue. `name` is a file in the folder of recordings. Returns
    /// the transcript without the processing times, and the checkpoints.
    fn transcribe(&self, name: &str) -> (Transcript, Vec<WindowCheckpoint>) {
        let engine = EngineOptions { compute_type: ComputeType::Int8, threads: 1, ..EngineOptions::default() };
        let transcriber = Transcriber::load(&self.path("tiny"), &engine).unwrap().with_name("base");
        let audio = Audio::open(self.path("recordings").join(name)).unwrap();
        let mut windows = Vec::new();
        let transcript = transcriber.transcribe(audio, &options(), &mut |event| {
            if let amanuensis_transcribe::Event::Checkpoint(window) = event {
                windows.push(window.clone());
            }
            std::ops::ControlFlow::Continue(())
        });
        (untimed(transcript.unwrap()), windows)
    }
}

fn write_model(directory: &Path) {
    fs::create_dir(directory).unwrap();
    write_random_model(directory).unwrap();
}

/// The bytes of a WAV file with a tone of varying pitch: 8-bit samples at 8 kHz.
fn wav(seconds: u32) -> Vec<u8> {
    let n = 8000 * seconds;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + n).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend([16_u32.to_le_bytes(), [1, 0, 1, 0]].concat());
    wav.extend([8000_u32, 8000].into_iter().flat_map(u32::to_le_bytes));
    wav.extend([1_u16, 8].into_iter().flat_map(u16::to_le_bytes));
    wav.extend(b"data");
    wav.extend(n.to_le_bytes());
    wav.extend((0..n).map(|i| {
        let t = f64::from(i) / 8000.0;
        (128.0 + 60.0 * (2000.0 * t + 300.0 * (0.3 * t).sin()).sin()) as u8
    }));
    wav
}

/// Transcription options with which each window is decoded exactly once and the result is always accepted.
fn options() -> TranscribeOptions {
    TranscribeOptions { temperatures: vec![0.0], compression_ratio_threshold: None, vad: None, ..Default::default() }
}

fn params(path: Option<&str>) -> JobParams {
    JobParams { name: None, path: path.map(str::to_owned), model: "whisper-1".to_owned(), options: options() }
}

fn untimed(transcript: Transcript) -> Transcript {
    Transcript { timings: Timings::default(), ..transcript }
}

/// Reads the events of a job until the stream ends. Returns the segments of the stream, and the job if it has
/// finished.
async fn follow_to_end(follower: &mut Follower) -> (Vec<Segment>, Option<Job>) {
    let (mut segments, mut ended) = (Vec::new(), None);
    while let Some(event) = follower.next().await.unwrap() {
        match event {
            JobEvent::Segment(segment) => segments.push(segment),
            JobEvent::Progress(job) => assert!(!job.state.is_final()),
            JobEvent::Finished(job) => ended = Some(job),
        }
    }
    (segments, ended)
}

#[tokio::test]
async fn an_uploaded_recording_is_transcribed() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 70);
    let (whole, windows) = workspace.transcribe("talk.wav");
    assert!(windows.len() > 2 && !whole.segments.is_empty());

    let jobs = workspace.jobs();
    let upload = tempfile::NamedTempFile::new_in(jobs.uploads()).unwrap();
    fs::write(upload.path(), wav(70)).unwrap();
    let job = jobs.submit(&params(None), Some(upload.into_temp_path())).unwrap();
    assert!(matches!(jobs.result(&job.id), Err(JobError::NoResult(JobState::Queued))));
    let mut follower = jobs.follow(&job.id, 0).unwrap();
    let workers = workspace.start(&jobs);
    let (segments, ended) = follow_to_end(&mut follower).await;
    let ended = ended.unwrap();
    assert_eq!((ended.state, ended.error, ended.done), (JobState::Succeeded, None, 70.0));
    assert_eq!(segments, whole.segments);
    assert_eq!(untimed(jobs.result(&job.id).unwrap()), whole);
    jobs.stop();
    workers.await.unwrap();
    assert!(!jobs.files.upload(&job.id).exists());
    // A client that reconnects gets only the segments that it has not received yet.
    let (rest, ended) = follow_to_end(&mut jobs.follow(&job.id, 2).unwrap()).await;
    assert!(rest == whole.segments[2..] && ended.is_some());

    assert_eq!(jobs.cancel(&job.id).unwrap(), None);
    assert!(matches!(jobs.get(&job.id), Err(JobError::NotFound)));
    assert!(matches!(jobs.result(&job.id), Err(JobError::NotFound)) && jobs.follow(&job.id, 0).is_err());
}

#[tokio::test]
async fn a_job_of_a_killed_server_resumes_from_its_checkpoints() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 70);
    let (whole, windows) = workspace.transcribe("talk.wav");
    for finished in 0..=windows.len() {
        let jobs = workspace.jobs();
        let id = jobs.submit(&params(Some("talk.wav")), None).unwrap().id;
        jobs.store.claim().unwrap().unwrap();
        for window in &windows[..finished] {
            assert!(jobs.store.add_checkpoint(&id, window, None).unwrap());
        }
        drop(jobs);

        let jobs = workspace.jobs();
        assert_eq!(jobs.get(&id).unwrap().state, JobState::Queued);
        let mut follower = jobs.follow(&id, 0).unwrap();
        let workers = workspace.start(&jobs);
        let (segments, _) = follow_to_end(&mut follower).await;
        assert_eq!(segments, whole.segments);
        assert_eq!(untimed(jobs.result(&id).unwrap()), whole);
        assert_eq!(jobs.store.checkpoints(&id, 0).unwrap(), windows);
        jobs.stop();
        workers.await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_a_shutdown_interrupts_is_finished_by_the_next_server() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 300);
    let (whole, windows) = workspace.transcribe("talk.wav");
    let jobs = workspace.jobs();
    let id = jobs.submit(&params(Some("talk.wav")), None).unwrap().id;
    let mut follower = jobs.follow(&id, 0).unwrap();
    let workers = workspace.start(&jobs);
    while !matches!(follower.next().await.unwrap(), Some(JobEvent::Segment(_))) {}
    jobs.stop();
    workers.await.unwrap();
    // The first shutdown has put the job back into the queue. On a fast machine the job may have succeeded before.
    assert_ne!(jobs.get(&id).unwrap().state, JobState::Running);
    follow_to_end(&mut follower).await;
    drop((follower, jobs));

    let jobs = workspace.jobs();
    workspace.start(&jobs);
    follow_to_end(&mut jobs.follow(&id, 0).unwrap()).await;
    assert_eq!(untimed(jobs.result(&id).unwrap()), whole);
    assert_eq!(jobs.store.checkpoints(&id, 0).unwrap(), windows);
}

#[tokio::test]
async fn checkpoints_of_another_recording_are_discarded() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 70);
    let (whole, windows) = workspace.transcribe("talk.wav");
    let jobs = workspace.jobs();
    let id = jobs.submit(&params(Some("talk.wav")), None).unwrap().id;
    jobs.store.claim().unwrap().unwrap();
    jobs.store.add_checkpoint(&id, &WindowCheckpoint { end: windows[0].end - 1, ..windows[0].clone() }, None).unwrap();
    jobs.store.requeue(&id).unwrap();
    workspace.start(&jobs);
    follow_to_end(&mut jobs.follow(&id, 0).unwrap()).await;
    assert_eq!(untimed(jobs.result(&id).unwrap()), whole);
    assert_eq!(jobs.store.checkpoints(&id, 0).unwrap(), windows);
}

#[tokio::test]
async fn a_failed_job_has_an_error_message() {
    let workspace = Workspace::new();
    fs::write(workspace.path("recordings/notes.txt"), "not a recording").unwrap();
    workspace.recording("long.wav", 601);
    workspace.recording("talk.wav", 1);
    let jobs = workspace.jobs();
    let unknown = JobParams { model: "none".to_owned(), ..params(Some("talk.wav")) };
    let ids =
        [params(Some("notes.txt")), params(Some("long.wav")), unknown].map(|job| jobs.submit(&job, None).unwrap().id);
    assert!(matches!(jobs.submit(&params(Some("talk.wav")), None), Err(JobError::QueueFull)));
    assert!(matches!(jobs.submit(&params(Some("../tiny/model.bin")), None), Err(JobError::NotInFolder(_))));
    workspace.start(&jobs);
    for (id, problem) in ids.iter().zip(["format", "longer than 600 s", "\"none\""]) {
        let (segments, ended) = follow_to_end(&mut jobs.follow(id, 0).unwrap()).await;
        let Job { state, error, .. } = ended.unwrap();
        assert!(segments.is_empty() && state == JobState::Failed, "{state} {error:?}");
        assert!(error.as_ref().is_some_and(|error| error.contains(problem)), "{error:?}");
    }
}

/// Every worker process in this test kills itself immediately. The test itself records two kills before the job runs,
/// so that the next kill makes the job fail.
#[cfg(unix)]
#[tokio::test]
async fn a_job_whose_decoder_is_always_killed_fails() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 1);
    let program = workspace.path("killed");
    // Let a separate process write the script. If this process wrote it, a child process that another test starts at
    // the same time would inherit the open file, and the kernel refuses to execute a file that is open for writing.
    let write = r#"printf '#!/bin/sh\nkill -s KILL $$\n' > "$0" && chmod +x "$0""#;
    assert!(std::process::Command::new("sh").args(["-c", write]).arg(&program).status().unwrap().success());
    let jobs = Arc::new(Jobs::open(workspace.settings(), Decoder::Worker { program, memory_mib: 64 }).unwrap());
    let id = jobs.submit(&params(Some("talk.wav")), None).unwrap().id;
    for _ in 0..2 {
        jobs.store.claim().unwrap().unwrap();
        assert!(jobs.store.requeue_killed(&id, 3).unwrap());
    }
    workspace.start(&jobs);
    let (_, ended) = follow_to_end(&mut jobs.follow(&id, 0).unwrap()).await;
    let Job { state, error: Some(error), .. } = ended.unwrap() else { panic!("no error message") };
    assert!(state == JobState::Failed && error.contains("was killed (signal: 9"), "{state} {error}");
}

#[tokio::test]
async fn queued_and_running_jobs_can_be_cancelled() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 70);
    let (_, windows) = workspace.transcribe("talk.wav");
    let jobs = workspace.jobs();
    let [running, queued] = [(); 2].map(|()| jobs.submit(&params(Some("talk.wav")), None).unwrap().id);
    jobs.store.claim().unwrap().unwrap();
    assert!(jobs.store.add_checkpoint(&running, &windows[0], None).unwrap());
    for (id, segments) in [(&running, windows[0].segments.len()), (&queued, 0)] {
        let mut follower = jobs.follow(id, 0).unwrap();
        assert!(jobs.is_wanted(id));
        assert_eq!(jobs.cancel(id).unwrap().unwrap().state, JobState::Cancelled);
        assert!(!jobs.is_wanted(id));
        assert_eq!(follow_to_end(&mut follower).await.1.unwrap().state, JobState::Cancelled);
        assert!(matches!(jobs.result(id), Err(JobError::NoResult(JobState::Cancelled))));
        // The segments of a cancelled job are kept until the job is removed.
        assert_eq!(jobs.segments(id, 0).unwrap().len(), segments);
        assert_eq!(jobs.cancel(id).unwrap(), None);
    }
    assert!(jobs.store.claim().unwrap().is_none());
}

#[test]
fn finished_jobs_are_removed_after_the_retention_time() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 1);
    let jobs = Jobs::open(
        JobSettings { retention: Some(Duration::from_hours(1)), ..workspace.settings() },
        Decoder::InProcess,
    )
    .unwrap();
    let [finished, queued] = [(); 2].map(|()| jobs.submit(&params(Some("talk.wav")), None).unwrap().id);
    jobs.cancel(&finished).unwrap();
    jobs.remove_expired().unwrap();
    assert!(jobs.get(&finished).is_ok());
    drop(jobs);
    // Change the time in the database, as if an hour had passed.
    let database = rusqlite::Connection::open(workspace.path("data/jobs.sqlite")).unwrap();
    database.execute("UPDATE jobs SET created = created - 3610, finished = finished - 3610", []).unwrap();
    let jobs = Jobs::open(
        JobSettings { retention: Some(Duration::from_hours(1)), ..workspace.settings() },
        Decoder::InProcess,
    )
    .unwrap();
    jobs.remove_expired().unwrap();
    assert!(jobs.get(&finished).is_err() && jobs.get(&queued).is_ok());
}
