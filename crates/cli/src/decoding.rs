//! The options that say how recordings are turned into text, shared by the commands that do so.

use std::path::PathBuf;
use std::thread;

use amanuensis_engine::Device;
use amanuensis_models::{Error, Store};
use amanuensis_transcribe::{
    ComputeType, EngineOptions, Runtime, SileroVad, Strategy, Task, TranscribeOptions, Transcriber,
};
use clap::builder::NonEmptyStringValueParser;

use crate::console::Console;
use crate::failure::Failure;
use crate::fetch;
use crate::interrupt::Interrupt;
use crate::language::Spoken;
use crate::models;
use crate::npu::args::DeviceArgs;
use crate::search::SearchArgs;
use crate::speech::SpeechArgs;
use crate::values::{batch_sizes, name_of, thread_counts};

const SPINNER: &str = "{spinner} {prefix} {msg}";

/// A model, and what it is to do.
#[derive(Debug, clap::Args)]
pub struct DecodingArgs {
    /// A model of `amanuensis models list`, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,

    /// Write in the language spoken, or translate to English
    #[arg(long, default_value = "transcribe", value_parser = name_of::<Task>())]
    pub task: Task,

    /// Arithmetic: fast, or the slower reference [default: int8]
    #[arg(long, value_name = "TYPE", value_parser = name_of::<ComputeType>())]
    pub compute_type: Option<ComputeType>,

    /// What runs the model: our own engine, or, for an ONNX export, its graphs as they are, slowly and without word times
    #[arg(long, default_value = "native", value_parser = name_of::<Runtime>())]
    pub runtime: Runtime,

    /// How to go through a long recording: many windows at once, cut where it is quiet, or one after the other, each from
    /// where the text of the one before ends
    #[arg(long, default_value = "batched", value_parser = name_of::<Strategy>())]
    pub strategy: Strategy,

    /// Windows to decode at once with the batched strategy; the text does not depend on it [default: by memory]
    #[arg(long, value_name = "N", value_parser = batch_sizes())]
    pub batch_size: Option<usize>,

    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,

    /// Never use the network; the model has to be there
    #[arg(long)]
    pub offline: bool,

    #[command(flatten)]
    pub device: DeviceArgs,

    #[command(flatten)]
    pub search: SearchArgs,

    #[command(flatten)]
    pub speech: SpeechArgs,
}

impl DecodingArgs {
    /// What to make of a recording in this language.
    pub fn options(&self, language: Spoken) -> TranscribeOptions {
        let language = match language {
            Spoken::Auto => None,
            Spoken::In(language) => Some(language),
        };
        TranscribeOptions {
            language,
            task: self.task,
            vad: self.speech.options(),
            clips: self.speech.clips(),
            ..self.search.options(self.strategy)
        }
    }

    /// The number format of what is computed; that of a graph is its own.
    pub fn arithmetic(&self) -> String {
        match self.runtime {
            Runtime::Native => self.compute_type.unwrap_or_default().to_string(),
            Runtime::Onnx => self.runtime.to_string(),
        }
    }

    /// Finds the model, fetches it if need be, and loads it.
    pub fn load(&self, console: &Console, interrupt: &Interrupt) -> Result<Transcriber, Failure> {
        let device = self.device.options()?;
        if self.runtime == Runtime::Onnx && self.compute_type.is_some() {
            return Err(Failure::Usage(
                "--compute-type is for our own engine: a graph has its own arithmetic".to_owned(),
            ));
        }
        let wanted = Wanted {
            model: &self.model,
            engine: EngineOptions {
                compute_type: self.compute_type.unwrap_or_default(),
                threads: thread_count(self.threads),
                device,
                runtime: self.runtime,
            },
            offline: self.offline,
            detects_speech: self.speech.options().is_some(),
        };
        let transcriber = load(&wanted, console, interrupt)?;
        Ok(match self.batch_size {
            Some(batch_size) => transcriber.with_batch_size(batch_size),
            None => transcriber,
        })
    }
}

/// A model to load, and how.
pub struct Wanted<'a> {
    pub model: &'a str,
    pub engine: EngineOptions,
    pub offline: bool,
    /// Whether the voice detector is needed too.
    pub detects_speech: bool,
}

/// Finds a model, fetches it if need be, and loads it.
pub fn load(wanted: &Wanted<'_>, console: &Console, interrupt: &Interrupt) -> Result<Transcriber, Failure> {
    let Wanted { model, ref engine, offline, detects_speech } = *wanted;
    engine.check().map_err(|error| Failure::Usage(error.to_string()))?;
    let store = Store::open_default().map_err(models::failure)?;
    let path = find(model, offline, &store, console, interrupt)?;
    console.start_bar(None, SPINNER, format!("loading {model}"));
    let transcriber = Transcriber::load(&path, engine);
    console.clear_bar();
    let transcriber =
        transcriber.map_err(|error| Failure::Failed(format!("cannot load the model {model:?}: {error}")))?;
    if let Some(notice) = transcriber.engine().take_device_notice() {
        if engine.device.device == Device::Auto { console.note(notice) } else { console.warning(notice) }
    }
    if !detects_speech {
        return Ok(transcriber);
    }
    // Who names a path of the own expects no network.
    let offline = offline || store.catalogue().find(model).is_err();
    let Some(path) = fetch::speech_detector(&store, offline, console, interrupt)? else {
        return Ok(transcriber);
    };
    let detector = SileroVad::load(&path);
    let detector = detector.map_err(|error| Failure::Failed(format!("cannot load the voice detector: {error}")))?;
    Ok(transcriber.with_vad(detector))
}

/// The path of a model, which is fetched if need be.
pub fn find(
    model: &str,
    offline: bool,
    store: &Store,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<PathBuf, Failure> {
    let mut display = fetch::Display::new(console, interrupt, model);
    let path = interrupt.heed(|| store.resolve(model, offline, &mut |step| display.show(step)));
    console.clear_bar();
    path.map_err(|error| match error {
        Error::UnknownModel { ref name, .. } => {
            Failure::Usage(format!("{error}. A path to a model of your own needs a separator, for example ./{name}"))
        }
        error => models::failure(error),
    })
}

/// As many threads as were asked for, or the machine has cores.
pub fn thread_count(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into))
}
