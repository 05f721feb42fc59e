//! Windows of the batched strategy. Each window begins at the first speech after the previous window. The windows do
//! not depend on the transcribed text.

use std::ops::Range;

use amanuensis_engine::{Chunks, Frames};

use super::runs::{end_of_speech, find_silence};
use super::span::WindowSpan;
use super::speech_map::{MAX_TRANSCRIBED_PAUSE, SpeechMap};
use super::split_policy::SplitPolicy;

/// To find the best split, the speech probability is averaged over this many chunks (32 ms each) on each side. With
/// fewer chunks, a window might be split within a word, where a stop consonant such as `t` briefly closes the mouth.
const AVERAGED_CHUNKS: usize = 5;

/// The final window of a recording may be longer than the usual maximum, which is the end of
/// [`SplitPolicy::split_at`], by this much. This avoids a very short window at the end.
const EXTRA_LENGTH_AT_END: Chunks = Chunks::within(2.0);

pub(super) struct BatchedWindower {
    policy: SplitPolicy,
    max_window: Chunks,
    /// The end of the previous window.
    last_end: Chunks,
}

impl BatchedWindower {
    /// Creates a windower for windows of at most `max_window` frames.
    pub(super) fn new(policy: SplitPolicy, max_window: Frames) -> Self {
        Self { policy, max_window: max_window.samples().whole_chunks(), last_end: Chunks::ZERO }
    }

    /// Returns the next window, and drops the chunks before the end of this window from the map. `None` if the end of
    /// the window is not known yet, or if no speech is left.
    pub(super) fn next_window(&mut self, map: &mut SpeechMap) -> Option<WindowSpan> {
        let speech = map.padded_speech();
        let Some(first_speech) = speech.iter().position(|is_speech| *is_speech) else {
            map.drop_silence();
            return None;
        };
        let start = self.include_pause(map, first_speech);
        let end = self.window_end(map, &speech, start)?;
        let window = map.span(start, end);
        map.drop_chunks(end);
        self.last_end = map.first();
        Some(window)
    }

    /// Returns the index of the first chunk of the window. This is the first speech chunk, or the chunk where the
    /// previous window ended if the pause between the two is short.
    fn include_pause(&self, map: &SpeechMap, first_speech: usize) -> usize {
        let pause = (map.first() + Chunks(first_speech)).saturating_sub(self.last_end);
        if pause <= MAX_TRANSCRIBED_PAUSE && !map.has_clips() {
            first_speech.saturating_sub(pause.0)
        } else {
            first_speech
        }
    }

    /// Returns the index of the first chunk after the window that begins at `start`. `None` if this index depends on
    /// chunks that have not arrived yet.
    fn window_end(&self, map: &SpeechMap, speech: &[bool], start: usize) -> Option<usize> {
        let certain = if map.is_complete() { speech.len() } else { speech.len().saturating_sub(map.margin()) };
        // The end of a clip (a part of the recording to transcribe) is treated like the end of the recording.
        let clip_end = map.clip_end(start);
        let end_is_known = map.is_complete() || clip_end <= certain;
        let (certain, speech) = (certain.min(clip_end), &speech[..speech.len().min(clip_end)]);

        let searched = &speech[..certain.clamp(start, start + self.max_window.0)];
        if let Some(pause) = find_silence(searched, start, self.policy.min_pause) {
            return Some(end_of_speech(&speech[..pause]));
        }
        let max_last_window = self.max_window.min(self.policy.split_at.end + EXTRA_LENGTH_AT_END);
        let last_speech = end_of_speech(speech);
        if end_is_known && last_speech <= start + max_last_window.0 {
            return Some(last_speech);
        }
        (certain > start + max_last_window.0).then(|| self.split(map.probabilities(), start))
    }

    /// The chunk at which to split a window that begins at `start`: the chunk with the lowest averaged speech
    /// probability. If several have the lowest, it is the latest of them.
    fn split(&self, probabilities: &[f32], start: usize) -> usize {
        let mean_around = |index: usize| {
            let end = (index + AVERAGED_CHUNKS).min(probabilities.len());
            let around = &probabilities[index - AVERAGED_CHUNKS..end];
            around.iter().sum::<f32>() / around.len() as f32
        };
        let Range { start: earliest, end: latest } = self.policy.split_at;
        let candidates = start + earliest.0.min(self.max_window.0 / 2)..start + latest.min(self.max_window).0;
        let best = candidates.clone().rev().min_by(|a, b| mean_around(*a).total_cmp(&mean_around(*b)));
        best.unwrap_or(candidates.end)
    }
}
