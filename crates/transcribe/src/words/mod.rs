//! Word timestamps: when each word of a segment begins and ends.
//!
//! The engine aligns every token with the audio by cross-attention ([`Alignment`](amanuensis_engine::Alignment)).
//! From this alignment, [`time_words`] computes word times in three steps:
//!
//! 1. `split` joins tokens to words.
//! 2. `borders` moves the borders between words into the silences of the window. `silence` finds these silences, and
//!    `pauses` decides which silence belongs to which border.
//! 3. `long_words` shortens words that are still implausibly long, by the rules of `openai-whisper`
//!    (`whisper/timing.py`, `add_word_timestamps`).
//!
//! All times are mel frames of 10 ms.

mod borders;
mod long_words;
mod pauses;
mod segment;
mod silence;
mod split;
mod timed_word;
mod timing;

pub(crate) use segment::{SegmentTokens, SegmentWords};
pub(crate) use silence::SilenceMap;
pub(crate) use split::SENTENCE_END;
pub(crate) use timing::time_words;

#[cfg(test)]
mod tests;
