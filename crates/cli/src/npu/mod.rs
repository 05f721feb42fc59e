//! Support for AMD XDNA NPUs: options, detection, `amanuensis doctor`, and reports of the work that an NPU did.
//!
//! This module is compiled with the cargo feature `npu`. Without the feature, `disabled.rs` replaces it: that file
//! has the same interface, but rejects every use of an NPU.

pub mod doctor;
pub mod options;
pub mod probe;
pub mod usage;
