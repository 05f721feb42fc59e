//! From the times of tokens to the times of words.
//!
//! The decoder's attention tells when each token is spoken ([`Alignment`]). Words are made of tokens (`split`); where the
//! recording falls silent near the border of two words, the border is there (`silence`); words that are still longer than
//! words are, at pauses, are cut, by the rules of `openai-whisper` (`whisper/timing.py`, `add_word_timestamps`).
//!
//! Everything in here counts frames of 10 ms.

mod borders;
mod silence;
mod split;

use std::ops::Range;

use amanuensis_engine::{Alignment, Frames, Vocabulary};

use crate::Word;

/// The median length of words is not believed beyond this.
const LONGEST_MEDIAN: usize = 70;

/// A word that begins, or ends, this long before or after its segment does is not believed.
const OVERHANG: usize = 50;

/// Marks at the end of a sentence.
pub(crate) const SENTENCE_END: [char; 6] = ['.', '。', '!', '！', '?', '？'];

/// A part of a window's text between two times: what becomes a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it begins and ends as its timestamps say, in frames of 10 ms from the beginning of the window.
    pub(crate) times: Range<usize>,
    /// The bytes of each of its text tokens.
    pub(crate) tokens: Vec<Vec<u8>>,
}

impl Stretch {
    /// A stretch of `tokens`, of which only the text tokens count.
    pub(crate) fn new(times: Range<usize>, tokens: &[u32], vocabulary: &Vocabulary) -> Self {
        let bytes = |token: &u32| {
            let mut bytes = Vec::new();
            vocabulary.extend_bytes(*token, &mut bytes);
            bytes
        };
        Self { times, tokens: tokens.iter().filter(|token| vocabulary.is_text(**token)).map(bytes).collect() }
    }
}

/// What the times of words depend on beside their attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listened {
    /// Where the window begins in the recording, in frames of 10 ms.
    pub(crate) position: usize,
    /// Frames of the window.
    pub(crate) frames: usize,
    /// Silences, in frames from the beginning of the window, in order.
    silences: Vec<Range<usize>>,
}

impl Listened {
    /// Of a window that begins at the frame `position` of the recording and holds `frames` frames of it; `mel` is its
    /// log-mel, `(n_frames, n_mels)`, of which those are the first.
    pub(crate) fn new(position: usize, frames: usize, mel: &[f32], n_mels: usize) -> Self {
        let mel = &mel[..mel.len().min(frames * n_mels)];
        Self { position, frames, silences: silence::silences(mel, n_mels) }
    }
}

/// The words of a stretch, and where it begins and ends as they do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spoken {
    /// In frames of 10 ms from the beginning of the window.
    pub(crate) times: Range<usize>,
    /// With times in seconds of the recording.
    pub(crate) words: Vec<Word>,
    /// The logarithm of the probability of each text token.
    pub(crate) logprobs: Vec<f32>,
}

/// The words of all stretches of a window. `alignment` is that of all their tokens, one stretch after the other;
/// `language` is the code of the language that the text is in; `earliest` is the end of the segment before, in frames of
/// the recording.
///
/// The words of a stretch joined are its text. Words are in order and none begins before the one before it ends; a
/// stretch begins with its first word and ends with its last, which are inside the window. A stretch without text keeps
/// its times, as far as it can.
///
/// # Panics
/// If the alignment is that of fewer tokens.
pub(crate) fn words_of(
    stretches: &[Stretch],
    alignment: &Alignment,
    language: &str,
    listened: &Listened,
    earliest: usize,
) -> Vec<Spoken> {
    let frames = listened.frames;
    let earliest = earliest.saturating_sub(listened.position).min(frames);
    let mut words = Vec::new();
    let mut first = 0;
    let mut counts = Vec::new();
    let mut logprobs = Vec::new();
    for stretch in stretches {
        let parts = split::words(&stretch.tokens, language);
        counts.push(parts.len());
        words.extend(parts.into_iter().map(|part| {
            let tokens = first + part.tokens.start..first + part.tokens.end;
            let (start, end) = (alignment.times[tokens.start], alignment.times[tokens.end]);
            let probabilities = &alignment.probabilities[tokens];
            let probability = probabilities.iter().sum::<f32>() / probabilities.len() as f32;
            Timed { text: part.text, start, end, probability }
        }));
        let own = &alignment.probabilities[first..first + stretch.tokens.len()];
        // A probability of zero has no logarithm that could be written down.
        logprobs.push(own.iter().map(|probability| probability.max(f32::MIN_POSITIVE).ln()).collect());
        first += stretch.tokens.len();
    }
    let median = median_length(&words).min(LONGEST_MEDIAN);
    let times: Vec<Range<usize>> = words.iter().map(|word| word.start..word.end).collect();
    let placed = borders::place(&times, &listened.silences, earliest..frames);
    for (word, times) in words.iter_mut().zip(placed) {
        (word.start, word.end) = (times.start, times.end);
    }
    // A word that begins where a silence ends is as long as it is.
    let is_sure = |word: &Timed| listened.silences.iter().any(|silence| silence.end == word.start);
    cut_after_sentences(&mut words, 2 * median, &is_sure);

    let mut words = words.into_iter();
    let mut before = earliest;
    let mut spoken = Vec::with_capacity(stretches.len());
    for ((stretch, count), logprobs) in stretches.iter().zip(counts).zip(logprobs) {
        let mut own: Vec<Timed> = words.by_ref().take(count).collect();
        cut_at_pauses(&mut own, before, median, &is_sure);
        cut_at_timestamps(&mut own, &stretch.times, median);
        let times = if let (Some(first), Some(last)) = (own.first(), own.last()) {
            first.start..last.end
        } else {
            // It leaves room for the words that follow.
            let latest = words.as_slice().first().map_or(frames, |word| word.start);
            let start = stretch.times.start.clamp(before, latest);
            start..stretch.times.end.clamp(start, latest)
        };
        before = times.end;
        let words = own.into_iter().map(|word| word.finish(listened.position)).collect();
        spoken.push(Spoken { times, words, logprobs });
    }
    spoken
}

/// A word and its frames.
#[derive(Debug, Clone, PartialEq)]
struct Timed {
    text: String,
    start: usize,
    end: usize,
    probability: f32,
}

impl Timed {
    fn length(&self) -> usize {
        self.end - self.start
    }

    fn finish(self, position: usize) -> Word {
        let [start, end] = [self.start, self.end].map(|frame| Frames(position + frame).seconds());
        Word { word: self.text, start, end, probability: self.probability }
    }
}

/// The median length of those words that have any.
fn median_length(words: &[Timed]) -> usize {
    let mut lengths: Vec<usize> = words.iter().map(Timed::length).filter(|length| *length > 0).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

/// The first word of a sentence is not longer than `longest`: it begins later.
fn cut_after_sentences(words: &mut [Timed], longest: usize, is_sure: &dyn Fn(&Timed) -> bool) {
    for index in 1..words.len() {
        let is_first = words[index - 1].text.ends_with(SENTENCE_END);
        let word = &mut words[index];
        if is_first && word.length() > longest && !is_sure(word) {
            word.start = word.end - longest;
        }
    }
}

/// Cuts the first two words of a segment where they are too long after a pause; `before` is the end of the segment before.
fn cut_at_pauses(words: &mut [Timed], before: usize, median: usize, is_sure: &dyn Fn(&Timed) -> bool) {
    let longest = 2 * median;
    let second = words.get(1).filter(|word| !is_sure(word)).map(|word| word.start..word.end);
    let Some(first) = words.first_mut().filter(|word| !is_sure(word)) else { return };
    let is_long = first.length() > longest
        || second.as_ref().is_some_and(|second| second.end.saturating_sub(first.start) > 2 * longest);
    if first.end.saturating_sub(before) > 2 * longest && is_long {
        if let Some(second) = second.filter(|second| second.len() > longest) {
            let border = second.end - longest;
            words[0].end = border;
            words[1].start = border;
        }
        words[0].start = words[0].start.max(words[0].end.saturating_sub(longest));
    }
}

/// Where the first word of a segment begins long before its timestamp, or the last ends long after it, the timestamp is
/// believed.
fn cut_at_timestamps(words: &mut [Timed], segment: &Range<usize>, median: usize) {
    let is_early = |word: &&mut Timed| word.start + OVERHANG < segment.start && segment.start < word.end;
    if let Some(first) = words.first_mut().filter(is_early) {
        first.start = segment.start.min(first.end - median.min(first.length()));
    }
    let is_late = |word: &&mut Timed| segment.end + OVERHANG < word.end && word.start < segment.end;
    if let Some(last) = words.last_mut().filter(is_late) {
        last.end = segment.end.max(last.start + median.min(last.length()));
    }
}

#[cfg(test)]
mod tests;
