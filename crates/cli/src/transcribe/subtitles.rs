//! The options that control the format of subtitles.

use amanuensis_transcribe::{OutputFormat, SubtitleOptions};
use clap::builder::{RangedU64ValueParser, TypedValueParser};

use crate::failure::Failure;

/// Options that control how the text is split into subtitle lines and cues. A cue is a text that is shown for some
/// time.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Subtitles")]
pub struct SubtitleArgs {
    /// Maximum number of characters in a line [default: no limit; each segment is one line]
    #[arg(long, value_name = "N", value_parser = count())]
    max_line_width: Option<usize>,

    /// Maximum number of lines in a cue [default: no limit; each segment is one cue]
    #[arg(long, value_name = "N", value_parser = count())]
    max_line_count: Option<usize>,

    /// Maximum number of words in a line
    ///
    /// With this option alone, every line becomes a separate cue. With --max-line-width or --max-line-count, several
    /// lines can share a cue.
    #[arg(long, value_name = "N", value_parser = count())]
    max_words_per_line: Option<usize>,

    /// Highlight each word while it is spoken: underlined in srt and vtt, with karaoke tags in ass and lrc
    #[arg(long)]
    highlight_words: bool,
}

impl SubtitleArgs {
    /// Returns the subtitle options of the library. Fails if a subtitle option is set, but none of `formats` is a
    /// subtitle format.
    pub fn options(&self, formats: &[OutputFormat]) -> Result<SubtitleOptions, Failure> {
        let options = SubtitleOptions {
            max_line_width: self.max_line_width,
            max_line_count: self.max_line_count,
            max_words_per_line: self.max_words_per_line,
            highlight_words: self.highlight_words,
        };
        if options != SubtitleOptions::default() && !formats.iter().any(|format| format.is_subtitles()) {
            let names: Vec<_> =
                OutputFormat::all().filter(|format| format.is_subtitles()).map(OutputFormat::name).collect();
            let message = format!("subtitle options need a --format with subtitles: {}", names.join(", "));
            return Err(Failure::Usage(message));
        }
        Ok(options)
    }
}

fn count() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(max_line_width: Option<usize>) -> SubtitleArgs {
        SubtitleArgs { max_line_width, max_line_count: None, max_words_per_line: None, highlight_words: false }
    }

    #[test]
    fn subtitle_options_need_a_subtitle_format() {
        let formats = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<OutputFormat>>();
        assert_eq!(arguments(None).options(&formats(&["txt"])).unwrap(), SubtitleOptions::default());
        assert_eq!(arguments(Some(42)).options(&formats(&["txt", "srt"])).unwrap().max_line_width, Some(42));
        let Err(Failure::Usage(message)) = arguments(Some(42)).options(&formats(&["txt", "json"])) else {
            panic!("it was not rejected")
        };
        assert!(message.ends_with("srt, vtt, ass, lrc"), "{message}");
    }
}
