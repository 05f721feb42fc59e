//! The arguments of `amanuensis eval`, and their help.

use std::path::PathBuf;

use crate::decoding::DecodingArgs;
use crate::language::Spoken;

const ABOUT: &str = "\
Transcribe recordings whose text is known, and count the errors

A manifest names the recordings, one JSON object a line: `id`; `file`, relative to the manifest; `language`, a code or a \
name; `reference`, the text that is spoken. Without a reference, or where `prefix_of_reference` is true, a recording is \
transcribed but not counted. Blank lines and other fields do not matter.

Texts go through Whisper's normalisers first. Errors are words that are other ones, missing or too many, by the words of \
the reference; in Chinese, Cantonese, Japanese, Thai, Lao and Burmese, characters. A recording that fails counts as all \
missing.";

const HELP: &str = "\
Examples:
  amanuensis eval --manifest talks.jsonl
  amanuensis eval --manifest talks.jsonl --model small --strategy sequential --json > small.json

Speed is seconds of audio by seconds of wall time, from the opening of a recording to its last segment; loading the model
and counting the errors is not in it.

JSON:
  model, compute_type (onnx with that runtime), strategy, error_rate_percent: {LANGUAGE: ..., non_en, all}, reference_units: {LANGUAGE: ...},
  speed, audio_s, wall_s, clips: [{
    id, file, language, detected (null where it was given), error_rate_percent, substitutions, deletions, insertions,
    units (null where not counted), text, flags, warnings}]

Exit codes:
  0 all done, 1 a recording failed (the others are done), 2 wrong usage, 130 Ctrl-C or SIGTERM";

/// Transcribe recordings whose text is known, and count the errors.
#[derive(Debug, clap::Args)]
#[command(long_about = ABOUT, after_help = HELP)]
pub struct EvalArgs {
    /// The recordings and what is said in them: one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,

    /// The language spoken, as a code or a name; `auto` detects it [default: what the manifest says of each recording]
    #[arg(short, long)]
    pub language: Option<Spoken>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Write each transcript into this directory, as ID.json
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Show warnings and errors only
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub decoding: DecodingArgs,
}
