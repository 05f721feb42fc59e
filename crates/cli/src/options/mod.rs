//! Command line options that several commands share.

pub mod decoding;
pub mod device;
pub mod fallback;
pub mod language;
pub mod logits_filters;
pub mod model;
pub mod performance;
pub mod prompt;
pub mod search;
pub mod speech;
