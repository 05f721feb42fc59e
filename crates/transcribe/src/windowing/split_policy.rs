//! Where windows end.

use std::ops::Range;

use amanuensis_engine::Chunks;

/// Where windows end.
#[derive(Debug, Clone)]
pub(super) struct SplitPolicy {
    /// A pause of at least this length ends a window.
    pub(super) min_pause: Chunks,
    /// A window without such a pause is split at a length in this range.
    pub(super) split_at: Range<Chunks>,
}

impl SplitPolicy {
    /// As few windows as possible. They are split before they are full: if speech fills a window up to its end, models often
    /// leave out the last sentence, which may go on.
    pub(super) const LONG_WINDOWS: Self =
        Self { min_pause: Chunks::within(5.0), split_at: Chunks::within(20.0)..Chunks::within(28.0) };

    /// Short windows that end at every pause, because another speaker with another language may begin after it.
    pub(super) const AT_EVERY_PAUSE: Self =
        Self { min_pause: Chunks::within(0.1), split_at: Chunks::within(8.0)..Chunks::within(16.0) };
}
