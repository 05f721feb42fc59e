//! The speech probability of every chunk of 32 ms. The voice activity detector computes it. Without a detector, it is
//! derived from the loudness of the chunk.

use amanuensis_engine::units::SAMPLES_PER_CHUNK;
use amanuensis_engine::{SileroVad, VadStream};

/// Without a detector, the speech probability of a silent chunk. A chunk at full scale gets 1.
const MIN_LOUDNESS_PROBABILITY: f32 = 0.6;

/// Without a detector, a chunk counts as silent if its level is at least this many decibels below full scale.
const DYNAMIC_RANGE_DB: f32 = 90.0;

/// Converts a stream of samples to the speech probability of each chunk.
pub(crate) enum SpeechProbabilities<'v> {
    /// Probabilities computed by the neural network of the detector.
    Detected(VadStream<'v>),
    /// Probabilities computed from loudness; holds the samples of a chunk that is not complete yet. The probability
    /// of every chunk is above all usual thresholds, so the whole recording is transcribed. The differences between
    /// the probabilities only determine where windows are split.
    Loudness(Vec<f32>),
}

impl<'v> SpeechProbabilities<'v> {
    pub(crate) fn new(vad: Option<&'v SileroVad>) -> Self {
        vad.map_or_else(|| Self::Loudness(Vec::new()), |vad| Self::Detected(vad.stream()))
    }

    /// Takes the next samples and appends the probabilities that are available now to `probabilities`. The detector
    /// may hold samples back until it has enough for a batch.
    pub(crate) fn push(&mut self, samples: &[f32], probabilities: &mut Vec<f32>) {
        match self {
            Self::Detected(stream) => stream.push(samples, probabilities),
            Self::Loudness(pending) => {
                pending.extend_from_slice(samples);
                let (chunks, incomplete) = pending.as_chunks::<SAMPLES_PER_CHUNK>();
                probabilities.extend(chunks.iter().map(|chunk| loudness_probability(chunk)));
                *pending = incomplete.to_vec();
            }
        }
    }

    /// Appends the probabilities of all complete chunks to `probabilities`, including chunks that the detector has
    /// held back.
    pub(crate) fn flush(&mut self, probabilities: &mut Vec<f32>) {
        if let Self::Detected(stream) = self {
            stream.flush(probabilities);
        }
    }

    /// Ends the stream: appends the probabilities of all remaining samples to `probabilities`. The final chunk may be
    /// incomplete.
    pub(crate) fn finish(&mut self, probabilities: &mut Vec<f32>) {
        match self {
            Self::Detected(stream) => stream.finish(probabilities),
            Self::Loudness(pending) if pending.is_empty() => {}
            Self::Loudness(pending) => probabilities.push(loudness_probability(pending)),
        }
    }
}

/// The speech probability for the loudness of a chunk: [`MIN_LOUDNESS_PROBABILITY`] for silence, 1 for full scale,
/// and linear in decibels between them.
fn loudness_probability(samples: &[f32]) -> f32 {
    /// The difference between the highest probability (1.0) and `MIN_LOUDNESS_PROBABILITY`, rounded to the nearest
    /// `f32`.
    const RANGE: f32 = 0.4;
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
    let decibels = 10.0 * power.max(1e-10).log10();
    MIN_LOUDNESS_PROBABILITY + RANGE * (1.0 + decibels / DYNAMIC_RANGE_DB).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_does_not_depend_on_block_sizes() {
        let samples: Vec<f32> = (0..5000).map(|i| if i < 2048 { 0.0 } else { 0.3 * (i as f32 * 0.1).sin() }).collect();
        let in_blocks = |size: usize| {
            let (mut stream, mut probabilities) = (SpeechProbabilities::new(None), Vec::new());
            samples.chunks(size).for_each(|samples| stream.push(samples, &mut probabilities));
            stream.finish(&mut probabilities);
            probabilities
        };
        let whole = in_blocks(5000);
        assert_eq!(whole.len(), 10);
        assert_eq!(in_blocks(77), whole);
        assert!(whole[..4].iter().all(|p| (*p - MIN_LOUDNESS_PROBABILITY).abs() < 1e-6) && whole[5] > 0.9);
    }
}
