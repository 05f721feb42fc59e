//! The arguments of `amanuensis trace`, and their help.

use amanuensis_transcribe::{ComputeType, Runtime};
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};

use crate::args::input;
use crate::inputs::Input;
use crate::language::Spoken;
use crate::values::{name_of, thread_counts};

const ABOUT: &str = "\
Show what a model computes in one window of a recording, step by step, and compare it with another

Reads the window with the first speech, or from --start, by greedy search. Shown are the spectrogram and the encoder's \
states in figures, and of each decoding step the token chosen, its log-probability, the tokens that are most probable \
before rules apply, the caches, and how far the logits are from those of a decoder without a cache. With a second \
model, runtime or arithmetic, the other side follows the same tokens, and each stage is compared: mel, encoder, first \
logits, and those of each step.";

const HELP: &str = "\
Examples:
  amanuensis trace talk.mp3
  amanuensis trace --steps 10 --compare-compute-type int8 talk.mp3
  amanuensis trace --model exports/base/f32 --runtime onnx --compare-runtime native --compare-model base talk.mp3

How far a stage is apart is the root mean square of its differences in parts of that of the first side's values, of logits
without their mean; the largest difference, in parts of the largest value, is shown beside it. Without --tolerance it may be
0.001 where both sides compute in f32, and 0.25 where one does in int8. The graphs of an ONNX export count as f32: those that
are quantised need --tolerance 0.5, also by themselves, since what they compute depends on how a text is cut into steps.

JSON:
  audio, start, seconds, language, tolerance, sides: [{model, runtime, compute_type (null for onnx)}],
  mel: {min, max, mean, std, non_finite, difference: {rms, largest} or null where there is none},
  encoder: {as mel}, prompt: [{token, text}], steps: [{step, token, text, logprob, ms, cached_difference, difference,
  top: [{token, text, logprob}], caches: [{name, shape}]}], failure: null or {stage, reason}

Exit codes:
  0 all within the tolerance, 1 a stage is not (which, the last line says) or something failed, 2 wrong usage";

/// Show what a model computes in one window of a recording, and compare it with another.
#[derive(Debug, clap::Args)]
#[command(long_about = ABOUT, after_help = HELP)]
pub struct TraceArgs {
    /// A recording of speech; `-` is the standard input
    #[arg(value_name = "AUDIO", value_parser = OsStringValueParser::new().try_map(input))]
    pub audio: Input,

    /// A model of `amanuensis models list`, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,

    /// What runs the model: our own engine, or, for an ONNX export, its graphs as they are
    #[arg(long, default_value = "native", value_parser = name_of::<Runtime>())]
    pub runtime: Runtime,

    /// Arithmetic of our own engine [default: f32]
    #[arg(long, value_name = "TYPE", value_parser = name_of::<ComputeType>())]
    pub compute_type: Option<ComputeType>,

    /// The model to compare with [default: the same]
    #[arg(long, value_name = "NAME|PATH", value_parser = NonEmptyStringValueParser::new())]
    pub compare_model: Option<String>,

    /// What runs the model to compare with [default: our own engine]
    #[arg(long, value_name = "RUNTIME", value_parser = name_of::<Runtime>())]
    pub compare_runtime: Option<Runtime>,

    /// Arithmetic to compare with, where our own engine runs it [default: that of the first side]
    #[arg(long, value_name = "TYPE", value_parser = name_of::<ComputeType>())]
    pub compare_compute_type: Option<ComputeType>,

    /// The language spoken, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto")]
    pub language: Spoken,

    /// Where the window begins, in seconds [default: where somebody speaks first]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub start: Option<f64>,

    /// Tokens to decode at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub steps: u16,

    /// How far two sides may be apart, root mean square, in parts of the first [default: by arithmetic]
    #[arg(long, value_name = "PARTS", value_parser = tolerances)]
    pub tolerance: Option<f32>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,

    /// Never use the network; the models have to be there
    #[arg(long)]
    pub offline: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| "a number of seconds, 0 or more".to_owned())
}

fn tolerances(text: &str) -> Result<f32, String> {
    let parts = text.parse::<f32>().ok().filter(|parts| parts.is_finite() && *parts >= 0.0);
    parts.ok_or_else(|| "a number, 0 or more".to_owned())
}
