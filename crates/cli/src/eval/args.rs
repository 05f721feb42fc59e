//! The arguments of `amanuensis eval`, and their help.

use std::path::PathBuf;

use crate::options::decoding::DecodingArgs;
use crate::options::language::LanguageChoice;

const ABOUT: &str = "\
Transcribe recordings with known text and report the error rate

The manifest lists the recordings, one JSON object per line, with these fields: `id`; `file`, a path relative to the \
manifest; `language`, a code or a name; `reference`, the text that is spoken. A recording without a reference, or with \
`prefix_of_reference` set to true, is transcribed but not scored. Blank lines and other fields are ignored.

The error rate is the word error rate (WER). For Chinese, Cantonese, Japanese, Thai, Lao and Burmese, it is the character \
error rate (CER). Both texts are normalised with Whisper's text normalisers first. A recording that fails counts as an \
empty transcript.";

const HELP: &str = "\
Examples:
  amanuensis eval --manifest talks.jsonl
  amanuensis eval --manifest talks.jsonl --model small --strategy sequential --json > small.json

Speed is seconds of audio per second of wall time. Wall time is measured from opening a recording to its last segment; \
it does not include loading the model and counting errors.

JSON:
  model, compute_type (\"onnx\" with that runtime), strategy,
  error_rate_percent: {LANGUAGE: ..., non_en, all}, reference_units: {LANGUAGE: ...},
  speed, audio_s, wall_s,
  clips: [{id, file, language, detected (null if the language was given), error_rate_percent,
    substitutions, deletions, insertions, units (null if not scored), text, flags, warnings}]

Exit codes:
  0    all recordings were transcribed
  1    at least one recording failed; all others were transcribed
  2    wrong usage
  130  stopped by Ctrl-C or SIGTERM";

/// Transcribe recordings with known text and report the error rate.
#[derive(Debug, clap::Args)]
#[command(long_about = ABOUT, after_help = HELP)]
pub struct EvalArgs {
    /// File that lists the recordings and their reference texts, one JSON object per line
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub manifest: PathBuf,

    /// Language spoken in all recordings, as a code or a name; `auto` detects it [default: the manifest's language]
    #[arg(short, long, help_heading = "Input")]
    pub language: Option<LanguageChoice>,

    /// Print one line of JSON instead of a table
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Write each transcript into this directory, as the file ID.json
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output_dir: Option<PathBuf>,

    /// Print warnings and errors only
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    #[command(flatten)]
    pub decoding: DecodingArgs,
}
