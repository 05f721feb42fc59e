//! Alignment: finds the time at which each token is spoken.

mod alignment;
mod attention_matrix;
mod dtw;

pub use self::alignment::Alignment;
