//! A recording that another process decodes: what goes through the pipe from that process to this one.
//!
//! Every frame is a tag, the length of its content and the content, numbers in little-endian order. First comes
//! `RECORDING`, with the length of the recording in seconds where its headers say it; then `SAMPLES`, block by block, and
//! before each the `WARNING`s that are new or have changed; at last `END`. `FAILURE` may stand in place of any of them but
//! the last, and nothing follows it. Samples are the very ones that [`Audio`] gives in the process that decodes.

use std::io::{self, BufReader, Read, Write};

use crate::audio::Audio;
use crate::error::{Error, ErrorKind, Warning, WarningKind, Warnings};
use crate::input::Source;

const RECORDING: u8 = 0;
const WARNING: u8 = 1;
const SAMPLES: u8 = 2;
const END: u8 = 3;
const FAILURE: u8 = 4;

/// Samples in a frame, at most. Whoever receives holds one frame, whatever the other side decodes at once.
const MOST_SAMPLES: usize = 1 << 16;

/// Bytes of a text, at most: some quote the file.
const MOST_TEXT: usize = 1 << 12;

/// Bytes in a frame, at most.
const MOST_BYTES: u32 = (MOST_SAMPLES * size_of::<f32>()) as u32;

/// Decodes the recording in `source` and sends it through `pipe`, to [`Audio::from_relay`]. `on_block` is told before each
/// block how many seconds came before it.
///
/// # Errors
/// Those of writing to the pipe, and of `on_block`. What is wrong with the recording goes through the pipe.
pub fn send(
    source: impl Source + 'static,
    pipe: &mut impl Write,
    on_block: &mut dyn FnMut(f64) -> io::Result<()>,
) -> io::Result<()> {
    let mut audio = match Audio::from_source(source) {
        Ok(audio) => audio,
        Err(error) => return send_failure(pipe, &error),
    };
    let seconds = audio.expected_duration().map(f64::to_le_bytes);
    send_frame(pipe, RECORDING, seconds.as_ref().map_or(&[], <[u8; 8]>::as_slice))?;
    let mut told = Vec::new();
    loop {
        on_block(audio.position())?;
        // In bytes, so that the block is not in the way of the warnings, which come before it.
        let block: Result<Option<Vec<u8>>, Error> =
            audio.next_block().map(|block| Some(block?.iter().flat_map(|sample| sample.to_le_bytes()).collect()));
        for warning in audio.warnings().iter().filter(|warning| !told.contains(*warning)) {
            send_warning(pipe, warning)?;
        }
        told = audio.warnings().to_vec();
        match block {
            Ok(Some(block)) => {
                block.chunks(MOST_BYTES as usize).try_for_each(|samples| send_frame(pipe, SAMPLES, samples))?;
            }
            Ok(None) => return send_frame(pipe, END, &[]),
            Err(error) => return send_failure(pipe, &error),
        }
    }
}

fn send_frame(pipe: &mut impl Write, tag: u8, content: &[u8]) -> io::Result<()> {
    let mut head = [tag, 0, 0, 0, 0];
    head[1..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    pipe.write_all(&head)?;
    pipe.write_all(content)
}

fn send_warning(pipe: &mut impl Write, warning: &Warning) -> io::Result<()> {
    let mut content = vec![warning.kind as u8];
    content.extend(warning.count.to_le_bytes());
    content.extend(warning.seconds.unwrap_or(f64::NAN).to_le_bytes());
    content.extend(beginning(&warning.detail).bytes());
    send_frame(pipe, WARNING, &content)
}

fn send_failure(pipe: &mut impl Write, error: &Error) -> io::Result<()> {
    let mut content = vec![error.kind() as u8];
    content.extend(beginning(&error.to_string()).bytes());
    send_frame(pipe, FAILURE, &content)
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_TEXT)]
}

/// The other end of the pipe.
pub(crate) struct Relay {
    pipe: BufReader<Box<dyn Read + Send + Sync>>,
    content: Vec<u8>,
}

impl Relay {
    /// Waits for the recording; its length in seconds, where its headers say it, comes along.
    pub(crate) fn open(pipe: Box<dyn Read + Send + Sync>) -> Result<(Self, Option<f64>), Error> {
        let pipe = BufReader::with_capacity(MOST_BYTES as usize / 4, pipe);
        let mut relay = Self { pipe, content: Vec::new() };
        match (relay.receive()?, relay.content.as_slice()) {
            (RECORDING, []) => Ok((relay, None)),
            (RECORDING, &[a, b, c, d, e, f, g, h]) => {
                Ok((relay, Some(f64::from_le_bytes([a, b, c, d, e, f, g, h])).filter(|seconds| seconds.is_finite())))
            }
            (FAILURE, content) => Err(failure(content)?),
            _ => Err(misunderstood()),
        }
    }

    /// Appends the next samples to `block`; false at the end.
    pub(crate) fn next(&mut self, block: &mut Vec<f32>, warnings: &mut Warnings) -> Result<bool, Error> {
        loop {
            match self.receive()? {
                WARNING => warnings.put(warning(&self.content).ok_or_else(misunderstood)?),
                SAMPLES => {
                    let (samples, []) = self.content.as_chunks() else { return Err(misunderstood()) };
                    block.extend(samples.iter().map(|&sample| f32::from_le_bytes(sample)));
                    return Ok(true);
                }
                END => return Ok(false),
                FAILURE => return Err(failure(&self.content)?),
                _ => return Err(misunderstood()),
            }
        }
    }

    /// Takes in the content of the next frame, and gives its tag.
    fn receive(&mut self) -> Result<u8, Error> {
        let mut head = [0; 5];
        self.pipe.read_exact(&mut head).map_err(lost)?;
        let [tag, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > MOST_BYTES {
            return Err(misunderstood());
        }
        self.content.resize(length as usize, 0);
        self.pipe.read_exact(&mut self.content).map_err(lost)?;
        Ok(tag)
    }
}

fn warning(content: &[u8]) -> Option<Warning> {
    let (&kind, content) = content.split_first()?;
    let (&count, content) = content.split_first_chunk()?;
    let (&seconds, detail) = content.split_first_chunk()?;
    Some(Warning {
        kind: WarningKind::ALL.into_iter().find(|known| *known as u8 == kind)?,
        seconds: Some(f64::from_le_bytes(seconds)).filter(|seconds| !seconds.is_nan()),
        count: u64::from_le_bytes(count),
        detail: String::from_utf8_lossy(detail).into_owned(),
    })
}

fn failure(content: &[u8]) -> Result<Error, Error> {
    let (kind, message) = content.split_first().ok_or_else(misunderstood)?;
    let kind = ErrorKind::ALL.into_iter().find(|known| *known as u8 == *kind).ok_or_else(misunderstood)?;
    Ok(Error::Relayed { kind, message: String::from_utf8_lossy(message).into_owned() })
}

fn lost(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Relay(io::Error::other("its decoder ended before it was done")),
        _ => Error::Relay(error),
    }
}

fn misunderstood() -> Error {
    Error::Relay(io::Error::new(io::ErrorKind::InvalidData, "what its decoder says makes no sense"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

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

    const SPEECH: &[u8] = include_bytes!("../tests/data/stereo.opus");

    #[test]
    fn a_pipe_that_breaks_is_an_error_behind_what_came() {
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
    fn nonsense_is_refused() {
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
            assert!(received(frame).is_err(), "{frame:?} in place of the recording");
            // An end is one there.
            assert_eq!(received(&[&recording, frame].concat()).is_err(), at > 0, "{frame:?} behind the recording");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let error = Error::Relayed { kind: ErrorKind::Unsupported, message: "ä".repeat(MOST_TEXT) };
        let mut pipe = Vec::new();
        send_failure(&mut pipe, &error).unwrap();
        let error = received(&pipe).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unsupported, "ä".repeat(MOST_TEXT / 2)));
    }

    #[test]
    fn who_sends_is_told_how_far_it_is_and_may_end_it() {
        let mut seconds = Vec::new();
        let ended = send(Cursor::new(SPEECH), &mut io::sink(), &mut |at| {
            seconds.push(at);
            if at > 0.5 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        });
        assert!(ended.is_err() && seconds[0] == 0.0 && seconds.is_sorted(), "{seconds:?}");
        assert!(seconds.len() == 2, "{seconds:?}");
    }
}
