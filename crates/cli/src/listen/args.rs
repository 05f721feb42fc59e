//! The arguments of `amanuensis listen`, and their help.

use std::str::FromStr;

use amanuensis_transcribe::{ComputeType, RawFormat, Task, TranscribeOptions, UtteranceOptions};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use crate::language::Spoken;
use crate::speech::times;
use crate::values::{name_of, thread_counts};

const HELP: &str = "\
Examples:
  amanuensis listen                                   from the microphone, where that is built in
  arecord -q -t raw -f S16_LE -r 16000 | amanuensis listen --input -
  ffmpeg -loglevel error -i rtsp://camera/1 -f s16le -ac 1 -ar 16000 - | amanuensis listen --input - > notes.txt

On a terminal, words that may still change are grey. Otherwise each turn is a line, written as its words are settled.

Exit codes:
  0 the input ended, 1 failed, 2 wrong usage, 130 Ctrl-C or SIGTERM; what was said is written down first.";

/// Write along with speech that is going on.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ListenArgs {
    /// Where speech comes from: `microphone`, or `-` for samples without a header on the standard input
    #[arg(short, long, value_name = "SOURCE", default_value = "microphone")]
    pub input: Source,

    /// Samples a second of the standard input [default: 16000]
    #[arg(long, value_name = "HZ", value_parser = RangedU64ValueParser::<u32>::new().range(1_000..=768_000))]
    pub rate: Option<u32>,

    /// Samples of the standard input: one channel, little-endian [default: s16]
    #[arg(long, value_name = "FORMAT", value_parser = sample_formats())]
    pub sample_format: Option<RawFormat>,

    /// The language spoken, as a code or a name; `auto` detects it in every turn
    #[arg(short, long, default_value = "auto")]
    pub language: Spoken,

    /// Write in the language spoken, or translate to English
    #[arg(long, default_value = "transcribe", value_parser = name_of::<Task>())]
    pub task: Task,

    /// A model of `amanuensis models list`, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,

    /// Arithmetic: fast, or the slower reference
    #[arg(long, value_name = "TYPE", default_value = "int8", value_parser = name_of::<ComputeType>())]
    pub compute_type: ComputeType,

    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,

    /// Never use the network; the model has to be there
    #[arg(long)]
    pub offline: bool,

    /// Words to expect, which the model is told all the time
    #[arg(long, value_name = "WORDS")]
    pub hotwords: Option<String>,

    /// What the model is told before every turn: names, spelling, style
    #[arg(long, value_name = "TEXT")]
    pub initial_prompt: Option<String>,

    /// Whether only speech is read; without this, everything is one turn
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    pub vad_filter: bool,

    /// How probable speech has to be
    #[arg(long, value_name = "PROBABILITY", default_value_t = UtteranceOptions::default().threshold)]
    pub vad_threshold: f32,

    /// Milliseconds before speech that are read with it
    #[arg(long, value_name = "MS", default_value = "300", value_parser = times())]
    pub prefix_padding_ms: u64,

    /// Milliseconds of silence that end a turn
    #[arg(long, value_name = "MS", default_value = "500", value_parser = times())]
    pub silence_duration_ms: u64,

    /// Show warnings and errors only, and the text
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where speech comes from.
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
            _ => Err("`microphone`, or `-` for the standard input; recordings are for `amanuensis transcribe`"),
        }
    }
}

impl ListenArgs {
    /// What to make of speech.
    pub fn options(&self) -> TranscribeOptions {
        let options = TranscribeOptions::default();
        TranscribeOptions {
            language: match self.language {
                Spoken::Auto => None,
                Spoken::In(language) => Some(language),
            },
            task: self.task,
            hotwords: self.hotwords.clone(),
            initial_prompt: self.initial_prompt.clone(),
            vad: options.vad.filter(|_| self.vad_filter),
            ..options
        }
    }

    /// What makes a turn.
    pub fn turns(&self) -> UtteranceOptions {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        UtteranceOptions {
            threshold: self.vad_threshold,
            prefix_padding: seconds(self.prefix_padding_ms),
            silence: seconds(self.silence_duration_ms),
        }
    }
}

fn sample_formats() -> impl TypedValueParser<Value = RawFormat> {
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
    fn what_is_not_said_is_the_default() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.input, Source::Microphone);
        assert_eq!((args.options(), args.turns()), (TranscribeOptions::default(), UtteranceOptions::default()));
        assert_eq!(parse(&["--vad-filter=false"]).unwrap().options().vad, None);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused: [&[&str]; 6] = [
            &["--input", "talk.mp3"],
            &["--rate", "0"],
            &["--sample-format", "s24"],
            &["--silence-duration-ms", "-1"],
            &["--model", ""],
            &["talk.mp3"],
        ];
        for arguments in refused {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
