use amanuensis_transcribe::{Segment, TranscribeOptions};

use super::*;

fn store() -> (tempfile::TempDir, JobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = JobStore::open(&directory.path().join("jobs.sqlite")).unwrap();
    (directory, store)
}

fn params(name: &str) -> JobParams {
    let options = TranscribeOptions { initial_prompt: Some("names".to_owned()), ..TranscribeOptions::default() };
    JobParams { name: Some(name.to_owned()), path: None, model: "base".to_owned(), options }
}

/// The checkpoint of a window of the recording that starts at `second` and lasts one second. `segments` has the ids
/// of the segments in this window.
fn window(second: usize, segments: std::ops::Range<usize>) -> WindowCheckpoint {
    let segment = |id| -> Segment {
        serde_json::from_value(serde_json::json!({
            "id": id, "seek": 0, "start": 0.1, "end": 0.3, "text": " a", "tokens": [1], "temperature": 0.1,
            "avg_logprob": -0.3, "compression_ratio": 0.7, "no_speech_prob": 0.2,
        }))
        .unwrap()
    };
    WindowCheckpoint {
        start: second * 100,
        end: second * 100 + 100,
        segments: segments.map(segment).collect(),
        language: None,
        resets_prompt: false,
        warnings: Vec::new(),
    }
}

#[test]
fn a_job_is_stored_with_all_its_parameters() {
    let (_directory, store) = store();
    let added = store.add("job_1", &params("talk.mp3"), 5).unwrap();
    assert_eq!((&added.params, added.state, added.done), (&params("talk.mp3"), JobState::Queued, 0.0));
    assert_eq!(store.get("job_1").unwrap(), added);
    assert!(matches!(store.get("job_2"), Err(JobError::NotFound)));
    assert!(store.new_id().unwrap() != store.new_id().unwrap());
}

#[test]
fn jobs_start_in_order_and_the_queue_is_limited() {
    let (_directory, store) = store();
    for id in ["a", "b"] {
        store.add(id, &params(id), 2).unwrap();
    }
    assert!(matches!(store.add("c", &params("c"), 2), Err(JobError::QueueFull)));
    let started: Vec<_> = std::iter::from_fn(|| store.claim().unwrap()).map(|job| (job.id, job.state)).collect();
    assert_eq!(started, [("a".to_owned(), JobState::Running), ("b".to_owned(), JobState::Running)]);
    assert_eq!((store.count(JobState::Queued).unwrap(), store.count(JobState::Running).unwrap()), (0, 2));
    store.requeue("b").unwrap();
    assert_eq!(store.claim().unwrap().unwrap().id, "b");
}

#[test]
fn jobs_are_listed_newest_first() {
    let (_directory, store) = store();
    for id in ["a", "b", "c"] {
        store.add(id, &params(id), 9).unwrap();
    }
    store.cancel("b").unwrap();
    let ids = |limit, after, state| -> Vec<_> {
        store.list(limit, after, state).unwrap().into_iter().map(|job| job.id).collect()
    };
    assert_eq!(ids(9, None, None), ["c", "b", "a"]);
    assert_eq!(ids(1, Some("c"), None), ["b"]);
    assert_eq!(ids(9, None, Some(JobState::Queued)), ["c", "a"]);
    assert!(matches!(store.list(9, Some("d"), None), Err(JobError::NotFound)));
}

#[test]
fn checkpoints_are_stored_only_while_the_job_runs() {
    let (_directory, store) = store();
    store.add("a", &params("a"), 9).unwrap();
    let windows = [window(0, 0..2), window(1, 0..0), window(2, 2..3)];
    assert!(!store.add_checkpoint("a", &windows[0], None).unwrap(), "it does not run yet");
    store.claim().unwrap();
    for window in &windows {
        assert!(store.add_checkpoint("a", window, Some(9.5)).unwrap());
    }
    assert_eq!(store.checkpoints("a", 0).unwrap(), windows);
    assert_eq!(store.checkpoints("a", 1).unwrap(), windows);
    assert_eq!(store.checkpoints("a", 2).unwrap(), windows[2..]);
    assert!(store.checkpoints("a", 3).unwrap().is_empty());
    let job = store.get("a").unwrap();
    assert_eq!((job.done, job.total), (3.0, Some(9.5)));
    let warnings = ["it seems to be cut off".to_owned()];
    assert!(store.finish("a", Ok((9.25, &warnings))).unwrap());
    assert!(!store.add_checkpoint("a", &window(3, 3..4), None).unwrap());
    let job = store.get("a").unwrap();
    assert_eq!((job.state, job.done, job.total), (JobState::Succeeded, 9.25, Some(9.25)));
    assert_eq!(job.warnings, warnings);
}

#[test]
fn a_final_state_never_changes() {
    let (_directory, store) = store();
    for id in ["a", "b"] {
        store.add(id, &params(id), 9).unwrap();
        store.claim().unwrap();
    }
    assert!(store.cancel("a").unwrap());
    assert!(!store.cancel("a").unwrap() && !store.finish("a", Ok((1.0, &[]))).unwrap());
    assert!(store.finish("b", Err("not a recording")).unwrap() && !store.cancel("b").unwrap());
    assert_eq!(store.get("b").unwrap().error.as_deref(), Some("not a recording"));
    assert_eq!(store.finished_before(-10).unwrap().len(), 2);
    assert!(store.finished_before(10).unwrap().is_empty());
    store.remove("a").unwrap();
    assert!(matches!(store.remove("a"), Err(JobError::NotFound)));
}

#[test]
fn a_job_is_requeued_a_limited_number_of_times_after_its_worker_was_killed() {
    let (_directory, store) = store();
    store.add("a", &params("a"), 9).unwrap();
    assert!(!store.requeue_killed("a", 2).unwrap(), "it does not run yet");
    let attempt = |windows: std::ops::Range<usize>| {
        store.claim().unwrap();
        assert!(windows.into_iter().all(|second| store.add_checkpoint("a", &window(second, 0..0), None).unwrap()));
        store.requeue_killed("a", 2).unwrap()
    };
    assert_eq!([attempt(0..1), attempt(1..2), attempt(2..2)], [true, true, false]);
    assert_eq!(store.get("a").unwrap().state, JobState::Running);
}

#[test]
fn a_restart_requeues_running_jobs_and_puts_jobs_without_progress_last() {
    let (directory, store) = store();
    store.add("a", &params("a"), 9).unwrap();
    drop(store);
    let restart = || JobStore::open(&directory.path().join("jobs.sqlite")).unwrap();
    for _ in 0..MAX_STARTS_WITHOUT_PROGRESS {
        assert_eq!(restart().claim().unwrap().unwrap().id, "a");
    }
    let store = restart();
    store.add("b", &params("b"), 9).unwrap();
    let started = [(); 2].map(|()| store.claim().unwrap().unwrap().id);
    assert_eq!(started, ["b", "a"]);
    // After a new checkpoint, the earlier starts of this job do not count any more.
    store.add_checkpoint("a", &window(0, 0..1), None).unwrap();
    drop(store);
    let store = restart();
    assert_eq!(store.claim().unwrap().unwrap().id, "a");
    assert!(store.finish("a", Err("no more")).unwrap());
    store.remove("a").unwrap();
    assert!(store.checkpoints("a", 0).unwrap().is_empty());
}
