//! From a window to tokens.

mod batch;
mod filters;

pub use self::batch::Batch;
use crate::{Engine, Error};

/// Tokens of the longest prompt: start, language, task, and that no times are wanted.
pub(crate) const MAX_PROMPT: usize = 4;

/// What to write down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// What is said, in the language it is said in.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

/// How to decode a window.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// The code of the language spoken; English-only models take none, or "en".
    pub language: Option<String>,
    /// What to write down.
    pub task: Task,
    /// Whether to find times too.
    pub timestamps: bool,
}

/// The tokens of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Text and timestamps as sampled, without the prompt and the end token.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the sampled tokens, the end token included.
    pub avg_logprob: f32,
    /// Probability that the window holds no speech.
    pub no_speech_prob: f32,
    /// The temperature sampled at; 0 is greedy.
    pub temperature: f32,
}

/// The tokens that ask for a transcript: start, language and task, which English-only models do not know, and whether
/// times are wanted.
pub(crate) fn prompt(engine: &Engine, options: &DecodeOptions) -> Result<Vec<u32>, Error> {
    let vocabulary = engine.vocabulary();
    let special = vocabulary.special();
    let mut prompt = vec![special.sot];
    let language = options.language.as_deref();
    if vocabulary.is_multilingual() {
        let code = language.ok_or(Error::LanguageNeeded)?;
        let known = vocabulary.language_tokens().iter().find(|(known, _)| known == code);
        let (_, language) = known.ok_or_else(|| Error::UnknownLanguage(code.to_owned()))?;
        let task = if options.task == Task::Translate { special.translate } else { special.transcribe };
        prompt.extend([*language, task]);
    } else if let Some(other) = language.filter(|code| *code != "en") {
        return Err(Error::EnglishOnly(format!("the language `{other}`")));
    } else if options.task == Task::Translate {
        return Err(Error::EnglishOnly("translation".to_owned()));
    }
    if !options.timestamps {
        prompt.push(special.no_timestamps);
    }
    Ok(prompt)
}
