//! Conversion between token ids and text. The vocabulary is read from the model's files.

mod bpe;
mod byte_alphabet;
mod files;
mod non_speech;
mod special_tokens;
mod vocabulary;

pub(crate) use self::non_speech::default_config;
pub use self::special_tokens::LANGUAGE_CODES;
pub use self::vocabulary::Vocabulary;
