//! Analyses the imports between the modules of each crate. A rule finds import cycles, and a command prints the
//! imports.

mod circles;
mod code;
mod imports;
mod levels;
mod load;
mod module;
mod print;
mod resolve;
#[cfg(test)]
mod tests;

pub use circles::check;
pub use print::print;
