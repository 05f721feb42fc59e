//! Marks the word that is being spoken, for formats that can only style a whole cue (subtitle). The cue is repeated
//! once for each word, each time with a different word marked.

use super::cues::Cue;
use crate::Word;

/// A part of a cue's duration, during which either one word or no word is marked.
#[derive(Debug, PartialEq)]
pub(super) struct Highlight {
    /// The start time in seconds.
    pub(super) start: f64,
    /// The end time in seconds.
    pub(super) end: f64,
    /// The index of the marked word among the words of the cue; `None` during a pause.
    pub(super) word: Option<usize>,
}

/// Highlights shorter than this many seconds are left out, because their duration would be zero after rounding to
/// milliseconds.
const MIN_HIGHLIGHT_S: f64 = 0.001;

/// The highlights of a cue, ordered by time. Each highlight marks one word, or no word during a pause. Together they
/// cover the whole duration of the cue, except for highlights that are too short to be shown.
pub(super) fn highlights(cue: &Cue) -> Vec<Highlight> {
    let mut highlights: Vec<Highlight> = Vec::new();
    let mut now = cue.start;
    for (index, word) in cue.words().enumerate() {
        let (start, end) = (word.start.clamp(now, cue.end), word.end.clamp(now, cue.end));
        highlights.push(Highlight { start: now, end: start, word: None });
        highlights.push(Highlight { start, end, word: Some(index) });
        now = end;
    }
    highlights.push(Highlight { start: now, end: cue.end, word: None });
    highlights.retain(|highlight| highlight.end - highlight.start >= MIN_HIGHLIGHT_S);
    highlights
}

/// The text of a cue during a highlight. `write` escapes the text of a word. The two tags enclose the marked word,
/// but not the spaces next to it.
pub(super) fn highlighted_text(
    cue: &Cue,
    highlight: &Highlight,
    write: impl Fn(&str) -> String,
    (opening_tag, closing_tag): (&str, &str),
) -> String {
    let marked: Option<&Word> = highlight.word.and_then(|index| cue.words().nth(index));
    cue.text("\n", |word| {
        if !marked.is_some_and(|marked| std::ptr::eq(marked, word)) {
            return write(&word.word);
        }
        let text = word.word.trim();
        let (before, after) = word.word.split_once(text).unwrap_or_default();
        format!("{before}{opening_tag}{}{closing_tag}{after}", write(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &str, start: f64, end: f64) -> Word {
        Word { word: word.to_owned(), start, end, probability: 0.9 }
    }

    fn found(highlights: &[Highlight]) -> Vec<(f64, f64, Option<usize>)> {
        highlights.iter().map(|highlight| (highlight.start, highlight.end, highlight.word)).collect()
    }

    #[test]
    fn every_word_and_every_pause_has_a_highlight() {
        let words = vec![word("One", 1.0, 1.5), word(" two", 1.5, 2.0), word(" three.", 2.25, 2.5)];
        let cue = Cue { start: 0.5, end: 3.0, lines: vec![words] };
        let highlights = highlights(&cue);
        let expected = [
            (0.5, 1.0, None),
            (1.0, 1.5, Some(0)),
            (1.5, 2.0, Some(1)),
            (2.0, 2.25, None),
            (2.25, 2.5, Some(2)),
            (2.5, 3.0, None),
        ];
        assert_eq!(found(&highlights), expected);
        let marked = highlighted_text(&cue, &highlights[2], str::to_uppercase, ("<u>", "</u>"));
        assert_eq!(marked, "ONE <u>TWO</u> THREE.");
        assert_eq!(highlighted_text(&cue, &highlights[3], str::to_owned, ("<u>", "</u>")), "One two three.");
    }

    #[test]
    fn highlights_stay_within_the_cue_and_do_not_overlap() {
        let cue = Cue { start: 1.0, end: 2.0, lines: vec![vec![word("a", 0.0, 1.5), word(" b", 1.2, 9.0)]] };
        assert_eq!(found(&highlights(&cue)), [(1.0, 1.5, Some(0)), (1.5, 2.0, Some(1))]);
    }
}
