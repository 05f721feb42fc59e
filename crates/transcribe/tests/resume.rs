//! Resuming a transcription by a real model after each of its windows. Models come from the model store, the recording from
//! the folder `AMANUENSIS_TEST_DATA`. Without them, the test is skipped.

use std::ops::ControlFlow;
use std::path::PathBuf;

use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, Event, SileroVad, Strategy, Timings, TranscribeOptions, Transcriber, Transcript,
    WindowCheckpoint,
};

fn transcriber(name: &str) -> Option<Transcriber> {
    let store = Store::open_default().map_err(|error| println!("skipped: {error}")).ok()?;
    let path = |name: &str| store.path(name).map_err(|error| println!("skipped: {error}")).ok();
    let (model, detector) = (path(name)?, path(SPEECH_DETECTOR)?);
    let engine = EngineOptions { compute_type: ComputeType::Int8, threads: 2, ..EngineOptions::default() };
    let detector = SileroVad::load(&detector).unwrap();
    Some(Transcriber::load(&model, &engine).unwrap().with_vad(detector))
}

fn recording() -> Option<PathBuf> {
    let folder = std::env::var_os("AMANUENSIS_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
    }
    Some(folder?.join("speech/ami-trn05.wav"))
}

/// Resumes after the windows `before`. Returns the transcript without timings, and the checkpoints of the other windows.
fn run(
    transcriber: &Transcriber,
    options: &TranscribeOptions,
    recording: &PathBuf,
    before: &[WindowCheckpoint],
) -> (Transcript, Vec<WindowCheckpoint>) {
    let mut windows = Vec::new();
    let audio = Audio::open(recording).unwrap();
    let transcript = transcriber.resume(audio, options, before.to_vec(), &mut |event| {
        if let Event::Checkpoint(window) = event {
            windows.push(serde_json::from_str(&serde_json::to_string(window).unwrap()).unwrap());
        }
        ControlFlow::Continue(())
    });
    (Transcript { timings: Timings::default(), ..transcript.unwrap() }, windows)
}

#[test]
fn a_resumed_transcript_is_the_same_as_an_uninterrupted_one() {
    let (Some(transcriber), Some(recording)) = (transcriber("tiny.en"), recording()) else { return };
    let batched = TranscribeOptions::default();
    let sequential = TranscribeOptions {
        strategy: Strategy::Sequential,
        condition_on_previous_text: true,
        word_timestamps: true,
        ..TranscribeOptions::default()
    };
    // No hypothesis has a log-probability above 0, so every window falls back to sampling.
    let sampled = TranscribeOptions {
        logprob_threshold: Some(0.0),
        no_speech_threshold: None,
        temperatures: vec![0.0, 0.4],
        ..TranscribeOptions::default()
    };
    let beam = TranscribeOptions { beam_size: 3, ..sequential.clone() };
    for options in [batched, sequential, sampled, beam] {
        let (uninterrupted, windows) = run(&transcriber, &options, &recording, &[]);
        println!("{} windows, {} segments: {:.60}", windows.len(), uninterrupted.segments.len(), uninterrupted.text());
        assert!(windows.len() > 1 && uninterrupted.is_complete());
        for finished in 0..=windows.len() {
            let (resumed, remaining) = run(&transcriber, &options, &recording, &windows[..finished]);
            assert_eq!(resumed, uninterrupted);
            assert_eq!(remaining, windows[finished..]);
        }
    }
}
