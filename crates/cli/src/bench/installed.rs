//! Finds the models to measure. Benchmarks never download a model: they use only models that are installed or given
//! by path.

use std::ops::ControlFlow;
use std::path::PathBuf;

use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::SileroVad;

use crate::failure::Failure;
use crate::load::load_vad;

/// Returns the path of `model`, which is the name of an installed model, or already a path. Fails if no such model is
/// installed.
pub fn model_path(model: &str) -> Result<PathBuf, Failure> {
    let store = Store::open_default()?;
    Ok(store.resolve(model, true, &mut |_| ControlFlow::Continue(()))?)
}

/// Loads the speech detection model. Returns `None` if it is not installed.
pub fn vad() -> Result<Option<SileroVad>, Failure> {
    let store = Store::open_default()?;
    let Ok(path) = store.path(SPEECH_DETECTOR) else { return Ok(None) };
    load_vad(&path).map(Some)
}
