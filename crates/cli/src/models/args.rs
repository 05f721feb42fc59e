//! The arguments of `amanuensis models`, and their help.

use clap::Subcommand;

const HELP: &str = "\
Examples:
  amanuensis models list
  amanuensis models pull base small
  amanuensis transcribe --model \"$(amanuensis models path base)\" --offline talk.mp3

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  HF_ENDPOINT        URL of a mirror of the Hugging Face Hub
  HF_TOKEN           access token for the Hugging Face Hub; needed for private models only";

/// List, download, verify and remove models.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the available models, and whether they are installed
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Download models and verify their checksums; an incomplete download is resumed
    Pull {
        /// Names of models (see `amanuensis models list`)
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Print warnings and errors only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print the directory of an installed model
    Path {
        /// Name of the model
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Compare the files of installed models with their checksums
    Verify {
        /// Names of models [default: all installed models]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete installed models
    Remove {
        /// Names of models
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}
