//! Where one word ends and the next begins, by attention and by silence.
//!
//! Attention knows the order of words and about when they are spoken; it looks ahead of what is said, and in a pause it
//! may be anywhere. Silence says exactly when a word ends and another begins, but not which. So silences are matched with
//! borders of words in the cheapest way, in which both keep their order.

use std::iter::once;
use std::ops::Range;

/// Attention is not believed to be further ahead of the speech, or behind it, than so many frames.
const MOST_AHEAD: isize = 10;

/// Frames of a position of attention.
const SHIFT_STEP: usize = 2;

/// Frames of a pause, at least, that tells how far attention is ahead.
const TELLING: usize = 20;

/// A silence moves no border further than this.
const REACH: usize = 60;

/// A frame of sound between two silences at one border costs as much as moving a border by so many.
const SWALLOWED: usize = 2;

/// Frames of a word, at least, unless there are too many of them.
const SHORTEST: usize = 4;

/// The times of words as attention has them, in order, moved into `limits` and out of `silences`, which are in order too.
/// Words stay in order; if there is room, all have a length.
pub(super) fn place(words: &[Range<usize>], silences: &[Range<usize>], limits: Range<usize>) -> Vec<Range<usize>> {
    let [Some(first), Some(last)] = [words.first(), words.last()] else { return Vec::new() };
    // The border before each word, and that behind the last: from the end of one word to the beginning of the next.
    let inner = words.windows(2).map(|pair| pair[0].end..pair[1].start);
    let borders: Vec<Range<usize>> =
        once(first.start..first.start).chain(inner).chain(once(last.end..last.end)).collect();
    let room = Room { words: words.len(), shortest: SHORTEST.min(limits.len() / words.len()), limits };
    let inside = silences.iter().map(|silence| silence.start.max(room.limits.start)..silence.end.min(room.limits.end));
    let silences: Vec<Range<usize>> = inside.filter(|silence| !silence.is_empty()).collect();
    let pauses = best_pauses(&borders, &silences, &room);
    let borders = shifted(&borders, ahead(&borders, &pauses));

    // Words need room up to the next pause, and to the end.
    let mut latest = vec![room.limits.end; borders.len()];
    for border in (0..words.len()).rev() {
        let next = &pauses[border + 1];
        latest[border] = next.as_ref().map_or(latest[border + 1], |pause| pause.start) - room.shortest;
    }
    let mut placed = Vec::with_capacity(words.len());
    let mut start = 0;
    for (index, border) in borders.iter().enumerate() {
        let (end, next) = if let Some(pause) = &pauses[index] {
            (pause.start, pause.end)
        } else {
            let earliest = if index == 0 { room.limits.start } else { start + room.shortest };
            let end = border.start.clamp(earliest, latest[index]);
            (end, border.end.clamp(end, latest[index]))
        };
        if index > 0 {
            placed.push(start..end);
        }
        start = next;
    }
    placed
}

/// The silences that belong to borders, once these are all moved by what makes them agree best with silences.
fn best_pauses(borders: &[Range<usize>], silences: &[Range<usize>], room: &Room) -> Pauses {
    let at = |shift: isize| {
        let (cost, pauses) = pauses(&shifted(borders, shift), silences, room);
        // Without need there is no shift.
        (2 * cost + shift.unsigned_abs(), pauses)
    };
    let shifts = (-MOST_AHEAD..=MOST_AHEAD).step_by(SHIFT_STEP);
    shifts.map(at).min_by_key(|(cost, _)| *cost).map_or_else(|| at(0).1, |(_, pauses)| pauses)
}

/// All borders, `shift` frames later.
fn shifted(borders: &[Range<usize>], shift: isize) -> Vec<Range<usize>> {
    let later = |time: usize| time.saturating_add_signed(shift);
    borders.iter().map(|border| later(border.start)..later(border.end)).collect()
}

/// Frames by which attention is ahead of the speech; it differs from model to model. Where words part at a pause, their
/// border by attention is before it, or behind it, by about as much; within it, nothing can be told.
fn ahead(borders: &[Range<usize>], pauses: &[Option<Range<usize>>]) -> isize {
    // Alignment begins at the window's beginning, whatever is said when.
    let pairs = borders.iter().zip(pauses).skip(1).filter_map(|(border, pause)| Some((border, pause.as_ref()?)));
    let distances = pairs.filter(|(_, pause)| pause.len() >= TELLING).map(|(border, pause)| {
        let early = pause.start.saturating_sub(border.start) as isize;
        let late = border.end.saturating_sub(pause.end) as isize;
        early.min(MOST_AHEAD) - late.min(MOST_AHEAD)
    });
    let (sum, count) = distances.filter(|way| *way != 0).fold((0, 0), |(sum, count), way| (sum + way, count + 1));
    // One pause alone is half believed.
    sum / (count + 1)
}

/// The silence of each border, where it has one.
type Pauses = Vec<Option<Range<usize>>>;

/// What words need.
struct Room {
    words: usize,
    /// Frames that every word needs.
    shortest: usize,
    limits: Range<usize>,
}

impl Room {
    /// Whether `words` words can be spoken between two frames.
    fn is_enough(&self, words: usize, from: usize, to: usize) -> bool {
        from + words * self.shortest <= to
    }
}

/// Silences up to some one, matched as well as can be.
struct Match {
    cost: usize,
    /// The last border that is matched, and its silence.
    last: Option<(usize, Range<usize>)>,
    /// What was matched before, by its place in the list of all.
    before: usize,
}

/// The silence of each border that has one, and what the match costs.
///
/// Leaving a silence inside a word costs its length, moving a border costs the way.
fn pauses(borders: &[Range<usize>], silences: &[Range<usize>], room: &Room) -> (usize, Pauses) {
    let mut matches = vec![Match { cost: 0, last: None, before: 0 }];
    for silence in silences {
        let mut candidates = Vec::new();
        for (border, times) in borders.iter().enumerate() {
            let way = silence.start.saturating_sub(times.end).max(times.start.saturating_sub(silence.end));
            if way > REACH || !room.is_enough(room.words - border, silence.end, room.limits.end) {
                continue;
            }
            let costs = matches.iter().enumerate().filter_map(|(index, matched)| {
                let (last, from) =
                    matched.last.as_ref().map_or((0, room.limits.start), |(last, pause)| (*last, pause.end));
                let joins = matched.last.is_some() && last == border;
                let fits = last <= border && room.is_enough(border - last, from, silence.start);
                let swallowed = if joins { SWALLOWED * (silence.start - from) } else { 0 };
                fits.then_some((matched.cost + swallowed, index))
            });
            if let Some((cost, before)) = costs.min() {
                candidates.push(Match { cost: cost + way, last: Some((border, silence.clone())), before });
            }
        }
        let skipped = silence.len().min(REACH);
        for matched in &mut matches {
            matched.cost += skipped;
        }
        matches.extend(candidates);
    }
    let mut pauses: Pauses = vec![None; borders.len()];
    let mut at = (0..matches.len()).min_by_key(|index| matches[*index].cost).unwrap_or(0);
    let cost = matches[at].cost;
    while let Some((border, silence)) = &matches[at].last {
        // Several silences at one border are one pause.
        let end = pauses[*border].as_ref().map_or(silence.end, |later| later.end);
        pauses[*border] = Some(silence.start..end);
        at = matches[at].before;
    }
    (cost, pauses)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use proptest::prelude::*;

    use super::*;

    /// Places words that part at these times.
    fn place_at(borders: &[usize], silences: &[Range<usize>], limits: Range<usize>) -> Vec<(usize, usize)> {
        let words: Vec<Range<usize>> = borders.windows(2).map(|pair| pair[0]..pair[1]).collect();
        place(&words, silences, limits).into_iter().map(|word| (word.start, word.end)).collect()
    }

    #[test]
    fn without_silence_attention_is_believed() {
        assert_eq!(place_at(&[10, 40, 80], &[], 0..100), [(10, 40), (40, 80)]);
        assert_eq!(place_at(&[10, 40, 80], &[], 20..60), [(20, 40), (40, 60)]);
        assert!(place_at(&[10], &[], 0..100).is_empty());
    }

    #[test]
    fn words_keep_out_of_silence() {
        // Attention of the second word begins in the silence before it, and of the first before it is spoken.
        let silences = [0..30, 60..90, 140..200];
        assert_eq!(place_at(&[0, 75, 150], &silences, 0..200), [(30, 60), (90, 140)]);
    }

    #[test]
    fn every_silence_finds_its_border() {
        // The second border lies in the first silence; but then the second silence would be inside a word.
        let placed = place_at(&[20, 74, 125, 300], &[88..130, 150..230], 0..400);
        assert_eq!((placed[0].1, placed[1], placed[2].0), (88, (130, 150), 230));
    }

    #[test]
    fn a_click_in_a_pause_is_not_a_word() {
        assert_eq!(place_at(&[0, 60, 150], &[50..70, 73..100], 0..150), [(0, 50), (100, 150)]);
    }

    #[test]
    fn short_silences_far_from_borders_are_left_inside_words() {
        assert_eq!(place_at(&[0, 100, 200], from_ref(&(30..42)), 0..200), [(0, 100), (100, 200)]);
    }

    #[test]
    fn pauses_tell_how_far_attention_is_ahead() {
        // Ten frames early at two pauses out of two: borders without a pause move by two thirds of that.
        let placed = place_at(&[0, 50, 110, 130, 190], &[60..85, 140..165], 0..200);
        assert_eq!(placed, [(6, 60), (85, 116), (116, 140), (165, 196)]);
    }

    #[test]
    fn words_at_one_time_get_a_length_where_there_is_room() {
        assert_eq!(place_at(&[50, 50, 50, 90], &[], 0..100), [(50, 54), (54, 58), (58, 90)]);
        assert_eq!(place_at(&[50, 50, 50, 50], &[], 0..52), [(40, 44), (44, 48), (48, 52)]);
        assert_eq!(place_at(&[0, 1, 1, 2], &[], 0..2), [(0, 1), (1, 1), (1, 2)]);
        assert_eq!(place_at(&[5, 6, 7], from_ref(&(0..9)), 3..3), [(3, 3), (3, 3)]);
    }

    proptest! {
        #[test]
        fn words_stay_in_order_and_inside(
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
            let shortest = SHORTEST.min(limits.len() / placed.len());
            let mut before = limits.start;
            for (start, end) in placed {
                prop_assert!(before <= start && start + shortest <= end && end <= limits.end);
                before = end;
            }
        }
    }
}
