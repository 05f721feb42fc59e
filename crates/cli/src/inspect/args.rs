//! The arguments of `amanuensis inspect`.

use crate::values;

/// Show the contents of a model: sizes, tokens, tensors, inputs and outputs.
///
/// All model formats that `transcribe` supports can be shown. For a single ONNX file, the inputs and outputs are
/// shown. If the files are not a complete model, the output contains a line or JSON field `problem` that says why,
/// and the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// Name of an installed model, or path of a model directory or weight file
    #[arg(value_name = "NAME|PATH", value_parser = values::model())]
    pub model: String,

    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
}
