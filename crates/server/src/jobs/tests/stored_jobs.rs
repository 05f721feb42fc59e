//! Tests that data directories of earlier versions of the program can still be used.

use amanuensis_transcribe::{Language, VadOptions};

use super::*;

const DATABASE: &str = include_str!("stored_jobs.sql");
/// The file with the transcript of the job that has succeeded.
const RESULT: &str = include_str!("stored_result.json");

const SUCCEEDED: &str = "job_31d69055ab83e43331b6203200318818";
const HALF_DONE: &str = "job_0a0119b53814cc0f0be515f8fb3c25ce";
const QUEUED: &str = "job_fc2cc1b5483748558d5546219f658201";

/// A workspace with a data directory that an earlier version of the program has written, and with the recordings of
/// the jobs in it. Also returns the job queue of this directory.
fn stored_jobs() -> (Workspace, Arc<Jobs>) {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 70);
    workspace.recording("short.wav", 2);
    fs::create_dir_all(workspace.path("data/results")).unwrap();
    rusqlite::Connection::open(workspace.path("data/jobs.sqlite")).unwrap().execute_batch(DATABASE).unwrap();
    fs::write(workspace.path(&format!("data/results/{SUCCEEDED}.json")), RESULT).unwrap();
    let jobs = workspace.jobs();
    (workspace, jobs)
}

#[test]
fn stored_jobs_keep_their_state_and_options() {
    let (_workspace, jobs) = stored_jobs();
    let states = [SUCCEEDED, HALF_DONE, QUEUED].map(|id| jobs.get(id).unwrap().state);
    assert_eq!(states, [JobState::Succeeded, JobState::Queued, JobState::Queued], "running jobs are queued again");

    let half_done = jobs.get(HALF_DONE).unwrap();
    assert_eq!((half_done.done, half_done.total), (34.62, Some(70.0)));
    assert_eq!(half_done.params.options, TranscribeOptions { vad: Some(VadOptions::default()), ..Default::default() });

    let queued = jobs.get(QUEUED).unwrap().params;
    let names = (queued.name.as_deref(), queued.path.as_deref(), queued.model.as_str());
    assert_eq!(names, (Some("queued"), Some("short.wav"), "base"));
    let expected = TranscribeOptions {
        language: Some(Language::ENGLISH),
        initial_prompt: Some("Guten Tag.".to_owned()),
        hotwords: Some("Amanuensis, Gänge".to_owned()),
        temperatures: vec![0.4, 0.6, 0.8, 1.0],
        word_timestamps: true,
        vad: Some(VadOptions { threshold: 0.6, min_silence: 0.3, ..VadOptions::default() }),
        ..TranscribeOptions::default()
    };
    assert_eq!(queued.options, expected);
}

#[test]
fn a_stored_transcript_can_be_read() {
    let (_workspace, jobs) = stored_jobs();
    let transcript = jobs.result(SUCCEEDED).unwrap();
    assert_eq!((transcript.text().as_str(), transcript.duration, transcript.segments.len()), ("q", 2.0, 1));
    assert_eq!(jobs.segments(SUCCEEDED, 0).unwrap(), transcript.segments);
}

#[tokio::test]
async fn a_stored_job_resumes_from_its_checkpoints() {
    let (workspace, jobs) = stored_jobs();
    let stored = jobs.store.checkpoints(HALF_DONE, 0).unwrap();
    assert_eq!(stored.iter().map(|window| (window.start, window.end)).collect::<Vec<_>>(), [(0, 1846), (1846, 3462)]);
    assert!(stored.iter().all(|window| !window.resets_prompt));

    workspace.start(&jobs);
    let (segments, job) = follow_to_end(&mut jobs.follow(HALF_DONE, 0).unwrap()).await;
    assert_eq!(job.unwrap().state, JobState::Succeeded);
    let checkpoints = jobs.store.checkpoints(HALF_DONE, 0).unwrap();
    assert!(checkpoints.len() > 2 && checkpoints[..2] == stored);
    assert_eq!((checkpoints[2].start, checkpoints.last().unwrap().end), (3462, 7000));
    // The model does not produce this text, so the segment comes from the stored checkpoint: its window was not
    // decoded again.
    assert_eq!(segments[2].text, " stored");
    assert_eq!(jobs.result(HALF_DONE).unwrap().segments, segments);

    let (_, job) = follow_to_end(&mut jobs.follow(QUEUED, 0).unwrap()).await;
    assert_eq!(job.unwrap().state, JobState::Succeeded);
}
