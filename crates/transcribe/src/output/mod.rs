//! Output formats of transcripts. Each format has its own file, and one line in the table in `format`.
//!
//! Subtitle formats share `cues`, which arranges segments as cues (subtitles on the screen), and `highlight`, which
//! marks the word that is being spoken.

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
