//! The arguments of `amanuensis listen`, and their help.

use std::str::FromStr;

use amanuensis_transcribe::{ComputeType, RawFormat, Task, TranscribeOptions, UtteranceOptions};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use crate::options::language::LanguageChoice;
use crate::values::{self, milliseconds, name_of};

const HELP: &str = "\
Examples:
  amanuensis listen
  arecord -q -t raw -f S16_LE -r 16000 | amanuensis listen --input -
  ffmpeg -i rtsp://camera/1 -f s16le -ac 1 -ar 16000 - | amanuensis listen --input - > notes.txt

The microphone needs a build with the cargo feature `microphone`.

On a terminal, words that may still change are grey. Otherwise only final words are written, one line per utterance.

Exit codes:
  0    the input ended
  1    failed
  2    wrong usage
  130  stopped by Ctrl-C or SIGTERM; the speech so far is written first";

/// Transcribe live speech from a microphone or a stream.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ListenArgs {
    /// Source of the audio: `microphone`, or `-` for raw samples on standard input
    #[arg(short, long, value_name = "SOURCE", default_value = "microphone", help_heading = "Input")]
    pub input: Source,

    /// Sample rate of standard input, in Hz [default: 16000]
    #[arg(long, value_name = "HZ", value_parser = RangedU64ValueParser::<u32>::new().range(1_000..=768_000), help_heading = "Input")]
    pub rate: Option<u32>,

    /// Format of the samples on standard input, which are mono and little-endian [default: s16]
    #[arg(long, value_name = "FORMAT", value_parser = sample_format(), help_heading = "Input")]
    pub sample_format: Option<RawFormat>,

    /// Language spoken, as a code or a name; `auto` detects it for every utterance
    #[arg(short, long, default_value = "auto", help_heading = "Input")]
    pub language: LanguageChoice,

    /// `transcribe` writes in the language spoken; `translate` translates into English
    #[arg(long, default_value = "transcribe", value_parser = name_of::<Task>(), help_heading = "Output")]
    pub task: Task,

    /// Print only warnings, errors and the text
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    /// Model name (see `amanuensis models list`), or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model(), help_heading = "Model")]
    pub model: String,

    /// Never access the network; the model must already be installed
    #[arg(long, help_heading = "Model")]
    pub offline: bool,

    /// Number format of the computation: `int8` is fast; `f32` is slow and more exact, for comparison
    #[arg(long, value_name = "TYPE", default_value = "int8", value_parser = name_of::<ComputeType>(), help_heading = "Model")]
    pub compute_type: ComputeType,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = values::thread_count(), help_heading = "Performance")]
    pub threads: Option<usize>,

    /// Words to expect, such as names; they are added to the prompt of every utterance
    #[arg(long, value_name = "WORDS", help_heading = "Prompt")]
    pub hotwords: Option<String>,

    /// Text given to the model before every utterance, to show the names, spelling and style to use
    #[arg(long, value_name = "TEXT", help_heading = "Prompt")]
    pub initial_prompt: Option<String>,

    /// Transcribe only speech (Silero VAD); without this filter, the whole stream is one utterance
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set, help_heading = "Speech detection")]
    pub vad_filter: bool,

    /// Treat audio as speech if its speech probability is above this
    #[arg(long, value_name = "PROBABILITY", default_value_t = UtteranceOptions::default().threshold, help_heading = "Speech detection")]
    pub vad_threshold: f32,

    /// Also transcribe this much audio before each utterance, in milliseconds
    #[arg(long, value_name = "MS", default_value = "300", value_parser = milliseconds(), help_heading = "Speech detection")]
    pub prefix_padding_ms: u64,

    /// Duration of silence that ends an utterance, in milliseconds
    #[arg(long, value_name = "MS", default_value = "500", value_parser = milliseconds(), help_heading = "Speech detection")]
    pub silence_duration_ms: u64,
}

/// The source of the audio: the microphone or standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Microphone,
    Stdin,
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "microphone" => Ok(Self::Microphone),
            "-" => Ok(Self::Stdin),
            _ => Err("must be `microphone`, or `-` for standard input; use `amanuensis transcribe` for recordings"),
        }
    }
}

impl ListenArgs {
    /// The transcription options for each utterance.
    pub fn options(&self) -> TranscribeOptions {
        let options = TranscribeOptions::default();
        TranscribeOptions {
            language: self.language.language(),
            task: self.task,
            hotwords: self.hotwords.clone(),
            initial_prompt: self.initial_prompt.clone(),
            vad: options.vad.filter(|_| self.vad_filter),
            ..options
        }
    }

    /// The options that split the stream into utterances.
    pub fn utterance_options(&self) -> UtteranceOptions {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        UtteranceOptions {
            threshold: self.vad_threshold,
            prefix_padding: seconds(self.prefix_padding_ms),
            silence: seconds(self.silence_duration_ms),
        }
    }
}

fn sample_format() -> impl TypedValueParser<Value = RawFormat> {
    PossibleValuesParser::new(RawFormat::ALL.map(RawFormat::name)).try_map(|name| name.parse::<RawFormat>())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        listen: ListenArgs,
    }

    fn parse(arguments: &[&str]) -> Result<ListenArgs, clap::Error> {
        Command::try_parse_from(["command"].iter().chain(arguments)).map(|command| command.listen)
    }

    #[test]
    fn defaults_equal_those_of_the_library() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.input, Source::Microphone);
        assert_eq!(args.options(), TranscribeOptions::default());
        assert_eq!(args.utterance_options(), UtteranceOptions::default());
        assert_eq!(parse(&["--vad-filter=false"]).unwrap().options().vad, None);
    }

    #[test]
    fn invalid_values_are_rejected() {
        let invalid: [&[&str]; 6] = [
            &["--input", "talk.mp3"],
            &["--rate", "0"],
            &["--sample-format", "s24"],
            &["--silence-duration-ms", "-1"],
            &["--model", ""],
            &["talk.mp3"],
        ];
        for arguments in invalid {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
