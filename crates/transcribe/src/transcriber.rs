//! The entry point: a loaded model that takes recordings.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use amanuensis_audio::{Audio, LogMel};
use amanuensis_engine::{Engine, EngineOptions, Error as EngineError, Runtime, SileroVad, Task};

use crate::decoding::Scheduler;
use crate::model::Model;
use crate::pipeline::{Parts, Pipeline};
use crate::{Error, Event, Language, TranscribeOptions, Transcript, WindowCheckpoint};

/// A loaded model that takes recordings, one at a time or from several threads, which then share its steps.
pub struct Transcriber {
    engine: Arc<Engine>,
    scheduler: Scheduler,
    detector: Option<SileroVad>,
    name: String,
}

impl Transcriber {
    /// A transcriber of an engine whose model is called `name` in transcripts.
    pub fn new(engine: Engine, name: impl Into<String>) -> Self {
        let (engine, name) = (Arc::new(engine), name.into());
        let scheduler = Scheduler::new(Arc::clone(&engine), default_batch_size(&engine));
        Self { engine, scheduler, detector: None, name }
    }

    /// Loads the model in a directory, or of a weight file, and calls it by the name of that directory.
    pub fn load(model: &Path, options: &EngineOptions) -> Result<Self, Error> {
        Ok(Self::new(Engine::load(model, options)?, name_of(model)))
    }

    /// The same model under another name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same model, reading only what `detector` takes for speech. Without one, everything is read: text may be
    /// invented where nobody speaks.
    #[must_use]
    pub fn with_vad(self, detector: SileroVad) -> Self {
        Self { detector: Some(detector), ..self }
    }

    /// The same model, decoding up to `batch_size` windows at once; at least one. More is faster, up to a point, and
    /// takes memory for each window. The text does not depend on it.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        let scheduler = Scheduler::new(Arc::clone(&self.engine), batch_size.max(1));
        Self { scheduler, ..self }
    }

    /// Windows that are decoded at once.
    pub fn batch_size(&self) -> usize {
        self.scheduler.batch_size()
    }

    /// Windows of all callers that are being decoded now, and those that wait for that.
    pub fn windows(&self) -> (usize, usize) {
        self.scheduler.windows()
    }

    /// The model's name, as it is written in transcripts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What tells where somebody speaks, where there is such a thing.
    pub fn vad(&self) -> Option<&SileroVad> {
        self.detector.as_ref()
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Whether this model can do what `options` ask.
    ///
    /// # Errors
    /// [`Error::Options`] where they contradict each other, [`Error::EnglishOnly`], [`Error::CannotTranslate`], [`Error::LanguageNotKnown`].
    pub fn check(&self, options: &TranscribeOptions) -> Result<(), Error> {
        if options.word_timestamps && self.engine.runtime() == Runtime::Onnx {
            return Err(Error::Options(EngineError::NoAttention.to_string()));
        }
        let n_vocab = self.engine.vocabulary().n_vocab();
        if let Some(token) = options.logits_filters.suppress.iter().find(|token| **token as usize >= n_vocab) {
            return Err(Error::Options(format!(
                "there is no token {token} to be suppressed: the model {:?} has {n_vocab}, from 0 on",
                self.name
            )));
        }
        check_support(&*self.engine, &self.name, options)
    }

    /// Transcribes a recording.
    ///
    /// `on_event` is told what happens. If it answers [`ControlFlow::Break`], the work ends before the next window and
    /// the transcript holds the segments so far. It does so too when the recording cannot be read to its end:
    /// [`Transcript::ending`] says which. A recording without speech, or too short for any, is no error: its transcript
    /// has no segments, and a warning where it is too short.
    ///
    /// # Errors
    /// Those of [`Self::check`]; [`Error::Audio`] and [`Error::Engine`] where not even one window could be transcribed.
    pub fn transcribe(
        &self,
        audio: Audio,
        options: &TranscribeOptions,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        self.resume(audio, options, Vec::new(), on_event)
    }

    /// Goes on with a transcription that was broken off behind the last of `windows`, which [`Event::Checkpoint`] gave one by
    /// one, and gives the transcript that it would have given undisturbed, timings aside.
    ///
    /// The recording is heard from its beginning, which is quick, but `windows` are not read again, nor are their
    /// segments, languages and warnings told again.
    ///
    /// # Errors
    /// Those of [`Self::transcribe`]; [`Error::CannotResume`] where recording, options, model or voice detector are others.
    pub fn resume(
        &self,
        audio: Audio,
        options: &TranscribeOptions,
        windows: Vec<WindowCheckpoint>,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        self.check(options)?;
        let mel = LogMel::new(self.engine.n_mels())?;
        let client = self.scheduler.client();
        let parts =
            Parts { model: &*self.engine, model_name: &self.name, decoder: &client, vad: self.detector.as_ref(), mel };
        let transcript = Pipeline::new(parts, audio, options, on_event).run(windows);
        if let Some(notice) = self.engine.take_device_notice() {
            // The work is done: that nobody wants to hear more changes nothing.
            let _ = on_event(Event::Warning(&notice));
        }
        transcript
    }
}

impl std::fmt::Debug for Transcriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcriber").field("engine", &self.engine).field("name", &self.name).finish_non_exhaustive()
    }
}

/// As many windows as fit in 72 MiB: six of base, with which a process stays below 300 MB; at least four, which are small
/// beside the weights of a model where that is more.
fn default_batch_size(engine: &Engine) -> usize {
    (72 * 1024 * 1024 / engine.window_bytes()).clamp(4, 16)
}

pub(crate) fn check_support(model: &impl Model, name: &str, options: &TranscribeOptions) -> Result<(), Error> {
    options.check()?;
    // It is to begin a text, not to be one.
    if model.encode_phrase(options.prefix.as_deref()).len() > model.max_prompt_tokens() / 4 {
        return Err(Error::Options("the prefix is longer than a sentence or two".to_owned()));
    }
    if options.multilingual && !model.is_multilingual() {
        return Err(Error::Options(format!("the model {name:?} knows English only, and no other language to detect")));
    }
    let name = || name.to_owned();
    for language in &options.languages {
        if model.is_multilingual() && !model.knows_language(language.code()) {
            return Err(Error::LanguageNotKnown { model: name(), language: *language });
        }
    }
    if let Some(language) = options.languages.first().filter(|_| !model.is_multilingual())
        && !options.languages.contains(&Language::ENGLISH)
    {
        return Err(Error::EnglishOnly { model: name(), language: *language });
    }
    match options.language {
        Some(language) if !model.is_multilingual() && language != Language::ENGLISH => {
            Err(Error::EnglishOnly { model: name(), language })
        }
        _ if !model.is_multilingual() && options.task == Task::Translate => {
            Err(Error::CannotTranslate { model: name() })
        }
        Some(language) if model.is_multilingual() && !model.knows_language(language.code()) => {
            Err(Error::LanguageNotKnown { model: name(), language })
        }
        _ => Ok(()),
    }
}

/// What to call the model at `path`: by its directory, or by its file where that has a name of its own.
fn name_of(path: &Path) -> String {
    // `.` and `..` have no name until they are resolved.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().filter(|_| path.is_file()).filter(|stem| *stem != "model");
    let directory = if path.is_file() { path.parent() } else { Some(path.as_path()) };
    let name = stem.or_else(|| directory?.file_name()).unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_by_their_directory_or_their_own_name() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("base.en");
        std::fs::create_dir(&dir).unwrap();
        for file in ["model.bin", "ggml-base.bin"] {
            std::fs::write(dir.join(file), "").unwrap();
        }
        assert_eq!(name_of(&dir), "base.en");
        assert_eq!(name_of(&dir.join(".")), "base.en");
        assert_eq!(name_of(&dir.join("model.bin")), "base.en");
        assert_eq!(name_of(&dir.join("ggml-base.bin")), "ggml-base");
    }
}
