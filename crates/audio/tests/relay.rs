//! What goes through a pipe comes out as if it had been decoded here.

mod common;

use std::io::Cursor;
use std::path::Path;

use amanuensis_audio::{Audio, Error, Warning};

/// What a recording gives: its expected length, its blocks, its warnings and the kind and text of its error.
#[derive(Debug, PartialEq)]
struct Heard {
    expected: Option<f64>,
    blocks: Vec<Vec<u32>>,
    warnings: Vec<Warning>,
    error: Option<String>,
}

fn hear(audio: Result<Audio, Error>) -> Heard {
    let told = |error: &Error| format!("{:?}: {error}", error.kind());
    let mut heard = Heard { expected: None, blocks: Vec::new(), warnings: Vec::new(), error: None };
    let mut audio = match audio {
        Ok(audio) => audio,
        Err(error) => return Heard { error: Some(told(&error)), ..heard },
    };
    heard.expected = audio.expected_duration();
    loop {
        match audio.next_block() {
            Ok(Some(block)) => heard.blocks.push(block.iter().map(|sample| sample.to_bits()).collect()),
            Ok(None) => break,
            Err(error) => {
                heard.error = Some(told(&error));
                break;
            }
        }
    }
    heard.warnings = audio.warnings().to_vec();
    heard
}

fn relayed(bytes: Vec<u8>) -> Heard {
    let mut pipe = Vec::new();
    amanuensis_audio::send(Cursor::new(bytes), &mut pipe, &mut |_| Ok(())).unwrap();
    hear(Audio::from_relay(Cursor::new(pipe)))
}

#[test]
fn recordings_are_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(relayed(bytes.clone()), hear(Audio::from_bytes(bytes)), "{}", path.display());
    }
}

#[test]
fn damaged_recordings_are_the_same() {
    for name in ["stereo.mp3", "speech.flac", "aac.m4a", "vorbis.ogg", "opus.webm", "speech.wav"] {
        let whole = common::fixture(name);
        for part in 0..8 {
            let mut bytes = whole[..whole.len() - part * whole.len() / 8].to_vec();
            let from = bytes.len() * part / 9;
            let until = bytes.len().min(from + 200);
            bytes[from..until].fill(0x5a);
            assert_eq!(relayed(bytes.clone()), hear(Audio::from_bytes(bytes)), "{name}, {part}");
        }
    }
    for bytes in [&b""[..], b"no recording at all", b"RIFF\xff\xff\xff\xffWAVEfmt "] {
        assert_eq!(relayed(bytes.to_vec()), hear(Audio::from_bytes(bytes)));
    }
}
