//! Computes timed words from the alignment of tokens; the steps are described in the parent module.

use std::ops::Range;

use amanuensis_engine::{Alignment, Frames};

use super::borders::place_words;
use super::long_words::{clip_to_timestamps, shorten_after_pause, shorten_sentence_starts};
use super::segment::{SegmentTokens, SegmentWords};
use super::silence::SilenceMap;
use super::split::split_words;
use super::timed_word::{TimedWord, median_duration};

/// The median duration of words is limited to this. The maximum durations of words are multiples of the median.
const MAX_MEDIAN: Frames = Frames(70);

/// Computes the times of the words of all segments of a window.
///
/// `alignment` covers the text tokens of all `segments`, one segment after the other. `language` is the language code
/// of the text. `previous_end` is the end of the last segment before this window, in frames of the recording.
///
/// The result has these properties:
/// - The words of a segment, concatenated, are its text.
/// - Words are in order, do not overlap, and lie inside the window.
/// - A segment begins with its first word and ends with its last word.
/// - A segment without text keeps its timestamps, but limited so that it does not overlap its neighbours.
///
/// # Panics
/// If the alignment covers fewer tokens than the segments have.
pub(crate) fn time_words(
    segments: &[SegmentTokens],
    alignment: &Alignment,
    language: &str,
    silence_map: &SilenceMap,
    previous_end: Frames,
) -> Vec<SegmentWords> {
    let n_frames = silence_map.n_frames;
    let earliest = previous_end.saturating_sub(silence_map.window_start).min(n_frames);
    let AlignedWords { mut words, counts, logprobs } = join_tokens(segments, alignment, language);
    let median = median_duration(&words).min(MAX_MEDIAN);
    let spans: Vec<Range<Frames>> = words.iter().map(|word| word.start..word.end).collect();
    let placed = place_words(&spans, &silence_map.silences, earliest..n_frames);
    for (word, span) in words.iter_mut().zip(placed) {
        (word.start, word.end) = (span.start, span.end);
    }
    let has_exact_start = |word: &TimedWord| silence_map.silences.iter().any(|silence| silence.end == word.start);
    shorten_sentence_starts(&mut words, median + median, &has_exact_start);

    let mut words = words.into_iter();
    let mut previous_end = earliest;
    let mut timed = Vec::with_capacity(segments.len());
    for ((segment, count), logprobs) in segments.iter().zip(counts).zip(logprobs) {
        let mut own: Vec<TimedWord> = words.by_ref().take(count).collect();
        shorten_after_pause(&mut own, previous_end, median, &has_exact_start);
        clip_to_timestamps(&mut own, &segment.span, median);
        let span = if let (Some(first), Some(last)) = (own.first(), own.last()) {
            first.start..last.end
        } else {
            // A segment without words must end before the first word of the segments after it.
            let latest = words.as_slice().first().map_or(n_frames, |word| word.start);
            let start = segment.span.start.clamp(previous_end, latest);
            start..segment.span.end.clamp(start, latest)
        };
        previous_end = span.end;
        let words = own.into_iter().map(|word| word.into_word(silence_map.window_start)).collect();
        timed.push(SegmentWords { span, words, logprobs });
    }
    timed
}

/// The words of all segments of a window, with the times of their tokens.
struct AlignedWords {
    words: Vec<TimedWord>,
    /// The number of words of each segment.
    counts: Vec<usize>,
    /// Log-probabilities of the text tokens of each segment.
    logprobs: Vec<Vec<f32>>,
}

fn join_tokens(segments: &[SegmentTokens], alignment: &Alignment, language: &str) -> AlignedWords {
    let mut aligned = AlignedWords { words: Vec::new(), counts: Vec::new(), logprobs: Vec::new() };
    let mut first = 0;
    for segment in segments {
        let words = split_words(&segment.tokens, language);
        aligned.counts.push(words.len());
        aligned.words.extend(words.into_iter().map(|word| {
            let tokens = first + word.tokens.start..first + word.tokens.end;
            let [start, end] = [tokens.start, tokens.end].map(|token| Frames(alignment.times[token]));
            let probabilities = &alignment.probabilities[tokens];
            let probability = probabilities.iter().sum::<f32>() / probabilities.len() as f32;
            TimedWord { text: word.text, start, end, probability }
        }));
        let probabilities = &alignment.probabilities[first..first + segment.tokens.len()];
        // The logarithm of zero is infinite, and JSON has no infinite numbers.
        aligned.logprobs.push(probabilities.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect());
        first += segment.tokens.len();
    }
    aligned
}
