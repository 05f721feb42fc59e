//! Tests of `amanuensis listen` with samples from standard input.

mod common;

use std::io::Write;
use std::process::Stdio;
use std::thread;

use amanuensis_models::Store;
use amanuensis_transcribe::Audio;
use common::{Run, Workspace};

/// Runs `amanuensis listen` with these arguments, and writes `samples` to its standard input.
fn listen(workspace: &Workspace, arguments: &[&str], samples: Vec<u8>) -> Run {
    let mut command = workspace.amanuensis(&[&["listen", "--input", "-"], arguments].concat());
    // Use the user's model store, because it contains the speech detection model.
    command.env_remove("AMANUENSIS_MODELS");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Ignore a write error: if the program rejects its arguments, it exits without reading the samples.
    let writer = thread::spawn(move || drop(stdin.write_all(&samples)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run::of(&output)
}

#[test]
fn live_speech_is_transcribed() {
    let Some(data) = std::env::var_os("AMANUENSIS_TEST_DATA") else {
        return println!("skipped: AMANUENSIS_TEST_DATA is not set");
    };
    let path = |name| Store::open_default().and_then(|store| store.path(name)).map_err(|error| error.to_string());
    let model = match path("base").and_then(|model| path("silero-vad").map(|_| model)) {
        Ok(model) => model,
        Err(missing) => return println!("skipped: {missing}"),
    };
    let recording = std::path::Path::new(&data).join("speech/jfk-flac-44k-stereo.flac");
    let mut audio = Audio::open(recording).unwrap();
    let mut bytes = Vec::new();
    while let Some(block) = audio.next_block().unwrap() {
        bytes.extend(block.iter().flat_map(|sample| sample.to_le_bytes()));
    }
    let arguments = ["--offline", "--sample-format", "f32", "--language", "en", "--model", model.to_str().unwrap()];
    let run = listen(&Workspace::new(), &arguments, bytes);
    run.ended(0, &[]);
    // Punctuation is ignored, because it depends on how pauses split the speech into utterances.
    let letters = |c: char| c.is_alphabetic() || c.is_whitespace();
    let text = run.stdout.to_lowercase().chars().filter(|c| letters(*c)).collect::<String>();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.join(" ").contains("ask not what your country can do for you"), "{}", run.stdout);
    assert!(run.stdout.ends_with('\n'), "{:?}", run.stdout);
    assert!(run.stdout.lines().all(|line| !line.contains('\u{1b}') && line.trim() == line), "{:?}", run.stdout);
}

#[test]
fn without_speech_detection_a_stream_is_one_utterance() {
    let workspace = Workspace::new();
    workspace.model("tiny");
    let samples: Vec<u8> = (0..32_000_u32).flat_map(|i| ((i % 97) as i16 * 100).to_le_bytes()).collect();
    let run = listen(&workspace, &["--offline", "--vad-filter=false", "--model", "./tiny"], samples);
    run.ended(0, &[]);
    assert!(run.stdout.lines().count() <= 1, "{run:?}");
}

#[test]
fn invalid_arguments_are_rejected() {
    let workspace = Workspace::new();
    workspace.model("tiny");
    listen(&workspace, &["--model", "./tiny", "--offline", "--vad-threshold", "2"], Vec::new())
        .ended(2, &["the speech threshold must be between 0 and 1"]);
    // The program rejects these arguments before it loads the model.
    let run = |arguments: &[&str]| workspace.run(&[&["listen", "--model", "./tiny", "--offline"], arguments].concat());
    run(&["--rate", "8000"]).ended(2, &["--input -"]);
    if cfg!(not(feature = "microphone")) {
        run(&["--vad-filter=false"]).ended(2, &["--features microphone"]);
    }
}
