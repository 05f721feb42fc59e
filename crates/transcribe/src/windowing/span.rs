//! The part of a recording that a window covers.

use std::ops::Range;

use amanuensis_engine::Frames;

/// The part of a recording that a window covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowSpan {
    /// The frames of the window, counted from the beginning of the recording.
    pub(crate) frames: Range<Frames>,
    /// The parts of the window with speech, ordered by time, in frames from the beginning of the recording. The first
    /// and last part may extend beyond `frames` by less than a chunk.
    pub(crate) speech: Vec<Range<Frames>>,
}

impl WindowSpan {
    /// The length of the window.
    pub(crate) fn length(&self) -> Frames {
        self.frames.end - self.frames.start
    }

    /// The amount of speech in the window, in seconds.
    pub(crate) fn speech_s(&self) -> f64 {
        speech_within(&self.speech, &self.frames).seconds()
    }

    /// Makes a separate span of a part of this window.
    pub(crate) fn part(&self, frames: Range<Frames>) -> Self {
        let overlaps = |run: &&Range<Frames>| run.start < frames.end && frames.start < run.end;
        Self { speech: self.speech.iter().filter(overlaps).cloned().collect(), frames }
    }
}

/// The amount of speech within `frames`.
pub(super) fn speech_within(speech: &[Range<Frames>], frames: &Range<Frames>) -> Frames {
    speech.iter().map(|run| run.end.min(frames.end).saturating_sub(run.start.max(frames.start))).sum()
}
