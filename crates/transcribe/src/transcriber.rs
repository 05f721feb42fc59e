//! The main type of this crate: a loaded model that transcribes recordings.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use amanuensis_audio::{Audio, LogMel};
use amanuensis_engine::{Engine, EngineOptions, Error as EngineError, Runtime, SileroVad, Task};

use crate::decoding::Scheduler;
use crate::model::Model;
use crate::pipeline::{Parts, Pipeline};
use crate::{Error, Event, Language, TranscribeOptions, Transcript, WindowCheckpoint};

/// A loaded model that transcribes recordings. Several threads may use it at the same time: the windows of all their
/// recordings are decoded in one batch.
pub struct Transcriber {
    engine: Arc<Engine>,
    scheduler: Scheduler,
    vad: Option<SileroVad>,
    name: String,
}

impl Transcriber {
    /// Creates a transcriber. `name` is the name of the model in transcripts.
    pub fn new(engine: Engine, name: impl Into<String>) -> Self {
        let (engine, name) = (Arc::new(engine), name.into());
        let scheduler = Scheduler::new(Arc::clone(&engine), default_batch_size(&engine));
        Self { engine, scheduler, vad: None, name }
    }

    /// Loads a model from a directory or a weight file. The name of the model in transcripts is the name of the
    /// directory, or the name of the file unless the file is just called `model`.
    pub fn load(model: &Path, options: &EngineOptions) -> Result<Self, Error> {
        Ok(Self::new(Engine::load(model, options)?, name_of(model)))
    }

    /// Sets the name of the model in transcripts.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Sets the voice activity detector, so that only speech is transcribed. Without a detector the whole recording
    /// is transcribed, and the model may invent text where nobody speaks.
    #[must_use]
    pub fn with_vad(self, vad: SileroVad) -> Self {
        Self { vad: Some(vad), ..self }
    }

    /// Sets the maximum number of windows that are decoded at once; at least one. A larger batch is faster up to a
    /// point, but each window needs memory. The batch size does not change the text.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        let scheduler = Scheduler::new(Arc::clone(&self.engine), batch_size.max(1));
        Self { scheduler, ..self }
    }

    /// The maximum number of windows that are decoded at once.
    pub fn batch_size(&self) -> usize {
        self.scheduler.batch_size()
    }

    /// The number of windows of all recordings that are being decoded now, and the number of windows that wait to be
    /// decoded.
    pub fn windows(&self) -> (usize, usize) {
        self.scheduler.windows()
    }

    /// The name of the model in transcripts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine, which runs the model.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The voice activity detector, if one was set.
    pub fn vad(&self) -> Option<&SileroVad> {
        self.vad.as_ref()
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Checks that the options are valid and supported by this model.
    ///
    /// # Errors
    /// [`Error::Options`], [`Error::EnglishOnly`], [`Error::CannotTranslate`] or [`Error::LanguageNotKnown`] if they
    /// are not.
    pub fn check(&self, options: &TranscribeOptions) -> Result<(), Error> {
        if options.word_timestamps && self.engine.runtime() == Runtime::Onnx {
            return Err(Error::Options(EngineError::NoAttention.to_string()));
        }
        let n_vocab = self.engine.vocabulary().n_vocab();
        if let Some(token) = options.logits_filters.suppress.iter().find(|token| **token as usize >= n_vocab) {
            return Err(Error::Options(format!(
                "there is no token {token} to suppress: the model {:?} has {n_vocab} tokens, counted from 0",
                self.name
            )));
        }
        check_support(&*self.engine, &self.name, options)
    }

    /// Transcribes a recording.
    ///
    /// Events are sent to `on_event`. If it returns [`ControlFlow::Break`], the work stops before the next window,
    /// and the transcript contains the segments so far. The transcript also ends early if the rest of the recording
    /// cannot be read or decoded. [`Transcript::ending`] tells which of these cases occurred. If the recording has no
    /// speech, the transcript has no segments; this is not an error.
    ///
    /// # Errors
    /// The errors of [`Self::check`]; [`Error::Audio`] or [`Error::Engine`] if not even the first window could be
    /// transcribed.
    pub fn transcribe(
        &self,
        audio: Audio,
        options: &TranscribeOptions,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        self.resume(audio, options, Vec::new(), on_event)
    }

    /// Continues an interrupted transcription after its last checkpoint. `checkpoints` must be all checkpoints that
    /// [`Event::Checkpoint`] sent, from the first to the last. Apart from its timings, the transcript is the same as
    /// without the interruption.
    ///
    /// The recording is read from its beginning, which is fast, but the windows of the checkpoints are not decoded
    /// again. Their segments, languages and warnings are part of the transcript, but no events are sent for them.
    ///
    /// # Errors
    /// The errors of [`Self::transcribe`]; [`Error::CannotResume`] if the recording, the options, the model or the
    /// voice activity detector have changed.
    pub fn resume(
        &self,
        audio: Audio,
        options: &TranscribeOptions,
        checkpoints: Vec<WindowCheckpoint>,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        self.check(options)?;
        let client = self.scheduler.client();
        let parts = Parts {
            model: &*self.engine,
            model_name: &self.name,
            decoder: &client,
            vad: self.vad.as_ref(),
            mel: LogMel::new(self.engine.n_mels())?,
        };
        let transcript = Pipeline::new(parts, audio, options, on_event).run(checkpoints);
        if let Some(notice) = self.engine.take_device_notice() {
            // All windows are finished, so a request to cancel has no effect and is ignored.
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

/// The number of windows whose data fit into 72 MiB of memory, but at least 4 and at most 16. For the model `base`
/// this gives six windows, and the process uses less than 300 MB. For larger models, four windows need more than 72
/// MiB, but this is little compared to the weights.
fn default_batch_size(engine: &Engine) -> usize {
    const MAX_BATCH_BYTES: usize = 72 * 1024 * 1024;
    (MAX_BATCH_BYTES / engine.window_bytes()).clamp(4, 16)
}

/// Checks that the options are valid, and that the model supports them. `name` is the name of the model.
pub(crate) fn check_support(model: &impl Model, name: &str, options: &TranscribeOptions) -> Result<(), Error> {
    options.check()?;
    // The prefix may use only a part of the model's context, because the text of the window must fit in as well.
    if model.encode_phrase(options.prefix.as_deref()).len() > model.max_prompt_tokens() / 4 {
        return Err(Error::Options("the prefix is longer than a sentence or two".to_owned()));
    }
    if model.is_multilingual() { check_languages(model, name, options) } else { check_english_only(name, options) }
}

fn check_languages(model: &impl Model, name: &str, options: &TranscribeOptions) -> Result<(), Error> {
    let mut languages = options.languages.iter().chain(&options.language);
    match languages.find(|language| !model.knows_language(language.code())) {
        Some(language) => Err(Error::LanguageNotKnown { model: name.to_owned(), language: *language }),
        None => Ok(()),
    }
}

fn check_english_only(name: &str, options: &TranscribeOptions) -> Result<(), Error> {
    if options.multilingual {
        return Err(Error::Options(format!(
            "the model {name:?} knows English only, and cannot detect other languages"
        )));
    }
    let model = || name.to_owned();
    let is_english_possible = options.languages.is_empty() || options.languages.contains(&Language::ENGLISH);
    let other_candidate = options.languages.first().filter(|_| !is_english_possible);
    let other_language = options.language.as_ref().filter(|language| **language != Language::ENGLISH);
    if let Some(language) = other_candidate.or(other_language) {
        return Err(Error::EnglishOnly { model: model(), language: *language });
    }
    if options.task == Task::Translate {
        return Err(Error::CannotTranslate { model: model() });
    }
    Ok(())
}

/// The name of the model in transcripts: the name of its directory, or the name of its file unless the file is just
/// called `model`.
fn name_of(path: &Path) -> String {
    // Paths such as `.` and `..` have no file name until they are resolved.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().filter(|_| path.is_file()).filter(|stem| *stem != "model");
    let directory = if path.is_file() { path.parent() } else { Some(path.as_path()) };
    let name = stem.or_else(|| directory?.file_name()).unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::scripted::ScriptedModel;

    #[test]
    fn a_model_is_named_after_its_directory_or_its_file() {
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

    #[test]
    fn options_that_a_model_does_not_support_are_errors() {
        let default = TranscribeOptions::default;
        let german = TranscribeOptions { language: "german".parse().ok(), ..default() };
        let cantonese = TranscribeOptions { language: "yue".parse().ok(), ..default() };
        let translate = TranscribeOptions { task: Task::Translate, ..default() };
        let english = TranscribeOptions { language: Some(Language::ENGLISH), ..default() };
        let multilingual = ScriptedModel::new(Vec::new());
        let english_only = ScriptedModel { multilingual: false, ..ScriptedModel::new(Vec::new()) };
        assert!(matches!(check_support(&english_only, "m", &german), Err(Error::EnglishOnly { .. })));
        assert!(matches!(check_support(&english_only, "m", &translate), Err(Error::CannotTranslate { .. })));
        assert!(matches!(check_support(&multilingual, "m", &cantonese), Err(Error::LanguageNotKnown { .. })));
        assert!(check_support(&english_only, "m", &english).is_ok());
        assert!(check_support(&multilingual, "m", &translate).is_ok());
        let message = check_support(&english_only, "tiny.en", &german).unwrap_err().to_string();
        assert!(message.contains("tiny.en") && message.contains("german"), "{message}");
    }
}
