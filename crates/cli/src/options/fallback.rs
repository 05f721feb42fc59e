//! The options of temperature fallback: if the text of a window does not pass the checks, the window is decoded again
//! at a higher temperature.

use std::str::FromStr;

use amanuensis_transcribe::TranscribeOptions;

use crate::values::hypotheses;

/// Options that set the temperatures to try, and the checks that a text must pass to be accepted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Temperature fallback")]
pub struct FallbackArgs {
    /// Temperatures to try in order until the text passes --compression-ratio-threshold and --logprob-threshold; 0 means no
    /// sampling
    #[arg(long, value_name = "LIST", default_value = "0,0.2,0.4,0.6,0.8,1", value_delimiter = ',')]
    temperature: Vec<f32>,

    /// Number of hypotheses sampled at a temperature above 0; the best one is kept
    #[arg(long, value_name = "N", default_value = "5", value_parser = hypotheses())]
    best_of: usize,

    /// Fall back to the next temperature if the compression ratio of the text is above this; `none` disables the check
    ///
    /// A high ratio means that the text repeats itself.
    #[arg(long, value_name = "RATIO", default_value = "2.4")]
    compression_ratio_threshold: Threshold,

    /// Fall back to the next temperature if the mean log-probability of the tokens is below this; `none` disables the
    /// check
    #[arg(long, value_name = "LOGPROB", default_value = "-1", allow_hyphen_values = true)]
    logprob_threshold: Threshold,

    /// Treat a window as silent, and write no text for it, if its no-speech probability is above this; `none` disables the
    /// check
    ///
    /// A window whose mean log-probability is at least --logprob-threshold is not treated as silent. If --logprob-threshold
    /// is `none`, only the no-speech probability counts.
    #[arg(long, value_name = "PROBABILITY", default_value = "0.6")]
    no_speech_threshold: Threshold,
}

impl FallbackArgs {
    pub fn apply(&self, options: &mut TranscribeOptions) {
        options.temperatures.clone_from(&self.temperature);
        options.best_of = self.best_of;
        options.compression_ratio_threshold = self.compression_ratio_threshold.0;
        options.logprob_threshold = self.logprob_threshold.0;
        options.no_speech_threshold = self.no_speech_threshold.0;
    }
}

/// The value of a threshold option: a number, or `none`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Threshold(Option<f32>);

impl FromStr for Threshold {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
        number.map(|number| Self(Some(number))).ok_or("not a number, and not `none`")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        fallback: FallbackArgs,
    }

    fn options(arguments: &[&str]) -> Result<TranscribeOptions, clap::Error> {
        let command = Command::try_parse_from(["command"].iter().chain(arguments))?;
        let mut options = TranscribeOptions::default();
        command.fallback.apply(&mut options);
        Ok(options)
    }

    #[test]
    fn temperatures_are_a_list_and_a_threshold_may_be_none() {
        let options = options(&["--temperature", "0,0.5", "--logprob-threshold", "none"]).unwrap();
        assert_eq!((options.temperatures, options.logprob_threshold), (vec![0.0, 0.5], None));
    }

    #[test]
    fn invalid_numbers_are_rejected() {
        for arguments in [["--no-speech-threshold", "high"], ["--temperature", "hot"], ["--best-of", "0"]] {
            assert!(options(&arguments).is_err(), "{arguments:?}");
        }
    }
}
