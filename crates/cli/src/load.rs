//! Finds, downloads and loads speech models.

use std::path::{Path, PathBuf};
use std::thread;

use amanuensis_models::{Error, Store};
use amanuensis_transcribe::{Device, EngineOptions, SileroVad, Transcriber};

use crate::console::Console;
use crate::download::{self, DownloadProgress};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const SPINNER: &str = "{spinner} {prefix} {msg}";

/// Which speech model to load, and how.
pub struct ModelRequest<'a> {
    /// The name of a model, or the path of a model directory or weight file.
    pub model: &'a str,
    pub engine: EngineOptions,
    /// Whether network access is forbidden, so that nothing is downloaded.
    pub offline: bool,
    /// Whether to load the speech detection model too.
    pub needs_vad: bool,
}

impl ModelRequest<'_> {
    /// Finds the model, downloads it if needed, and loads it.
    pub fn load(&self, console: &Console, interrupt: &Interrupt) -> Result<Transcriber, Failure> {
        let Self { model, ref engine, offline, needs_vad } = *self;
        engine.check().map_err(|error| Failure::Usage(error.to_string()))?;
        let store = Store::open_default()?;
        let path = find_model(model, offline, &store, console, interrupt)?;
        console.start_progress(None, SPINNER, format!("loading {model}"));
        let transcriber = Transcriber::load(&path, engine);
        console.clear_progress();
        let transcriber =
            transcriber.map_err(|error| Failure::Failed(format!("cannot load the model {model:?}: {error}")))?;
        if let Some(notice) = transcriber.engine().take_device_notice() {
            if engine.device.device == Device::Auto { console.info(notice) } else { console.warning(notice) }
        }
        if !needs_vad {
            return Ok(transcriber);
        }
        // If the model is given by its path, the user expects no network access. So the speech detection model is not
        // downloaded.
        let offline = offline || store.catalogue().find(model).is_err();
        Ok(match download::speech_detector(&store, offline, console, interrupt)? {
            Some(path) => transcriber.with_vad(load_vad(&path)?),
            None => transcriber,
        })
    }
}

/// Returns the path of a model. Downloads the model if it is missing and downloads are allowed.
pub fn find_model(
    model: &str,
    offline: bool,
    store: &Store,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<PathBuf, Failure> {
    let mut progress = DownloadProgress::new(console, interrupt, model);
    let path = interrupt.run_interruptible(|| store.resolve(model, offline, &mut |step| progress.show(step)));
    console.clear_progress();
    path.map_err(|error| match error {
        Error::UnknownModel { ref name, .. } => {
            Failure::Usage(format!("{error}. To name a file or directory, include a separator, for example ./{name}"))
        }
        error => error.into(),
    })
}

/// Loads the speech detection model from its directory.
pub fn load_vad(path: &Path) -> Result<SileroVad, Failure> {
    SileroVad::load(path).map_err(|error| Failure::Failed(format!("cannot load the speech detection model: {error}")))
}

/// The number of threads that the user requested, or the number of cores.
pub fn thread_count(requested: Option<usize>) -> usize {
    requested.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into))
}
