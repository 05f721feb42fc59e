//! Reads a recording, finds speech in it, and returns its windows one after the other.

use std::time::Instant;

use amanuensis_audio::Error as AudioError;
use amanuensis_engine::units::length;
use amanuensis_engine::{Frames, SileroVad};

use super::report::timed;
use crate::sample_buffer::{SampleBuffer, SampleSource};
use crate::vad::SpeechProbabilities;
use crate::windowing::{WindowSpan, Windower};
use crate::{Strategy, Timings, TranscribeOptions};

/// Windows shorter than this are skipped: no word is spoken in less than 0.2 s, and models tend to invent text for
/// such windows. In sequential mode, the audio after the last timestamp is often this short.
pub(super) const MIN_WINDOW: Frames = Frames(20);

/// The amount of audio that is read at a time.
const BLOCK: Frames = Frames::within(1.0);

/// A recording and its division into windows.
pub(super) struct Input<'v, S> {
    buffer: SampleBuffer<S>,
    probabilities: SpeechProbabilities<'v>,
    windower: Windower,
    strategy: Strategy,
}

impl<'v, S: SampleSource> Input<'v, S> {
    /// Creates an input with windows of at most `max_window` frames. Without `vad`, the whole recording counts as
    /// speech.
    pub(super) fn new(source: S, vad: Option<&'v SileroVad>, options: &TranscribeOptions, max_window: Frames) -> Self {
        Self {
            buffer: SampleBuffer::new(source),
            probabilities: SpeechProbabilities::new(vad),
            windower: Windower::new(options, max_window),
            strategy: options.strategy,
        }
    }

    /// The recording, with the samples that are buffered.
    pub(super) fn recording(&self) -> &SampleBuffer<S> {
        &self.buffer
    }

    /// Reads the recording until the end of the next window is known. `None` at the end of the recording.
    pub(super) fn next_window(&mut self, timings: &mut Timings) -> Result<Option<WindowSpan>, AudioError> {
        loop {
            let Some(window) = self.windower.next_window(self.buffer.position()) else {
                if self.buffer.is_at_end() {
                    return Ok(None);
                }
                self.buffer.advance_to(self.windower.done());
                self.read_block(timings)?;
                continue;
            };
            self.buffer.advance_to(window.frames.start);
            // The final chunk may end after the recording, or even begin after the last whole frame of the recording.
            let end_of_recording = self.buffer.read().whole_frames();
            let frames = window.frames.start..window.frames.end.min(end_of_recording);
            if frames.is_empty() {
                return Ok(None);
            }
            if length(&frames) >= MIN_WINDOW {
                return Ok(Some(WindowSpan { frames, ..window }));
            }
            self.buffer.advance_to(frames.end);
        }
    }

    /// The samples of a window that [`Self::next_window`] returned.
    pub(super) fn samples(&mut self, window: &WindowSpan) -> Vec<f32> {
        let samples = self.buffer.samples(window.length()).to_vec();
        // In sequential mode, the samples are kept, because the start of the next window is known only after this
        // window was decoded.
        if self.strategy == Strategy::Batched {
            self.buffer.advance_to(window.frames.end);
        }
        samples
    }

    /// Drops the samples before `position`, because they are no longer needed.
    pub(super) fn advance_to(&mut self, position: Frames) {
        self.buffer.advance_to(position);
    }

    /// Reads the next second of audio and computes its speech probabilities.
    fn read_block(&mut self, timings: &mut Timings) -> Result<(), AudioError> {
        let Self { buffer, probabilities: vad, windower, .. } = self;
        let (mut vad_s, mut probabilities) = (0.0, Vec::new());
        let mut detect = |samples: &[f32]| timed(&mut vad_s, || vad.push(samples, &mut probabilities));
        let start = Instant::now();
        let end = buffer.read().whole_frames() + BLOCK;
        let result = buffer.read_to(end, &mut detect);
        if buffer.is_at_end() {
            timed(&mut vad_s, || vad.finish(&mut probabilities));
        }
        timings.audio_decode += start.elapsed().as_secs_f64() - vad_s;
        timings.vad += vad_s;
        windower.push(&probabilities);
        if buffer.is_at_end() {
            windower.finish();
        }
        result
    }
}
