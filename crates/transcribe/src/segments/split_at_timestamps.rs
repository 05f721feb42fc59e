//! Splits the tokens of a window into segments at the timestamp tokens, and determines where the next window begins.
//!
//! The rules are those of `openai-whisper` (`whisper/transcribe.py`, Radford et al., arXiv 2212.04356, section 3.8).

use std::ops::Range;

use amanuensis_engine::Frames;

/// The tokens of a window, split at its timestamp tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TimestampSplit {
    pub(crate) spans: Vec<Span>,
    /// The tokens after the last pair of adjacent timestamps. In sequential mode, the next window begins at that
    /// pair, so these tokens are discarded and their audio is decoded again.
    pub(crate) unfinished: Option<Span>,
    /// The distance from the start of this window to the start of the next window in sequential mode: at least one
    /// frame, and at most the whole window.
    pub(crate) advance: Frames,
}

/// The tokens and times of one segment. `start` and `end` count from the beginning of the window, `start` is not
/// after `end`, and `end` is not after the end of the window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Frames,
    pub(crate) end: Frames,
    pub(crate) tokens: Range<usize>,
}

/// Splits the `tokens` of a window that holds `n_frames` frames of the recording (at least one). `timestamp` returns the
/// time of a timestamp token, and `None` for any other token.
///
/// Two adjacent timestamps end one segment and begin the next. There are three cases:
/// - The tokens end with a single timestamp: nothing is said after it, so the next window begins where this one ends.
/// - Otherwise the tokens after the last pair are unfinished, and the next window begins at that pair.
/// - Without any pair, the whole window is one segment.
pub(crate) fn split_at_timestamps(
    tokens: &[u32],
    n_frames: Frames,
    timestamp: impl Fn(u32) -> Option<Frames>,
) -> TimestampSplit {
    let times: Vec<Option<Frames>> =
        tokens.iter().map(|&token| timestamp(token).map(|time| time.min(n_frames))).collect();
    let mut ends: Vec<usize> = (1..times.len()).filter(|&i| times[i - 1].is_some() && times[i].is_some()).collect();
    let last_pair = ends.last().and_then(|&end| times[end - 1]);
    let ends_with_single = matches!(times[..], [.., None, Some(_)]);

    // If the last pair of timestamps is at time zero, the next window would begin at the same position as this one,
    // so the pair is not used.
    let Some(last_pair) = last_pair.filter(|&time| time > Frames::ZERO || ends_with_single) else {
        return one_span(&times, n_frames);
    };
    if ends_with_single {
        ends.push(tokens.len());
    }
    let mut spans: Vec<Span> = Vec::with_capacity(ends.len());
    for end in ends {
        let (first, earliest) = next_position(&spans);
        // Each span ends with a timestamp, and begins with one unless the decoder violated the timestamp rules.
        let start = times[first].unwrap_or(earliest).max(earliest);
        let stop = times[end - 1].unwrap_or(start).max(start);
        spans.push(Span { start, end: stop, tokens: first..end });
    }
    let (first, earliest) = next_position(&spans);
    let unfinished = (first < tokens.len()).then(|| {
        let start = times[first].unwrap_or(earliest).max(earliest);
        let end = last_time(&times[first + 1..]).filter(|&time| time > start);
        Span { start, end: end.unwrap_or(n_frames), tokens: first..tokens.len() }
    });
    TimestampSplit { spans, unfinished, advance: if ends_with_single { n_frames } else { last_pair } }
}

/// Returns all tokens as one span. The span ends at the last timestamp, or at the end of the window if there is no
/// timestamp.
fn one_span(times: &[Option<Frames>], n_frames: Frames) -> TimestampSplit {
    let end = last_time(times).filter(|&time| time > Frames::ZERO).unwrap_or(n_frames);
    let whole = Span { start: Frames::ZERO, end, tokens: 0..times.len() };
    TimestampSplit { spans: vec![whole], unfinished: None, advance: n_frames }
}

fn last_time(times: &[Option<Frames>]) -> Option<Frames> {
    times.iter().rev().find_map(|&time| time)
}

/// The position after the last of `spans`: the index of the first token that follows the last span, and the time at
/// which the last span ends.
fn next_position(spans: &[Span]) -> (usize, Frames) {
    spans.last().map_or((0, Frames::ZERO), |span| (span.tokens.end, span.end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calls [`split_at_timestamps`] with a vocabulary in which tokens from 1000 on are timestamps in steps of 20 ms.
    fn split(tokens: &[u32], n_frames: usize) -> TimestampSplit {
        split_at_timestamps(tokens, Frames(n_frames), |token| token.checked_sub(1000).map(|i| Frames(2 * i as usize)))
    }

    fn spans(split: &TimestampSplit) -> Vec<(usize, usize, Range<usize>)> {
        split.spans.iter().map(|span| (span.start.0, span.end.0, span.tokens.clone())).collect()
    }

    #[test]
    fn pairs_split_segments_and_the_next_window_begins_at_the_last_pair() {
        // <0.00> a b <2.00> <2.00> c <5.00> <6.00> d
        let found = split(&[1000, 1, 2, 1100, 1100, 3, 1250, 1300, 4], 3000);
        assert_eq!(spans(&found), [(0, 200, 0..4), (200, 500, 4..7)]);
        assert_eq!(found.advance, Frames(500));
        assert_eq!(found.unfinished, Some(Span { start: Frames(600), end: Frames(3000), tokens: 7..9 }));
        // The same tokens, but with a pair of timestamps at the end.
        let found = split(&[1000, 1, 2, 1100, 1100, 3, 1250, 1250], 3000);
        assert_eq!(spans(&found), [(0, 200, 0..4), (200, 500, 4..7)]);
        assert_eq!(found.advance, Frames(500));
    }

    #[test]
    fn after_a_single_timestamp_at_the_end_the_next_window_follows_this_one() {
        let found = split(&[1000, 1, 1100, 1100, 2, 1250], 3000);
        assert_eq!(spans(&found), [(0, 200, 0..3), (200, 500, 3..6)]);
        assert_eq!(found.advance, Frames(3000));
    }

    #[test]
    fn without_pairs_the_window_is_one_segment() {
        assert_eq!(spans(&split(&[1000, 1, 2, 1250], 3000)), [(0, 500, 0..4)]);
        assert_eq!(spans(&split(&[1010, 1, 2], 3000)), [(0, 20, 0..3)]);
        assert_eq!(spans(&split(&[1000, 1, 2], 3000)), [(0, 3000, 0..3)]);
        assert_eq!(spans(&split(&[1, 2], 700)), [(0, 700, 0..2)]);
        assert_eq!(spans(&split(&[], 700)), [(0, 700, 0..0)]);
        assert_eq!(split(&[1000, 1, 2, 1250], 700).advance, Frames(700));
    }

    #[test]
    fn times_stay_inside_the_window() {
        let found = split(&[1000, 1, 1100, 1400, 2, 1500, 1500], 700);
        assert_eq!(spans(&found), [(0, 200, 0..3), (700, 700, 3..6)]);
        assert_eq!(found.advance, Frames(700));
    }

    #[test]
    fn a_pair_at_time_zero_does_not_repeat_the_window_forever() {
        let found = split(&[1000, 1000, 1, 2], 3000);
        assert_eq!(spans(&found), [(0, 3000, 0..4)]);
        assert_eq!(found.advance, Frames(3000));
    }

    proptest! {
        #[test]
        fn any_tokens_give_ordered_times_and_a_positive_advance(
            tokens in prop::collection::vec(prop_oneof![0_u32..5, 1000_u32..1010, 1000_u32..2501], 0..12),
            n_frames in 1_usize..3001,
        ) {
            let found = split(&tokens, n_frames);
            prop_assert!((1..=n_frames).contains(&found.advance.0));
            let mut earliest = 0;
            for span in found.spans.iter().chain(&found.unfinished) {
                prop_assert!(earliest <= span.start.0 && span.start <= span.end && span.end.0 <= n_frames);
                prop_assert!(span.tokens.end <= tokens.len());
                earliest = span.end.0;
            }
        }
    }
}
