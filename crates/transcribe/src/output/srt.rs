//! `SubRip` subtitles: cues of a number from 1, a line of times and a line of text, with an empty line after each.

use std::io::{self, Write};

use super::clock;
use super::cues::{Cue, SubtitleOptions, cues};
use super::highlight::{moments, text};
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut number = 0;
    let mut cue = |start, end, text: &str| {
        number += 1;
        write!(out, "{number}\n{} --> {}\n{text}\n\n", clock(start, ','), clock(end, ','))
    };
    for shown in cues(transcript, options) {
        if options.highlight_words {
            for moment in moments(&shown) {
                cue(moment.start, moment.end, &text(&shown, &moment, escaped, ("<u>", "</u>")))?;
            }
        } else {
            cue(shown.start, shown.end, &plain(&shown))?;
        }
    }
    Ok(())
}

fn plain(cue: &Cue) -> String {
    // An arrow may be made of two words.
    escaped(&cue.text("\n", |word| word.word.clone()))
}

/// The format has no way to write the arrow that marks a line of times.
fn escaped(text: &str) -> String {
    text.replace("-->", "→")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::written;

    #[test]
    fn cues() {
        let cues = written("srt", &[(0.0, 2.5, " One."), (2.5, 3.0, "\r\n"), (3599.99, 3661.0, " Two\n\n---> <i>.")]);
        assert_eq!(
            cues,
            "1\n00:00:00,000 --> 00:00:02,500\nOne.\n\n\
             2\n00:59:59,990 --> 01:01:01,000\nTwo -→ <i>.\n\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_cues_that_can_be_told_apart(
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
