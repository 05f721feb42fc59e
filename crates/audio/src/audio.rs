//! The public stream: a recording in, blocks of 16 kHz mono samples out.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use crate::container::StreamInfo;
use crate::decode::Recording;
use crate::error::{Error, Warning, WarningKind, Warnings};
use crate::input::{Input, Source};
use crate::mix::{Repaired, clean};
use crate::relay::Relay;
use crate::resample::Resampler;

/// The sample rate of everything that leaves this crate, in Hz.
pub const SAMPLE_RATE: u32 = 16_000;

/// Samples in a block, at least, except in the last: half a second.
const BLOCK: usize = 8_000;

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
    supply: Supply,
    resampler: Resampler,
    warnings: Warnings,
    /// Samples of one packet, at the recording's rate.
    mono: Vec<f32>,
    /// How many of `mono` the resampler has.
    pushed: usize,
    /// The block that was given out last.
    block: Vec<f32>,
    /// Samples of silence that come before `mono`, at the recording's rate.
    silence: u64,
    /// Samples given out, this block included.
    produced: u64,
    /// Samples that earlier resamplers made, when the recording's rate has changed.
    before: u64,
    info: StreamInfo,
    expected_duration: Option<f64>,
    /// What ended the recording, until it is told.
    failure: Option<Error>,
}

/// Where samples come from.
enum Supply {
    File(Box<Recording>),
    /// Samples, and how many of them have been taken.
    Samples(Vec<f32>, usize),
    /// Another process.
    Relay(Relay),
    Ended,
}

impl Audio {
    /// Opens the recording in a file. What it is, its contents say; the name does not matter.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::from_source(file)
    }

    /// Opens the recording in anything that can be read and sought.
    pub fn from_source(source: impl Source + 'static) -> Result<Self, Error> {
        let mut warnings = Warnings::default();
        let recording = Recording::open(Input::new(Box::new(source))?, &mut warnings)?;
        let info = recording.info().clone();
        let (resampler, expected) = (Resampler::new(info.sample_rate)?, recording.expected());
        Ok(Self::new(Supply::File(Box::new(recording)), resampler, warnings, info, expected))
    }

    /// Opens the recording in a file's bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Self::from_source(Cursor::new(bytes.into()))
    }

    /// Takes samples that are decoded already: one channel, `sample_rate` in Hz, full scale -1..1.
    pub fn from_samples(samples: impl Into<Vec<f32>>, sample_rate: u32) -> Result<Self, Error> {
        let info = StreamInfo { container: "samples", codec: "pcm_f32", sample_rate, channels: 1 };
        let (samples, resampler) = (samples.into(), Resampler::new(sample_rate)?);
        let duration = samples.len() as f64 / f64::from(sample_rate);
        Ok(Self::new(Supply::Samples(samples, 0), resampler, Warnings::default(), info, Some(duration)))
    }

    /// Takes a recording that another process decodes and [sends](crate::send), sample by sample and error by error as if it
    /// were decoded here. What kind of file it is, is not told.
    ///
    /// # Errors
    /// [`Error::Relayed`] for what is wrong with the recording; [`Error::Relay`] where the pipe ends before its time, or
    /// cannot be read.
    pub fn from_relay(pipe: impl Read + Send + Sync + 'static) -> Result<Self, Error> {
        let (relay, expected) = Relay::open(Box::new(pipe))?;
        let info = StreamInfo { container: "relay", codec: "pcm_f32", sample_rate: SAMPLE_RATE, channels: 1 };
        Ok(Self::new(Supply::Relay(relay), Resampler::new(SAMPLE_RATE)?, Warnings::default(), info, expected))
    }

    fn new(
        supply: Supply,
        resampler: Resampler,
        warnings: Warnings,
        info: StreamInfo,
        expected_duration: Option<f64>,
    ) -> Self {
        Self {
            supply,
            resampler,
            warnings,
            mono: Vec::new(),
            pushed: 0,
            block: Vec::new(),
            silence: 0,
            produced: 0,
            before: 0,
            info,
            expected_duration,
            failure: None,
        }
    }

    /// What the recording is made of.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// The length of the recording in seconds as its headers say; a hint only, for a progress bar.
    pub fn expected_duration(&self) -> Option<f64> {
        self.expected_duration
    }

    /// Seconds of audio given out so far; after the last block, the length of the recording.
    pub fn position(&self) -> f64 {
        self.produced as f64 / f64::from(SAMPLE_RATE)
    }

    /// What has been amiss so far: at most one entry a [`WarningKind`].
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// The next block of 16 kHz mono samples, at least half a second except for the last; `None` at the end.
    ///
    /// # Errors
    /// [`Error::NothingDecoded`] if a file ends without one sample though it holds data; [`Error::SampleRate`] if the
    /// audio turns out to have an impossible one. What came before an error is given out first, and nothing comes after
    /// it. Damage in between is a warning, not an error.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>, Error> {
        self.block.clear();
        while self.block.len() < BLOCK && self.failure.is_none() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.fail(error),
            }
        }
        self.produced += self.block.len() as u64;
        if self.block.is_empty() { self.failure.take().map_or(Ok(None), Err) } else { Ok(Some(&self.block)) }
    }

    /// Moves some samples into the block; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.silence > 0 {
            let n = self.silence.min(u64::from(self.resampler.rate()));
            self.resampler.push(&vec![0.0; n as usize], &mut self.block);
            self.silence -= n;
            return Ok(true);
        }
        if self.pushed < self.mono.len() {
            // A packet may be as large as its file, and a low rate makes it many times longer.
            let rest = &self.mono[self.pushed..];
            let piece = &rest[..rest.len().min(self.resampler.rate() as usize)];
            self.resampler.push(piece, &mut self.block);
            self.pushed += piece.len();
            return Ok(true);
        }
        self.mono.clear();
        self.pushed = 0;
        let seconds = (self.before + self.resampler.expected()) as f64 / f64::from(SAMPLE_RATE);
        match &mut self.supply {
            Supply::File(recording) => match recording.next(&mut self.mono, seconds, &mut self.warnings) {
                Some(piece) => {
                    self.silence = piece.silence;
                    self.info.channels = piece.channels.max(self.info.channels);
                    self.note(piece.is_gap && seconds > 0.0, piece.repaired, seconds);
                    self.change_rate(piece.rate)?;
                    Ok(true)
                }
                None => self.finish(),
            },
            Supply::Samples(samples, taken) if *taken == samples.len() => self.finish(),
            Supply::Samples(samples, taken) => {
                let piece = &samples[*taken..samples.len().min(*taken + BLOCK)];
                self.mono.extend_from_slice(piece);
                *taken += piece.len();
                let repaired = clean(&mut self.mono);
                self.note(false, repaired, seconds);
                Ok(true)
            }
            Supply::Relay(relay) => {
                let goes_on = relay.next(&mut self.block, &mut self.warnings)?;
                if goes_on { Ok(true) } else { self.finish() }
            }
            Supply::Ended => Ok(false),
        }
    }

    /// Lets the resampler's last samples out.
    fn finish(&mut self) -> Result<bool, Error> {
        let nothing = self.produced == 0 && self.block.is_empty() && self.resampler.is_unused();
        self.resampler.finish(&mut self.block);
        match std::mem::replace(&mut self.supply, Supply::Ended) {
            Supply::File(recording) if nothing => {
                if recording.is_empty_by_its_header() && self.warnings().is_empty() {
                    return Ok(true);
                }
                let cause = recording.last_cause().to_owned();
                Err(Error::NothingDecoded { container: self.info.container, cause })
            }
            _ => Ok(true),
        }
    }

    /// The end, because of `error`: what the resampler holds came before it, what waits to go in came after.
    fn fail(&mut self, error: Error) {
        self.resampler.finish(&mut self.block);
        self.mono.clear();
        self.silence = 0;
        self.supply = Supply::Ended;
        self.failure = Some(error);
    }

    /// Goes on with another resampler if the recording's rate has changed.
    fn change_rate(&mut self, rate: u32) -> Result<(), Error> {
        if rate != self.resampler.rate() {
            let next = Resampler::new(rate)?;
            self.before += self.resampler.expected();
            std::mem::replace(&mut self.resampler, next).finish(&mut self.block);
        }
        Ok(())
    }

    fn note(&mut self, is_gap: bool, repaired: Repaired, seconds: f64) {
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
