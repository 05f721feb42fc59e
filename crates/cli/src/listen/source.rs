//! Reads samples from the microphone or standard input. A separate thread receives the samples, so that none are lost
//! while the model is busy.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use amanuensis_transcribe::{RawFormat, RawStream};

use super::args::{ListenArgs, Source};
#[cfg(feature = "microphone")]
use super::microphone::Microphone;
use crate::failure::Failure;

/// Maximum number of blocks of samples in the queue. If the queue is full, reading from standard input waits, but new
/// blocks of the microphone are lost. A microphone sends a few dozen blocks per second.
const QUEUE_LENGTH: usize = 1024;

/// Maximum number of bytes in one read from standard input.
const BLOCK_BYTES: usize = 4096;

/// The samples to transcribe (16 kHz, mono), in blocks. The channel `blocks` closes when the input ends. An error in
/// the channel means that reading the input failed.
pub struct SampleStream {
    pub blocks: Receiver<Result<Vec<f32>, String>>,
    /// The open microphone. It records until this value is dropped.
    #[cfg(feature = "microphone")]
    _microphone: Option<Microphone>,
}

/// Returns an error for invalid combinations of arguments. This check runs before the model is loaded.
pub fn check(args: &ListenArgs) -> Result<(), Failure> {
    let problem = match args.input {
        Source::Stdin if io::stdin().is_terminal() => "the standard input is a terminal; redirect raw samples into it",
        Source::Microphone if args.rate.is_some() || args.sample_format.is_some() => {
            "--rate and --sample-format need the standard input, `--input -`"
        }
        Source::Microphone if cfg!(not(feature = "microphone")) => NO_MICROPHONE,
        _ => return Ok(()),
    };
    Err(Failure::Usage(problem.to_owned()))
}

/// Opens the source of the audio. [`check`] must have accepted `args` before.
pub fn open(args: &ListenArgs) -> Result<SampleStream, Failure> {
    if args.input == Source::Microphone {
        return microphone();
    }
    let (format, rate) = (args.sample_format.unwrap_or(RawFormat::S16), args.rate.unwrap_or(16_000));
    let stream = RawStream::new(format, rate).map_err(|error| Failure::Usage(error.to_string()))?;
    let (sender, blocks) = sync_channel(QUEUE_LENGTH);
    thread::spawn(move || read(io::stdin().lock(), stream, &sender));
    Ok(SampleStream {
        blocks,
        #[cfg(feature = "microphone")]
        _microphone: None,
    })
}

const NO_MICROPHONE: &str = "this program was built without microphone support. Build it with `cargo install --locked --path \
    crates/cli --features microphone` (on Linux this needs the ALSA headers, the package libasound2-dev or alsa-lib-devel), or \
    send raw samples to the standard input: `arecord -q -t raw -f S16_LE -r 16000 | amanuensis listen --input -`";

#[cfg(feature = "microphone")]
fn microphone() -> Result<SampleStream, Failure> {
    let (sender, blocks) = sync_channel(QUEUE_LENGTH);
    let microphone = Microphone::open(sender).map_err(Failure::Failed)?;
    Ok(SampleStream { blocks, _microphone: Some(microphone) })
}

#[cfg(not(feature = "microphone"))]
fn microphone() -> Result<SampleStream, Failure> {
    Err(Failure::Usage(NO_MICROPHONE.to_owned()))
}

/// Reads and converts all samples of `input`, and sends them to `blocks`. Stops when the input ends, an error occurs
/// or the receiver is dropped. An error is sent to `blocks` too.
fn read(mut input: impl Read, mut stream: RawStream, blocks: &SyncSender<Result<Vec<f32>, String>>) {
    let mut bytes = vec![0; BLOCK_BYTES];
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
    fn all_samples_are_sent_before_the_channel_closes() {
        let bytes: Vec<u8> = (0..10_001_u16).flat_map(u16::to_le_bytes).collect();
        let (sender, blocks) = sync_channel(QUEUE_LENGTH);
        read(&bytes[..], RawStream::new(RawFormat::S16, 16_000).unwrap(), &sender);
        drop(sender);
        let samples: Vec<f32> = blocks.iter().flat_map(Result::unwrap).collect();
        assert_eq!(samples.len(), 10_001);
    }
}
