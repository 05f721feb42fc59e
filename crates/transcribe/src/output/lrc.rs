//! Lyrics (LRC): a line a cue, with the time it begins before it; with `highlight_words` the enhanced form, which has a time
//! before each word too.
//!
//! A line is shown until the next begins, so one of nothing but a time ends what a pause follows.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::cues::{Cue, SubtitleOptions, cues};
use crate::Transcript;

/// Seconds without text after which the text is taken away.
const PAUSE: f64 = 2.0;

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    // A line of the format cannot be broken: each is a cue.
    let lines = SubtitleOptions { max_line_count: Some(1), ..*options };
    let cues = cues(transcript, &lines);
    for (at, cue) in cues.iter().enumerate() {
        let text = if options.highlight_words { timed(cue) } else { cue.text(" ", |word| escaped(&word.word)) };
        writeln!(out, "[{}]{text}", clock(cue.start))?;
        if cues.get(at + 1).is_none_or(|next| next.start - cue.end > PAUSE) {
            writeln!(out, "[{}]", clock(cue.end))?;
        }
    }
    Ok(())
}

fn timed(cue: &Cue) -> String {
    let mut now = cue.start;
    let mut text = String::new();
    for word in cue.words() {
        now = word.start.clamp(now, cue.end);
        let space = if text.is_empty() || !word.word.starts_with(char::is_whitespace) { "" } else { " " };
        let _ = write!(text, "{space}<{}>{}", clock(now), escaped(word.word.trim()));
    }
    text + &format!("<{}>", clock(cue.end))
}

/// A text that begins with a bracket would be a tag.
fn escaped(text: &str) -> String {
    text.replace('[', "(").replace(']', ")").replace('<', "‹").replace('>', "›")
}

/// `minutes:seconds.hundredths`; there are no hours.
fn clock(seconds: f64) -> String {
    let centis = (seconds * 100.0).round() as u64;
    format!("{:02}:{:02}.{:02}", centis / 6000, centis / 100 % 60, centis % 100)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{written, written_with};
    use super::*;

    #[test]
    fn a_line_a_cue_and_an_end_before_a_pause() {
        let written = written("lrc", &[(0.0, 2.5, " One"), (3.0, 4.5, " [two] <3>"), (4000.0, 4001.239, " three")]);
        assert_eq!(written, "[00:00.00]One\n[00:03.00](two) ‹3›\n[00:04.50]\n[66:40.00]three\n[66:41.24]\n");
    }

    #[test]
    fn words_have_times_and_lines_are_single() {
        let options = SubtitleOptions { max_line_width: Some(4), highlight_words: true, ..SubtitleOptions::default() };
        let written = written_with("lrc", &[(1.0, 3.0, " a b c d")], &options);
        assert_eq!(
            written,
            "[00:01.00]<00:01.00>a <00:01.57>b<00:02.14>\n[00:02.14]<00:02.14>c <00:02.71>d<00:03.00>\n[00:03.00]\n"
        );
    }
}
