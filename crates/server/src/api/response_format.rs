//! The request parameter `response_format`: the format in which the transcript is returned.

use amanuensis_transcribe::OutputFormat;
use strum::{Display, EnumString, VariantNames};
use utoipa::ToSchema;

/// The format of the response with the transcript.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[schema(as = Format, rename_all = "snake_case")]
pub enum ResponseFormat {
    /// The text in a JSON object.
    #[default]
    Json,
    /// The plain text.
    Text,
    /// `SubRip` subtitles.
    Srt,
    /// The text with timestamps in a JSON object.
    VerboseJson,
    /// `WebVTT` subtitles.
    Vtt,
}

impl ResponseFormat {
    /// The subtitle format in which the transcript is written. `None` if this response format is not a subtitle
    /// format.
    pub fn output_format(self) -> Option<OutputFormat> {
        match self {
            Self::Srt | Self::Vtt => self.to_string().parse().ok(),
            Self::Json | Self::Text | Self::VerboseJson => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtitle_formats_have_an_output_format() {
        for format in [ResponseFormat::Srt, ResponseFormat::Vtt] {
            assert_eq!(format.output_format().map(OutputFormat::name), Some(format.to_string().as_str()));
        }
        assert_eq!("verbose_json".parse(), Ok(ResponseFormat::VerboseJson));
        assert_eq!(ResponseFormat::VerboseJson.output_format(), None);
    }
}
