//! The options of beam search.

use amanuensis_transcribe::TranscribeOptions;

use crate::values::hypotheses;

/// Options for the search for the most probable hypothesis of a window.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Decoding")]
pub struct SearchArgs {
    /// Number of hypotheses that beam search follows at the same time; 1 means greedy decoding
    #[arg(long, value_name = "N", default_value = "1", value_parser = hypotheses())]
    beam_size: usize,

    /// Stop beam search when (FACTOR * beam size) hypotheses are finished
    #[arg(long, value_name = "FACTOR", default_value = "1", requires = "beam_size")]
    patience: f32,

    /// Exponent of the length penalty; larger values favour longer hypotheses [default: rank by mean log-probability]
    ///
    /// Hypotheses are ranked by log-probability / ((5 + tokens) / 6)^EXPONENT.
    #[arg(long, value_name = "EXPONENT", allow_hyphen_values = true)]
    length_penalty: Option<f32>,
}

impl SearchArgs {
    pub fn apply(&self, options: &mut TranscribeOptions) {
        options.beam_size = self.beam_size;
        options.patience = self.patience;
        options.length_penalty = self.length_penalty;
    }
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

    fn parse(arguments: &[&str]) -> Result<SearchArgs, clap::Error> {
        Command::try_parse_from(["command"].iter().chain(arguments)).map(|command| command.search)
    }

    #[test]
    fn patience_needs_a_beam_size() {
        assert!(parse(&["--patience", "2"]).is_err());
        assert!((parse(&["--beam-size", "5", "--patience", "2"]).unwrap().patience - 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_beam_size_is_at_least_one() {
        assert!(parse(&["--beam-size", "0"]).is_err());
    }
}
