//! The output formats. A table has one entry for each format.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use super::cues::SubtitleOptions;
use super::{ass, json, lrc, srt, tsv, txt, vtt};
use crate::Transcript;

/// An output format for transcripts. It can be parsed from its name.
#[derive(Clone, Copy)]
pub struct OutputFormat {
    name: &'static str,
    description: &'static str,
    write: fn(&Transcript, &SubtitleOptions, &mut dyn Write) -> io::Result<()>,
    is_subtitles: bool,
}

#[rustfmt::skip]
const FORMATS: &[OutputFormat] = &[
    OutputFormat { name: "txt",  description: "plain text, one line per segment",                                       write: txt::write,  is_subtitles: false },
    OutputFormat { name: "srt",  description: "SubRip subtitles",                                                       write: srt::write,  is_subtitles: true },
    OutputFormat { name: "vtt",  description: "WebVTT subtitles",                                                       write: vtt::write,  is_subtitles: true },
    OutputFormat { name: "ass",  description: "Advanced SubStation Alpha subtitles",                                    write: ass::write,  is_subtitles: true },
    OutputFormat { name: "lrc",  description: "LRC lyrics, with the start time of each line",                           write: lrc::write,  is_subtitles: true },
    OutputFormat { name: "tsv",  description: "tab-separated start (ms), end (ms) and text",                            write: tsv::write,  is_subtitles: false },
    OutputFormat { name: "json", description: "segments, words and all other details, in OpenAI's verbose_json format", write: json::write, is_subtitles: false },
];

impl OutputFormat {
    /// The plain text format.
    pub const TXT: Self = FORMATS[0];

    /// All formats; plain text is the first.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().copied()
    }

    /// The name of the format, which is also its file extension.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// A short description for help texts.
    pub fn description(self) -> &'static str {
        self.description
    }

    /// Whether this is a subtitle format. The other formats ignore [`SubtitleOptions`].
    pub fn is_subtitles(self) -> bool {
        self.is_subtitles
    }

    /// Writes `transcript` to `out`, without flushing `out`.
    ///
    /// # Errors
    /// If writing to `out` fails.
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

/// The error for a name that is not an output format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an output format")]
pub struct UnknownFormat(String);

impl FromStr for OutputFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::all().find(|format| format.name == text).ok_or_else(|| UnknownFormat(text.chars().take(80).collect()))
    }
}
