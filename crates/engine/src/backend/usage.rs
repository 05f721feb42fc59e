//! Statistics of the work that an NPU has done.

use amanuensis_xdna::cost::Predicted;
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::target::Target;

/// The work that an NPU has done so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The hardware generation of the NPU.
    pub target: Target,
    /// Numbers of launches (runs of an NPU kernel), submissions and transfers so far.
    pub counters: Counters,
    /// The time in seconds that a performance model predicts for this work on an NPU of this generation.
    pub predicted: Predicted,
}
