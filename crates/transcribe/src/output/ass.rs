//! Advanced `SubStation` Alpha subtitles (script type v4.00+), as `libass` reads them.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::cues::{Cue, SubtitleOptions, cues};
use super::highlight::moments;
use crate::Transcript;

/// White on a dark outline, at the bottom; words to come are grey where they are marked as they are spoken.
const HEADER: &str = "\
[Script Info]
ScriptType: v4.00+
PlayResX: 1920
PlayResY: 1080
ScaledBorderAndShadow: yes
WrapStyle: 0

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,56,&H00FFFFFF,&H00A0A0A0,&H00101010,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,50,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
";

pub(super) fn write(transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{HEADER}")?;
    for cue in cues(transcript, options) {
        let text = if options.highlight_words { sung(&cue) } else { cue.text("\\N", |word| escaped(&word.word)) };
        writeln!(out, "Dialogue: 0,{},{},Default,,0,0,0,,{text}", clock(cue.start), clock(cue.end))?;
    }
    Ok(())
}

/// The text with the time that passes until each word has been spoken, in hundredths of a second (karaoke).
fn sung(cue: &Cue) -> String {
    let mut parts = Vec::new();
    let (mut centis, mut seconds) = (0, cue.start);
    let mut until = |end: f64| {
        // From the times themselves, so that rounding does not add up.
        seconds = end;
        let total = ((seconds - cue.start) * 100.0).round() as u64;
        let passed = total - centis;
        centis = total;
        passed
    };
    let moments = moments(cue);
    for (index, _) in cue.words().enumerate() {
        let at = moments.iter().position(|moment| moment.spoken == Some(index));
        let pause = at.and_then(|at| at.checked_sub(1)).map(|before| &moments[before]);
        let pause = pause.filter(|before| before.spoken.is_none()).map_or(0, |before| until(before.end));
        let spoken = at.map_or(0, |at| until(moments[at].end));
        parts.push((pause, spoken));
    }
    let mut parts = parts.into_iter();
    let mut lines = Vec::new();
    for line in &cue.lines {
        let mut written = String::new();
        for (index, word) in line.iter().enumerate() {
            let (pause, spoken) = parts.next().unwrap_or_default();
            let text = if index == 0 { word.word.trim_start() } else { &word.word };
            if pause > 0 {
                let _ = write!(written, "{{\\k{pause}}}");
            }
            let _ = write!(written, "{{\\k{spoken}}}{}", escaped(text));
        }
        lines.push(written);
    }
    lines.join("\\N")
}

/// The text with nothing that means markup: braces are written as they are, and a backslash is kept from the letter
/// behind it by a character that joins words and shows nothing.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\u{2060}").replace('{', "\\{").replace('}', "\\}")
}

/// `hours:minutes:seconds.hundredths`.
fn clock(seconds: f64) -> String {
    let centis = (seconds * 100.0).round() as u64;
    format!("{}:{:02}:{:02}.{:02}", centis / 360_000, centis / 6000 % 60, centis / 100 % 60, centis % 100)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{written, written_with};
    use super::*;

    fn dialogue(written: &str) -> Vec<&str> {
        written.strip_prefix(HEADER).unwrap().lines().collect()
    }

    #[test]
    fn a_line_a_cue() {
        let written = written("ass", &[(0.0, 2.5, " One, {two}"), (3661.239, 3662.5, r" C:\new")]);
        assert_eq!(
            dialogue(&written),
            [
                r"Dialogue: 0,0:00:00.00,0:00:02.50,Default,,0,0,0,,One, \{two\}",
                "Dialogue: 0,1:01:01.24,1:01:02.50,Default,,0,0,0,,C:\\\u{2060}new",
            ]
        );
    }

    #[test]
    fn lines_and_spoken_words() {
        let options = SubtitleOptions { max_line_width: Some(4), highlight_words: true, ..SubtitleOptions::default() };
        let written = written_with("ass", &[(1.0, 2.0, " a b c d")], &options);
        let [line] = dialogue(&written)[..] else { panic!("{written}") };
        let text = line.split(",,").last().unwrap();
        assert_eq!(text, r"{\k29}a{\k28} b\N{\k29}c{\k14} d");
    }
}
