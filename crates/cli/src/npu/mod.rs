//! AMD XDNA NPUs: options, detection, `amanuensis doctor`, and usage reports.
//!
//! Compiled with the cargo feature `npu`. Without it, `disabled.rs` has the same interface, and rejects NPUs.

pub mod doctor;
pub mod options;
pub mod probe;
pub mod usage;
