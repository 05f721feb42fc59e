//! The log-mel spectrogram that Whisper takes as input (Radford et al. 2022, arXiv:2212.04356, section 2.2).

use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::Error;
use crate::sample_rate::SAMPLE_RATE;

/// The length of a Fourier transform in samples: 25 ms.
pub const N_FFT: usize = 400;
/// The distance between two frames in samples: 10 ms.
pub const HOP_LENGTH: usize = 160;
/// The length of a window in samples: 30 s.
pub const WINDOW_SAMPLES: usize = 480_000;
/// The number of frames in a window.
pub const WINDOW_FRAMES: usize = WINDOW_SAMPLES / HOP_LENGTH;

/// The number of frequency bins in the power spectrum of a frame. They are 40 Hz apart.
const N_BINS: usize = N_FFT / 2 + 1;
/// The number of samples of padding before the first sample. With this padding, the middle of the first frame is the
/// first sample.
const PAD: usize = N_FFT / 2;
/// The lower limit of the power: smaller values are raised to it before the logarithm is taken.
const MIN_POWER: f32 = 1e-10;
/// The dynamic range of a window, in powers of ten below its largest value. Smaller values are raised to the lower
/// end of this range.
const DYNAMIC_RANGE_LOG10: f32 = 8.0;

/// Computes log-mel spectrograms of windows of 30 s.
///
/// ```
/// # fn main() -> Result<(), amanuensis_audio::Error> {
/// let mut log_mel = amanuensis_audio::LogMel::new(80)?;
/// let mut features = Vec::new();
/// log_mel.window(&[0.0; 16_000], &mut features)?;
/// assert_eq!(features.len(), 3000 * 80);
/// # Ok(())
/// # }
/// ```
pub struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    filters: Filters,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

impl LogMel {
    /// Creates the transform for spectrograms of `n_mels` bins, from 1 to 256. Whisper uses 80, or 128 for large-v3
    /// and models derived from it.
    ///
    /// # Errors
    /// [`Error::MelBins`] for any other number.
    pub fn new(n_mels: usize) -> Result<Self, Error> {
        if !(1..=256).contains(&n_mels) {
            return Err(Error::MelBins(n_mels));
        }
        let fft = RealFftPlanner::new().plan_fft_forward(N_FFT);
        let hann = (0..N_FFT).map(|i| (0.5 - 0.5 * (TAU * i as f64 / N_FFT as f64).cos()) as f32).collect();
        Ok(Self {
            hann,
            filters: Filters::new(n_mels),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; N_BINS],
            fft,
        })
    }

    /// The number of mel bins in a frame.
    pub fn n_mels(&self) -> usize {
        self.filters.bands.len()
    }

    /// Replaces the contents of `out` by the spectrogram of `samples` (16 kHz, mono, at most 30 s), padded with zeros to
    /// 30 s. Shape `(3000, n_mels)`: one row for each frame.
    ///
    /// # Errors
    /// [`Error::WindowTooLong`] for more than 480000 samples.
    pub fn window(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        if samples.len() > WINDOW_SAMPLES {
            return Err(Error::WindowTooLong(samples.len()));
        }
        let n_mels = self.n_mels();
        out.clear();
        // The frames after the recorded samples contain zeros only, so they need no Fourier transform.
        let n_transformed = WINDOW_FRAMES.min((samples.len() + PAD).div_ceil(HOP_LENGTH));
        for t in 0..n_transformed {
            self.load_frame(samples, t);
            // Cannot fail: wrong buffer lengths are the only error, and these buffers were created by the FFT plan.
            let done = self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
            debug_assert!(done.is_ok());
            for (power, c) in self.power.iter_mut().zip(&self.spectrum) {
                *power = c.re * c.re + c.im * c.im;
            }
            self.filters.apply(&self.power, out);
        }
        for value in &mut *out {
            *value = value.max(MIN_POWER).log10();
        }
        out.resize(WINDOW_FRAMES * n_mels, MIN_POWER.log10());
        let floor = out.iter().fold(f32::NEG_INFINITY, |max, v| max.max(*v)) - DYNAMIC_RANGE_LOG10;
        for value in out {
            *value = (value.max(floor) + 4.0) * 0.25;
        }
        Ok(())
    }

    /// Writes the samples of frame `t`, multiplied by the window function, to `self.frame`. Samples before the start
    /// and after the end of the 30 s are reflected.
    fn load_frame(&mut self, samples: &[f32], t: usize) {
        let start = t * HOP_LENGTH;
        let inside = start.checked_sub(PAD).and_then(|first| samples.get(first..first + N_FFT));
        if let Some(inside) = inside {
            for ((value, sample), weight) in self.frame.iter_mut().zip(inside).zip(&self.hann) {
                *value = sample * weight;
            }
            return;
        }
        for (i, (value, weight)) in self.frame.iter_mut().zip(&self.hann).enumerate() {
            let at = (start + i).abs_diff(PAD);
            let at = if at < WINDOW_SAMPLES { at } else { 2 * (WINDOW_SAMPLES - 1) - at };
            *value = samples.get(at).copied().unwrap_or(0.0) * weight;
        }
    }
}

/// Triangular filters on the mel scale of Slaney's Auditory Toolbox (1998), normalised to equal area, as in librosa.
struct Filters {
    /// For each mel band, the range of frequency bins that it covers, and the index in `weights` of the first weight
    /// of the band.
    bands: Vec<(Range<usize>, usize)>,
    weights: Vec<f32>,
}

impl Filters {
    fn new(n_mels: usize) -> Self {
        let nyquist = f64::from(SAMPLE_RATE) / 2.0;
        let top = hz_to_mel(nyquist);
        let edges: Vec<f64> = (0..n_mels + 2).map(|i| mel_to_hz(top * i as f64 / (n_mels + 1) as f64)).collect();
        let mut filters = Self { bands: Vec::with_capacity(n_mels), weights: Vec::new() };
        for edge in edges.windows(3) {
            let weight = |bin: usize| {
                let hz = nyquist * bin as f64 / (N_BINS - 1) as f64;
                let (rising, falling) = ((hz - edge[0]) / (edge[1] - edge[0]), (edge[2] - hz) / (edge[2] - edge[1]));
                (rising.min(falling).max(0.0) * 2.0 / (edge[2] - edge[0])) as f32
            };
            let first = (0..N_BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let len = (first..N_BINS).take_while(|&bin| weight(bin) > 0.0).count();
            filters.bands.push((first..first + len, filters.weights.len()));
            filters.weights.extend((first..first + len).map(weight));
        }
        filters
    }

    /// Computes the weighted sum of `power` in each mel band and appends the sums to `out`.
    fn apply(&self, power: &[f32], out: &mut Vec<f32>) {
        out.extend(self.bands.iter().map(|(bins, at)| {
            let weights = &self.weights[*at..at + bins.len()];
            power[bins.clone()].iter().zip(weights).map(|(p, w)| p * w).sum::<f32>()
        }));
    }
}

/// The mel scale is linear up to 1 kHz (15 mels) and logarithmic above, with 27 mels for each factor of 6.4.
const LINEAR_HZ: f64 = 1000.0;
const LINEAR_MELS: f64 = 15.0;
const LOG_STEP: f64 = 27.0;

fn hz_to_mel(hz: f64) -> f64 {
    if hz < LINEAR_HZ {
        hz * LINEAR_MELS / LINEAR_HZ
    } else {
        LINEAR_MELS + (hz / LINEAR_HZ).ln() * LOG_STEP / 6.4f64.ln()
    }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < LINEAR_MELS {
        mel * LINEAR_HZ / LINEAR_MELS
    } else {
        LINEAR_HZ * ((mel - LINEAR_MELS) * 6.4f64.ln() / LOG_STEP).exp()
    }
}
