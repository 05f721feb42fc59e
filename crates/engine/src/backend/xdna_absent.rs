//! Replaces the NPU backend in a build without the cargo feature `npu`. Opening it always fails.

use super::interface::{Opened, Unavailable};
use crate::options::DeviceOptions;

const REASON: &str = "this build has no NPU support: it was built without the cargo feature `npu`";

pub(super) fn open(_: &DeviceOptions) -> Opened {
    Err(Unavailable::Absent(REASON.to_owned()))
}

pub(super) fn open_fake(_: &DeviceOptions) -> Opened {
    Err(Unavailable::Absent(REASON.to_owned()))
}
