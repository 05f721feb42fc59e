//! Makes segments (pieces of text with times) from the tokens of a decoded window.

mod build;
mod repetition;
mod split_at_timestamps;

pub(crate) use build::{SegmentBuilder, SpanWords};
pub(crate) use repetition::remove_repetition;
pub(crate) use split_at_timestamps::{Span, TimestampSplit, split_at_timestamps};
