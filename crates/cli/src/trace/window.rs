//! Reads the part of a recording that a trace examines, called the window.

use amanuensis_audio::WINDOW_SAMPLES;
use amanuensis_engine::SileroVad;
use amanuensis_engine::units::SAMPLES_PER_CHUNK;
use amanuensis_transcribe::Audio;

use crate::failure::Failure;

const SAMPLE_RATE_HZ: f64 = 16_000.0;

/// A chunk of audio with at least this speech probability counts as speech.
const SPEECH_THRESHOLD: f32 = 0.5;

/// The window starts this many samples (0.2 s) before the first speech.
const PADDING_SAMPLES: usize = 3200;

/// The window that a trace examines: up to 30 s of a recording.
pub struct Window {
    /// The start of the window in the recording, in seconds.
    pub start: f64,
    /// The samples of the window: 16 kHz, mono.
    pub samples: Vec<f32>,
}

impl Window {
    /// Reads a window of the recording. It starts at `start` seconds, if `start` is given. Otherwise it starts
    /// shortly before the first speech that `vad` detects. Without `start` and `vad`, it starts at the beginning of
    /// the recording.
    pub fn read(mut audio: Audio, start: Option<f64>, vad: Option<&SileroVad>) -> Result<Self, Failure> {
        let mut buffer = Buffer::default();
        let first = match (start, vad) {
            (Some(start), _) => (start * SAMPLE_RATE_HZ) as usize,
            (None, Some(vad)) => first_speech(&mut audio, vad, &mut buffer)?,
            (None, None) => 0,
        };
        while buffer.end() < first + WINDOW_SAMPLES && buffer.extend(&mut audio)? {
            buffer.discard_before(first);
        }
        buffer.discard_before(first);
        buffer.samples.truncate(WINDOW_SAMPLES);
        let start = first as f64 / SAMPLE_RATE_HZ;
        if buffer.samples.is_empty() {
            return Err(Failure::Failed(format!("the recording ends before {start:.2} s")));
        }
        Ok(Self { start, samples: buffer.samples })
    }
}

/// Finds the first speech, and returns the index of the first sample of a window that contains it. `buffer` then
/// holds all samples read from this index on.
fn first_speech(audio: &mut Audio, vad: &SileroVad, buffer: &mut Buffer) -> Result<usize, Failure> {
    let (mut stream, mut probabilities) = (vad.stream(), Vec::new());
    let (mut chunk, mut has_more) = (0, true);
    while has_more {
        let end_before = buffer.end();
        has_more = buffer.extend(audio)?;
        if has_more {
            stream.push(&buffer.samples[end_before - buffer.first..], &mut probabilities);
        } else {
            stream.finish(&mut probabilities);
        }
        if let Some(index) = probabilities.iter().position(|probability| *probability >= SPEECH_THRESHOLD) {
            return Ok(((chunk + index) * SAMPLES_PER_CHUNK).saturating_sub(PADDING_SAMPLES));
        }
        chunk += probabilities.len();
        probabilities.clear();
        buffer.discard_before((chunk * SAMPLES_PER_CHUNK).saturating_sub(PADDING_SAMPLES));
    }
    Err(Failure::Failed("the recording contains no speech; choose a window with --start".to_owned()))
}

/// A part of the recording that is held in memory, as 16 kHz samples.
#[derive(Default)]
struct Buffer {
    /// The position of the first sample in memory, counted in samples from the start of the recording.
    first: usize,
    samples: Vec<f32>,
}

impl Buffer {
    fn end(&self) -> usize {
        self.first + self.samples.len()
    }

    /// Reads the next block of the recording into memory. Returns false at the end of the recording.
    fn extend(&mut self, audio: &mut Audio) -> Result<bool, Failure> {
        let block = audio.next_block().map_err(|error| Failure::Failed(error.to_string()))?;
        self.samples.extend_from_slice(block.unwrap_or_default());
        Ok(block.is_some())
    }

    /// Removes from memory all samples that come before the sample `first` of the recording.
    fn discard_before(&mut self, first: usize) {
        let count = first.saturating_sub(self.first).min(self.samples.len());
        self.samples.drain(..count);
        self.first += count;
    }
}
