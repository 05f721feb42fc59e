//! Cues that mark the word being spoken, for formats that can underline: the same text many times over, with another
//! word marked each time.

use super::cues::Cue;
use crate::Word;

/// A cue at one moment: from when to when, and which of its words is spoken, if one is.
#[derive(Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) start: f64,
    pub(super) end: f64,
    /// Its index among the words of the cue.
    pub(super) spoken: Option<usize>,
}

/// The moments of a cue, which fill its time without a gap.
pub(super) fn moments(cue: &Cue) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    let mut now = cue.start;
    for (index, word) in cue.words().enumerate() {
        let (start, end) = (word.start.clamp(now, cue.end), word.end.clamp(now, cue.end));
        moments.push(Moment { start: now, end: start, spoken: None });
        moments.push(Moment { start, end, spoken: Some(index) });
        now = end;
    }
    moments.push(Moment { start: now, end: cue.end, spoken: None });
    // What is too short for a clock of milliseconds is not seen.
    moments.retain(|moment| moment.end - moment.start >= 0.001);
    moments
}

/// The text of a cue at a moment: `write` for each word, and `mark` around what of the spoken one is not space.
pub(super) fn text(cue: &Cue, moment: &Moment, write: impl Fn(&str) -> String, mark: (&str, &str)) -> String {
    let spoken: Option<&Word> = moment.spoken.and_then(|index| cue.words().nth(index));
    cue.text("\n", |word| {
        if !spoken.is_some_and(|spoken| std::ptr::eq(spoken, word)) {
            return write(&word.word);
        }
        let text = word.word.trim();
        let (before, after) = word.word.split_once(text).unwrap_or_default();
        format!("{before}{}{}{}{after}", mark.0, write(text), mark.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &str, start: f64, end: f64) -> Word {
        Word { word: word.to_owned(), start, end, probability: 0.9 }
    }

    #[test]
    fn every_word_has_its_moment() {
        let words = vec![word("One", 1.0, 1.5), word(" two", 1.5, 2.0), word(" three.", 2.25, 2.5)];
        let cue = Cue { start: 0.5, end: 3.0, lines: vec![words] };
        let moments = moments(&cue);
        let found: Vec<_> = moments.iter().map(|moment| (moment.start, moment.end, moment.spoken)).collect();
        let expected = [
            (0.5, 1.0, None),
            (1.0, 1.5, Some(0)),
            (1.5, 2.0, Some(1)),
            (2.0, 2.25, None),
            (2.25, 2.5, Some(2)),
            (2.5, 3.0, None),
        ];
        assert_eq!(found, expected);
        let marked = text(&cue, &moments[2], str::to_uppercase, ("<u>", "</u>"));
        assert_eq!(marked, "ONE <u>TWO</u> THREE.");
        assert_eq!(text(&cue, &moments[3], str::to_owned, ("<u>", "</u>")), "One two three.");
    }

    #[test]
    fn words_out_of_bounds_are_cut_to_the_cue() {
        let cue = Cue { start: 1.0, end: 2.0, lines: vec![vec![word("a", 0.0, 1.5), word(" b", 1.2, 9.0)]] };
        let found: Vec<_> = moments(&cue).iter().map(|moment| (moment.start, moment.end, moment.spoken)).collect();
        assert_eq!(found, [(1.0, 1.5, Some(0)), (1.5, 2.0, Some(1))]);
    }
}
