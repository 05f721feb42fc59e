//! Receives multipart forms and reads the options in them.

pub mod chunking_strategy;
pub mod decoding_options;
pub mod fields;
pub mod multipart;
pub mod speaker_options;
pub mod temperature;
pub mod upload;
