//! `amanuensis trace`: shows the values that a model computes for one window. With two models, it names the first
//! stage of the computation where they differ.

pub mod args;
mod report;
mod side;
mod stages;
mod statistics;
mod window;
mod window_trace;

use amanuensis_engine::{DecodeOptions, Engine, SileroVad};
use amanuensis_models::Store;
use amanuensis_transcribe::{ComputeType, Language};

use crate::console::Console;
use crate::download;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::load::load_vad;
use crate::stdout::print;
use args::TraceArgs;
use report::Report;
use side::Side;
use window::Window;

/// The default tolerance if both models compute in f32. A different order of summation causes a relative difference
/// of 0.0001, and half precision causes 0.0006.
const TOLERANCE_F32: f32 = 1e-3;

/// The default tolerance if one of the models computes in int8. Computing in int8 instead of f32 causes a relative
/// difference of 0.17.
const TOLERANCE_INT8: f32 = 0.25;

pub fn run(args: &TraceArgs) -> Result<(), Failure> {
    let requests = side::requests(args)?;
    args.audio.check().map_err(|error| Failure::Failed(format!("{}: {error}", args.audio)))?;
    let (console, interrupt) = (Console::new(true), Interrupt::install()?);
    let store = Store::open_default()?;
    let mut sides = Vec::new();
    for request in requests {
        sides.push(side::load(request, args, &store, &console, &interrupt)?);
    }
    let options = DecodeOptions { language: language_code(args, &sides[0])?, ..DecodeOptions::default() };

    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", args.audio));
    let vad = vad_for_start(args, &store, &console, &interrupt)?;
    let audio = args.audio.open().map_err(|error| failed(&error))?;
    let window = Window::read(audio, args.start, vad.as_ref()).map_err(|error| match error {
        Failure::Failed(reason) => failed(&reason),
        other => other,
    })?;
    let engines = (&sides[0].engine, sides.get(1).map(|side| &side.engine));
    let trace = window_trace::run(&window, engines, options, args.steps.into()).map_err(|error| failed(&error))?;
    let tolerance = args.tolerance.unwrap_or_else(|| default_tolerance(&sides));
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
    print(&text).map_err(|error| error.after_failures(failure.is_some()))?;
    // The printed report already names the stage that failed.
    if failure.is_some() { Err(Failure::Reported) } else { Ok(()) }
}

fn default_tolerance(sides: &[Side]) -> f32 {
    let is_int8 = sides.iter().any(|side| side.compute_type == Some(ComputeType::Int8));
    if is_int8 { TOLERANCE_INT8 } else { TOLERANCE_F32 }
}

/// The code of the language given with `--language`, or `None` if the language must be detected. Fails if the first
/// model does not know the language.
fn language_code(args: &TraceArgs, side: &Side) -> Result<Option<String>, Failure> {
    match args.language.language() {
        None => Ok(None),
        Some(language) if knows(&side.engine, language) => Ok(Some(language.code().to_owned())),
        Some(language) => Err(Failure::Usage(format!("the model {:?} does not know {language}", side.model))),
    }
}

/// Whether the model knows the language. English-only models know English, although their vocabulary has no token for
/// it.
fn knows(engine: &Engine, language: Language) -> bool {
    let code = language.code();
    engine.languages().any(|known| known == code) || !engine.is_multilingual() && language == Language::ENGLISH
}

/// Loads the speech detection model, unless `--start` is given. It is needed only to find the start of the window.
fn vad_for_start(
    args: &TraceArgs,
    store: &Store,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Option<SileroVad>, Failure> {
    if args.start.is_some() {
        return Ok(None);
    }
    let path = download::speech_detector(store, args.offline, console, interrupt)?;
    path.map(|path| load_vad(&path)).transpose()
}
