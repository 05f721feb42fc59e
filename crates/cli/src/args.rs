//! The arguments, and their help.

use std::ffi::OsString;
use std::path::PathBuf;

use amanuensis_transcribe::OutputFormat;
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::bench::args::BenchArgs;
use crate::decoding::DecodingArgs;
use crate::eval::args::EvalArgs;
use crate::inputs::Input;
use crate::language::Spoken;
use crate::listen::args::ListenArgs;
use crate::npu::args::{DevicesArgs, DoctorArgs};
use crate::serve::ServeArgs;
use crate::subtitles::SubtitleArgs;
use crate::trace::args::TraceArgs;
use crate::values;

/// Turns recorded speech into text, on this machine alone.
#[derive(Debug, Parser)]
#[command(name = "amanuensis", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Transcribe recordings: speech to text, subtitles or JSON
    Transcribe(Box<TranscribeArgs>),
    /// Write along with speech that is going on
    Listen(Box<ListenArgs>),
    /// List, fetch, check and remove speech models
    Models(ModelsArgs),
    /// Measure what this machine can do, and what a model takes on it
    Bench(BenchArgs),
    /// Transcribe recordings whose text is known, and count the errors
    Eval(Box<EvalArgs>),
    /// List the devices that can multiply, and say why others cannot
    Devices(DevicesArgs),
    /// Check whether an AMD NPU can be used, and what is in the way
    Doctor(DoctorArgs),
    /// Show what a model's files hold: sizes, tokens, tensors, inputs and outputs
    Inspect(InspectArgs),
    /// Show what a model computes in one window of a recording, and compare it with another
    Trace(Box<TraceArgs>),
    /// Answer requests over HTTP: a drop-in for cloud speech to text
    Serve(Box<ServeArgs>),
}

const TRANSCRIBE_HELP: &str = "\
Examples:
  amanuensis transcribe talk.mp3
  amanuensis transcribe --language de --format srt interview.m4a > interview.srt
  amanuensis transcribe --format srt --max-line-width 42 --max-line-count 2 film.mkv > film.srt
  amanuensis transcribe --model small --format txt,vtt,json --output-dir out *.mp4
  ffmpeg -i tape.rm -f wav - | amanuensis transcribe -

Exit codes:
  0 all done, 1 a recording failed (the others are done), 2 wrong usage, 130 Ctrl-C or SIGTERM.
  The first Ctrl-C stops at the next window and keeps the text so far (with --output-dir, in
  talk.partial.srt and the like); the second stops at once.

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  HF_ENDPOINT        address of a mirror of the model hub
  TMPDIR             directory for temporary files (on Windows: TEMP)";

const TRANSCRIBE_ABOUT: &str = "\
Transcribe recordings: speech to text, subtitles or JSON

Reads WAV, MP3, FLAC, AAC, Ogg, Opus, M4A, MP4, MOV, MKV, WebM, AIFF and CAF, whatever the file is called; of a video, \
the audio track. The model is fetched when it is first used.

Some of these formats have to be read from several places at once. What can be read only in one go (`-`, a named pipe) \
is therefore copied to the directory for temporary files first, and transcribed when its end is there.";

/// The arguments of `transcribe`.
#[derive(Debug, clap::Args)]
#[command(long_about = TRANSCRIBE_ABOUT, after_help = TRANSCRIBE_HELP)]
pub struct TranscribeArgs {
    /// Recordings; `-` is the standard input, which is read to its end before its first word appears
    #[arg(required = true, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(input))]
    pub files: Vec<Input>,

    /// The language spoken, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto")]
    pub language: Spoken,

    /// What to write; several, separated by commas or by repeating the option, need --output-dir
    #[arg(short, long, value_name = "FORMAT", default_value = "txt", value_delimiter = ',', value_parser = values::output_formats())]
    pub format: Vec<OutputFormat>,

    /// Write a file for each recording and format, named after the recording, into this directory
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Show warnings and errors only
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub decoding: DecodingArgs,

    #[command(flatten)]
    pub subtitles: SubtitleArgs,
}

const MODELS_HELP: &str = "\
Examples:
  amanuensis models list
  amanuensis models pull base small
  amanuensis transcribe --model \"$(amanuensis models path base)\" --offline talk.mp3

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  HF_ENDPOINT        address of a mirror of the model hub
  HF_TOKEN           access token for the model hub, which only private models need";

/// List, fetch, check and remove speech models.
#[derive(Debug, clap::Args)]
#[command(after_help = MODELS_HELP)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that can be had, and which are installed
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Fetch models, or what is missing of them, and check them
    Pull {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Show errors only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print the directory of an installed model
    Path {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Compare the files of installed models with their checksums; without names, of all of them
    Verify {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete installed models
    Remove {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Show what a model's files hold: sizes, tokens, tensors, inputs and outputs.
///
/// Of any format that can be transcribed with; of an ONNX file that is no model by itself, the inputs and outputs. Where
/// what there is makes no model, `problem` says why, and the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A model of `amanuensis models list` that is installed, or a model's directory or weight file
    #[arg(value_name = "NAME|PATH", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,

    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

pub fn input(argument: OsString) -> Result<Input, &'static str> {
    match argument.to_str() {
        Some("") => Err("the name is empty"),
        Some("-") => Ok(Input::Stdin),
        _ => Ok(Input::File(argument.into())),
    }
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::{Runtime, Task};
    use clap::CommandFactory;

    use super::*;

    fn transcribe(arguments: &[&str]) -> Result<TranscribeArgs, clap::Error> {
        let arguments = ["amanuensis", "transcribe"].iter().chain(arguments);
        match Args::try_parse_from(arguments)?.command {
            Command::Transcribe(args) => Ok(*args),
            _ => unreachable!("the command is `transcribe`"),
        }
    }

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let args = transcribe(&["a.mp3", "-"]).unwrap();
        assert_eq!(args.files, [Input::File("a.mp3".into()), Input::Stdin]);
        assert_eq!((args.language, args.format), (Spoken::Auto, vec![OutputFormat::TXT]));
        let decoding = args.decoding;
        assert_eq!((decoding.model.as_str(), decoding.task), ("base", Task::Transcribe));
        assert_eq!((decoding.compute_type, decoding.runtime, decoding.threads), (None, Runtime::Native, None));
    }

    #[test]
    fn formats_are_repeated_or_separated_by_commas() {
        let names = |arguments: &[&str]| {
            transcribe(arguments).unwrap().format.into_iter().map(OutputFormat::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["-f", "srt,json", "--format", "vtt", "a"]), ["srt", "json", "vtt"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused: [&[&str]; 12] = [
            &[],
            &[""],
            &["--model", "", "a"],
            &["--language", "klingon", "a"],
            &["--language", "", "a"],
            &["--task", "sing", "a"],
            &["--format", "pdf", "a"],
            &["--format", "", "a"],
            &["--compute-type", "int4", "a"],
            &["--threads", "0", "a"],
            &["--max-line-width", "0", "a"],
            &["--threads", "100000", "a"],
        ];
        for arguments in refused {
            assert!(transcribe(arguments).is_err(), "{arguments:?}");
        }
    }
}
