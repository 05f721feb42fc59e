//! The transcription options that `transcribe` and `eval` share.

use amanuensis_transcribe::{Strategy, Task, TranscribeOptions, Transcriber};

use super::fallback::FallbackArgs;
use super::language::LanguageChoice;
use super::logits_filters::LogitsFilterArgs;
use super::model::ModelArgs;
use super::performance::PerformanceArgs;
use super::prompt::PromptArgs;
use super::search::SearchArgs;
use super::speech::SpeechArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::values::name_of;

/// Options that select a model and control how it decodes recordings.
#[derive(Debug, clap::Args)]
pub struct DecodingArgs {
    /// Detect the language again in every window, for recordings with several languages
    #[arg(long, help_heading = "Input")]
    multilingual: bool,

    /// `transcribe` writes in the language spoken; `translate` translates into English
    #[arg(long, default_value = "transcribe", value_parser = name_of::<Task>(), help_heading = "Output")]
    task: Task,

    /// Compute the start and end time of every word
    ///
    /// The json output contains these times. The subtitle options, such as --highlight-words and
    /// --max-words-per-line, use them too; without --word-timestamps, they use estimated times.
    #[arg(long, help_heading = "Output")]
    word_timestamps: bool,

    #[command(flatten)]
    model: ModelArgs,

    /// How a long recording is split into windows of up to 30 seconds
    ///
    /// `batched` splits at pauses and decodes many windows together. `sequential` decodes one window after the other;
    /// each window starts where the text of the previous one ends.
    #[arg(long, default_value = "batched", value_parser = name_of::<Strategy>(), help_heading = "Decoding")]
    strategy: Strategy,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    fallback: FallbackArgs,

    #[command(flatten)]
    prompt: PromptArgs,

    #[command(flatten)]
    logits_filters: LogitsFilterArgs,

    #[command(flatten)]
    speech: SpeechArgs,

    #[command(flatten)]
    performance: PerformanceArgs,
}

impl DecodingArgs {
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Whether the language is detected again in every window.
    pub fn multilingual(&self) -> bool {
        self.multilingual
    }

    /// The name of the number format, such as `int8`, for reports. With `--runtime onnx`, it is `onnx`.
    pub fn compute_type_name(&self) -> String {
        self.model.compute_type_name()
    }

    /// Converts the arguments to the library's options for a recording in `language`.
    pub fn options(&self, language: LanguageChoice) -> TranscribeOptions {
        let mut options = TranscribeOptions {
            language: language.language(),
            multilingual: self.multilingual,
            task: self.task,
            strategy: self.strategy,
            word_timestamps: self.word_timestamps,
            vad: self.speech.vad_options(),
            clips: self.speech.clips(),
            logits_filters: self.logits_filters.options(),
            ..TranscribeOptions::default()
        };
        self.search.apply(&mut options);
        self.fallback.apply(&mut options);
        self.prompt.apply(&mut options);
        options
    }

    /// Finds the model, downloads it if needed, and loads it.
    pub fn load(&self, console: &Console, interrupt: &Interrupt) -> Result<Transcriber, Failure> {
        let needs_vad = self.speech.vad_options().is_some();
        self.model.load(&self.performance, needs_vad, console, interrupt)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        decoding: DecodingArgs,
    }

    fn options(arguments: &[&str]) -> TranscribeOptions {
        let arguments = ["command"].iter().chain(arguments);
        let command = Command::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
        command.decoding.options(LanguageChoice::Auto)
    }

    #[test]
    fn defaults_equal_those_of_the_library() {
        assert_eq!(options(&[]), TranscribeOptions::default());
    }

    #[test]
    fn the_sequential_strategy_conditions_on_previous_text_by_default() {
        assert!(options(&["--strategy", "sequential"]).condition_on_previous_text);
        let without = ["--strategy", "sequential", "--condition-on-previous-text=false"];
        assert!(!options(&without).condition_on_previous_text);
    }
}
