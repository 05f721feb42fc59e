//! The part of a recording that a window covers.

use std::ops::Range;

use amanuensis_engine::Frames;

/// The part of a recording that a window covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowSpan {
    /// Its frames, counted from the beginning of the recording.
    pub(crate) frames: Range<Frames>,
    /// The speech in it, in order, counted in the same way. It may extend beyond `frames` by a part of a chunk.
    pub(crate) speech: Vec<Range<Frames>>,
}

impl WindowSpan {
    /// Its length.
    pub(crate) fn length(&self) -> Frames {
        self.frames.end - self.frames.start
    }

    /// How much speech it has, in seconds.
    pub(crate) fn speech_s(&self) -> f64 {
        speech_within(&self.speech, &self.frames).seconds()
    }

    /// A part of this span as a span of its own.
    pub(crate) fn part(&self, frames: Range<Frames>) -> Self {
        let overlaps = |run: &&Range<Frames>| run.start < frames.end && frames.start < run.end;
        Self { speech: self.speech.iter().filter(overlaps).cloned().collect(), frames }
    }
}

/// How much speech there is within `frames`.
pub(super) fn speech_within(speech: &[Range<Frames>], frames: &Range<Frames>) -> Frames {
    speech.iter().map(|run| run.end.min(frames.end).saturating_sub(run.start.max(frames.start))).sum()
}
