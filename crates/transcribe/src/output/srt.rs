//! `SubRip` subtitles. Each cue (subtitle) is written as its number (counting from 1), a line with its start and end
//! time, its text and an empty line.

use std::io::{self, Write};

use super::clock::timecode;
use super::cues::{Cue, SubtitleOptions, cues};
use super::highlight::{highlighted_text, highlights};
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut number = 0;
    let mut write_cue = |start, end, text: &str| {
        number += 1;
        write!(out, "{number}\n{} --> {}\n{text}\n\n", timecode(start, ','), timecode(end, ','))
    };
    for cue in cues(transcript, options) {
        if options.highlight_words {
            for highlight in highlights(&cue) {
                let text = highlighted_text(&cue, &highlight, escaped, ("<u>", "</u>"));
                write_cue(highlight.start, highlight.end, &text)?;
            }
        } else {
            write_cue(cue.start, cue.end, &plain(&cue))?;
        }
    }
    Ok(())
}

fn plain(cue: &Cue) -> String {
    // The whole text is escaped at once and not word by word, because the characters of `-->` may be spread over two
    // words.
    escaped(&cue.text("\n", |word| word.word.clone()))
}

/// Replaces `-->`, because this arrow marks a line with times and the format has no escape for it.
fn escaped(text: &str) -> String {
    text.replace("-->", "→")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::written;

    #[test]
    fn cues_have_numbers_times_and_text() {
        let cues = written("srt", &[(0.0, 2.5, " One."), (2.5, 3.0, "\r\n"), (3599.99, 3661.0, " Two\n\n---> <i>.")]);
        assert_eq!(
            cues,
            "1\n00:00:00,000 --> 00:00:02,500\nOne.\n\n\
             2\n00:59:59,990 --> 01:01:01,000\nTwo -→ <i>.\n\n"
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_structure_of_the_file(
            texts in prop::collection::vec("(\\PC|[\\s\\p{Cc}>-]|-->|\u{2028}){0,12}", 0..5),
        ) {
            let segments: Vec<_> =
                texts.iter().enumerate().map(|(i, text)| (i as f64, i as f64 + 0.5, text.as_str())).collect();
            let written = written("srt", &segments);
            for (at, cue) in written.split_terminator("\n\n").enumerate() {
                let lines: Vec<_> = cue.lines().collect();
                prop_assert_eq!(lines.len(), 3);
                prop_assert_eq!(lines[0], (at + 1).to_string());
                prop_assert!(lines[1].contains(" --> ") && lines[1].len() == 29);
                prop_assert!(!lines[2].is_empty() && !lines[2].contains("-->"));
                prop_assert!(!lines[2].chars().any(char::is_control));
            }
        }
    }
}
