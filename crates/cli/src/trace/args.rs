//! The arguments of `amanuensis trace`, and their help.

use amanuensis_transcribe::{ComputeType, Runtime};

use crate::input::Input;
use crate::options::language::LanguageChoice;
use crate::values::{self, name_of};

const ABOUT: &str = "\
Show the values a model computes for one window, and compare two models

The window starts at the first speech, or at --start. It is decoded greedily. The output contains statistics of the mel \
spectrogram and the encoder states. For every decoding step, it contains the chosen token with its log-probability, the \
most probable tokens before logits filters, the shapes of the caches, and the difference between the logits with and \
without KV cache.

With any --compare option, a second model decodes the same tokens. Every stage is compared: mel spectrogram, encoder \
states, and the logits of every step.";

const HELP: &str = "\
Examples:
  amanuensis trace talk.mp3
  amanuensis trace --steps 10 --compare-compute-type int8 talk.mp3
  amanuensis trace -m exports/base --runtime onnx --compare-runtime native --compare-model base talk.mp3

The difference of a stage is the root mean square of all differences, divided by the root mean square of the first \
model's values. Of logits, the mean is subtracted first. The table also shows the largest difference, divided by the \
largest value.

The default tolerance is 0.001 if both models compute in f32, and 0.25 if one computes in int8. ONNX exports count as \
f32. A quantised export needs --tolerance 0.5, even without a second model: its results depend on how many tokens a step \
decodes.

JSON:
  audio, start, seconds, language, tolerance, sides: [{model, runtime, compute_type (null for onnx)}],
  mel: {min, max, mean, std, non_finite, difference: {rms, largest} (null without second model)},
  encoder: {same as mel}, prompt: [{token, text}],
  steps: [{step, token, text, logprob, ms, cached_difference, difference,
    top: [{token, text, logprob}], caches: [{name, shape}]}], failure: null or {stage, reason}

Exit codes:
  0  every stage is within the tolerance
  1  a stage exceeds the tolerance (the last line names it), or the command failed
  2  wrong usage";

/// Show the values a model computes for one window, and compare two models.
#[derive(Debug, clap::Args)]
#[command(long_about = ABOUT, after_help = HELP)]
pub struct TraceArgs {
    /// Recording of speech; `-` reads standard input
    #[arg(value_name = "AUDIO", value_parser = values::recording())]
    pub audio: Input,

    /// Language spoken, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto", help_heading = "Input")]
    pub language: LanguageChoice,

    /// Start of the window, in seconds [default: the first speech]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Input")]
    pub start: Option<f64>,

    /// Maximum number of tokens to decode
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub steps: u16,

    /// Print one line of JSON instead of tables
    #[arg(long)]
    pub json: bool,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = values::thread_count())]
    pub threads: Option<usize>,

    /// Model name (see `amanuensis models list`), or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model(), help_heading = "Model")]
    pub model: String,

    /// Inference engine: `native` is built in; `onnx` needs a model that was exported to ONNX
    #[arg(long, default_value = "native", value_parser = name_of::<Runtime>(), help_heading = "Model")]
    pub runtime: Runtime,

    /// Number format in which the native engine computes [default: f32]
    #[arg(long, value_name = "TYPE", value_parser = name_of::<ComputeType>(), help_heading = "Model")]
    pub compute_type: Option<ComputeType>,

    /// Never access the network; the models must already be installed
    #[arg(long, help_heading = "Model")]
    pub offline: bool,

    /// Second model to compare with [default: the same model]
    #[arg(long, value_name = "NAME|PATH", value_parser = values::model(), help_heading = "Comparison")]
    pub compare_model: Option<String>,

    /// Inference engine of the second model [default: native]
    #[arg(long, value_name = "RUNTIME", value_parser = name_of::<Runtime>(), help_heading = "Comparison")]
    pub compare_runtime: Option<Runtime>,

    /// Number format of the second model, if it runs natively [default: that of the first model]
    #[arg(long, value_name = "TYPE", value_parser = name_of::<ComputeType>(), help_heading = "Comparison")]
    pub compare_compute_type: Option<ComputeType>,

    /// Maximum relative difference between the two models in a stage [default: depends on the number formats, see
    /// below]
    #[arg(long, value_name = "RATIO", value_parser = tolerance, help_heading = "Comparison")]
    pub tolerance: Option<f32>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| "a number of seconds, 0 or more".to_owned())
}

fn tolerance(text: &str) -> Result<f32, String> {
    let ratio = text.parse::<f32>().ok().filter(|ratio| ratio.is_finite() && *ratio >= 0.0);
    ratio.ok_or_else(|| "a number, 0 or more".to_owned())
}
