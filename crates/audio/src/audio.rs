//! The public type [`Audio`]: it decodes a recording to blocks of 16 kHz mono samples.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use crate::container::StreamInfo;
use crate::decode::Recording;
use crate::error::{Error, Warning, WarningKind, Warnings};
use crate::input::{Input, Source};
use crate::mix::{Repaired, clean};
use crate::relay::Receiver;
use crate::resample::Resampler;
use crate::sample_rate::SAMPLE_RATE;

/// The minimum size of a block in samples: half a second at 16 kHz. Only the final block of a recording can be
/// smaller.
const MIN_BLOCK_SAMPLES: usize = 8_000;

/// An open recording.
///
/// ```
/// # fn main() -> Result<(), amanuensis_audio::Error> {
/// # let sine: Vec<f32> = (0..44_100).map(|i| (i as f32 * 0.05).sin()).collect();
/// let mut audio = amanuensis_audio::Audio::from_samples(sine, 44_100)?;
/// let mut samples = 0;
/// while let Some(block) = audio.next_block()? {
///     samples += block.len();
/// }
/// assert_eq!(samples, 16_000);
/// # Ok(())
/// # }
/// ```
pub struct Audio {
    source: SampleSource,
    resampler: Resampler,
    warnings: Warnings,
    /// The decoded samples of one packet, at the recording's rate.
    mono: Vec<f32>,
    /// Number of samples of `mono` that were passed to the resampler.
    pushed: usize,
    /// The block that `next_block` returned most recently.
    block: Vec<f32>,
    /// Number of silent samples that must still be inserted before `mono`, at the recording's rate.
    silence: u64,
    /// Number of samples returned so far, including `block`.
    produced: u64,
    /// Number of output samples of earlier resamplers. The recording's rate can change midway, and each change
    /// creates a new resampler.
    produced_before_rate_change: u64,
    info: StreamInfo,
    expected_duration: Option<f64>,
    /// The error that ended decoding. `next_block` returns it only after the samples that were decoded before the
    /// error.
    failure: Option<Error>,
}

/// The source of the samples.
enum SampleSource {
    File(Box<Recording>),
    /// Samples that were given to `from_samples`, and the number of them that have been used.
    Samples(Vec<f32>, usize),
    /// Another process that decodes the recording.
    Relay(Receiver),
    Ended,
}

impl Audio {
    /// Opens a recording file. The format is detected by the contents of the file; the file name does not matter.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::from_source(file)
    }

    /// Opens a recording from any seekable source of bytes.
    pub fn from_source(source: impl Source + 'static) -> Result<Self, Error> {
        let mut warnings = Warnings::default();
        let recording = Recording::open(Input::new(Box::new(source))?, &mut warnings)?;
        let info = recording.info().clone();
        let (resampler, expected) = (Resampler::new(info.sample_rate)?, recording.expected());
        Ok(Self::new(SampleSource::File(Box::new(recording)), resampler, warnings, info, expected))
    }

    /// Opens a recording from the contents of a file.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Self::from_source(Cursor::new(bytes.into()))
    }

    /// Wraps samples that are decoded already: one channel, `sample_rate` in Hz, full scale -1..1.
    pub fn from_samples(samples: impl Into<Vec<f32>>, sample_rate: u32) -> Result<Self, Error> {
        let info = StreamInfo { container: "samples", codec: "pcm_f32", sample_rate, channels: 1 };
        let (samples, resampler) = (samples.into(), Resampler::new(sample_rate)?);
        let duration = samples.len() as f64 / f64::from(sample_rate);
        Ok(Self::new(SampleSource::Samples(samples, 0), resampler, Warnings::default(), info, Some(duration)))
    }

    /// Receives a recording that another process decodes and [sends](crate::send). Samples, warnings and errors are
    /// the same as if the recording were decoded here. Only the container and the codec are not known.
    ///
    /// # Errors
    /// [`Error::Relayed`] for an error of the recording; [`Error::Relay`] if the pipe cannot be read or ends too
    /// early.
    pub fn from_relay(pipe: impl Read + Send + Sync + 'static) -> Result<Self, Error> {
        let (receiver, expected) = Receiver::open(Box::new(pipe))?;
        let info = StreamInfo { container: "relay", codec: "pcm_f32", sample_rate: SAMPLE_RATE, channels: 1 };
        Ok(Self::new(SampleSource::Relay(receiver), Resampler::new(SAMPLE_RATE)?, Warnings::default(), info, expected))
    }

    fn new(
        source: SampleSource,
        resampler: Resampler,
        warnings: Warnings,
        info: StreamInfo,
        expected_duration: Option<f64>,
    ) -> Self {
        Self {
            source,
            resampler,
            warnings,
            mono: Vec::new(),
            pushed: 0,
            block: Vec::new(),
            silence: 0,
            produced: 0,
            produced_before_rate_change: 0,
            info,
            expected_duration,
            failure: None,
        }
    }

    /// Container, codec, sample rate and channel count of the recording.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// The recording's length in seconds according to its headers. It is an estimate, for use in a progress bar.
    pub fn expected_duration(&self) -> Option<f64> {
        self.expected_duration
    }

    /// Seconds of audio returned so far. After the final block this is the length of the recording.
    pub fn position(&self) -> f64 {
        self.produced as f64 / f64::from(SAMPLE_RATE)
    }

    /// The warnings about the recording up to now: at most one entry for each [`WarningKind`].
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// Returns the next block of 16 kHz mono samples, or `None` at the end. A block lasts at least half a second,
    /// except for the final one.
    ///
    /// # Errors
    /// [`Error::NothingDecoded`] if a file holds data but not one sample could be decoded; [`Error::SampleRate`] if
    /// the decoded audio has an impossible rate. Samples decoded before an error are returned first, and nothing
    /// follows the error. Damage that decoding can skip is a warning, not an error.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>, Error> {
        self.block.clear();
        while self.block.len() < MIN_BLOCK_SAMPLES && self.failure.is_none() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.fail(error),
            }
        }
        self.produced += self.block.len() as u64;
        if self.block.is_empty() { self.failure.take().map_or(Ok(None), Err) } else { Ok(Some(&self.block)) }
    }

    /// Decodes and resamples a little more of the recording, and appends the samples to the block. Returns false at
    /// the end of the recording.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.silence > 0 {
            let n = self.silence.min(u64::from(self.resampler.rate()));
            self.resampler.push(&vec![0.0; n as usize], &mut self.block);
            self.silence -= n;
            return Ok(true);
        }
        if self.pushed < self.mono.len() {
            // At most one second is resampled at a time: a packet can be as large as the file, and upsampling from a
            // low rate makes it many times longer.
            let rest = &self.mono[self.pushed..];
            let piece = &rest[..rest.len().min(self.resampler.rate() as usize)];
            self.resampler.push(piece, &mut self.block);
            self.pushed += piece.len();
            return Ok(true);
        }
        self.mono.clear();
        self.pushed = 0;
        let seconds = (self.produced_before_rate_change + self.resampler.expected()) as f64 / f64::from(SAMPLE_RATE);
        match &mut self.source {
            SampleSource::File(recording) => match recording.next(&mut self.mono, seconds, &mut self.warnings) {
                Some(packet) => {
                    self.silence = packet.silence;
                    self.info.channels = packet.channels.max(self.info.channels);
                    self.add_warnings(packet.is_gap && seconds > 0.0, packet.repaired, seconds);
                    self.change_rate(packet.rate)?;
                    Ok(true)
                }
                None => self.finish(),
            },
            SampleSource::Samples(samples, taken) if *taken == samples.len() => self.finish(),
            SampleSource::Samples(samples, taken) => {
                let piece = &samples[*taken..samples.len().min(*taken + MIN_BLOCK_SAMPLES)];
                self.mono.extend_from_slice(piece);
                *taken += piece.len();
                let repaired = clean(&mut self.mono);
                self.add_warnings(false, repaired, seconds);
                Ok(true)
            }
            SampleSource::Relay(receiver) => {
                let has_samples = receiver.next(&mut self.block, &mut self.warnings)?;
                if has_samples { Ok(true) } else { self.finish() }
            }
            SampleSource::Ended => Ok(false),
        }
    }

    /// Appends the samples that the resampler still holds to the block, and returns true. If a file has given no
    /// samples at all, returns an error, unless its header states a length of zero.
    fn finish(&mut self) -> Result<bool, Error> {
        let is_empty = self.produced == 0 && self.block.is_empty() && self.resampler.is_unused();
        self.resampler.finish(&mut self.block);
        match std::mem::replace(&mut self.source, SampleSource::Ended) {
            SampleSource::File(recording) if is_empty => {
                if recording.is_empty_by_its_header() && self.warnings().is_empty() {
                    return Ok(true);
                }
                let cause = recording.last_cause().to_owned();
                Err(Error::NothingDecoded { container: self.info.container, cause })
            }
            _ => Ok(true),
        }
    }

    /// Ends the recording with `error`. The samples in the resampler were decoded before the error, so they are still
    /// returned. The samples in `mono` are dropped.
    fn fail(&mut self, error: Error) {
        self.resampler.finish(&mut self.block);
        self.mono.clear();
        self.silence = 0;
        self.source = SampleSource::Ended;
        self.failure = Some(error);
    }

    /// Continues with another resampler if the recording's rate has changed.
    fn change_rate(&mut self, rate: u32) -> Result<(), Error> {
        if rate != self.resampler.rate() {
            let next = Resampler::new(rate)?;
            self.produced_before_rate_change += self.resampler.expected();
            std::mem::replace(&mut self.resampler, next).finish(&mut self.block);
        }
        Ok(())
    }

    fn add_warnings(&mut self, is_gap: bool, repaired: Repaired, seconds: f64) {
        let counts = [
            (WarningKind::NonFinite, repaired.non_finite),
            (WarningKind::Clipped, repaired.clipped),
            (WarningKind::Gap, u64::from(is_gap)),
        ];
        for (kind, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.warnings.add(kind, count, Some(seconds), "");
        }
    }
}
