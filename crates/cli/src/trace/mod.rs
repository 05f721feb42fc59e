//! `amanuensis trace`: what a model computes in one window, and where two that should agree part.

pub mod args;
mod figures;
mod report;
mod stages;
mod window;

use std::io::{self, Write};

use amanuensis_engine::{DecodeOptions, Engine};
use amanuensis_models::Store;
use amanuensis_transcribe::{ComputeType, Device, EngineOptions, Language, Runtime, SileroVad};

use crate::console::Console;
use crate::decoding::{find, thread_count};
use crate::failure::Failure;
use crate::fetch;
use crate::interrupt::Interrupt;
use crate::language::Spoken;
use crate::models;
use args::TraceArgs;
use report::Report;
use stages::Trace;
use window::Window;

/// How far two sides may be apart that both compute in f32: sums in another order make 0.0001, half precision 0.0006.
const TOLERANCE_F32: f32 = 1e-3;

/// The same where one computes in int8, which makes 0.17.
const TOLERANCE_INT8: f32 = 0.25;

/// A model, what runs it, and the arithmetic: none where a graph has its own.
type Asked<'a> = (&'a str, Runtime, Option<ComputeType>);

/// A model that was loaded.
pub struct Side {
    model: String,
    runtime: Runtime,
    /// None where a graph has its own.
    compute_type: Option<ComputeType>,
    engine: Engine,
}

pub fn run(args: &TraceArgs) -> Result<(), Failure> {
    let asked = asked(args)?;
    args.audio.check().map_err(|error| Failure::Failed(format!("{}: {error}", args.audio)))?;
    let (console, interrupt) = (Console::new(true), Interrupt::install()?);
    let store = Store::open_default().map_err(models::failure)?;
    let mut sides = Vec::new();
    for (model, runtime, compute_type) in asked {
        let path = find(model, args.offline, &store, &console, &interrupt)?;
        let threads = thread_count(args.threads);
        // Devices give the same bits, so there is nothing to compare.
        let device = Device::Cpu.into();
        let options = EngineOptions { compute_type: compute_type.unwrap_or_default(), threads, device, runtime };
        let engine = Engine::load(&path, &options)
            .map_err(|error| Failure::Failed(format!("cannot load the model {model:?}: {error}")))?;
        sides.push(Side { model: model.to_owned(), runtime, compute_type, engine });
    }

    let (side, other) = (&sides[0], sides.get(1));
    let language = match args.language {
        Spoken::Auto => None,
        Spoken::In(language) if knows(&side.engine, language) => Some(language.code().to_owned()),
        Spoken::In(language) => {
            return Err(Failure::Usage(format!("the model {:?} does not know {language}", side.model)));
        }
    };

    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", args.audio));
    let detector = detector(args, &store, &console, &interrupt)?;
    let audio = args.audio.open().map_err(|error| failed(&error))?;
    let window = Window::read(audio, args.start, detector.as_ref()).map_err(|error| match error {
        Failure::Failed(reason) => failed(&reason),
        other => other,
    })?;
    let is_int8 = sides.iter().any(|side| side.compute_type == Some(ComputeType::Int8));
    let tolerance = args.tolerance.unwrap_or(if is_int8 { TOLERANCE_INT8 } else { TOLERANCE_F32 });
    let options = DecodeOptions { language, ..DecodeOptions::default() };
    let trace = Trace::of(&window, (&side.engine, other.map(|other| &other.engine)), options, args.steps.into())
        .map_err(|error| failed(&error))?;
    let failure = trace.failure(tolerance);
    let report = Report {
        audio: &args.audio,
        window: &window,
        sides: &sides,
        trace: &trace,
        tolerance,
        failure: failure.as_ref(),
    };
    let text = if args.json { report.json() } else { report.table() };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::of_stdout(&error).after(failure.is_some()))?;
    // The report ends with what is amiss.
    if failure.is_some() { Err(Failure::Reported) } else { Ok(()) }
}

/// English needs no token where there is no other language.
fn knows(engine: &Engine, language: Language) -> bool {
    let code = language.code();
    engine.languages().any(|known| known == code) || !engine.is_multilingual() && language == Language::ENGLISH
}

/// One side, or two.
fn asked(args: &TraceArgs) -> Result<Vec<Asked<'_>>, Failure> {
    let of_side = |runtime, compute_type: Option<ComputeType>, option: &str| match (runtime, compute_type) {
        (Runtime::Onnx, Some(_)) => {
            Err(Failure::Usage(format!("{option} is for our own engine: a graph has its own arithmetic")))
        }
        (Runtime::Onnx, None) => Ok(None),
        (Runtime::Native, compute_type) => Ok(Some(compute_type.unwrap_or(ComputeType::F32))),
    };
    let first = of_side(args.runtime, args.compute_type, "--compute-type")?;
    let mut sides = vec![(args.model.as_str(), args.runtime, first)];
    if args.compare_model.is_some() || args.compare_runtime.is_some() || args.compare_compute_type.is_some() {
        let runtime = args.compare_runtime.unwrap_or_default();
        let like_first = first.filter(|_| runtime == Runtime::Native);
        let compute_type = of_side(runtime, args.compare_compute_type.or(like_first), "--compare-compute-type")?;
        sides.push((args.compare_model.as_ref().unwrap_or(&args.model), runtime, compute_type));
    }
    Ok(sides)
}

/// What finds the first speech, where that is asked for.
fn detector(
    args: &TraceArgs,
    store: &Store,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Option<SileroVad>, Failure> {
    if args.start.is_some() {
        return Ok(None);
    }
    let path = fetch::speech_detector(store, args.offline, console, interrupt)?;
    let detector = path.map(|path| SileroVad::load(&path)).transpose();
    detector.map_err(|error| Failure::Failed(format!("cannot load the voice detector: {error}")))
}
