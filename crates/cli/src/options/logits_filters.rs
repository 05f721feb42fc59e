//! The options of the logits filters, which decide which tokens can be generated.

use std::str::FromStr;

use amanuensis_transcribe::LogitsFilterOptions;

/// Options that restrict which tokens can be generated.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Token filters")]
pub struct LogitsFilterArgs {
    /// Ids of tokens to suppress, separated by commas; -1 stands for the model's own list; `none` suppresses no
    /// tokens
    #[arg(long, value_name = "IDS", default_value = "-1", allow_hyphen_values = true)]
    suppress_tokens: TokenIds,

    /// Do not allow a window to begin with blank output
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    suppress_blank: bool,

    /// The first segment of a window starts at most this many seconds after the start of the window
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    max_initial_timestamp: f64,

    /// Do not generate an n-gram of this size twice in a window; 0 disables the filter
    #[arg(long, value_name = "N", default_value = "0")]
    no_repeat_ngram_size: usize,

    /// Penalty for tokens that were already generated in the window; values above 1 make repetition less likely, 1 disables
    /// the filter
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    repetition_penalty: f32,
}

impl LogitsFilterArgs {
    pub fn options(&self) -> LogitsFilterOptions {
        LogitsFilterOptions {
            suppress_listed: self.suppress_tokens.includes_model_list,
            suppress: self.suppress_tokens.ids.clone(),
            suppress_blank: self.suppress_blank,
            max_initial_timestamp: self.max_initial_timestamp,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            repetition_penalty: self.repetition_penalty,
        }
    }
}

/// The value of `--suppress-tokens`.
#[derive(Debug, Clone, PartialEq)]
struct TokenIds {
    /// Whether the tokens listed in the model's files are suppressed too, in addition to `ids`.
    includes_model_list: bool,
    ids: Vec<u32>,
}

impl FromStr for TokenIds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || text.split(',').map(str::trim).filter(|id| !id.is_empty() && !id.eq_ignore_ascii_case("none"));
        let id = |id: &str| id.parse::<u32>().map_err(|_| format!("{id:?} is not a token id"));
        let ids = parts().filter(|id| *id != "-1").map(id).collect::<Result<_, String>>()?;
        Ok(Self { includes_model_list: parts().any(|id| id == "-1"), ids })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        logits_filters: LogitsFilterArgs,
    }

    fn options(arguments: &[&str]) -> Result<LogitsFilterOptions, clap::Error> {
        let command = Command::try_parse_from(["command"].iter().chain(arguments))?;
        Ok(command.logits_filters.options())
    }

    #[test]
    fn suppressed_tokens_can_include_the_list_of_the_model() {
        let own = options(&["--suppress-tokens", "7,8"]).unwrap();
        assert_eq!((own.suppress_listed, own.suppress), (false, vec![7, 8]));
        let none = options(&["--suppress-tokens", "none"]).unwrap();
        assert!(!none.suppress_listed && none.suppress.is_empty());
        assert!(options(&["--suppress-tokens", "-2"]).is_err());
    }
}
