//! Scores transcripts: Whisper's text normalisers, and word and character error rates.
//!
//! Error rates are only comparable between texts that the same normaliser has processed: whether "twenty-one" equals "21"
//! and "colour" equals "color" can change the rate more than another model does. These normalisers are those of the
//! Whisper paper (Radford et al. 2022, appendix C) as implemented in the package `openai-whisper`, quirks included.
//! `tests/agreement.py` compares them with the package `whisper-normalizer`, a copy of that code.
//!
//! ```
//! use amanuensis_score::Scorer;
//! let errors = Scorer::new().compare("It's twenty one colours.", "it is 21 color", "en");
//! assert_eq!((errors.substitutions, errors.total(), errors.units), (1, 1, 4));
//! ```
//!
//! This crate knows no audio, models or files.
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
