//! Int8 matrix products on AMD XDNA NPUs, without a vendor runtime.

#![forbid(unsafe_code)]

pub mod matmul;
