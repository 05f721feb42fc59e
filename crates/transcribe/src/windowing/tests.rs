//! Tests of how artificial recordings, given as speech probabilities, are divided into windows.

use amanuensis_engine::Chunks;
use proptest::prelude::*;

use super::runs::runs;
use super::span::speech_within;
use super::speech_map::frame_of;
use super::*;
use crate::options::Strategy;

const MAX_WINDOW: Frames = Frames(3000);

fn windower(strategy: Strategy, clips: Vec<Range<f64>>) -> Windower {
    Windower::new(&TranscribeOptions { strategy, clips, ..TranscribeOptions::default() }, MAX_WINDOW)
}

/// The windows of the batched strategy for a recording whose probabilities arrive in blocks of `block` chunks.
fn batched_windows(probabilities: &[f32], block: usize) -> Vec<WindowSpan> {
    let mut windower = windower(Strategy::Batched, Vec::new());
    let mut windows = Vec::new();
    for block in probabilities.chunks(block) {
        windower.push(block);
        windows.extend(std::iter::from_fn(|| windower.next_window(Frames::ZERO)));
    }
    windower.finish();
    windows.extend(std::iter::from_fn(|| windower.next_window(Frames::ZERO)));
    windows
}

/// The speech probabilities of a recording in which silence and speech alternate. `seconds` are the lengths of these
/// parts; the first part is silence.
fn alternating(seconds: &[f64]) -> Vec<f32> {
    let part =
        |(index, seconds): (usize, &f64)| vec![if index % 2 == 0 { 0.01 } else { 0.95 }; Chunks::within(*seconds).0];
    seconds.iter().enumerate().flat_map(part).collect()
}

fn seconds(windows: &[WindowSpan]) -> Vec<(f64, f64)> {
    windows.iter().map(|window| (window.frames.start.seconds(), window.frames.end.seconds())).collect()
}

fn assert_near(found: &[(f64, f64)], expected: &[(f64, f64)]) {
    let is_near = |(found, expected): (&(f64, f64), &(f64, f64))| {
        (found.0 - expected.0).abs() < 0.15 && (found.1 - expected.1).abs() < 0.15
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(is_near), "{found:?} {expected:?}");
}

#[test]
fn windows_include_short_pauses_and_end_before_long_ones() {
    let windows = batched_windows(&alternating(&[10.0, 5.0, 2.0, 5.0, 30.0, 3.0, 20.0]), 100);
    assert_near(&seconds(&windows), &[(9.5, 22.5), (51.5, 55.4)]);
    assert!((9.9..10.1).contains(&windows[0].speech_s()), "{}", windows[0].speech_s());
    assert!(batched_windows(&alternating(&[60.0]), 50).is_empty());
}

#[test]
fn speech_within_a_range_is_counted() {
    let speech = [Frames(0)..Frames(10), Frames(20)..Frames(30)];
    assert_eq!(speech_within(&speech, &(Frames(5)..Frames(22))), Frames(7));
}

#[test]
fn long_speech_is_split_where_speech_is_least_probable() {
    let windows = seconds(&batched_windows(&alternating(&[0.0, 22.0, 0.5, 30.0, 0.5, 8.0]), 64));
    assert_near(&windows, &[(0.0, 22.3), (22.3, 50.27), (50.27, 61.0)]);
}

#[test]
fn a_recording_that_fits_into_one_window_is_not_split() {
    assert_near(&seconds(&batched_windows(&alternating(&[0.0, 29.5]), 64)), &[(0.0, 29.5)]);
}

#[test]
fn windows_stay_inside_the_clips() {
    let mut windower = windower(Strategy::Batched, vec![2.01..5.0, 6.0..7.0, 20.0..21.0]);
    windower.push(&alternating(&[0.0, 60.0]));
    windower.finish();
    let windows: Vec<_> = std::iter::from_fn(|| windower.next_window(Frames::ZERO)).collect();
    assert_eq!(seconds(&windows), [(2.01, 5.0), (6.0, 7.0), (20.0, 21.0)]);
}

#[test]
fn a_sequential_window_begins_at_the_position_or_at_the_next_speech() {
    let mut windower = windower(Strategy::Sequential, Vec::new());
    windower.push(&alternating(&[0.0, 20.0, 3.0, 10.0, 10.0, 5.0]));
    windower.finish();
    let mut from = |frame| windower.next_window(Frames(frame)).map(|window| window.frames);
    assert_eq!(from(501).map(|frames| frames.start), Some(Frames(501)));
    let frames = from(2200).unwrap();
    assert!((2240..2260).contains(&frames.start.0) && (3320..3350).contains(&frames.end.0), "{frames:?}");
    assert!(from(4800).is_none());
}

#[test]
fn a_sound_too_short_for_speech_is_ignored_for_every_block_size() {
    let mut probabilities = alternating(&[20.0]);
    probabilities.extend([1.0, 1.0]);
    probabilities.extend(alternating(&[20.0]));
    for block in 1..100 {
        assert_eq!(batched_windows(&probabilities, block), [], "{block}");
    }
}

proptest! {
    #[test]
    fn windows_are_in_order_and_cover_all_speech(
        lengths in prop::collection::vec(0.0_f64..40.0, 0..12),
        block in 1_usize..300,
    ) {
        let probabilities = alternating(&lengths);
        let windows = batched_windows(&probabilities, block);
        prop_assert_eq!(&windows, &batched_windows(&probabilities, 10_000), "block sizes do not matter");
        let mut end = Frames::ZERO;
        for window in &windows {
            prop_assert!(window.frames.start >= end && !window.frames.is_empty() && window.length() <= MAX_WINDOW);
            end = window.frames.end;
        }
        let min_speech = Chunks::within(VadOptions::default().min_speech).0;
        let speech: Vec<bool> = probabilities.iter().map(|p| *p > 0.5).collect();
        for run in runs(&speech).filter(|run| speech[run.start] && run.len() >= min_speech) {
            for chunk in run {
                let frame = frame_of(Chunks(chunk)) + Frames(1);
                prop_assert!(windows.iter().any(|window| window.frames.contains(&frame)), "{}", frame);
            }
        }
    }
}
