//! Scores transcripts: Whisper's text normalisers, and word and character error rates.
//!
//! Error rates can only be compared if the texts were processed by the same normaliser: whether "twenty-one" equals
//! "21" and "colour" equals "color" can change the rate more than another model does. These normalisers are those of
//! the Whisper paper (Radford et al. 2022, appendix C). They are implemented as in the package `openai-whisper`,
//! including its odd rules. `tests/agreement.py` compares them with the package `whisper-normalizer`, a copy of that
//! code.
//!
//! ```
//! use amanuensis_score::Scorer;
//! let errors = Scorer::new().compare("It's twenty one colours.", "it is 21 color", "en");
//! assert_eq!((errors.substitutions, errors.total(), errors.units), (1, 1, 4));
//! ```
//!
//! This crate works on texts only. It does not use audio, models or files.
#![forbid(unsafe_code)]

mod basic;
mod characters;
mod edits;
mod english;
mod scorer;

pub use basic::BasicNormalizer;
pub use edits::{Errors, align};
pub use english::EnglishNormalizer;
pub use scorer::{Scorer, is_by_character};
