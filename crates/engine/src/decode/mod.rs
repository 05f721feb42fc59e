//! Decoding: turns an encoded window into tokens.

mod batch;
mod candidates;
mod hypothesis;
mod logits;
mod loop_detection;
mod options;
mod prompt;
mod sampling;
mod search;
mod slot;
mod stepwise;

pub use self::batch::Batch;
pub use self::options::{DecodeOptions, DecodingResult, LogitsFilterOptions, Search, Task};
pub(crate) use self::prompt::prompt;
pub use self::stepwise::{StepwiseDecoder, TokenLogprob};
