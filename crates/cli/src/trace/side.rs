//! Loads the models of a trace: one model, or two models to compare.

use amanuensis_engine::Engine;
use amanuensis_models::Store;
use amanuensis_transcribe::{ComputeType, Device, EngineOptions, Runtime};

use super::args::TraceArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::load::{find_model, thread_count};

/// One loaded model of a trace, with the runtime and the number format that it uses.
pub struct Side {
    pub model: String,
    pub runtime: Runtime,
    /// The number format of the computation. `None` for ONNX, because an ONNX graph defines its own number formats.
    pub compute_type: Option<ComputeType>,
    pub engine: Engine,
}

/// A model to load: its name or path, the runtime, and the number format. The number format is `None` for ONNX,
/// because an ONNX graph defines its own number formats.
pub type SideRequest<'a> = (&'a str, Runtime, Option<ComputeType>);

/// Returns one or two models, as selected by the arguments. Fails if the arguments contradict each other.
pub fn requests(args: &TraceArgs) -> Result<Vec<SideRequest<'_>>, Failure> {
    let checked = |runtime, compute_type: Option<ComputeType>, option: &str| match (runtime, compute_type) {
        (Runtime::Onnx, Some(_)) => Err(Failure::Usage(format!(
            "{option} is for the runtime `native` only: an ONNX graph defines its own number format"
        ))),
        (Runtime::Onnx, None) => Ok(None),
        (Runtime::Native, compute_type) => Ok(Some(compute_type.unwrap_or(ComputeType::F32))),
    };
    let first = checked(args.runtime, args.compute_type, "--compute-type")?;
    let mut sides = vec![(args.model.as_str(), args.runtime, first)];
    if args.compare_model.is_some() || args.compare_runtime.is_some() || args.compare_compute_type.is_some() {
        let runtime = args.compare_runtime.unwrap_or_default();
        let default = first.filter(|_| runtime == Runtime::Native);
        let compute_type = checked(runtime, args.compare_compute_type.or(default), "--compare-compute-type")?;
        sides.push((args.compare_model.as_ref().unwrap_or(&args.model), runtime, compute_type));
    }
    Ok(sides)
}

/// Finds a model, downloads it if needed, and loads it.
pub fn load(
    (model, runtime, compute_type): SideRequest<'_>,
    args: &TraceArgs,
    store: &Store,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Side, Failure> {
    let path = find_model(model, args.offline, store, console, interrupt)?;
    let threads = thread_count(args.threads);
    // Traces always run on the CPU. Other devices need no trace, because they give the same bits.
    let device = Device::Cpu.into();
    let options = EngineOptions { compute_type: compute_type.unwrap_or_default(), threads, device, runtime };
    let engine = Engine::load(&path, &options)
        .map_err(|error| Failure::Failed(format!("cannot load the model {model:?}: {error}")))?;
    Ok(Side { model: model.to_owned(), runtime, compute_type, engine })
}
