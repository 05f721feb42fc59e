//! Arranges the segments of a transcript as subtitle cues. A cue consists of lines of text that are shown on the
//! screen together for some time.
//!
//! Cues do not overlap, and every cue has text and a duration. A cue is shown for at least the time that it takes to
//! read its text, unless the next cue begins earlier.

use super::cue_words::cue_words;
use crate::{Segment, Transcript, Word};

/// Layout options for subtitles. By default, each segment is one cue (one subtitle on the screen) with one line.
///
/// For segments without [words](Segment::words), the times of words are estimated from the length of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubtitleOptions {
    /// The maximum number of characters per line. A word that is longer than this gets its own line.
    pub max_line_width: Option<usize>,
    /// The maximum number of lines per cue.
    pub max_line_count: Option<usize>,
    /// The maximum number of words per line. If this is the only limit, each line becomes a cue.
    pub max_words_per_line: Option<usize>,
    /// Whether to mark each word while it is spoken.
    pub highlight_words: bool,
}

/// A subtitle: text that is shown on the screen from `start` to `end`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cue {
    /// The start time in seconds.
    pub(super) start: f64,
    /// The end time in seconds, which is after `start`.
    pub(super) end: f64,
    /// The lines of the cue. There is at least one line, and each line has at least one word.
    pub(super) lines: Vec<Vec<Word>>,
}

impl Cue {
    /// The text of the cue, with `line_break` between the lines. `write` formats and escapes each word.
    pub(super) fn text(&self, line_break: &str, write: impl Fn(&Word) -> String) -> String {
        let line = |words: &Vec<Word>| words.iter().map(&write).collect::<String>().trim().to_owned();
        self.lines.iter().map(line).collect::<Vec<_>>().join(line_break)
    }

    /// The words of all lines.
    pub(super) fn words(&self) -> impl Iterator<Item = &Word> {
        self.lines.iter().flatten()
    }
}

/// The speed at which people read subtitles, in characters per second. Many subtitling guides state such a limit.
const READING_SPEED_CHARS_PER_S: f64 = 20.0;

/// A cue is shown for at least this many seconds, unless the next cue begins earlier.
const MIN_CUE_S: f64 = 0.8;

/// Every cue is shown for at least this many seconds, even if the next cue should begin earlier. The next cue then
/// begins later. The value is twice the smallest time step (0.01 s) of the output format with the least precise
/// times.
const MIN_TIME_LEFT_S: f64 = 0.02;

/// The cues of a transcript, ordered by time.
pub(super) fn cues(transcript: &Transcript, options: &SubtitleOptions) -> Vec<Cue> {
    let mut cues: Vec<Cue> = transcript.segments.iter().flat_map(|segment| segment_cues(segment, options)).collect();
    let mut previous_end = 0.0;
    for index in 0..cues.len() {
        // The final cue may stay on the screen until the recording ends, or until the segment of the cue ends if that
        // is later.
        let end = transcript.duration.max(cues[index].end);
        let next_start = cues.get(index + 1).map_or(end, |next| next.start);
        let cue = &mut cues[index];
        let characters = cue.text(" ", |word| word.word.clone()).chars().count();
        let reading_time = (characters as f64 / READING_SPEED_CHARS_PER_S).max(MIN_CUE_S);
        cue.start = cue.start.max(previous_end);
        cue.end = cue.end.max(cue.start + reading_time).min(next_start).max(cue.start + MIN_TIME_LEFT_S);
        previous_end = cue.end;
    }
    cues
}

/// The cues of one segment.
fn segment_cues(segment: &Segment, options: &SubtitleOptions) -> Vec<Cue> {
    let lines = fill_lines(cue_words(segment), options);
    let is_cue_per_line = options.max_words_per_line.is_some() && options.max_line_width.is_none();
    let default_count = if is_cue_per_line { 1 } else { usize::MAX };
    let lines_per_cue = options.max_line_count.unwrap_or(default_count).max(1).min(lines.len().max(1));
    let mut cues: Vec<Cue> = Vec::new();
    for lines in lines.chunks(lines_per_cue) {
        let mut words = lines.iter().flatten();
        // Every line has at least one word, so the loop never continues here.
        let Some(first) = words.next() else { continue };
        let last = words.next_back().unwrap_or(first);
        cues.push(Cue { start: first.start, end: last.end, lines: lines.to_vec() });
    }
    // The cues cover the whole segment, even if the first word starts later than the segment, or the last word ends
    // before the segment ends. Exception: if the options limit the number of words per line, the first cue starts
    // when its first word starts.
    if let (Some(first), true) = (cues.first_mut(), options.max_words_per_line.is_none()) {
        first.start = first.start.min(segment.start);
    }
    if let Some(last) = cues.last_mut() {
        last.end = last.end.max(segment.end);
    }
    cues
}

/// Breaks words into lines that have at most the width and the number of words that `options` allow.
fn fill_lines(words: Vec<Word>, options: &SubtitleOptions) -> Vec<Vec<Word>> {
    let max_width = options.max_line_width.unwrap_or(usize::MAX);
    let max_words = options.max_words_per_line.unwrap_or(usize::MAX);
    let mut lines: Vec<Vec<Word>> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() < max_words && width(line) + word.word.chars().count() <= max_width => {
                line.push(word);
            }
            _ => lines.push(vec![Word { word: word.word.trim_start().to_owned(), ..word }]),
        }
    }
    lines
}

/// The width of a line in characters.
fn width(line: &[Word]) -> usize {
    line.iter().map(|word| word.word.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transcript::tests::{segment, transcript};

    fn texts(cues: &[Cue]) -> Vec<String> {
        cues.iter().map(|cue| cue.text("|", |word| word.word.clone())).collect()
    }

    fn laid_out(text: &str, options: SubtitleOptions) -> Vec<Cue> {
        cues(&transcript(vec![segment(0, 0.0, 10.0, text)]), &options)
    }

    #[test]
    fn by_default_a_segment_is_a_cue_with_one_line() {
        let cues = laid_out(" The quick  brown fox", SubtitleOptions::default());
        assert_eq!(texts(&cues), ["The quick brown fox"]);
        assert_eq!((cues[0].start, cues[0].end), (0.0, 10.0));
    }

    #[test]
    fn lines_are_filled_up_to_their_width() {
        let options = SubtitleOptions { max_line_width: Some(10), ..SubtitleOptions::default() };
        assert_eq!(
            texts(&laid_out(" The quick brown fox incomprehensibly", options)),
            ["The quick|brown fox|incomprehensibly"]
        );
        let options = SubtitleOptions { max_line_count: Some(2), ..options };
        let cues = laid_out(" The quick brown fox incomprehensibly", options);
        assert_eq!(texts(&cues), ["The quick|brown fox", "incomprehensibly"]);
        assert!(cues[0].end <= cues[1].start && (cues[1].end - 10.0).abs() < 1e-9);
    }

    #[test]
    fn lines_break_between_characters_in_scripts_without_spaces() {
        let options = SubtitleOptions { max_line_width: Some(5), ..SubtitleOptions::default() };
        assert_eq!(texts(&laid_out("知識が成立した、キャット。", options)), ["知識が成立|した、|キャット。"]);
    }

    #[test]
    fn with_only_a_word_limit_each_line_is_a_cue() {
        let options = SubtitleOptions { max_words_per_line: Some(2), ..SubtitleOptions::default() };
        assert_eq!(texts(&laid_out(" One two three four five", options)), ["One two", "three four", "five"]);
        let options = SubtitleOptions { max_line_count: Some(2), ..options };
        assert_eq!(texts(&laid_out(" One two three four five", options)), ["One two|three four", "five"]);
    }

    #[test]
    fn a_short_cue_stays_for_its_reading_time_if_the_next_cue_allows() {
        let segments =
            vec![segment(0, 1.0, 1.2, " A long text that takes a second and a half"), segment(1, 2.0, 2.1, " Yes.")];
        let mut transcript = transcript(segments);
        transcript.duration = 10.0;
        let found = cues(&transcript, &SubtitleOptions::default());
        assert_eq!((found[0].end, found[1].start), (2.0, 2.0));
        assert!((found[1].end - 2.8).abs() < 1e-9);
        transcript.duration = 2.5;
        let found = cues(&transcript, &SubtitleOptions::default());
        assert!((found[1].end - 2.5).abs() < 1e-9, "the cue ends with the recording");
    }

    proptest! {
        #[test]
        fn cues_are_in_order_and_hold_all_words(
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
                    // The worst case for the times of cues: all words have the same start, and their duration is
                    // zero.
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
                    prop_assert!(line.len() == 1 || super::width(line) <= width.unwrap_or(usize::MAX));
                }
            }
            prop_assert!(cues.windows(2).all(|pair| pair[0].end <= pair[1].start));
            let shown: Vec<String> = cues.iter().flat_map(Cue::words).map(|word| word.word.trim().to_owned()).collect();
            let expected: Vec<&str> = segments.iter().flat_map(|segment| segment.text.split_whitespace()).collect();
            prop_assert_eq!(shown, expected);
        }
    }
}
