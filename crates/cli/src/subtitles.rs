//! The options that cut subtitles.

use amanuensis_transcribe::{OutputFormat, SubtitleOptions};
use clap::builder::{RangedU64ValueParser, TypedValueParser};

use crate::failure::Failure;

/// How subtitles are cut.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Subtitles")]
pub struct SubtitleArgs {
    /// The most characters of a line [default: a segment a line]
    #[arg(long, value_name = "N", value_parser = counts())]
    max_line_width: Option<usize>,

    /// The most lines shown at once
    #[arg(long, value_name = "N", value_parser = counts())]
    max_line_count: Option<usize>,

    /// The most words of a line; without --max-line-count or --max-line-width, each line is shown by itself
    #[arg(long, value_name = "N", value_parser = counts())]
    max_words_per_line: Option<usize>,

    /// Mark each word while it is spoken: underlined in srt and vtt, karaoke in ass and lrc
    #[arg(long)]
    highlight_words: bool,
}

impl SubtitleArgs {
    /// The options, which make no sense without a format of subtitles.
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
            let message = format!("options of subtitles need a --format that has them: {}", names.join(", "));
            return Err(Failure::Usage(message));
        }
        Ok(options)
    }
}

fn counts() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(max_line_width: Option<usize>) -> SubtitleArgs {
        SubtitleArgs { max_line_width, max_line_count: None, max_words_per_line: None, highlight_words: false }
    }

    #[test]
    fn options_want_a_format_that_has_them() {
        let formats = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<OutputFormat>>();
        assert_eq!(arguments(None).options(&formats(&["txt"])).unwrap(), SubtitleOptions::default());
        assert_eq!(arguments(Some(42)).options(&formats(&["txt", "srt"])).unwrap().max_line_width, Some(42));
        let Err(Failure::Usage(message)) = arguments(Some(42)).options(&formats(&["txt", "json"])) else {
            panic!("it was not refused")
        };
        assert!(message.ends_with("srt, vtt, ass, lrc"), "{message}");
    }
}
