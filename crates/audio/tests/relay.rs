//! Tests that decoding a recording through a pipe gives the same result as decoding it directly.

mod common;

use std::io::Cursor;
use std::path::Path;

use amanuensis_audio::{Audio, Error, Warning};

/// The complete result of decoding: stated length, blocks (with the bits of each sample), warnings, and kind and text
/// of the error.
#[derive(Debug, PartialEq)]
struct Outcome {
    expected: Option<f64>,
    blocks: Vec<Vec<u32>>,
    warnings: Vec<Warning>,
    error: Option<String>,
}

fn outcome_of(audio: Result<Audio, Error>) -> Outcome {
    let describe = |error: &Error| format!("{:?}: {error}", error.kind());
    let mut outcome = Outcome { expected: None, blocks: Vec::new(), warnings: Vec::new(), error: None };
    let mut audio = match audio {
        Ok(audio) => audio,
        Err(error) => return Outcome { error: Some(describe(&error)), ..outcome },
    };
    outcome.expected = audio.expected_duration();
    loop {
        match audio.next_block() {
            Ok(Some(block)) => outcome.blocks.push(block.iter().map(|sample| sample.to_bits()).collect()),
            Ok(None) => break,
            Err(error) => {
                outcome.error = Some(describe(&error));
                break;
            }
        }
    }
    outcome.warnings = audio.warnings().to_vec();
    outcome
}

fn relayed(bytes: Vec<u8>) -> Outcome {
    let mut pipe = Vec::new();
    amanuensis_audio::send(Cursor::new(bytes), &mut pipe, &mut |_| Ok(())).unwrap();
    outcome_of(Audio::from_relay(Cursor::new(pipe)))
}

#[test]
fn a_relayed_recording_equals_a_decoded_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(relayed(bytes.clone()), outcome_of(Audio::from_bytes(bytes)), "{}", path.display());
    }
}

#[test]
fn a_relayed_damaged_recording_equals_a_decoded_one() {
    for name in ["stereo.mp3", "speech.flac", "aac.m4a", "vorbis.ogg", "opus.webm", "speech.wav"] {
        let whole = common::fixture(name);
        for part in 0..8 {
            let mut bytes = whole[..whole.len() - part * whole.len() / 8].to_vec();
            let from = bytes.len() * part / 9;
            let until = bytes.len().min(from + 200);
            bytes[from..until].fill(0x5a);
            assert_eq!(relayed(bytes.clone()), outcome_of(Audio::from_bytes(bytes)), "{name}, {part}");
        }
    }
    for bytes in [&b""[..], b"no recording at all", b"RIFF\xff\xff\xff\xffWAVEfmt "] {
        assert_eq!(relayed(bytes.to_vec()), outcome_of(Audio::from_bytes(bytes)));
    }
}
