//! From the tokens of a window to segments.

mod repetition;
mod split_at_timestamps;

pub(crate) use repetition::remove_repetition;
pub(crate) use split_at_timestamps::{Cut, Piece, cut};
