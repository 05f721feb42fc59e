//! Statistics of the work that an NPU has done.

use amanuensis_xdna::cost::Predicted;
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::target::Target;

/// The work that an NPU has done so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The hardware generation of the device.
    pub target: Target,
    /// Launches, submissions and transfers so far.
    pub counters: Counters,
    /// The predicted time for this work on a device of this generation, in seconds.
    pub predicted: Predicted,
}
