//! The probability of speech in every chunk of 32 ms, from the voice activity detector or, without one, from loudness.

use amanuensis_engine::units::SAMPLES_PER_CHUNK;
use amanuensis_engine::{SileroVad, VadStream};

/// The probability of speech in silence, if there is no detector. The loudest chunk has 1.
const MIN_LOUDNESS_PROBABILITY: f32 = 0.6;

/// Decibels below full scale at which a chunk counts as silent.
const DYNAMIC_RANGE_DB: f32 = 90.0;

/// Turns a stream of samples into the probability of speech in each chunk.
pub(crate) enum SpeechProbabilities<'v> {
    /// From the detector's network.
    Detected(VadStream<'v>),
    /// From loudness, with the samples of a chunk that is not complete yet. Every chunk gets a probability above any usual
    /// threshold, so all of the recording is transcribed. The differences only tell where to split windows.
    Loudness(Vec<f32>),
}

impl<'v> SpeechProbabilities<'v> {
    pub(crate) fn new(vad: Option<&'v SileroVad>) -> Self {
        vad.map_or_else(|| Self::Loudness(Vec::new()), |vad| Self::Detected(vad.stream()))
    }

    /// Takes the next samples and appends the probabilities that are known now. The detector may keep some samples back
    /// until it has enough of them for a batch.
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

    /// Appends the probabilities of all complete chunks, also of those that the detector kept back.
    pub(crate) fn flush(&mut self, probabilities: &mut Vec<f32>) {
        if let Self::Detected(stream) = self {
            stream.flush(probabilities);
        }
    }

    /// Ends the stream: appends the probabilities of all remaining samples, the last chunk possibly incomplete.
    pub(crate) fn finish(&mut self, probabilities: &mut Vec<f32>) {
        match self {
            Self::Detected(stream) => stream.finish(probabilities),
            Self::Loudness(pending) if pending.is_empty() => {}
            Self::Loudness(pending) => probabilities.push(loudness_probability(pending)),
        }
    }
}

/// [`MIN_LOUDNESS_PROBABILITY`] for silence, up to 1 for full scale, linear in decibels.
fn loudness_probability(samples: &[f32]) -> f32 {
    /// `1.0 - MIN_LOUDNESS_PROBABILITY`, rounded to the nearest `f32`.
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
