//! Installed models. Benchmarks never download, because that is not part of what they measure.

use std::ops::ControlFlow;
use std::path::PathBuf;

use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::SileroVad;

use crate::failure::Failure;
use crate::load::load_vad;

/// The path of an installed model, or of a model given by its path.
pub fn model_path(model: &str) -> Result<PathBuf, Failure> {
    let store = Store::open_default()?;
    Ok(store.resolve(model, true, &mut |_| ControlFlow::Continue(()))?)
}

/// The speech detection model, or `None` if it is not installed.
pub fn vad() -> Result<Option<SileroVad>, Failure> {
    let store = Store::open_default()?;
    let Ok(path) = store.path(SPEECH_DETECTOR) else { return Ok(None) };
    load_vad(&path).map(Some)
}
