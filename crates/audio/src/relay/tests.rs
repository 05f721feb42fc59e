//! Tests of both ends of the relay, which sends decoded samples through a pipe.

use std::io::{self, Cursor};

use super::frames::{END, FAILURE, MAX_TEXT_BYTES, RECORDING, SAMPLES, WARNING};
use super::send;
use super::send::send_failure;
use crate::audio::Audio;
use crate::error::{Error, ErrorKind, Warning};

fn sent(bytes: &[u8]) -> Vec<u8> {
    let mut pipe = Vec::new();
    send(Cursor::new(bytes.to_vec()), &mut pipe, &mut |_| Ok(())).unwrap();
    pipe
}

fn received(pipe: &[u8]) -> Result<(usize, Vec<Warning>), Error> {
    let mut audio = Audio::from_relay(Cursor::new(pipe.to_vec()))?;
    let mut samples = 0;
    while let Some(block) = audio.next_block()? {
        samples += block.len();
    }
    assert!(audio.next_block().unwrap().is_none());
    Ok((samples, audio.warnings().to_vec()))
}

const SPEECH: &[u8] = include_bytes!("../../tests/data/stereo.opus");

#[test]
fn a_broken_pipe_is_an_error_after_the_samples_received() {
    let whole = sent(SPEECH);
    assert!(received(&whole).is_ok());
    for end in (0..whole.len()).step_by(whole.len() / 50) {
        let error = received(&whole[..end]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{error}");
    }
    let mut audio = Audio::from_relay(Cursor::new(whole[..whole.len() - 1].to_vec())).unwrap();
    let mut samples = 0;
    let error = loop {
        match audio.next_block() {
            Ok(block) => samples += block.unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(samples > 0 && matches!(error, Error::Relay(_)), "{samples}, {error}");
}

#[test]
fn malformed_frames_are_refused() {
    let recording = [RECORDING, 0, 0, 0, 0];
    let frames: [&[u8]; 6] = [
        &[END, 0, 0, 0, 0],
        &[SAMPLES, 3, 0, 0, 0, 1, 2, 3],
        &[SAMPLES, 0, 0, 0, 255],
        &[WARNING, 2, 0, 0, 0, 1, 2],
        &[FAILURE, 1, 0, 0, 0, 99],
        &[77, 0, 0, 0, 0],
    ];
    for (at, frame) in frames.into_iter().enumerate() {
        assert!(received(frame).is_err(), "{frame:?} as the first frame");
        // After `RECORDING`, the frame `END` is the only valid one of these frames: it ends an empty recording.
        assert_eq!(received(&[&recording, frame].concat()).is_err(), at > 0, "{frame:?} after RECORDING");
    }
}

#[test]
fn long_messages_are_cut() {
    let error = Error::Relayed { kind: ErrorKind::Unsupported, message: "ä".repeat(MAX_TEXT_BYTES) };
    let mut pipe = Vec::new();
    send_failure(&mut pipe, &error).unwrap();
    let error = received(&pipe).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unsupported, "ä".repeat(MAX_TEXT_BYTES / 2)));
}

#[test]
fn on_block_gets_the_position_and_can_stop_the_sending() {
    let mut seconds = Vec::new();
    let result = send(Cursor::new(SPEECH), &mut io::sink(), &mut |position| {
        seconds.push(position);
        if position > 0.5 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    assert!(result.is_err() && seconds[0] == 0.0 && seconds.is_sorted(), "{seconds:?}");
    assert!(seconds.len() == 2, "{seconds:?}");
}
