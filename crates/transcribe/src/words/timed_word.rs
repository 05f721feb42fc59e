//! A word with its times within a window.

use amanuensis_engine::Frames;

use crate::Word;

/// A word with its start and end in frames from the start of the window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedWord {
    pub(super) text: String,
    pub(super) start: Frames,
    pub(super) end: Frames,
    /// The mean probability of the tokens of the word.
    pub(super) probability: f32,
}

impl TimedWord {
    pub(super) fn duration(&self) -> Frames {
        self.end - self.start
    }

    /// Converts the times to seconds from the start of the recording. The window begins at `window_start`.
    pub(super) fn into_word(self, window_start: Frames) -> Word {
        let [start, end] = [self.start, self.end].map(|frame| (window_start + frame).seconds());
        Word { word: self.text, start, end, probability: self.probability }
    }
}

/// The median duration of the words. Words of duration zero are left out. Zero if no words remain.
pub(super) fn median_duration(words: &[TimedWord]) -> Frames {
    let mut durations: Vec<Frames> =
        words.iter().map(TimedWord::duration).filter(|duration| *duration > Frames::ZERO).collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}
