//! LRC lyrics: one line per cue (subtitle), which starts with the start time of the cue. With `highlight_words`, the
//! enhanced LRC format is written, which also has a time in front of each word.
//!
//! A player shows a line until the next line begins. Before a long pause and at the end, an additional line with only
//! a time is written, so that the player removes the text from the screen.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::clock::centiseconds;
use super::cues::{Cue, SubtitleOptions, cues};
use crate::Transcript;

/// Before a pause that is longer than this many seconds, the text is removed from the screen.
const MAX_PAUSE_S: f64 = 2.0;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    // The LRC format has no line breaks within a cue, so each cue gets only one line.
    let lines = SubtitleOptions { max_line_count: Some(1), ..*options };
    let cues = cues(transcript, &lines);
    for (index, cue) in cues.iter().enumerate() {
        let text =
            if options.highlight_words { with_word_times(cue) } else { cue.text(" ", |word| escaped(&word.word)) };
        writeln!(out, "[{}]{text}", clock(cue.start))?;
        if cues.get(index + 1).is_none_or(|next| next.start - cue.end > MAX_PAUSE_S) {
            writeln!(out, "[{}]", clock(cue.end))?;
        }
    }
    Ok(())
}

/// The text of a cue with the start time in front of each word, and the end time of the cue after the last word.
fn with_word_times(cue: &Cue) -> String {
    let mut now = cue.start;
    let mut text = String::new();
    for word in cue.words() {
        now = word.start.clamp(now, cue.end);
        let space = if text.is_empty() || !word.word.starts_with(char::is_whitespace) { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}<{}>{}", clock(now), escaped(word.word.trim()));
    }
    text + &format!("<{}>", clock(cue.end))
}

/// Replaces the brackets that enclose times in LRC, because the format has no escape for them.
fn escaped(text: &str) -> String {
    text.replace('[', "(").replace(']', ")").replace('<', "‹").replace('>', "›")
}

/// Formats a time as `minutes:seconds.hundredths`. The format has no hours, so minutes may be greater than 59.
fn clock(seconds: f64) -> String {
    let centis = centiseconds(seconds);
    format!("{:02}:{:02}.{:02}", centis / 6000, centis / 100 % 60, centis % 100)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{written, written_with};
    use super::*;

    #[test]
    fn a_line_with_only_a_time_is_written_before_a_pause() {
        let written = written("lrc", &[(0.0, 2.5, " One"), (3.0, 4.5, " [two] <3>"), (4000.0, 4001.239, " three")]);
        assert_eq!(written, "[00:00.00]One\n[00:03.00](two) ‹3›\n[00:04.50]\n[66:40.00]three\n[66:41.24]\n");
    }

    #[test]
    fn highlighted_words_have_times_and_each_line_is_a_cue() {
        let options = SubtitleOptions { max_line_width: Some(4), highlight_words: true, ..SubtitleOptions::default() };
        let written = written_with("lrc", &[(1.0, 3.0, " a b c d")], &options);
        assert_eq!(
            written,
            "[00:01.00]<00:01.00>a <00:01.57>b<00:02.14>\n[00:02.14]<00:02.14>c <00:02.71>d<00:03.00>\n[00:03.00]\n"
        );
    }
}
