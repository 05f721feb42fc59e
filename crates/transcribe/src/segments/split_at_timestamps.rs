//! Cutting a window's tokens into segments at their timestamps, and finding where the next window begins.
//!
//! The rules are those of `openai-whisper` (`whisper/transcribe.py`, Radford et al., arXiv 2212.04356, section 3.8).

use std::ops::Range;

/// A window's tokens as segments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) pieces: Vec<Piece>,
    /// What follows the last pair of timestamps: unfinished, if the next window begins at that pair.
    pub(crate) rest: Option<Piece>,
    /// Frames from the beginning of this window to that of the next; at least one, at most the window.
    pub(crate) advance: usize,
}

/// One segment; times are frames from the beginning of the window, `start <= end <=` the window's frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) tokens: Range<usize>,
}

/// Cuts the `tokens` of a window that holds `frames` frames of the recording, which is more than none; `timestamp` gives
/// the time of a token, in frames, where it is one.
///
/// Two timestamps side by side end one segment and begin the next. What follows the last such pair is unfinished and
/// comes again in the next window, which begins at that pair; unless it ends with a timestamp, after which nothing is
/// said: then the next window begins after this one. Without such a pair, the window is one segment. A window that is
/// not followed by another with the same speech needs [`Cut::rest`] too.
pub(crate) fn cut(tokens: &[u32], frames: usize, timestamp: impl Fn(u32) -> Option<usize>) -> Cut {
    let times: Vec<Option<usize>> = tokens.iter().map(|&token| timestamp(token).map(|time| time.min(frames))).collect();
    let mut ends: Vec<usize> = (1..times.len()).filter(|&i| times[i - 1].is_some() && times[i].is_some()).collect();
    let last_pair = ends.last().and_then(|&end| times[end - 1]);
    let ends_with_single = matches!(times[..], [.., None, Some(_)]);

    // A pair at the window's very beginning would give the same window again.
    let Some(last_pair) = last_pair.filter(|&time| time > 0 || ends_with_single) else {
        let last = times.iter().rev().find_map(|&time| time).filter(|&time| time > 0);
        let whole = Piece { start: 0, end: last.unwrap_or(frames), tokens: 0..tokens.len() };
        return Cut { pieces: vec![whole], rest: None, advance: frames };
    };
    if ends_with_single {
        ends.push(tokens.len());
    }
    let mut pieces: Vec<Piece> = Vec::with_capacity(ends.len());
    for end in ends {
        let (from, earliest) = pieces.last().map_or((0, 0), |before| (before.tokens.end, before.end));
        // The last token before an end is a timestamp; the first is one too, if the model kept to the rules.
        let start = times[from].unwrap_or(earliest).max(earliest);
        let stop = times[end - 1].unwrap_or(start).max(start);
        pieces.push(Piece { start, end: stop, tokens: from..end });
    }
    let (from, earliest) = pieces.last().map_or((0, 0), |before| (before.tokens.end, before.end));
    let rest = (from < tokens.len()).then(|| {
        let start = times[from].unwrap_or(earliest).max(earliest);
        let end = times[from + 1..].iter().rev().find_map(|&time| time).filter(|&time| time > start);
        Piece { start, end: end.unwrap_or(frames), tokens: from..tokens.len() }
    });
    Cut { pieces, rest, advance: if ends_with_single { frames } else { last_pair } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens from 1000 on are times of 20 ms.
    fn cut_tokens(tokens: &[u32], frames: usize) -> Cut {
        cut(tokens, frames, |token| token.checked_sub(1000).map(|index| 2 * index as usize))
    }

    fn pieces(cut: &Cut) -> Vec<(usize, usize, Range<usize>)> {
        cut.pieces.iter().map(|piece| (piece.start, piece.end, piece.tokens.clone())).collect()
    }

    #[test]
    fn pairs_cut_and_the_last_one_is_the_next_beginning() {
        // <0.00> a b <2.00> <2.00> c <5.00> <6.00> d
        let found = cut_tokens(&[1000, 1, 2, 1100, 1100, 3, 1250, 1300, 4], 3000);
        assert_eq!(pieces(&found), [(0, 200, 0..4), (200, 500, 4..7)]);
        assert_eq!(found.advance, 500);
        assert_eq!(found.rest, Some(Piece { start: 600, end: 3000, tokens: 7..9 }));
        // The same with the pair at the end.
        let found = cut_tokens(&[1000, 1, 2, 1100, 1100, 3, 1250, 1250], 3000);
        assert_eq!(pieces(&found), [(0, 200, 0..4), (200, 500, 4..7)]);
        assert_eq!(found.advance, 500);
    }

    #[test]
    fn a_single_timestamp_at_the_end_means_that_nothing_follows() {
        let found = cut_tokens(&[1000, 1, 1100, 1100, 2, 1250], 3000);
        assert_eq!(pieces(&found), [(0, 200, 0..3), (200, 500, 3..6)]);
        assert_eq!(found.advance, 3000);
    }

    #[test]
    fn without_pairs_the_window_is_one_segment() {
        assert_eq!(pieces(&cut_tokens(&[1000, 1, 2, 1250], 3000)), [(0, 500, 0..4)]);
        assert_eq!(pieces(&cut_tokens(&[1010, 1, 2], 3000)), [(0, 20, 0..3)]);
        assert_eq!(pieces(&cut_tokens(&[1000, 1, 2], 3000)), [(0, 3000, 0..3)]);
        assert_eq!(pieces(&cut_tokens(&[1, 2], 700)), [(0, 700, 0..2)]);
        assert_eq!(pieces(&cut_tokens(&[], 700)), [(0, 700, 0..0)]);
        assert_eq!(cut_tokens(&[1000, 1, 2, 1250], 700).advance, 700);
    }

    #[test]
    fn times_stay_inside_the_window() {
        let found = cut_tokens(&[1000, 1, 1100, 1400, 2, 1500, 1500], 700);
        assert_eq!(pieces(&found), [(0, 200, 0..3), (700, 700, 3..6)]);
        assert_eq!(found.advance, 700);
    }

    #[test]
    fn a_pair_at_the_beginning_does_not_stop_the_window_for_ever() {
        let found = cut_tokens(&[1000, 1000, 1, 2], 3000);
        assert_eq!(pieces(&found), [(0, 3000, 0..4)]);
        assert_eq!(found.advance, 3000);
    }

    proptest! {
        #[test]
        fn any_tokens_give_ordered_times_and_move_on(
            tokens in prop::collection::vec(prop_oneof![0_u32..5, 1000_u32..1010, 1000_u32..2501], 0..12),
            frames in 1_usize..3001,
        ) {
            let found = cut_tokens(&tokens, frames);
            prop_assert!((1..=frames).contains(&found.advance));
            let mut earliest = 0;
            for piece in found.pieces.iter().chain(&found.rest) {
                prop_assert!(earliest <= piece.start && piece.start <= piece.end && piece.end <= frames);
                prop_assert!(piece.tokens.end <= tokens.len());
                earliest = piece.end;
            }
        }
    }
}
