//! The options that select a model and the engine that runs it.

use amanuensis_transcribe::{ComputeType, EngineOptions, Runtime, Transcriber};

use super::performance::PerformanceArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::load::ModelRequest;
use crate::values;

/// Options that select a model and the engine that runs it.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// Model name (see `amanuensis models list`), or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model(), help_heading = "Model")]
    model: String,

    /// Never access the network; the model must already be installed
    #[arg(long, help_heading = "Model")]
    offline: bool,

    /// Number format of the computation: `int8` is fast; `f32` is slow and more exact, for comparison [default: int8]
    #[arg(long, value_name = "TYPE", value_parser = values::name_of::<ComputeType>(), help_heading = "Model")]
    compute_type: Option<ComputeType>,

    /// Inference engine: `native` is built in; `onnx` needs a model that was exported to ONNX
    ///
    /// `onnx` is slower, and does not support --word-timestamps.
    #[arg(long, default_value = "native", value_parser = values::name_of::<Runtime>(), help_heading = "Model")]
    runtime: Runtime,
}

impl ModelArgs {
    /// The name of the number format, such as `int8`, for reports. If the runtime is ONNX, its name is returned
    /// instead, because an ONNX graph defines its own number formats.
    pub fn compute_type_name(&self) -> String {
        match self.runtime {
            Runtime::Native => self.compute_type.unwrap_or_default().to_string(),
            Runtime::Onnx => self.runtime.to_string(),
        }
    }

    /// Finds the model, downloads it if needed, and loads it. Also loads the speech detection model if `needs_vad` is
    /// set.
    pub fn load(
        &self,
        performance: &PerformanceArgs,
        needs_vad: bool,
        console: &Console,
        interrupt: &Interrupt,
    ) -> Result<Transcriber, Failure> {
        let device = performance.device_options()?;
        if self.runtime == Runtime::Onnx && self.compute_type.is_some() {
            return Err(Failure::Usage(
                "--compute-type is for --runtime native only: an ONNX graph defines its own number format".to_owned(),
            ));
        }
        let request = ModelRequest {
            model: &self.model,
            engine: EngineOptions {
                compute_type: self.compute_type.unwrap_or_default(),
                threads: performance.threads(),
                device,
                runtime: self.runtime,
            },
            offline: self.offline,
            needs_vad,
        };
        let transcriber = request.load(console, interrupt)?;
        Ok(match performance.batch_size() {
            Some(batch_size) => transcriber.with_batch_size(batch_size),
            None => transcriber,
        })
    }
}
