//! How good a transcript is: Whisper's text normalisers, and word and character error rates.
//!
//! Error rates of speech recognisers are only comparable where the texts went through the same normaliser first: whether
//! "twenty-one" and "21", "colour" and "color" are the same word decides more than a model does. The normalisers here
//! are those of the Whisper paper (Radford et al. 2022, appendix C), as the package `openai-whisper` has them, quirks
//! included: `tests/agreement.py` compares with the package `whisper-normalizer`, a copy of that code.
//!
//! ```
//! use amanuensis_score::Scorer;
//! let errors = Scorer::new().compare("It's twenty one colours.", "it is 21 color", "en");
//! assert_eq!((errors.substitutions, errors.total(), errors.units), (1, 1, 4));
//! ```
//!
//! What is not here: audio, models, files.
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
