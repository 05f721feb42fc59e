//! Divides a recording into windows around speech.
//!
//! A window begins and ends with speech, plus some padding. Short pauses are part of a window. A long pause ends the
//! window and is not transcribed. If there is no long pause before the window gets too long, the window is split
//! where the speech probability is lowest. Where the next window begins depends on the [`Strategy`].

mod batched;
mod gaps;
mod runs;
mod sequential;
mod span;
mod speech_map;
mod split_policy;

use std::ops::Range;

use amanuensis_engine::{Frames, Samples, SileroVad};

use crate::options::{Strategy, TranscribeOptions};
use crate::vad::VadOptions;
use batched::BatchedWindower;
pub(crate) use gaps::untranscribed_gaps;
use sequential::SequentialWindower;
pub(crate) use span::WindowSpan;
use speech_map::SpeechMap;
use split_policy::SplitPolicy;

/// Takes the speech probability of each chunk, and returns windows as soon as their ends are known.
pub(crate) struct Windower {
    map: SpeechMap,
    by_strategy: ByStrategy,
}

enum ByStrategy {
    Batched(BatchedWindower),
    Sequential(SequentialWindower),
}

impl Windower {
    /// Creates a windower for windows of at most `max_window` frames.
    pub(crate) fn new(options: &TranscribeOptions, max_window: Frames) -> Self {
        let policy = if options.multilingual { SplitPolicy::AT_EVERY_PAUSE } else { SplitPolicy::LONG_WINDOWS };
        let map = SpeechMap::new(options.vad.unwrap_or_default(), &options.clips);
        let by_strategy = match options.strategy {
            Strategy::Batched => ByStrategy::Batched(BatchedWindower::new(policy, max_window)),
            Strategy::Sequential => ByStrategy::Sequential(SequentialWindower::new(policy, max_window)),
        };
        Self { map, by_strategy }
    }

    /// Appends the speech probabilities of the next chunks.
    pub(crate) fn push(&mut self, probabilities: &[f32]) {
        self.map.push(probabilities);
    }

    /// Tells the windower that the recording has ended.
    pub(crate) fn finish(&mut self) {
        self.map.finish();
    }

    /// Returns the next window. `None` if more of the recording has to be read first, or if no speech is left. In
    /// sequential mode the window begins at `position` or later. In batched mode `position` is ignored, and the
    /// window begins at the end of the previous window or later.
    pub(crate) fn next_window(&mut self, position: Frames) -> Option<WindowSpan> {
        match &mut self.by_strategy {
            ByStrategy::Batched(windower) => windower.next_window(&mut self.map),
            ByStrategy::Sequential(windower) => windower.window_from(&mut self.map, position),
        }
    }

    /// The frame before which no later window begins. Samples before this frame are no longer needed.
    pub(crate) fn done(&self) -> Frames {
        self.map.start()
    }
}

/// Divides a recording into windows as the batched strategy does. Returns the range of each window in frames of 10
/// ms. `samples` are 16 kHz mono, and each window has at most `n_frames` frames.
pub fn speech_windows(vad: &SileroVad, options: &VadOptions, n_frames: usize, samples: &[f32]) -> Vec<Range<usize>> {
    let (mut stream, mut probabilities) = (vad.stream(), Vec::new());
    stream.push(samples, &mut probabilities);
    stream.finish(&mut probabilities);
    let options = TranscribeOptions { vad: Some(*options), ..TranscribeOptions::default() };
    let mut windower = Windower::new(&options, Frames(n_frames));
    windower.push(&probabilities);
    windower.finish();
    // The final chunk may end after the recording.
    let end = Samples(samples.len()).whole_frames().0;
    std::iter::from_fn(|| windower.next_window(Frames::ZERO))
        .map(|window| window.frames.start.0..window.frames.end.0.min(end))
        .filter(|frames| !frames.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
