//! `WebVTT` subtitles (W3C, <https://www.w3.org/TR/webvtt1/>).

use std::io::{self, Write};

use super::clock;
use super::cues::{SubtitleOptions, cues};
use super::highlight::{moments, text};
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "WEBVTT\n\n")?;
    let mut cue = |start, end, text: &str| write!(out, "{} --> {}\n{text}\n\n", clock(start, '.'), clock(end, '.'));
    for shown in cues(transcript, options) {
        if options.highlight_words {
            for moment in moments(&shown) {
                cue(moment.start, moment.end, &text(&shown, &moment, escaped, ("<u>", "</u>")))?;
            }
        } else {
            cue(shown.start, shown.end, &shown.text("\n", |word| escaped(&word.word)))?;
        }
    }
    Ok(())
}

/// The text with the characters that mean markup written as references.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::written;

    #[test]
    fn cues() {
        let cues = written("vtt", &[(0.0, 2.5, " R&D <b> --> &amp;"), (2.5, 3.0, "\0"), (3600.0, 3661.0, " Two\n\n.")]);
        assert_eq!(
            cues,
            "WEBVTT\n\n\
             00:00:00.000 --> 00:00:02.500\nR&amp;D &lt;b&gt; --&gt; &amp;amp;\n\n\
             01:00:00.000 --> 01:01:01.000\nTwo .\n\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_cues_that_can_be_told_apart(
            texts in prop::collection::vec("(\\PC|[\\s\\p{Cc}<>&-]|-->|\u{2028}){0,12}", 0..5),
        ) {
            let segments: Vec<_> =
                texts.iter().enumerate().map(|(i, text)| (i as f64, i as f64 + 0.5, text.as_str())).collect();
            let written = written("vtt", &segments);
            let cues = written.strip_prefix("WEBVTT\n\n").unwrap();
            for cue in cues.split_terminator("\n\n") {
                let lines: Vec<_> = cue.lines().collect();
                prop_assert_eq!(lines.len(), 2);
                prop_assert!(lines[0].contains(" --> ") && lines[0].len() == 29);
                prop_assert!(!lines[1].is_empty() && !lines[1].contains(['<', '>']));
                prop_assert!(!lines[1].chars().any(char::is_control));
            }
        }
    }
}
