//! Where samples come from: a thread that waits for them, so that nothing is missed while the model reads.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use amanuensis_transcribe::{RawFormat, RawStream};

use super::args::{ListenArgs, Source};
#[cfg(feature = "microphone")]
use super::microphone::Microphone;
use crate::failure::Failure;

/// Blocks that wait to be heard. Whoever sends faster than the model reads has to wait; from a microphone comes a few
/// dozen a second, and more than this is lost.
const WAITING: usize = 1024;

/// Bytes that are read at once, at most.
const BLOCK: usize = 4096;

/// A source of samples, 16 kHz mono, or why it failed. It ends with the input.
pub struct Samples {
    pub blocks: Receiver<Result<Vec<f32>, String>>,
    /// Sends as long as it is there.
    #[cfg(feature = "microphone")]
    _microphone: Option<Microphone>,
}

/// Refuses what cannot be opened whatever the system has: before a model is loaded.
pub fn check(args: &ListenArgs) -> Result<(), Failure> {
    let problem = match args.input {
        Source::Stdin if io::stdin().is_terminal() => "the standard input is a terminal; send samples into it",
        Source::Microphone if args.rate.is_some() || args.sample_format.is_some() => {
            "--rate and --sample-format are those of the standard input, `--input -`"
        }
        Source::Microphone if cfg!(not(feature = "microphone")) => NO_MICROPHONE,
        _ => return Ok(()),
    };
    Err(Failure::Usage(problem.to_owned()))
}

/// Opens what the arguments name, which [`check`] has found possible.
pub fn open(args: &ListenArgs) -> Result<Samples, Failure> {
    if args.input == Source::Microphone {
        return microphone();
    }
    let (format, rate) = (args.sample_format.unwrap_or(RawFormat::S16), args.rate.unwrap_or(16_000));
    let stream = RawStream::new(format, rate).map_err(|error| Failure::Usage(error.to_string()))?;
    let (sender, blocks) = sync_channel(WAITING);
    thread::spawn(move || read(io::stdin().lock(), stream, &sender));
    Ok(Samples {
        blocks,
        #[cfg(feature = "microphone")]
        _microphone: None,
    })
}

const NO_MICROPHONE: &str = "this program was built without the microphone. Build it with `cargo install --locked --path \
    crates/cli --features microphone` (on Linux this needs the ALSA headers, the package libasound2-dev or alsa-lib-devel), or \
    send samples to the standard input: `arecord -q -t raw -f S16_LE -r 16000 | amanuensis listen --input -`";

#[cfg(feature = "microphone")]
fn microphone() -> Result<Samples, Failure> {
    let (sender, blocks) = sync_channel(WAITING);
    let microphone = Microphone::open(sender).map_err(Failure::Failed)?;
    Ok(Samples { blocks, _microphone: Some(microphone) })
}

#[cfg(not(feature = "microphone"))]
fn microphone() -> Result<Samples, Failure> {
    Err(Failure::Usage(NO_MICROPHONE.to_owned()))
}

/// Sends what can be read until it ends, or nobody listens.
fn read(mut input: impl Read, mut stream: RawStream, blocks: &SyncSender<Result<Vec<f32>, String>>) {
    let mut bytes = vec![0; BLOCK];
    loop {
        let mut samples = Vec::new();
        let is_end = match input.read(&mut bytes) {
            Ok(0) => {
                stream.finish(&mut samples);
                true
            }
            Ok(count) => {
                stream.push(&bytes[..count], &mut samples);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = blocks.send(Err(format!("cannot read the standard input: {error}")));
                return;
            }
        };
        if blocks.send(Ok(samples)).is_err() || is_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_samples_come_and_then_the_end() {
        let bytes: Vec<u8> = (0..10_001_u16).flat_map(u16::to_le_bytes).collect();
        let (sender, blocks) = sync_channel(WAITING);
        read(&bytes[..], RawStream::new(RawFormat::S16, 16_000).unwrap(), &sender);
        drop(sender);
        let samples: Vec<f32> = blocks.iter().flat_map(Result::unwrap).collect();
        assert_eq!(samples.len(), 10_001);
    }
}
