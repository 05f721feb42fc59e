//! The options that set the prompt of the model.

use amanuensis_transcribe::{Strategy, TranscribeOptions};

/// Options for the text that is given to the model as a prompt.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Prompt")]
pub struct PromptArgs {
    /// Text given to the model before every window, not only the first, to show the names, spelling and style to use
    #[arg(long, value_name = "TEXT")]
    initial_prompt: Option<String>,

    /// Words to expect, such as names; they are added to the prompt of every window
    #[arg(long, value_name = "WORDS")]
    hotwords: Option<String>,

    /// Text with which the transcript of the first window must start
    ///
    /// A text that is much longer than two sentences is refused.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    /// Give the text of the previous window to the model as a prompt [default: true with --strategy sequential]
    ///
    /// Only --strategy sequential supports this option.
    #[arg(long, value_name = "BOOL")]
    condition_on_previous_text: Option<bool>,
}

impl PromptArgs {
    /// Sets the prompts in `options`. `options.strategy` must be set before, because the default of
    /// `--condition-on-previous-text` depends on it.
    pub fn apply(&self, options: &mut TranscribeOptions) {
        options.initial_prompt.clone_from(&self.initial_prompt);
        options.hotwords.clone_from(&self.hotwords);
        options.prefix.clone_from(&self.prefix);
        options.condition_on_previous_text =
            self.condition_on_previous_text.unwrap_or(options.strategy == Strategy::Sequential);
    }
}
