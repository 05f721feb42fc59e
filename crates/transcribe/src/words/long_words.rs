//! Shortens words that are implausibly long.
//!
//! Cross-attention assigns the silence of a pause to one of the words next to the pause, which makes that word too
//! long. The rules for shortening such words are those of `openai-whisper` (`whisper/timing.py`,
//! `add_word_timestamps`). A word that starts exactly at the end of a silence is not shortened, because its start is
//! known to be exact.

use std::ops::Range;

use amanuensis_engine::Frames;
use amanuensis_engine::units::length;

use super::split::SENTENCE_END;
use super::timed_word::TimedWord;

/// The first word of a segment may begin this long before the start timestamp of the segment, and the last word may
/// end this long after the end timestamp. If a word exceeds this, its start or end is replaced by the timestamp.
const MAX_OVERHANG: Frames = Frames(50);

/// Limits the first word of each sentence to `max_duration`, by moving the start of the word later. Words with an
/// exact start and the first of `words` stay unchanged.
pub(super) fn shorten_sentence_starts(
    words: &mut [TimedWord],
    max_duration: Frames,
    has_exact_start: &dyn Fn(&TimedWord) -> bool,
) {
    for index in 1..words.len() {
        let begins_sentence = words[index - 1].text.ends_with(SENTENCE_END);
        let word = &mut words[index];
        if begins_sentence && word.duration() > max_duration && !has_exact_start(word) {
            word.start = word.end - max_duration;
        }
    }
}

/// Shortens the first two words of a segment that follows a pause, if they are too long. `previous_end` is the end of
/// the previous segment. `median` is the median duration of a word. Words with an exact start stay unchanged.
pub(super) fn shorten_after_pause(
    words: &mut [TimedWord],
    previous_end: Frames,
    median: Frames,
    has_exact_start: &dyn Fn(&TimedWord) -> bool,
) {
    let max_duration = twice(median);
    let second = words.get(1).filter(|word| !has_exact_start(word)).map(|word| word.start..word.end);
    let Some(first) = words.first_mut().filter(|word| !has_exact_start(word)) else { return };
    let is_long = first.duration() > max_duration
        || second.as_ref().is_some_and(|second| second.end.saturating_sub(first.start) > twice(max_duration));
    if first.end.saturating_sub(previous_end) > twice(max_duration) && is_long {
        if let Some(second) = second.filter(|second| length(second) > max_duration) {
            let border = second.end - max_duration;
            words[0].end = border;
            words[1].start = border;
        }
        words[0].start = words[0].start.max(words[0].end.saturating_sub(max_duration));
    }
}

/// If the first word starts more than [`MAX_OVERHANG`] before the start timestamp of the segment, the timestamp
/// becomes its start. If the last word ends more than [`MAX_OVERHANG`] after the end timestamp, that timestamp
/// becomes its end. A shortened word keeps at least the `median` duration.
pub(super) fn clip_to_timestamps(words: &mut [TimedWord], segment: &Range<Frames>, median: Frames) {
    let is_early = |word: &&mut TimedWord| word.start + MAX_OVERHANG < segment.start && segment.start < word.end;
    if let Some(first) = words.first_mut().filter(is_early) {
        first.start = segment.start.min(first.end - median.min(first.duration()));
    }
    let is_late = |word: &&mut TimedWord| segment.end + MAX_OVERHANG < word.end && word.start < segment.end;
    if let Some(last) = words.last_mut().filter(is_late) {
        last.end = segment.end.max(last.start + median.min(last.duration()));
    }
}

fn twice(duration: Frames) -> Frames {
    duration + duration
}
