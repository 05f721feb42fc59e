//! What the model is given before it writes: what was said before, and what is asked of it.

use super::{DecodeOptions, Task};
use crate::{Engine, Error};

/// Tokens of the longest request: start, language, task, and that no times are wanted.
pub(crate) const MAX_PROMPT: usize = 4;

/// The tokens before the text.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// Which of them is the start token, after which the model says whether anybody speaks.
    pub(crate) start: usize,
}

/// The tokens that ask for a transcript: the text before the window, if any; start, language and task, which English-only
/// models do not know; and whether times are wanted.
pub(crate) fn prompt(engine: &Engine, options: &DecodeOptions) -> Result<Prompt, Error> {
    let vocabulary = engine.vocabulary();
    let special = vocabulary.special();
    let mut tokens = Vec::new();
    if !options.previous.is_empty() {
        // As in the original, context and its own token take no more than half of the positions.
        let most = (engine.n_text_ctx() / 2).saturating_sub(1);
        tokens.push(special.start_of_previous);
        tokens.extend(&options.previous[options.previous.len().saturating_sub(most)..]);
    }
    let start = tokens.len();
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
    Ok(Prompt { tokens, start })
}
