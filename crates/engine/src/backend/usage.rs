//! The work that an NPU has done.

use amanuensis_xdna::cost::Predicted;
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::target::Target;

/// The work that an NPU has done so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The generation of the device.
    pub target: Target,
    /// Launches, submissions and transfers so far.
    pub counters: Counters,
    /// The time that this work is predicted to take on a device of this generation, in seconds.
    pub predicted: Predicted,
}
