//! Interrupts a transcription with a real model after every window, and resumes it. The model is taken from the model
//! store, and the recording from the directory that the environment variable `AMANUENSIS_TEST_DATA` names. If either
//! is missing, the test is skipped.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, Event, SileroVad, Strategy, Timings, TranscribeOptions, Transcriber, Transcript,
    WindowCheckpoint,
};

fn transcriber(name: &str) -> Option<Transcriber> {
    let store = Store::open_default().map_err(|error| println!("skipped: {error}")).ok()?;
    let path = |name: &str| store.path(name).map_err(|error| println!("skipped: {error}")).ok();
    let (model, vad) = (path(name)?, path(SPEECH_DETECTOR)?);
    let engine = EngineOptions { compute_type: ComputeType::Int8, threads: 2, ..EngineOptions::default() };
    let vad = SileroVad::load(&vad).unwrap();
    Some(Transcriber::load(&model, &engine).unwrap().with_vad(vad))
}

fn recording() -> Option<PathBuf> {
    let folder = std::env::var_os("AMANUENSIS_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
    }
    Some(folder?.join("speech/ami-trn05.wav"))
}

/// Resumes the transcription after `checkpoints`. Returns the transcript with its timings set to zero, and the
/// checkpoints of the remaining windows.
fn run(
    transcriber: &Transcriber,
    options: &TranscribeOptions,
    recording: &Path,
    earlier: &[WindowCheckpoint],
) -> (Transcript, Vec<WindowCheckpoint>) {
    let mut checkpoints = Vec::new();
    let audio = Audio::open(recording).unwrap();
    let transcript = transcriber.resume(audio, options, earlier.to_vec(), &mut |event| {
        if let Event::Checkpoint(checkpoint) = event {
            checkpoints.push(serde_json::from_str(&serde_json::to_string(checkpoint).unwrap()).unwrap());
        }
        ControlFlow::Continue(())
    });
    (Transcript { timings: Timings::default(), ..transcript.unwrap() }, checkpoints)
}

#[test]
fn a_resumed_transcription_gives_the_same_transcript() {
    let (Some(transcriber), Some(recording)) = (transcriber("tiny.en"), recording()) else { return };
    let batched = TranscribeOptions::default();
    let sequential = TranscribeOptions {
        strategy: Strategy::Sequential,
        condition_on_previous_text: true,
        word_timestamps: true,
        ..TranscribeOptions::default()
    };
    // These thresholds reject every hypothesis, so the final attempt of every window uses sampling.
    let sampled = TranscribeOptions {
        logprob_threshold: Some(0.0),
        no_speech_threshold: None,
        temperatures: vec![0.0, 0.4],
        ..TranscribeOptions::default()
    };
    let beam = TranscribeOptions { beam_size: 3, ..sequential.clone() };
    for options in [batched, sequential, sampled, beam] {
        let (whole, checkpoints) = run(&transcriber, &options, &recording, &[]);
        println!("{} windows, {} segments: {:.60}", checkpoints.len(), whole.segments.len(), whole.text());
        assert!(checkpoints.len() > 1 && whole.is_complete());
        for count in 0..=checkpoints.len() {
            let (resumed, following) = run(&transcriber, &options, &recording, &checkpoints[..count]);
            assert_eq!(resumed, whole);
            assert_eq!(following, checkpoints[count..]);
        }
    }
}
