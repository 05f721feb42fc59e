//! Finds gaps: speech in a window that no segment covers. There may be gaps because models sometimes skip sentences.

use std::ops::Range;

use amanuensis_engine::Frames;

use super::span::{WindowSpan, speech_within};

/// Gaps (speech that no segment covers) with less speech than this are ignored. Such short gaps are breaths or result
/// from inexact timestamps.
const MIN_SPEECH_IN_GAP: Frames = Frames(100);

/// Returns the parts of `window` that contain speech and are not covered by `segments`, which must be ordered by
/// time. Only the first `advance` frames of the window are searched, because the next window covers the rest.
pub(crate) fn untranscribed_gaps(
    window: &WindowSpan,
    advance: Frames,
    segments: impl Iterator<Item = Range<Frames>>,
) -> Vec<Range<Frames>> {
    let end = window.frames.start + advance;
    let mut covered_to = window.frames.start;
    let mut gaps = Vec::new();
    for segment in segments.chain(std::iter::once(end..end)) {
        gaps.push(covered_to..segment.start.clamp(covered_to, end));
        covered_to = covered_to.max(segment.end.min(end));
    }
    gaps.retain(|gap| speech_within(&window.speech, gap) >= MIN_SPEECH_IN_GAP);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_that_no_segment_covers_is_a_gap() {
        let frames = |&(start, end): &(usize, usize)| Frames(start)..Frames(end);
        let speech = [(0, 1000), (1100, 1400), (1500, 2000)].iter().map(frames).collect();
        let window = WindowSpan { frames: Frames(0)..Frames(2000), speech };
        let find = |segments: &[(usize, usize)]| -> Vec<(usize, usize)> {
            let gaps = untranscribed_gaps(&window, Frames(2000), segments.iter().map(frames));
            gaps.into_iter().map(|gap| (gap.start.0, gap.end.0)).collect()
        };
        assert_eq!(find(&[(0, 1000), (1100, 1990)]), []);
        assert_eq!(find(&[(0, 600)]), [(600, 2000)], "the gap extends to the end of the window");
        assert_eq!(find(&[(200, 1000), (1450, 1800)]), [(0, 200), (1000, 1450), (1800, 2000)]);
        assert_eq!(find(&[(0, 900), (1300, 2500)]), [(900, 1300)]);
    }
}
