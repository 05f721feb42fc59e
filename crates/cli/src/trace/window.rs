//! The window of a recording that is looked at.

use amanuensis_audio::WINDOW_SAMPLES;
use amanuensis_engine::SileroVad;
use amanuensis_engine::units::SAMPLES_PER_CHUNK;
use amanuensis_transcribe::Audio;

use crate::failure::Failure;

/// Samples a second.
const RATE: f64 = 16_000.0;

/// From this probability on, a chunk is speech.
const SPEECH: f32 = 0.5;

/// Samples before the first speech that belong to it.
const BEFORE: usize = 3200;

/// 30 s of a recording, or what there is of them.
pub struct Window {
    /// Seconds from the beginning of the recording.
    pub start: f64,
    /// 16 kHz, mono.
    pub samples: Vec<f32>,
}

impl Window {
    /// From `start`, else from a little before the first speech that `detector` finds, else from the beginning.
    pub fn read(mut audio: Audio, start: Option<f64>, detector: Option<&SileroVad>) -> Result<Self, Failure> {
        let mut buffer = Buffer::default();
        let first = match (start, detector) {
            (Some(start), _) => (start * RATE) as usize,
            (None, Some(detector)) => first_speech(&mut audio, detector, &mut buffer)?,
            (None, None) => 0,
        };
        while buffer.end() < first + WINDOW_SAMPLES && buffer.extend(&mut audio)? {
            buffer.forget(first);
        }
        buffer.forget(first);
        buffer.samples.truncate(WINDOW_SAMPLES);
        let start = first as f64 / RATE;
        if buffer.samples.is_empty() {
            return Err(Failure::Failed(format!("the recording ends before {start:.2} s")));
        }
        Ok(Self { start, samples: buffer.samples })
    }
}

/// The sample with which the window of the first speech begins.
fn first_speech(audio: &mut Audio, detector: &SileroVad, buffer: &mut Buffer) -> Result<usize, Failure> {
    let (mut stream, mut probabilities) = (detector.stream(), Vec::new());
    let (mut chunk, mut goes_on) = (0, true);
    while goes_on {
        let before = buffer.end();
        goes_on = buffer.extend(audio)?;
        if goes_on {
            stream.push(&buffer.samples[before - buffer.first..], &mut probabilities);
        } else {
            stream.finish(&mut probabilities);
        }
        if let Some(at) = probabilities.iter().position(|probability| *probability >= SPEECH) {
            return Ok(((chunk + at) * SAMPLES_PER_CHUNK).saturating_sub(BEFORE));
        }
        chunk += probabilities.len();
        probabilities.clear();
        buffer.forget((chunk * SAMPLES_PER_CHUNK).saturating_sub(BEFORE));
    }
    Err(Failure::Failed("nobody speaks in this recording; a place to look at can be named with --start".to_owned()))
}

/// The samples of a recording from somewhere on.
#[derive(Default)]
struct Buffer {
    /// Where in the recording it begins.
    first: usize,
    samples: Vec<f32>,
}

impl Buffer {
    fn end(&self) -> usize {
        self.first + self.samples.len()
    }

    /// Appends the next block of the recording, if there is one.
    fn extend(&mut self, audio: &mut Audio) -> Result<bool, Failure> {
        let block = audio.next_block().map_err(|error| Failure::Failed(error.to_string()))?;
        self.samples.extend_from_slice(block.unwrap_or_default());
        Ok(block.is_some())
    }

    /// Drops what lies before the sample `first` of the recording.
    fn forget(&mut self, first: usize) {
        let count = first.saturating_sub(self.first).min(self.samples.len());
        self.samples.drain(..count);
        self.first += count;
    }
}
