//! Moves the borders between words into the silences of a window.
//!
//! Cross-attention gives the order of words and the approximate time of each. These times are usually too early, and
//! during a pause they are arbitrary. Silences are exact, but do not tell which words they separate. So each silence
//! is assigned to the nearest border (`pauses`). Then the mean distance between the attention times and the silences
//! is measured, and borders without a silence are shifted by this distance.

use std::iter::once;
use std::ops::Range;

use amanuensis_engine::Frames;
use amanuensis_engine::units::length;

use super::pauses::{Pauses, Room, assign_silences};

/// Word times from attention are corrected by at most this many frames, earlier or later.
const MAX_LEAD: isize = 10;

/// The step in frames between the corrections that are tried. Attention has one position for every two frames.
const LEAD_STEP: usize = 2;

/// The lead (by how much attention times are too early) is only measured at pauses of at least this length.
const MIN_MEASURED_PAUSE: Frames = Frames(20);

/// The minimum duration of a word. A word may be shorter only if the window is too short to give every word this
/// duration.
const MIN_WORD: Frames = Frames(4);

/// Moves `words`, whose times come from attention, into `limits` and out of `silences`. Words stay in order and do
/// not overlap. Each word has the minimum duration if `limits` are long enough for that. `words` and `silences` must
/// be ordered by time.
pub(super) fn place_words(
    words: &[Range<Frames>],
    silences: &[Range<Frames>],
    limits: Range<Frames>,
) -> Vec<Range<Frames>> {
    let [Some(first), Some(last)] = [words.first(), words.last()] else { return Vec::new() };
    // There is one border before each word and one after the last word. A border is the range from the end of one
    // word to the start of the next.
    let inner = words.windows(2).map(|pair| pair[0].end..pair[1].start);
    let borders: Vec<Range<Frames>> =
        once(first.start..first.start).chain(inner).chain(once(last.end..last.end)).collect();
    let min_word = MIN_WORD.min(Frames(length(&limits).0 / words.len()));
    let room = Room { words: words.len(), min_word, limits };
    let inside = silences.iter().map(|silence| silence.start.max(room.limits.start)..silence.end.min(room.limits.end));
    let silences: Vec<Range<Frames>> = inside.filter(|silence| !silence.is_empty()).collect();
    let pauses = best_pauses(&borders, &silences, &room);
    let borders = shifted(&borders, measured_lead(&borders, &pauses));
    place_between(&borders, &pauses, &room)
}

/// Places the words between `borders`. At a border with a pause, the word before ends where the pause starts, and the
/// word after starts where the pause ends. Other borders keep their times, unless the words around them would get too
/// short.
fn place_between(borders: &[Range<Frames>], pauses: &Pauses, room: &Room) -> Vec<Range<Frames>> {
    // The latest position of each border. The words between this position and the next pause, or the end of the
    // window, must have their minimum duration.
    let mut latest = vec![room.limits.end; borders.len()];
    for border in (0..room.words).rev() {
        let next = &pauses[border + 1];
        latest[border] = next.as_ref().map_or(latest[border + 1], |pause| pause.start) - room.min_word;
    }
    let mut placed = Vec::with_capacity(room.words);
    let mut start = Frames::ZERO;
    for (index, border) in borders.iter().enumerate() {
        let (end, next_start) = if let Some(pause) = &pauses[index] {
            (pause.start, pause.end)
        } else {
            let earliest = if index == 0 { room.limits.start } else { start + room.min_word };
            let end = border.start.clamp(earliest, latest[index]);
            (end, border.end.clamp(end, latest[index]))
        };
        if index > 0 {
            placed.push(start..end);
        }
        start = next_start;
    }
    placed
}

/// Tries several shifts of all borders by the same number of frames, and returns the pauses of the shift with the
/// lowest cost.
fn best_pauses(borders: &[Range<Frames>], silences: &[Range<Frames>], room: &Room) -> Pauses {
    let assign = |shift: isize| {
        let (cost, pauses) = assign_silences(&shifted(borders, shift), silences, room);
        // A small cost is added for the size of the shift, so that borders are not shifted unnecessarily.
        (2 * cost + shift.unsigned_abs(), pauses)
    };
    let shifts = (-MAX_LEAD..=MAX_LEAD).step_by(LEAD_STEP);
    shifts.map(assign).min_by_key(|(cost, _)| *cost).map_or_else(|| assign(0).1, |(_, pauses)| pauses)
}

/// Moves all borders later by `shift` frames, or earlier if `shift` is negative.
fn shifted(borders: &[Range<Frames>], shift: isize) -> Vec<Range<Frames>> {
    let later = |frame: Frames| Frames(frame.0.saturating_add_signed(shift));
    borders.iter().map(|border| later(border.start)..later(border.end)).collect()
}

/// The lead: the number of frames by which the attention times are too early; negative if they are too late. The lead
/// differs between models, so it is measured as the distance of borders from their pauses. Borders that lie inside
/// their pause are not counted.
fn measured_lead(borders: &[Range<Frames>], pauses: &Pauses) -> isize {
    // The first border is skipped, because attention always places it at the start of the window.
    let pairs = borders.iter().zip(pauses).skip(1).filter_map(|(border, pause)| Some((border, pause.as_ref()?)));
    let leads = pairs.filter(|(_, pause)| length(pause) >= MIN_MEASURED_PAUSE).map(|(border, pause)| {
        let early = pause.start.saturating_sub(border.start).0 as isize;
        let late = border.end.saturating_sub(pause.end).0 as isize;
        early.min(MAX_LEAD) - late.min(MAX_LEAD)
    });
    let (sum, count) = leads.filter(|lead| *lead != 0).fold((0, 0), |(sum, count), lead| (sum + lead, count + 1));
    // The mean is taken over all measurements and one additional zero, so that a single measurement has only half of
    // its effect.
    sum / (count + 1)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use proptest::prelude::*;

    use super::*;

    fn frames(range: &Range<usize>) -> Range<Frames> {
        Frames(range.start)..Frames(range.end)
    }

    /// Places words that follow one another without a pause. `borders` are the start of the first word and the end of
    /// each word.
    fn place_at(borders: &[usize], silences: &[Range<usize>], limits: Range<usize>) -> Vec<(usize, usize)> {
        let words: Vec<Range<Frames>> = borders.windows(2).map(|pair| frames(&(pair[0]..pair[1]))).collect();
        let silences: Vec<Range<Frames>> = silences.iter().map(frames).collect();
        place_words(&words, &silences, frames(&limits)).into_iter().map(|word| (word.start.0, word.end.0)).collect()
    }

    #[test]
    fn without_silences_only_the_limits_move_words() {
        assert_eq!(place_at(&[10, 40, 80], &[], 0..100), [(10, 40), (40, 80)]);
        assert_eq!(place_at(&[10, 40, 80], &[], 20..60), [(20, 40), (40, 60)]);
        assert!(place_at(&[10], &[], 0..100).is_empty());
    }

    #[test]
    fn words_are_moved_out_of_silences() {
        // According to attention, the first word begins in the silence at the start, and the second word begins in
        // the middle silence.
        let silences = [0..30, 60..90, 140..200];
        assert_eq!(place_at(&[0, 75, 150], &silences, 0..200), [(30, 60), (90, 140)]);
    }

    #[test]
    fn every_silence_gets_a_border_if_possible() {
        // The second border lies in the first silence. If it stayed there, the second silence would be inside a word.
        let placed = place_at(&[20, 74, 125, 300], &[88..130, 150..230], 0..400);
        assert_eq!((placed[0].1, placed[1], placed[2].0), (88, (130, 150), 230));
    }

    #[test]
    fn a_click_in_a_pause_is_not_a_word() {
        assert_eq!(place_at(&[0, 60, 150], &[50..70, 73..100], 0..150), [(0, 50), (100, 150)]);
    }

    #[test]
    fn short_silences_far_from_borders_stay_inside_words() {
        assert_eq!(place_at(&[0, 100, 200], from_ref(&(30..42)), 0..200), [(0, 100), (100, 200)]);
    }

    #[test]
    fn borders_without_a_pause_move_by_the_lead_measured_at_pauses() {
        // Attention is ten frames early at both pauses, so the other borders move by (10 + 10 + 0) / 3 frames.
        let placed = place_at(&[0, 50, 110, 130, 190], &[60..85, 140..165], 0..200);
        assert_eq!(placed, [(6, 60), (85, 116), (116, 140), (165, 196)]);
    }

    #[test]
    fn words_get_the_minimum_duration_if_there_is_room() {
        assert_eq!(place_at(&[50, 50, 50, 90], &[], 0..100), [(50, 54), (54, 58), (58, 90)]);
        assert_eq!(place_at(&[50, 50, 50, 50], &[], 0..52), [(40, 44), (44, 48), (48, 52)]);
        assert_eq!(place_at(&[0, 1, 1, 2], &[], 0..2), [(0, 1), (1, 1), (1, 2)]);
        assert_eq!(place_at(&[5, 6, 7], from_ref(&(0..9)), 3..3), [(3, 3), (3, 3)]);
    }

    proptest! {
        #[test]
        fn words_stay_in_order_and_inside_the_limits(
            mut borders in prop::collection::vec(0_usize..700, 2..40),
            mut edges in prop::collection::vec(0_usize..700, 0..24),
            limits in (0_usize..300, 0_usize..400),
        ) {
            borders.sort_unstable();
            edges.sort_unstable();
            edges.dedup();
            let silences: Vec<_> = edges.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect();
            let limits = limits.0..limits.0 + limits.1;
            let placed = place_at(&borders, &silences, limits.clone());
            prop_assert_eq!(placed.len(), borders.len() - 1);
            let min_word = MIN_WORD.0.min(limits.len() / placed.len());
            let mut previous_end = limits.start;
            for (start, end) in placed {
                prop_assert!(previous_end <= start && start + min_word <= end && end <= limits.end);
                previous_end = end;
            }
        }
    }
}
