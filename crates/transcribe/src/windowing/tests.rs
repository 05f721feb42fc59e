//! Windows of recordings whose speech is made up.

use proptest::prelude::*;

use super::*;

fn plan(probabilities: &[f32], block: usize) -> Vec<Planned> {
    let mut planner = Planner::new(VadOptions::default(), 3000, &[]);
    let mut windows = Vec::new();
    for block in probabilities.chunks(block) {
        planner.push(block);
        windows.extend(std::iter::from_fn(|| planner.next_window()));
    }
    planner.finish();
    windows.extend(std::iter::from_fn(|| planner.next_window()));
    windows
}

/// Seconds of silence and speech in turns, silence first.
fn turns(seconds: &[f64]) -> Vec<f32> {
    let turn = |(index, seconds): (usize, &f64)| vec![if index % 2 == 0 { 0.01 } else { 0.95 }; chunks_of(*seconds)];
    seconds.iter().enumerate().flat_map(turn).collect()
}

fn seconds(windows: &[Planned]) -> Vec<(f64, f64)> {
    windows.iter().map(|window| (window.frames.start as f64 / 100.0, window.frames.end as f64 / 100.0)).collect()
}

fn assert_near(found: &[(f64, f64)], expected: &[(f64, f64)]) {
    let is_near = |(found, expected): (&(f64, f64), &(f64, f64))| {
        (found.0 - expected.0).abs() < 0.15 && (found.1 - expected.1).abs() < 0.15
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(is_near), "{found:?} {expected:?}");
}

#[test]
fn short_pauses_stay_inside_and_long_ones_are_not_read() {
    let windows = plan(&turns(&[10.0, 5.0, 2.0, 5.0, 30.0, 3.0, 20.0]), 100);
    assert_near(&seconds(&windows), &[(9.5, 22.5), (51.5, 55.4)]);
    let voiced = voiced_frames(&windows[0].voiced, &windows[0].frames);
    assert!((990..1010).contains(&voiced), "{voiced}");
    assert_eq!(voiced_frames(&[0..10, 20..30], &(5..22)), 7);
    assert!(plan(&turns(&[60.0]), 50).is_empty());
}

#[test]
fn speech_without_end_is_cut_at_a_pause() {
    let windows = seconds(&plan(&turns(&[0.0, 22.0, 0.5, 30.0, 0.5, 8.0]), 64));
    assert_near(&windows, &[(0.0, 22.3), (22.3, 50.27), (50.27, 61.0)]);
}

#[test]
fn a_recording_that_fits_is_one_window() {
    assert_near(&seconds(&plan(&turns(&[0.0, 29.5]), 64)), &[(0.0, 29.5)]);
}

#[test]
fn nothing_is_read_outside_of_clips() {
    let mut planner = Planner::new(VadOptions::default(), 3000, &[2.01..5.0, 6.0..7.0, 20.0..21.0]);
    planner.push(&turns(&[0.0, 60.0]));
    planner.finish();
    let windows: Vec<_> = std::iter::from_fn(|| planner.next_window()).collect();
    assert_eq!(seconds(&windows), [(2.01, 5.0), (6.0, 7.0), (20.0, 21.0)]);
}

#[test]
fn a_window_begins_where_it_is_asked_for_or_at_the_next_speech() {
    let mut planner = Planner::new(VadOptions::default(), 3000, &[]);
    planner.push(&turns(&[0.0, 20.0, 3.0, 10.0, 10.0, 5.0]));
    planner.finish();
    let mut from = |frame| planner.window_from(frame).map(|window| window.frames);
    assert_eq!(from(501).map(|frames| frames.start), Some(501));
    let frames = from(2200).unwrap();
    assert!((2240..2260).contains(&frames.start) && (3320..3350).contains(&frames.end), "{frames:?}");
    assert!(from(4800).is_none());
}

#[test]
fn speech_without_a_text_is_found() {
    let voiced = [0..1000, 1100..1400, 1500..2000];
    let find = |written: &[(usize, usize)]| -> Vec<(usize, usize)> {
        let written = written.iter().map(|(start, end)| *start..*end);
        gaps(written, &voiced, 0..2000).into_iter().map(|gap| (gap.start, gap.end)).collect()
    };
    assert_eq!(find(&[(0, 1000), (1100, 1990)]), []);
    assert_eq!(find(&[(0, 600)]), [(600, 2000)], "to the end of the window");
    assert_eq!(find(&[(200, 1000), (1450, 1800)]), [(0, 200), (1000, 1450), (1800, 2000)]);
    assert_eq!(find(&[(0, 900), (1300, 2500)]), [(900, 1300)]);
}

#[test]
fn a_sound_too_short_for_speech_stays_so_wherever_it_is_cut() {
    let mut probabilities = turns(&[20.0]);
    probabilities.extend([1.0, 1.0]);
    probabilities.extend(turns(&[20.0]));
    for block in 1..100 {
        assert_eq!(plan(&probabilities, block), [], "{block}");
    }
}

proptest! {
    #[test]
    fn windows_are_in_order_and_hold_all_speech(
        lengths in prop::collection::vec(0.0_f64..40.0, 0..12),
        block in 1_usize..300,
    ) {
        let probabilities = turns(&lengths);
        let windows = plan(&probabilities, block);
        prop_assert_eq!(&windows, &plan(&probabilities, 10_000), "it does not matter how they come");
        let mut end = 0;
        for window in &windows {
            prop_assert!(window.frames.start >= end && !window.frames.is_empty() && window.frames.len() <= 3000);
            end = window.frames.end;
        }
        let least = chunks_of(VadOptions::default().min_speech);
        let voiced: Vec<bool> = probabilities.iter().map(|p| *p > 0.5).collect();
        for run in runs(&voiced).filter(|run| voiced[run.start] && run.len() >= least) {
            for chunk in run {
                let frame = frame_of(chunk) + 1;
                prop_assert!(windows.iter().any(|window| window.frames.contains(&frame)), "{}", frame);
            }
        }
    }
}
