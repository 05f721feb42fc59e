//! Support for AMD XDNA NPUs: options, detection, `amanuensis doctor`, and usage reports.
//!
//! This module is compiled with the cargo feature `npu`. Without the feature, `disabled.rs` provides the same
//! interface and rejects every use of an NPU.

pub mod doctor;
pub mod options;
pub mod probe;
pub mod usage;
