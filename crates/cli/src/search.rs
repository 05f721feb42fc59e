//! The options of decoding: how a text is looked for, when it is believed, and what the model is told before it.

use std::str::FromStr;

use amanuensis_transcribe::{LogitsFilterOptions, Strategy, TranscribeOptions};
use clap::builder::{RangedU64ValueParser, TypedValueParser};

/// How a text is looked for.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Decoding")]
pub struct SearchArgs {
    /// Texts of a window that are followed at once; 1 is greedy, 5 is usual where time does not matter
    #[arg(long, value_name = "N", default_value = "1", value_parser = texts())]
    beam_size: usize,

    /// A beam search ends when so many times its size texts have ended
    #[arg(long, value_name = "FACTOR", default_value = "1", requires = "beam_size")]
    patience: f32,

    /// Favour long texts by this exponent [default: the probability of a token decides]
    #[arg(long, value_name = "EXPONENT", allow_hyphen_values = true)]
    length_penalty: Option<f32>,

    /// Temperatures to decode a window at, one after the other until its text is believed; 0 leaves nothing to chance
    #[arg(long, value_name = "LIST", default_value = "0,0.2,0.4,0.6,0.8,1", value_delimiter = ',')]
    temperature: Vec<f32>,

    /// Texts that are drawn at a temperature above 0, of which the best is taken
    #[arg(long, value_name = "N", default_value = "5", value_parser = texts())]
    best_of: usize,

    /// A text that compresses better repeats itself, and is not believed; `none` believes all
    #[arg(long, value_name = "RATIO", default_value = "2.4")]
    compression_ratio_threshold: Threshold,

    /// A text whose mean log-probability is lower is not believed; `none` believes all
    #[arg(long, value_name = "LOGPROB", default_value = "-1", allow_hyphen_values = true)]
    logprob_threshold: Threshold,

    /// A window whose probability of no speech is higher is silent, if its text is not believed either; `none` for never
    #[arg(long, value_name = "PROBABILITY", default_value = "0.6")]
    no_speech_threshold: Threshold,

    /// Text that the model is told before every window: names, spelling, style
    #[arg(long, value_name = "TEXT")]
    initial_prompt: Option<String>,

    /// Words to expect, such as names, which the model is told before every window
    #[arg(long, value_name = "WORDS")]
    hotwords: Option<String>,

    /// What the first text begins with: a sentence or two at most
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    /// Whether the model is told the text before a window: only with the sequential strategy [default there: true]
    #[arg(long, value_name = "BOOL")]
    condition_on_previous_text: Option<bool>,

    /// Find the times of words: in json, and for subtitles that are cut or marked by words
    #[arg(long)]
    word_timestamps: bool,

    /// Detect the language anew in every window, for recordings that change between several
    #[arg(long)]
    pub multilingual: bool,

    /// Ids of tokens never to be sampled; -1 stands for those that the model's own files list, `none` for none
    #[arg(long, value_name = "IDS", default_value = "-1", allow_hyphen_values = true)]
    suppress_tokens: TokenIds,

    /// Whether a text may not begin with a blank
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    suppress_blank: bool,

    /// The first segment of a window begins within so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    max_initial_timestamp: f64,

    /// No run of so many tokens comes twice in a window; 0 allows all
    #[arg(long, value_name = "N", default_value = "0")]
    no_repeat_ngram_size: usize,

    /// Makes tokens that came before less probable; 1 changes nothing
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    repetition_penalty: f32,
}

impl SearchArgs {
    /// The library's options, with what is not said here left at its default.
    pub fn options(&self, strategy: Strategy) -> TranscribeOptions {
        TranscribeOptions {
            multilingual: self.multilingual,
            word_timestamps: self.word_timestamps,
            strategy,
            beam_size: self.beam_size,
            patience: self.patience,
            length_penalty: self.length_penalty,
            temperatures: self.temperature.clone(),
            best_of: self.best_of,
            compression_ratio_threshold: self.compression_ratio_threshold.0,
            logprob_threshold: self.logprob_threshold.0,
            no_speech_threshold: self.no_speech_threshold.0,
            initial_prompt: self.initial_prompt.clone(),
            hotwords: self.hotwords.clone(),
            prefix: self.prefix.clone(),
            condition_on_previous_text: self.condition_on_previous_text.unwrap_or(strategy == Strategy::Sequential),
            logits_filters: LogitsFilterOptions {
                suppress_listed: self.suppress_tokens.listed,
                suppress: self.suppress_tokens.ids.clone(),
                suppress_blank: self.suppress_blank,
                max_initial_timestamp: self.max_initial_timestamp,
                no_repeat_ngram_size: self.no_repeat_ngram_size,
                repetition_penalty: self.repetition_penalty,
            },
            ..TranscribeOptions::default()
        }
    }
}

/// Tokens, those of the model's list among them or not.
#[derive(Debug, Clone, PartialEq)]
struct TokenIds {
    listed: bool,
    ids: Vec<u32>,
}

impl FromStr for TokenIds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || text.split(',').map(str::trim).filter(|id| !id.is_empty() && !id.eq_ignore_ascii_case("none"));
        let id = |id: &str| id.parse::<u32>().map_err(|_| format!("{id:?} is no id of a token"));
        let ids = parts().filter(|id| *id != "-1").map(id).collect::<Result<_, String>>()?;
        Ok(Self { listed: parts().any(|id| id == "-1"), ids })
    }
}

/// A number, or none.
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

fn texts() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=32)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        search: SearchArgs,
    }

    fn options(arguments: &[&str], strategy: Strategy) -> TranscribeOptions {
        let arguments = ["command"].iter().chain(arguments);
        Command::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).search.options(strategy)
    }

    #[test]
    fn patience_wants_a_beam() {
        assert!(Command::try_parse_from(["command", "--patience", "2"]).is_err());
        assert!((options(&["--beam-size", "5", "--patience", "2"], Strategy::Batched).patience - 2.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(options(&[], Strategy::Batched), TranscribeOptions::default());
        let sequential = options(&[], Strategy::Sequential);
        assert!(sequential.condition_on_previous_text);
        assert!(!options(&["--condition-on-previous-text=false"], Strategy::Sequential).condition_on_previous_text);
    }

    #[test]
    fn lists_and_thresholds() {
        let arguments = ["--temperature", "0,0.5", "--suppress-tokens", "7,8", "--logprob-threshold", "none"];
        let options = options(&arguments, Strategy::Batched);
        assert_eq!((options.temperatures, options.logprob_threshold), (vec![0.0, 0.5], None));
        assert_eq!((options.logits_filters.suppress_listed, options.logits_filters.suppress), (false, vec![7, 8]));
        let none = self::options(&["--suppress-tokens", "none"], Strategy::Batched).logits_filters;
        assert!(!none.suppress_listed && none.suppress.is_empty());
        for refused in [
            ["--suppress-tokens", "-2"],
            ["--no-speech-threshold", "high"],
            ["--beam-size", "0"],
            ["--temperature", "hot"],
        ] {
            assert!(Command::try_parse_from(["command"].iter().chain(&refused)).is_err(), "{refused:?}");
        }
    }
}
