//! Subtitles as cues: what is on the screen, from when to when.
//!
//! A cue never overlaps the next and is never empty in time or text. Where there is time before the next one, it stays
//! as long as its text takes to read.

use crate::transcript::on_one_line;
use crate::{Segment, Transcript, Word};

/// How subtitles are cut. By default a cue is a segment, on one line.
///
/// Where segments have no [words](Segment::words), the times inside them are shared out by the length of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubtitleOptions {
    /// The most characters of a line; a longer word has a line to itself.
    pub max_line_width: Option<usize>,
    /// The most lines of a cue.
    pub max_line_count: Option<usize>,
    /// The most words of a line. Unless there is a number of lines too, each line is a cue.
    pub max_words_per_line: Option<usize>,
    /// Whether to mark each word while it is spoken.
    pub highlight_words: bool,
}

/// Text on the screen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cue {
    /// In seconds.
    pub(super) start: f64,
    /// In seconds, after `start`.
    pub(super) end: f64,
    /// At least one, none of which is empty.
    pub(super) lines: Vec<Vec<Word>>,
}

impl Cue {
    /// The text, its lines joined by `line_break`, each word written by `write`.
    pub(super) fn text(&self, line_break: &str, write: impl Fn(&Word) -> String) -> String {
        let line = |words: &Vec<Word>| words.iter().map(&write).collect::<String>().trim().to_owned();
        self.lines.iter().map(line).collect::<Vec<_>>().join(line_break)
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &Word> {
        self.lines.iter().flatten()
    }
}

/// Characters that are read in a second, a common limit of subtitling guides.
const READING_SPEED: f64 = 20.0;
/// The least time that a cue is seen, in seconds, if the next one does not come before.
const SHORTEST: f64 = 0.8;
/// What is left of a cue that would otherwise take no time, in seconds: two ticks of the coarsest clock of a format.
const TICK: f64 = 0.02;

/// The cues of a transcript.
pub(super) fn cues(transcript: &Transcript, options: &SubtitleOptions) -> Vec<Cue> {
    let mut cues: Vec<Cue> = transcript.segments.iter().flat_map(|segment| of_segment(segment, options)).collect();
    let mut earliest = 0.0;
    for at in 0..cues.len() {
        // The last one does not outlast the recording, unless its segment does.
        let end = transcript.duration.max(cues[at].end);
        let next = cues.get(at + 1).map_or(end, |next| next.start);
        let cue = &mut cues[at];
        let characters = cue.text(" ", |word| word.word.clone()).chars().count();
        let wanted = (characters as f64 / READING_SPEED).max(SHORTEST);
        cue.start = cue.start.max(earliest);
        cue.end = cue.end.max(cue.start + wanted).min(next).max(cue.start + TICK);
        earliest = cue.end;
    }
    cues
}

/// The cues of one segment.
fn of_segment(segment: &Segment, options: &SubtitleOptions) -> Vec<Cue> {
    let width = options.max_line_width.unwrap_or(usize::MAX);
    let count = options.max_words_per_line.unwrap_or(usize::MAX);
    let mut lines: Vec<Vec<Word>> = Vec::new();
    for word in words(segment) {
        match lines.last_mut() {
            Some(line) if line.len() < count && length(line) + word.word.chars().count() <= width => line.push(word),
            _ => lines.push(vec![Word { word: word.word.trim_start().to_owned(), ..word }]),
        }
    }
    let by_words =
        if options.max_words_per_line.is_some() && options.max_line_width.is_none() { 1 } else { usize::MAX };
    let together = options.max_line_count.unwrap_or(by_words).max(1).min(lines.len().max(1));
    let mut cues: Vec<Cue> = Vec::new();
    for lines in lines.chunks(together) {
        let mut words = lines.iter().flatten();
        // A line has at least one word.
        let Some(first) = words.next() else { continue };
        let last = words.next_back().unwrap_or(first);
        cues.push(Cue { start: first.start, end: last.end, lines: lines.to_vec() });
    }
    // A segment is seen from its beginning to its end, even where words have times of their own.
    if let (Some(first), true) = (cues.first_mut(), options.max_words_per_line.is_none()) {
        first.start = first.start.min(segment.start);
    }
    if let Some(last) = cues.last_mut() {
        last.end = last.end.max(segment.end);
    }
    cues
}

fn length(line: &[Word]) -> usize {
    line.iter().map(|word| word.word.chars().count()).sum()
}

/// The words of a segment that show something, on one line, those of the text where no others are known.
fn words(segment: &Segment) -> Vec<Word> {
    let timed = if segment.words.is_empty() { by_length(segment) } else { segment.words.clone() };
    let one_line = timed.into_iter().map(|word| Word { word: on_one_line(&word.word), ..word });
    one_line.filter(|word| !word.word.trim().is_empty()).collect()
}

/// The words of the text, separated by spaces, each with a share of the time; of scripts without spaces, the characters.
fn by_length(segment: &Segment) -> Vec<Word> {
    let line = segment.line();
    let total = line.chars().count().max(1) as f64;
    let time = |characters: usize| segment.start + (segment.end - segment.start) * characters as f64 / total;
    let mut before = 0;
    let mut words = Vec::new();
    for part in line.split_inclusive(char::is_whitespace) {
        let mut space = if words.is_empty() { "" } else { " " };
        for part in breakable(part) {
            let length = part.chars().count();
            let word = format!("{space}{}", part.trim());
            words.push(Word { word, start: time(before), end: time(before + length), probability: 1.0 });
            before += length;
            space = "";
        }
    }
    words
}

/// The parts of a word between which a line may end: before Chinese characters and Japanese syllables.
fn breakable(word: &str) -> Vec<&str> {
    let is_syllable =
        |c: char| matches!(c, '\u{3041}'..='\u{30fa}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3fffd}');
    // Small syllables and the mark of a long vowel belong to what is before them.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transcript::tests::{segment, transcript};

    fn texts(cues: &[Cue]) -> Vec<String> {
        cues.iter().map(|cue| cue.text("|", |word| word.word.clone())).collect()
    }

    fn cut(text: &str, options: SubtitleOptions) -> Vec<Cue> {
        cues(&transcript(vec![segment(0, 0.0, 10.0, text)]), &options)
    }

    #[test]
    fn a_segment_is_a_cue_unless_asked_otherwise() {
        let cues = cut(" The quick  brown fox", SubtitleOptions::default());
        assert_eq!(texts(&cues), ["The quick brown fox"]);
        assert_eq!((cues[0].start, cues[0].end), (0.0, 10.0));
    }

    #[test]
    fn lines_are_filled_up_to_their_width() {
        let options = SubtitleOptions { max_line_width: Some(10), ..SubtitleOptions::default() };
        assert_eq!(
            texts(&cut(" The quick brown fox incomprehensibly", options)),
            ["The quick|brown fox|incomprehensibly"]
        );
        let options = SubtitleOptions { max_line_count: Some(2), ..options };
        let cues = cut(" The quick brown fox incomprehensibly", options);
        assert_eq!(texts(&cues), ["The quick|brown fox", "incomprehensibly"]);
        assert!(cues[0].end <= cues[1].start && (cues[1].end - 10.0).abs() < 1e-9);
    }

    #[test]
    fn scripts_without_spaces_are_broken_too() {
        let options = SubtitleOptions { max_line_width: Some(5), ..SubtitleOptions::default() };
        assert_eq!(texts(&cut("知識が成立した、キャット。", options)), ["知識が成立|した、|キャット。"]);
    }

    #[test]
    fn lines_of_so_many_words_are_cues() {
        let options = SubtitleOptions { max_words_per_line: Some(2), ..SubtitleOptions::default() };
        assert_eq!(texts(&cut(" One two three four five", options)), ["One two", "three four", "five"]);
        let options = SubtitleOptions { max_line_count: Some(2), ..options };
        assert_eq!(texts(&cut(" One two three four five", options)), ["One two|three four", "five"]);
    }

    #[test]
    fn a_short_cue_stays_while_it_is_read_but_not_into_the_next() {
        let segments =
            vec![segment(0, 1.0, 1.2, " A long text that takes a second and a half"), segment(1, 2.0, 2.1, " Yes.")];
        let mut transcript = transcript(segments);
        transcript.duration = 10.0;
        let found = cues(&transcript, &SubtitleOptions::default());
        assert_eq!((found[0].end, found[1].start), (2.0, 2.0));
        assert!((found[1].end - 2.8).abs() < 1e-9);
        transcript.duration = 2.5;
        let found = cues(&transcript, &SubtitleOptions::default());
        assert!((found[1].end - 2.5).abs() < 1e-9, "not longer than the recording");
    }

    proptest! {
        #[test]
        fn cues_follow_each_other_and_hold_all_words(
            parts in prop::collection::vec(("( ?[a-z.,]{0,12}){0,9}", 0.0..3.0_f64, 0.0..2.0_f64, any::<bool>()), 0..6),
            width in prop::option::of(1..30_usize),
            count in prop::option::of(1..4_usize),
            per_line in prop::option::of(1..5_usize),
        ) {
            let mut at = 0.0;
            let mut segments = Vec::new();
            for (id, (text, length, pause, is_timed)) in parts.iter().enumerate() {
                let mut one = segment(id, at, at + length, text);
                if *is_timed {
                    // All at once: the worst that times can be.
                    let word = |word: &str| Word { word: format!(" {word}"), start: at, end: at, probability: 0.5 };
                    one.words = text.split_whitespace().map(word).collect();
                }
                segments.push(one);
                at += length + pause;
            }
            let options = SubtitleOptions {
                max_line_width: width,
                max_line_count: count,
                max_words_per_line: per_line,
                highlight_words: false,
            };
            let cues = cues(&transcript(segments.clone()), &options);
            for cue in &cues {
                prop_assert!(cue.start < cue.end && !cue.lines.is_empty());
                prop_assert!(cue.lines.len() <= count.unwrap_or(usize::MAX));
                for line in &cue.lines {
                    prop_assert!(line.len() <= per_line.unwrap_or(usize::MAX));
                    prop_assert!(line.len() == 1 || length(line) <= width.unwrap_or(usize::MAX));
                }
            }
            prop_assert!(cues.windows(2).all(|pair| pair[0].end <= pair[1].start));
            let shown: Vec<String> = cues.iter().flat_map(Cue::words).map(|word| word.word.trim().to_owned()).collect();
            let said: Vec<&str> = segments.iter().flat_map(|segment| segment.text.split_whitespace()).collect();
            prop_assert_eq!(shown, said);
        }
    }
}
