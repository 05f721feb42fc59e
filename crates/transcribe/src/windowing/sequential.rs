//! Windows of the sequential strategy. Each window begins where the text of the previous window ends, or at the next
//! speech after that.

use amanuensis_engine::{Chunks, Frames};

use super::runs::find_silence;
use super::span::WindowSpan;
use super::speech_map::SpeechMap;
use super::split_policy::SplitPolicy;

pub(super) struct SequentialWindower {
    policy: SplitPolicy,
    max_window: Frames,
}

impl SequentialWindower {
    /// Creates a windower for windows of at most `max_window` frames.
    pub(super) fn new(policy: SplitPolicy, max_window: Frames) -> Self {
        Self { policy, max_window }
    }

    /// Returns the window that begins at `position`, or at the next speech after it. The window ends with the last
    /// speech that fits into it. `None` if this end is not known yet, or if no speech is left.
    pub(super) fn window_from(&self, map: &mut SpeechMap, position: Frames) -> Option<WindowSpan> {
        map.drop_chunks(position.samples().whole_chunks().saturating_sub(map.first()).0);
        let speech = map.padded_speech();
        let Some(start) = speech.iter().position(|is_speech| *is_speech) else {
            map.drop_silence();
            return None;
        };
        // Both `position` and the end of the window may be in the middle of a chunk.
        let max_chunks = self.max_window.samples().whole_chunks() + Chunks(2);
        let max_end = start + max_chunks.0;
        if !map.is_complete() && speech.len() < max_end + map.margin() {
            return None;
        }
        let searched = &speech[..speech.len().min(max_end).min(map.clip_end(start))];
        let end = self.window_end(searched, start);
        let window = map.span(start, end);
        let first = window.frames.start.max(position);
        let frames = first..window.frames.end.clamp(first + Frames(1), first + self.max_window);
        Some(WindowSpan { frames, ..window })
    }

    /// Returns the index after the last speech chunk of the window that begins at `start`. The window ends before the
    /// first long pause after `start`.
    fn window_end(&self, speech: &[bool], start: usize) -> usize {
        let before_pause = find_silence(speech, start, self.policy.min_pause).map_or(speech, |pause| &speech[..pause]);
        let last = before_pause.iter().rposition(|is_speech| *is_speech);
        last.map_or(start, |last| last + 1)
    }
}
