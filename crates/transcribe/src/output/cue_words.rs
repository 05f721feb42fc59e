//! The words of a segment, prepared for cues (subtitles).

use crate::transcript::on_one_line;
use crate::{Segment, Word};

/// Returns the words of a segment without line breaks, and leaves out words that are only whitespace. If the segment
/// has no timed words, its text is split into words with estimated times.
pub(super) fn cue_words(segment: &Segment) -> Vec<Word> {
    let timed = if segment.words.is_empty() { estimated_words(segment) } else { segment.words.clone() };
    let one_line = timed.into_iter().map(|word| Word { word: on_one_line(&word.word), ..word });
    one_line.filter(|word| !word.word.trim().is_empty()).collect()
}

/// Splits the text of a segment into words. The duration of the segment is divided among the words in proportion to
/// their number of characters.
fn estimated_words(segment: &Segment) -> Vec<Word> {
    let line = segment.line();
    let total = line.chars().count().max(1) as f64;
    let time = |characters: usize| segment.start + (segment.end - segment.start) * characters as f64 / total;
    let mut characters = 0;
    let mut words = Vec::new();
    for word in line.split_inclusive(char::is_whitespace) {
        let mut space = if words.is_empty() { "" } else { " " };
        for part in breakable_parts(word) {
            let length = part.chars().count();
            let word = format!("{space}{}", part.trim());
            words.push(Word { word, start: time(characters), end: time(characters + length), probability: 1.0 });
            characters += length;
            space = "";
        }
    }
    words
}

/// Splits a word before each Chinese character and each Japanese syllable, because a subtitle line may be broken
/// there.
fn breakable_parts(word: &str) -> Vec<&str> {
    let is_syllable =
        |c: char| matches!(c, '\u{3041}'..='\u{30fa}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3fffd}');
    // A line must not begin with a small kana, so the word is not split before one.
    let may_begin = |c: char| is_syllable(c) && !"ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ".contains(c);
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in word.char_indices() {
        if at > start && may_begin(c) {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}
