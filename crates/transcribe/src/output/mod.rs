//! Transcripts as files: one module a format, one line in the table of formats.

mod ass;
mod cues;
mod highlight;
mod json;
mod lrc;
mod srt;
mod tsv;
mod txt;
mod vtt;

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

pub use cues::SubtitleOptions;

use crate::Transcript;

/// A format that transcripts can be written in; parses from its name.
#[derive(Clone, Copy)]
pub struct OutputFormat {
    name: &'static str,
    description: &'static str,
    write: fn(&Transcript, &SubtitleOptions, &mut dyn Write) -> io::Result<()>,
    /// Whether it is made of cues, which [`SubtitleOptions`] cut.
    is_subtitles: bool,
}

/// Every format.
#[rustfmt::skip]
const FORMATS: &[OutputFormat] = &[
    OutputFormat { name: "txt",  description: "plain text, a segment a line",         write: txt::write,  is_subtitles: false },
    OutputFormat { name: "srt",  description: "SubRip subtitles",                     write: srt::write,  is_subtitles: true },
    OutputFormat { name: "vtt",  description: "WebVTT subtitles",                     write: vtt::write,  is_subtitles: true },
    OutputFormat { name: "ass",  description: "Advanced SubStation Alpha subtitles",  write: ass::write,  is_subtitles: true },
    OutputFormat { name: "lrc",  description: "lyrics: a time before each line",      write: lrc::write,  is_subtitles: true },
    OutputFormat { name: "tsv",  description: "table of start, end (ms) and text",    write: tsv::write,  is_subtitles: false },
    OutputFormat { name: "json", description: "everything, as OpenAI's verbose_json", write: json::write, is_subtitles: false },
];

impl OutputFormat {
    /// Plain text.
    pub const TXT: Self = FORMATS[0];

    /// Every format, plain text first.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().copied()
    }

    /// The name, which is also the extension of its files.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// A few words for people.
    pub fn description(self) -> &'static str {
        self.description
    }

    /// Whether it is made of subtitles, which [`SubtitleOptions`] cut; the other formats are not changed by them.
    pub fn is_subtitles(self) -> bool {
        self.is_subtitles
    }

    /// Writes `transcript` to `out`, without flushing it.
    pub fn write(self, transcript: &Transcript, options: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(transcript, options, out)
    }
}

impl PartialEq for OutputFormat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OutputFormat {}

impl fmt::Debug for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutputFormat").field(&self.name).finish()
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The text names no output format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an output format")]
pub struct UnknownFormat(String);

impl FromStr for OutputFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::all().find(|format| format.name == text).ok_or_else(|| UnknownFormat(text.chars().take(80).collect()))
    }
}

/// A time as `hours:minutes:seconds` and milliseconds after `point`.
fn clock(seconds: f64, point: char) -> String {
    let ms = milliseconds(seconds);
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::tests::{segment, transcript};

    /// What `format` makes of these segments.
    pub(super) fn written(format: &str, segments: &[(f64, f64, &str)]) -> String {
        written_with(format, segments, &SubtitleOptions::default())
    }

    pub(super) fn written_with(format: &str, segments: &[(f64, f64, &str)], options: &SubtitleOptions) -> String {
        let segments = segments.iter().enumerate().map(|(id, &(start, end, text))| segment(id, start, end, text));
        let mut out = Vec::new();
        format.parse::<OutputFormat>().unwrap().write(&transcript(segments.collect()), options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats_are_found_by_name() {
        let names: Vec<_> = OutputFormat::all().map(OutputFormat::name).collect();
        assert_eq!(names, ["txt", "srt", "vtt", "ass", "lrc", "tsv", "json"]);
        assert_eq!("txt".parse(), Ok(OutputFormat::TXT));
        assert!("TXT".parse::<OutputFormat>().is_err());
        assert_eq!("pdf".parse::<OutputFormat>().unwrap_err().to_string(), "\"pdf\" is not an output format");
    }

    #[test]
    fn times() {
        assert_eq!(clock(0.0, ','), "00:00:00,000");
        assert_eq!(clock(3661.0414, '.'), "01:01:01.041");
        assert_eq!(clock(59.9996, '.'), "00:01:00.000");
        assert_eq!(clock(360_000.0, ','), "100:00:00,000");
    }

    #[test]
    fn no_segments() {
        for (format, expected) in
            [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n\n"), ("lrc", ""), ("tsv", "start\tend\ttext\n")]
        {
            assert_eq!(written(format, &[]), expected);
        }
    }
}
