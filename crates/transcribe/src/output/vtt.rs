//! `WebVTT` subtitles (W3C, <https://www.w3.org/TR/webvtt1/>).

use std::io::{self, Write};

use super::clock::timecode;
use super::cues::{SubtitleOptions, cues};
use super::highlight::{highlighted_text, highlights};
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "WEBVTT\n\n")?;
    let mut write_cue =
        |start, end, text: &str| write!(out, "{} --> {}\n{text}\n\n", timecode(start, '.'), timecode(end, '.'));
    for cue in cues(transcript, options) {
        if options.highlight_words {
            for highlight in highlights(&cue) {
                let text = highlighted_text(&cue, &highlight, escaped, ("<u>", "</u>"));
                write_cue(highlight.start, highlight.end, &text)?;
            }
        } else {
            write_cue(cue.start, cue.end, &cue.text("\n", |word| escaped(&word.word)))?;
        }
    }
    Ok(())
}

/// Replaces the markup characters of `WebVTT` by character references such as `&amp;`.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::written;

    #[test]
    fn cues_have_times_and_escaped_text() {
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
        fn no_text_breaks_the_structure_of_the_file(
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
