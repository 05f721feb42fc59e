//! Advanced `SubStation` Alpha subtitles (script type v4.00+), in the form that `libass` renders.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::clock::centiseconds;
use super::cues::{Cue, SubtitleOptions, cues};
use super::highlight::highlights;
use crate::Transcript;

/// White text with a dark outline at the bottom of the screen. With karaoke tags, words that are not spoken yet are
/// grey (`SecondaryColour`).
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
        let text = if options.highlight_words { karaoke(&cue) } else { cue.text("\\N", |word| escaped(&word.word)) };
        writeln!(out, "Dialogue: 0,{},{},Default,,0,0,0,,{text}", clock(cue.start), clock(cue.end))?;
    }
    Ok(())
}

/// The text of a cue (one subtitle) with a karaoke tag `{\k<duration>}` in front of each word. Durations are in
/// hundredths of a second. A pause before a word gets its own tag.
fn karaoke(cue: &Cue) -> String {
    let mut durations = Vec::new();
    let mut total = 0;
    // Each duration is the difference of two rounded times, both counted from the start of the cue, so that rounding
    // errors do not accumulate.
    let mut duration_until = |end: f64| {
        let before = total;
        total = centiseconds(end - cue.start);
        total - before
    };
    let highlights = highlights(cue);
    for (index, _) in cue.words().enumerate() {
        let at = highlights.iter().position(|highlight| highlight.word == Some(index));
        let previous = at.and_then(|at| at.checked_sub(1)).map(|previous| &highlights[previous]);
        let pause = previous.filter(|previous| previous.word.is_none());
        let pause_duration = pause.map_or(0, |pause| duration_until(pause.end));
        let word_duration = at.map_or(0, |at| duration_until(highlights[at].end));
        durations.push((pause_duration, word_duration));
    }
    let mut durations = durations.into_iter();
    let mut lines = Vec::new();
    for line in &cue.lines {
        let mut written = String::new();
        for (index, word) in line.iter().enumerate() {
            let (pause, duration) = durations.next().unwrap_or_default();
            let text = if index == 0 { word.word.trim_start() } else { &word.word };
            // Writing to a string cannot fail.
            if pause > 0 {
                let _ = write!(written, "{{\\k{pause}}}");
            }
            let _ = write!(written, "{{\\k{duration}}}{}", escaped(text));
        }
        lines.push(written);
    }
    lines.join("\\N")
}

/// Escapes braces. The format has no escape for a backslash, so an invisible word joiner is put between the backslash
/// and the next letter.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\u{2060}").replace('{', "\\{").replace('}', "\\}")
}

/// Formats a time as `hours:minutes:seconds.hundredths`.
fn clock(seconds: f64) -> String {
    let centis = centiseconds(seconds);
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
    fn each_cue_is_a_dialogue_line_with_escaped_text() {
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
    fn highlighted_words_have_karaoke_durations() {
        let options = SubtitleOptions { max_line_width: Some(4), highlight_words: true, ..SubtitleOptions::default() };
        let written = written_with("ass", &[(1.0, 2.0, " a b c d")], &options);
        let [line] = dialogue(&written)[..] else { panic!("{written}") };
        let text = line.split(",,").last().unwrap();
        assert_eq!(text, r"{\k29}a{\k28} b\N{\k29}c{\k14} d");
    }
}
