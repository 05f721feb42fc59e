//! Mixes decoded buffers of any sample format and channel count to mono `f32`.

use symphonia::core::audio::GenericAudioBufferRef;

/// The maximum amplitude of a sample; larger samples are reduced to it. Some float files hold samples in the range of
/// 16-bit integers, ±32768. Samples beyond twice that range cannot be audio, and could make the power spectrum
/// overflow.
const MAX_AMPLITUDE: f32 = 65_536.0;

/// Mixes decoded buffers to mono. It reuses its own working memory from call to call.
#[derive(Default)]
pub(crate) struct Mixer {
    planes: Vec<Vec<f32>>,
}

/// The number of samples that were repaired, counted over all channels.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// Samples that were NaN or infinite and were set to zero.
    pub(crate) non_finite: u64,
    /// Samples that were beyond ±65536 and were set to that limit.
    pub(crate) clipped: u64,
}

impl Mixer {
    /// The number of channels of the most recent buffer.
    pub(crate) fn channels(&self) -> usize {
        self.planes.len()
    }

    /// Replaces the contents of `mono` by the mean of all channels of `buffer`.
    ///
    /// Integers are scaled to -1..1. Float samples beyond full scale are kept up to ±65536. The log-mel spectrogram
    /// is relative to its own maximum, so loud samples do no harm, but reducing them to 1 would.
    pub(crate) fn mix(&mut self, buffer: &GenericAudioBufferRef<'_>, mono: &mut Vec<f32>) -> Repaired {
        buffer.copy_to_vecs_planar(&mut self.planes);
        let mut repaired = Repaired::default();
        for plane in &mut self.planes {
            let of_plane = clean(plane);
            repaired.non_finite += of_plane.non_finite;
            repaired.clipped += of_plane.clipped;
        }
        let channels = self.planes.len();
        let Some((first, others)) = self.planes.split_first_mut() else {
            mono.clear();
            return repaired;
        };
        std::mem::swap(first, mono);
        for other in &*others {
            for (sum, sample) in mono.iter_mut().zip(other) {
                *sum += sample;
            }
        }
        if channels > 1 {
            let scale = 1.0 / channels as f32;
            for sum in mono {
                *sum *= scale;
            }
        }
        repaired
    }
}

/// Makes every sample finite and at most [`MAX_AMPLITUDE`] in magnitude.
pub(crate) fn clean(samples: &mut [f32]) -> Repaired {
    let mut repaired = Repaired::default();
    // Nearly every block needs no repair, and a test of the whole block is cheap, so it comes first.
    if samples.iter().all(|s| s.abs() <= MAX_AMPLITUDE) {
        return repaired;
    }
    for sample in samples {
        if !sample.is_finite() {
            *sample = 0.0;
            repaired.non_finite += 1;
        } else if sample.abs() > MAX_AMPLITUDE {
            *sample = MAX_AMPLITUDE.copysign(*sample);
            repaired.clipped += 1;
        }
    }
    repaired
}

#[cfg(test)]
mod tests {
    use super::*;
    use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels};

    fn mixed(channels: u16, samples: &[f32]) -> (Vec<f32>, Repaired) {
        let frames = samples.len() / usize::from(channels);
        let mut buffer = AudioBuffer::<f32>::new(AudioSpec::new(16_000, Channels::Discrete(channels)), frames);
        buffer.render_uninit(Some(frames));
        buffer.copy_from_slice_interleaved(&samples);
        let mut mono = vec![9.0];
        let repaired = Mixer::default().mix(&buffer.as_generic_audio_buffer_ref(), &mut mono);
        (mono, repaired)
    }

    #[test]
    fn mono_is_the_mean_of_the_channels() {
        assert_eq!(mixed(1, &[0.25, -0.5]).0, [0.25, -0.5]);
        assert_eq!(mixed(2, &[0.5, 0.25, -1.0, 1.0]).0, [0.375, 0.0]);
        assert_eq!(mixed(4, &[1.0, 2.0, 3.0, 4.0]).0, [2.5]);
    }

    #[test]
    fn nan_becomes_silence_and_samples_beyond_full_scale_are_kept() {
        let (mono, repaired) = mixed(1, &[f32::NAN, f32::INFINITY, -3.0, 1e30, 0.5]);
        assert_eq!(mono, [0.0, 0.0, -3.0, MAX_AMPLITUDE, 0.5]);
        assert_eq!(repaired, Repaired { non_finite: 2, clipped: 1 });
        assert_eq!(mixed(2, &[f32::NAN, 0.5]).0, [0.25]);
    }
}
