//! Rules that determine where a window ends.

use std::ops::Range;

use amanuensis_engine::Chunks;

/// Rules that determine where a window ends. Lengths are in chunks of 32 ms.
#[derive(Debug, Clone)]
pub(super) struct SplitPolicy {
    /// A pause of at least this length ends a window.
    pub(super) min_pause: Chunks,
    /// If no pause ends a window, the window is split at a length within this range, where speech is least probable.
    pub(super) split_at: Range<Chunks>,
}

impl SplitPolicy {
    /// The policy for as few windows as possible. Windows are split before they reach the maximum length. A model
    /// often omits the final sentence if speech continues to the end of a full window.
    pub(super) const LONG_WINDOWS: Self =
        Self { min_pause: Chunks::within(5.0), split_at: Chunks::within(20.0)..Chunks::within(28.0) };

    /// The policy for short windows that end at every pause. It is for recordings with several languages: after a
    /// pause, another speaker may continue in another language.
    pub(super) const AT_EVERY_PAUSE: Self =
        Self { min_pause: Chunks::within(0.1), split_at: Chunks::within(8.0)..Chunks::within(16.0) };
}
