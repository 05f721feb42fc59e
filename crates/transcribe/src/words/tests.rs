//! Tests of word times with hand-made alignments of tokens and audio.

use std::ops::Range;

use amanuensis_engine::{Alignment, Frames};
use proptest::prelude::*;

use super::*;

fn segment(span: Range<usize>, tokens: &[&str]) -> SegmentTokens {
    SegmentTokens { span: frames(&span), tokens: tokens.iter().map(|token| token.as_bytes().to_vec()).collect() }
}

fn frames(range: &Range<usize>) -> Range<Frames> {
    Frames(range.start)..Frames(range.end)
}

/// An alignment in which each token lies between two successive `times`. The probability of the nth token is 1 / n.
fn alignment(times: &[usize]) -> Alignment {
    let probabilities = (1..times.len()).map(|index| 1.0 / index as f32).collect();
    Alignment { times: times.to_vec(), probabilities }
}

fn silence_map(window_start: usize, n_frames: usize, silences: &[Range<usize>]) -> SilenceMap {
    SilenceMap {
        window_start: Frames(window_start),
        n_frames: Frames(n_frames),
        silences: silences.iter().map(frames).collect(),
    }
}

/// The text, the start in seconds and the end in seconds of each word.
fn shown(timed: &[SegmentWords]) -> Vec<(&str, f64, f64)> {
    timed.iter().flat_map(|segment| &segment.words).map(|word| (word.word.as_str(), word.start, word.end)).collect()
}

#[test]
fn words_have_the_times_of_their_tokens() {
    let segments = [segment(0..200, &[" He", "llo", ",", " 42", "!"]), segment(200..300, &[" Yes"])];
    let alignment = alignment(&[10, 30, 50, 60, 100, 110, 140]);
    let timed = time_words(&segments, &alignment, "en", &silence_map(1000, 400, &[]), Frames(0));
    let expected = [(" Hello,", 10.1, 10.5), (" 42!", 10.6, 11.0), (" Yes", 11.1, 11.4)];
    assert_eq!(shown(&timed), expected);
    assert_eq!((timed[0].span.clone(), timed[1].span.clone()), (frames(&(10..100)), frames(&(110..140))));
    // The mean probability of " He" (1) and "llo" (1/2). The comma does not count.
    assert_eq!(timed[0].words[0].probability.to_bits(), 0.75_f32.to_bits());
}

#[test]
fn characters_are_words_in_languages_without_spaces() {
    let segments = [segment(0..100, &["你", "好", "。"])];
    let timed = time_words(&segments, &alignment(&[10, 30, 50, 60]), "zh", &silence_map(0, 100, &[]), Frames(0));
    assert_eq!(shown(&timed), [("你", 0.1, 0.3), ("好。", 0.3, 0.5)]);
}

#[test]
fn a_long_word_after_a_sentence_is_shortened_unless_it_follows_a_silence() {
    let segments = [segment(0..400, &[" a", " b", ".", " c", " d"])];
    let alignment = alignment(&[10, 40, 70, 72, 272, 302]);
    let start_of_c = |silences: &[Range<usize>]| {
        time_words(&segments, &alignment, "en", &silence_map(0, 400, silences), Frames(0))[0].words[2].start
    };
    assert!((start_of_c(&[]) - 2.12).abs() < 1e-9);
    assert!((start_of_c(&[0..5, 70..95]) - 0.95).abs() < 1e-9);
}

#[test]
fn timestamps_limit_the_first_and_the_last_word_of_a_segment() {
    // There are no silences. According to attention, the first word lasts from 0.2 s to 3.2 s.
    let segments = [segment(300..450, &[" a", " b", " c", " d"])];
    let times = alignment(&[20, 320, 350, 380, 600]);
    let timed = time_words(&segments, &times, "en", &silence_map(0, 700, &[]), Frames(0));
    // All numbers are frames. The median duration of the words (300, 30, 30 and 220) is capped at 70. The first word
    // is first shortened to twice the median (180..320), and then to the start of the segment, but it keeps the
    // median duration (250..320). The last word is cut at the end of the segment (380..450).
    assert_eq!(timed[0].span, frames(&(250..450)));
}

#[test]
fn words_do_not_begin_before_the_end_of_the_previous_segment() {
    let segments = [segment(0..50, &[" a", " b"]), segment(50..80, &[])];
    let timed = time_words(&segments, &alignment(&[0, 20, 40]), "en", &silence_map(1000, 100, &[]), Frames(1030));
    assert_eq!(shown(&timed), [(" a", 10.3, 10.34), (" b", 10.34, 10.4)]);
    assert_eq!((&timed[1].span, timed[1].words.len()), (&frames(&(50..80)), 0));
    let late = time_words(&segments, &alignment(&[0, 20, 40]), "en", &silence_map(1000, 100, &[]), Frames(1200));
    assert_eq!(shown(&late), [(" a", 11.0, 11.0), (" b", 11.0, 11.0)]);
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> =
        vec![b" a", b"b", b".", b" ", b" \"", b" (", b"!", b" 7", "好".as_bytes(), b"\xe2\x82", b"\xac", b"\xff"];
    prop::sample::select(known).prop_map(<[u8]>::to_vec)
}

proptest! {
    #[test]
    fn words_are_in_order_and_concatenate_to_the_text(
        segments in prop::collection::vec(
            ((0_usize..500, 0_usize..500), prop::collection::vec(token(), 0..12)), 0..5),
        steps in prop::collection::vec(prop_oneof![Just(0_usize), 1_usize..80], 61),
        mut edges in prop::collection::vec(0_usize..600, 0..10),
        n_frames in 1_usize..600,
        earliest in 0_usize..1500,
        has_spaces in any::<bool>(),
    ) {
        let segments: Vec<SegmentTokens> = segments
            .into_iter()
            .map(|((a, b), tokens)| SegmentTokens { span: frames(&(a.min(b)..a.max(b))), tokens })
            .collect();
        let count = segments.iter().map(|segment| segment.tokens.len()).sum::<usize>();
        let mut time = 0;
        let times: Vec<usize> = steps[..=count].iter().map(|step| { time += step; time }).collect();
        edges.sort_unstable();
        edges.dedup();
        let silences: Vec<_> = edges.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect();
        let (window_start, language) = (900, if has_spaces { "en" } else { "ja" });
        let silence_map = silence_map(window_start, n_frames, &silences);
        let timed = time_words(&segments, &alignment(&times), language, &silence_map, Frames(earliest));
        prop_assert_eq!(timed.len(), segments.len());
        let mut previous_end = Frames(earliest.clamp(window_start, window_start + n_frames));
        for (segment, timed) in segments.iter().zip(&timed) {
            let text: String = timed.words.iter().map(|word| word.word.as_str()).collect();
            prop_assert_eq!(text, String::from_utf8_lossy(&segment.tokens.concat()).into_owned());
            let [start, end] = [timed.span.start, timed.span.end].map(|frame| Frames(window_start) + frame);
            prop_assert!(previous_end <= start && start <= end && end <= Frames(window_start + n_frames));
            let mut latest = start.seconds();
            for word in &timed.words {
                prop_assert!(latest <= word.start && word.start <= word.end && word.end <= end.seconds());
                prop_assert!((0.0..=1.0).contains(&word.probability));
                latest = word.end;
            }
            previous_end = end;
        }
    }
}
