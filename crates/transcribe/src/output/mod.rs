//! Output formats of transcripts: one file for each, and one line in the table of `format`.
//!
//! Subtitle formats share `cues`, which lays segments out as cues, and `highlight`, which marks the word being spoken.

mod ass;
mod clock;
mod cue_words;
mod cues;
mod format;
mod highlight;
mod json;
mod lrc;
mod srt;
mod tsv;
mod txt;
mod vtt;

pub use cues::SubtitleOptions;
pub use format::{OutputFormat, UnknownFormat};

#[cfg(test)]
mod tests;
