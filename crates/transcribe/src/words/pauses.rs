//! Assigns the silences of a window to the borders between words.
//!
//! Uses dynamic programming over the silences in order. A silence is either assigned to a border or left inside a
//! word. Assigning it costs the distance between the silence and the border. Leaving it inside a word costs the
//! length of the silence up to [`MAX_DISTANCE`]. Silences and borders both keep their order.

use std::ops::Range;

use amanuensis_engine::Frames;
use amanuensis_engine::units::length;

/// A silence is assigned to a border between words only if the distance between the two is at most this.
const MAX_DISTANCE: Frames = Frames(60);

/// If two silences are assigned to the same border between words, they become one pause, and the sound between the
/// silences is ignored. Each frame of that sound costs as much as moving a border by this many frames.
const COST_OF_SOUND: usize = 2;

/// For each border, the silence that is assigned to it; `None` if there is none.
pub(super) type Pauses = Vec<Option<Range<Frames>>>;

/// The frames of a window in which the words must be placed, the number of these words, and the minimum duration of
/// each word.
pub(super) struct Room {
    /// The number of words in the window.
    pub(super) words: usize,
    /// The minimum duration of a word.
    pub(super) min_word: Frames,
    /// The frames within which all words must lie.
    pub(super) limits: Range<Frames>,
}

impl Room {
    /// Whether `words` words of minimum duration fit between `from` and `to`.
    fn fits(&self, words: usize, from: Frames, to: Frames) -> bool {
        from + Frames(words * self.min_word.0) <= to
    }
}

/// An assignment of silences to borders between words. It covers only the silences from the start of the window up to
/// some silence.
struct Assignment {
    cost: usize,
    /// The latest border to which a silence is assigned, with that silence. `None` if no border has a silence.
    last: Option<(usize, Range<Frames>)>,
    /// The index of the shorter assignment to which a silence was added to make this one.
    previous: usize,
}

/// Returns the cost of the cheapest assignment of silences to borders, and the assignment itself. A border is the
/// range from the end of one word to the start of the next.
pub(super) fn assign_silences(borders: &[Range<Frames>], silences: &[Range<Frames>], room: &Room) -> (usize, Pauses) {
    let mut assignments = vec![Assignment { cost: 0, last: None, previous: 0 }];
    for silence in silences {
        let with_silence: Vec<Assignment> = borders
            .iter()
            .enumerate()
            .filter_map(|(index, border)| extend(&assignments, (index, border), silence, room))
            .collect();
        let cost_of_silence = length(silence).min(MAX_DISTANCE).0;
        for assignment in &mut assignments {
            assignment.cost += cost_of_silence;
        }
        assignments.extend(with_silence);
    }
    pauses_of_cheapest(&assignments, borders.len())
}

/// Assigns `silence` to `border`, which has the index `index`, by extending one of `assignments`. Returns the
/// cheapest extension. `None` if the border is too far away, or if the words on one side of the silence would not fit
/// there.
fn extend(
    assignments: &[Assignment],
    (index, border): (usize, &Range<Frames>),
    silence: &Range<Frames>,
    room: &Room,
) -> Option<Assignment> {
    let distance = silence.start.saturating_sub(border.end).max(border.start.saturating_sub(silence.end));
    if distance > MAX_DISTANCE || !room.fits(room.words - index, silence.end, room.limits.end) {
        return None;
    }
    let costs = assignments.iter().enumerate().filter_map(|(previous, assignment)| {
        let (last, from) = assignment.last.as_ref().map_or((0, room.limits.start), |(last, pause)| (*last, pause.end));
        let is_same_border = assignment.last.is_some() && last == index;
        let fits = last <= index && room.fits(index - last, from, silence.start);
        let cost_of_sound = if is_same_border { COST_OF_SOUND * (silence.start - from).0 } else { 0 };
        fits.then_some((assignment.cost + cost_of_sound, previous))
    });
    let (cost, previous) = costs.min()?;
    Some(Assignment { cost: cost + distance.0, last: Some((index, silence.clone())), previous })
}

fn pauses_of_cheapest(assignments: &[Assignment], n_borders: usize) -> (usize, Pauses) {
    let mut pauses: Pauses = vec![None; n_borders];
    let mut at = (0..assignments.len()).min_by_key(|index| assignments[*index].cost).unwrap_or(0);
    let cost = assignments[at].cost;
    while let Some((border, silence)) = &assignments[at].last {
        // This loop visits the silences in reverse order. Several silences at one border become one pause.
        let end = pauses[*border].as_ref().map_or(silence.end, |later| later.end);
        pauses[*border] = Some(silence.start..end);
        at = assignments[at].previous;
    }
    (cost, pauses)
}
