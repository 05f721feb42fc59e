//! The prompt: the tokens that are given to the model before it generates tokens of its own.

use super::options::{DecodeOptions, Task};
use crate::engine::Engine;
use crate::error::Error;

/// The prompt of a window.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// Index of the start-of-transcript token.
    pub(crate) sot: usize,
}

/// Builds the prompt of a window. It consists of the previous tokens, if any; the start of transcript; the language
/// and the task, which the prompt of an English-only model lacks; and the no-timestamps token, if no timestamps are
/// wanted.
///
/// # Errors
/// If the model does not support the language or the task.
pub(crate) fn prompt(engine: &Engine, options: &DecodeOptions) -> Result<Prompt, Error> {
    let vocabulary = engine.vocabulary();
    let special = vocabulary.special();
    let mut tokens = Vec::new();
    if !options.previous.is_empty() {
        // As in openai-whisper, the previous tokens and their start token take at most half of the text positions.
        let max_previous = (engine.n_text_ctx() / 2).saturating_sub(1);
        tokens.push(special.start_of_previous);
        tokens.extend(&options.previous[options.previous.len().saturating_sub(max_previous)..]);
    }
    let sot = tokens.len();
    tokens.push(special.sot);
    let language = options.language.as_deref();
    if vocabulary.is_multilingual() {
        let code = language.ok_or(Error::LanguageNeeded)?;
        let known = vocabulary.language_tokens().iter().find(|(known, _)| known == code);
        let (_, language) = known.ok_or_else(|| Error::UnknownLanguage(code.to_owned()))?;
        let task = if options.task == Task::Translate { special.translate } else { special.transcribe };
        tokens.extend([*language, task]);
    } else if let Some(other) = language.filter(|code| *code != "en") {
        return Err(Error::EnglishOnly(format!("the language `{other}`")));
    } else if options.task == Task::Translate {
        return Err(Error::EnglishOnly("translation".to_owned()));
    }
    if !options.timestamps {
        tokens.push(special.no_timestamps);
    }
    Ok(Prompt { tokens, sot })
}
