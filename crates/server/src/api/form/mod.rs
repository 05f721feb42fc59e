//! Receives multipart forms, and reads the transcription options from the form fields.

pub mod chunking_strategy;
pub mod decoding_options;
pub mod fields;
pub mod multipart;
pub mod speaker_options;
pub mod temperature;
pub mod upload;
