//! The receiving end of the relay, the pipe from another process that decodes a recording.

use std::io::{self, BufReader, Read};

use super::frames::{END, FAILURE, MAX_FRAME_BYTES, RECORDING, SAMPLES, WARNING};
use crate::error::{Error, ErrorKind, Warning, WarningKind, Warnings};

/// Receives the samples and warnings of a recording.
pub(crate) struct Receiver {
    pipe: BufReader<Box<dyn Read + Send + Sync>>,
    /// The content of the most recent frame.
    content: Vec<u8>,
}

impl Receiver {
    /// Waits for the first frame. Returns a receiver, and the length of the recording in seconds if its headers state
    /// it.
    pub(crate) fn open(pipe: Box<dyn Read + Send + Sync>) -> Result<(Self, Option<f64>), Error> {
        let pipe = BufReader::with_capacity(MAX_FRAME_BYTES as usize / 4, pipe);
        let mut receiver = Self { pipe, content: Vec::new() };
        match (receiver.next_frame()?, receiver.content.as_slice()) {
            (RECORDING, []) => Ok((receiver, None)),
            (RECORDING, &[a, b, c, d, e, f, g, h]) => {
                Ok((receiver, Some(f64::from_le_bytes([a, b, c, d, e, f, g, h])).filter(|seconds| seconds.is_finite())))
            }
            (FAILURE, content) => Err(failure(content)?),
            _ => Err(malformed()),
        }
    }

    /// Appends the next samples to `block`, and puts received warnings into `warnings`. Returns false at the end of
    /// the recording.
    pub(crate) fn next(&mut self, block: &mut Vec<f32>, warnings: &mut Warnings) -> Result<bool, Error> {
        loop {
            match self.next_frame()? {
                WARNING => warnings.replace(warning(&self.content).ok_or_else(malformed)?),
                SAMPLES => {
                    let (samples, []) = self.content.as_chunks() else { return Err(malformed()) };
                    block.extend(samples.iter().map(|&sample| f32::from_le_bytes(sample)));
                    return Ok(true);
                }
                END => return Ok(false),
                FAILURE => return Err(failure(&self.content)?),
                _ => return Err(malformed()),
            }
        }
    }

    /// Reads the next frame into `self.content` and returns its tag.
    fn next_frame(&mut self) -> Result<u8, Error> {
        let mut head = [0; 5];
        self.pipe.read_exact(&mut head).map_err(read_error)?;
        let [tag, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > MAX_FRAME_BYTES {
            return Err(malformed());
        }
        self.content.resize(length as usize, 0);
        self.pipe.read_exact(&mut self.content).map_err(read_error)?;
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
    let (kind, message) = content.split_first().ok_or_else(malformed)?;
    let kind = ErrorKind::ALL.into_iter().find(|known| *known as u8 == *kind).ok_or_else(malformed)?;
    Ok(Error::Relayed { kind, message: String::from_utf8_lossy(message).into_owned() })
}

fn read_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Relay(io::Error::other("the decoder process ended before it was done")),
        _ => Error::Relay(error),
    }
}

fn malformed() -> Error {
    Error::Relay(io::Error::new(io::ErrorKind::InvalidData, "the decoder process sent a malformed frame"))
}
