//! How probable speech is in every 32 ms of a recording: as a network hears it, or, without one, as loud as it is.

use amanuensis_engine::units::SAMPLES_PER_CHUNK;
use amanuensis_engine::{SileroVad, VadStream};

/// What is heard as it is read.
pub(crate) enum Voicing<'v> {
    /// By the network.
    Detected(VadStream<'v>),
    /// Everything counts as speech, the less the quieter: enough to tell where to cut.
    Loudness(Vec<f32>),
}

/// Of everything that is not detected: the least, and what the loudest has beyond it.
const LEAST: f32 = 0.6;
const RANGE: f32 = 0.4;
/// Decibels between the two.
const DECIBELS: f32 = 90.0;

impl<'v> Voicing<'v> {
    pub(crate) fn new(detector: Option<&'v SileroVad>) -> Self {
        detector.map_or_else(|| Self::Loudness(Vec::new()), |detector| Self::Detected(detector.stream()))
    }

    /// Takes the next samples, and appends the probabilities that they make known.
    pub(crate) fn push(&mut self, samples: &[f32], probabilities: &mut Vec<f32>) {
        match self {
            Self::Detected(stream) => stream.push(samples, probabilities),
            Self::Loudness(pending) => {
                pending.extend_from_slice(samples);
                let (chunks, rest) = pending.as_chunks::<SAMPLES_PER_CHUNK>();
                probabilities.extend(chunks.iter().map(|chunk| loudness(chunk)));
                *pending = rest.to_vec();
            }
        }
    }

    /// Appends the probability of every whole chunk of 32 ms so far.
    pub(crate) fn flush(&mut self, probabilities: &mut Vec<f32>) {
        if let Self::Detected(stream) = self {
            stream.flush(probabilities);
        }
    }

    /// The recording ends.
    pub(crate) fn finish(&mut self, probabilities: &mut Vec<f32>) {
        match self {
            Self::Detected(stream) => stream.finish(probabilities),
            Self::Loudness(pending) if pending.is_empty() => {}
            Self::Loudness(pending) => probabilities.push(loudness(pending)),
        }
    }
}

fn loudness(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
    let decibels = 10.0 * power.max(1e-10).log10();
    LEAST + RANGE * (1.0 + decibels / DECIBELS).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_does_not_depend_on_how_samples_come() {
        let samples: Vec<f32> = (0..5000).map(|i| if i < 2048 { 0.0 } else { 0.3 * (i as f32 * 0.1).sin() }).collect();
        let all = |size: usize| {
            let (mut voicing, mut probabilities) = (Voicing::new(None), Vec::new());
            samples.chunks(size).for_each(|samples| voicing.push(samples, &mut probabilities));
            voicing.finish(&mut probabilities);
            probabilities
        };
        let whole = all(5000);
        assert_eq!(whole.len(), 10);
        assert_eq!(all(77), whole);
        assert!(whole[..4].iter().all(|p| (*p - LEAST).abs() < 1e-6) && whole[5] > 0.9);
    }
}
