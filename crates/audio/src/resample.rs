//! Converts samples of any rate to 16 kHz.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::error::Error;
use crate::sample_rate::SAMPLE_RATE;

/// The input rates that can be converted, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// The minimum length of a Fourier transform in input samples. A transform also lasts at least a sixteenth of a
/// second. A longer transform has a steeper anti-aliasing filter; at this length the filter passes 96 % of the band
/// unchanged.
const MIN_TRANSFORM_SAMPLES: u64 = 1024;
const TRANSFORMS_PER_SECOND: u64 = 16;

/// The maximum of [`block`], in input samples. A transform consists of a whole number of such blocks. If the input
/// rate shares no factor with 16 kHz, a block lasts two seconds. If the block of a rate exceeds this maximum, the
/// nearest rate with a short enough block is used instead. That rate is at most 8 Hz or 15 ppm away, which is less
/// than the error of a sound card's clock.
const MAX_BLOCK_SAMPLES: u64 = 1 << 17;

/// An FFT resampler of mono samples to 16 kHz. Its delay is removed, so that a sample at time `t` stays at time `t`.
/// Samples that are at 16 kHz already pass unchanged, bit for bit.
pub(crate) struct Resampler {
    rate: u32,
    /// The rate that the resampler converts from. It is `rate`, or a rate close to it (see [`MAX_BLOCK_SAMPLES`]).
    converted_rate: u32,
    fft: Option<Box<Converter>>,
    consumed: u64,
    produced: u64,
}

struct Converter {
    fft: Fft<f32>,
    /// Input samples that wait until they fill a chunk, the input of one transform.
    waiting: Vec<f32>,
    chunk: usize,
    output: Vec<f32>,
    /// Number of output samples that must still be dropped to remove the delay of the filter.
    delay: usize,
}

impl Resampler {
    /// Creates a resampler for input of `rate` Hz. Returns [`Error::SampleRate`] if this rate cannot be converted.
    pub(crate) fn new(rate: u32) -> Result<Self, Error> {
        if !RATES_HZ.contains(&rate) {
            return Err(Error::SampleRate(rate));
        }
        let converted_rate = convertible(rate);
        let fft = (rate != SAMPLE_RATE).then(|| Box::new(Converter::new(converted_rate)));
        Ok(Self { rate, converted_rate, fft, consumed: 0, produced: 0 })
    }

    /// The input rate in Hz.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Whether no sample has been pushed yet.
    pub(crate) fn is_unused(&self) -> bool {
        self.consumed == 0
    }

    /// Converts `input` and appends the finished output samples to `out`.
    pub(crate) fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.consumed += input.len() as u64;
        let before = out.len();
        match &mut self.fft {
            Some(converter) => converter.push(input, out),
            None => out.extend_from_slice(input),
        }
        self.produced += (out.len() - before) as u64;
    }

    /// Appends the output of the samples that the resampler still holds. After that, `n` input samples have become
    /// `round(n * 16000 / rate)` output samples. A second call appends nothing.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        let total = self.expected();
        let Some(converter) = &mut self.fft else { return };
        let zeros = vec![0.0; converter.chunk];
        let start = out.len();
        while self.produced + ((out.len() - start) as u64) < total {
            converter.push(&zeros, out);
        }
        let surplus = self.produced + (out.len() - start) as u64 - total;
        // The zeros can produce more output than needed. All of the surplus was appended by this call, so it is
        // dropped from the end of `out`.
        out.truncate(out.len() - usize::try_from(surplus).unwrap_or(0).min(out.len() - start));
        self.produced = total;
    }

    /// The number of output samples that correspond to the input so far.
    pub(crate) fn expected(&self) -> u64 {
        let (consumed, rate) = (u128::from(self.consumed), u128::from(self.converted_rate));
        u64::try_from((consumed * u128::from(SAMPLE_RATE) + rate / 2) / rate).unwrap_or(u64::MAX)
    }
}

impl Converter {
    fn new(rate: u32) -> Self {
        let block = block(rate);
        let (rate, target) = (u64::from(rate), u64::from(SAMPLE_RATE));
        let chunk = usize::try_from(block * MIN_TRANSFORM_SAMPLES.max(rate / TRANSFORMS_PER_SECOND).div_ceil(block))
            .expect("a transform has at most MAX_BLOCK_SAMPLES samples, or a sixteenth of a second");
        let fft = Fft::new(rate as usize, target as usize, chunk, 1, FixedSync::Both)
            .expect("the rates and the chunk are not zero");
        let output = vec![0.0; fft.output_frames_max()];
        let delay = fft.output_delay();
        Self { waiting: Vec::with_capacity(chunk), chunk: fft.input_frames_next(), output, delay, fft }
    }

    fn push(&mut self, mut input: &[f32], out: &mut Vec<f32>) {
        while !input.is_empty() {
            let (taken, rest) = input.split_at(input.len().min(self.chunk - self.waiting.len()));
            self.waiting.extend_from_slice(taken);
            input = rest;
            if self.waiting.len() == self.chunk {
                self.convert(out);
                self.waiting.clear();
            }
        }
    }

    /// Converts `waiting`, which must hold one whole chunk, and appends the output to `out`.
    fn convert(&mut self, out: &mut Vec<f32>) {
        let room = self.output.len();
        let input = InterleavedSlice::new(&self.waiting, 1, self.chunk).expect("waiting holds one chunk");
        let mut output =
            InterleavedSlice::new_mut(&mut self.output, 1, room).expect("room is the length of the output");
        let (_, produced) = self
            .fft
            .process_into_buffer(&input, &mut output, None)
            .expect("both buffers have the lengths that the resampler asks for");
        let dropped = self.delay.min(produced);
        self.delay -= dropped;
        out.extend_from_slice(&self.output[dropped..produced]);
    }
}

/// The rate nearest to `rate` for which [`block`] is at most [`MAX_BLOCK_SAMPLES`].
fn convertible(rate: u32) -> u32 {
    (0..rate).flat_map(|d| [rate - d, rate + d]).find(|r| block(*r) <= MAX_BLOCK_SAMPLES).unwrap_or(rate)
}

/// The number of input samples in two of the smallest blocks in which both rates have a whole number of samples. With
/// two blocks, the number is even, so that the filter's delay is a whole number of samples.
fn block(rate: u32) -> u64 {
    2 * u64::from(rate) / gcd(u64::from(rate), u64::from(SAMPLE_RATE))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const COMMON_RATES: [u32; 12] =
        [8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000, 88_200, 96_000, 192_000];

    fn convert(rate: u32, input: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(rate).unwrap();
        for piece in input.chunks(777) {
            resampler.push(piece, &mut out);
        }
        resampler.finish(&mut out);
        out
    }

    fn tone(rate: u32, hz: f64, n: usize) -> Vec<f32> {
        (0..n).map(|i| (TAU * hz * i as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn samples_at_16_khz_pass_bit_for_bit() {
        let input = tone(16_000, 440.0, 5000);
        assert_eq!(convert(16_000, &input), input);
    }

    #[test]
    fn output_length_is_input_length_times_the_ratio() {
        for rate in COMMON_RATES {
            for n in [0, 1, 2, 999, 8_001] {
                let expected = (n as f64 * 16_000.0 / f64::from(rate)).round() as i64;
                let got = convert(rate, &vec![0.5; n]).len() as i64;
                assert!((got - expected).abs() <= 1, "{rate} Hz, {n} samples: {got}, not {expected}");
            }
        }
    }

    #[test]
    fn an_impulse_keeps_its_time() {
        for rate in COMMON_RATES {
            let n = rate as usize / 4;
            let at = n / 3;
            let mut input = vec![0.0; n];
            input[at] = 1.0;
            let out = convert(rate, &input);
            let peak = (0..out.len()).max_by(|&a, &b| out[a].abs().total_cmp(&out[b].abs())).unwrap();
            let expected = at as f64 * 16_000.0 / f64::from(rate);
            assert!((peak as f64 - expected).abs() <= 1.0, "{rate} Hz: {peak}, not {expected}");
        }
    }

    #[test]
    fn tones_pass_unchanged_and_do_not_alias() {
        for rate in [8_000, 22_050, 44_100, 48_000, 192_000] {
            let (nyquist, n) = (f64::from(rate.min(16_000)) / 2.0, rate as usize / 2);
            let middle = 2000..6000;
            for hz in [100.0, 1000.0, 0.9 * nyquist, 0.9625 * nyquist] {
                let out = convert(rate, &tone(rate, hz, n));
                let expected = tone(16_000, hz, 8_000);
                let error: f64 = middle.clone().map(|i| f64::from(out[i] - expected[i]).powi(2)).sum();
                let db = 10.0 * (error / (middle.len() as f64 / 2.0)).log10();
                assert!(db < -70.0, "{rate} Hz, tone {hz}: error {db:.1} dB");
            }
            if rate > 20_000 {
                let out = convert(rate, &tone(rate, 8_200.0, n));
                let loudest = out[middle].iter().fold(0.0f32, |m, x| m.max(x.abs()));
                assert!(loudest < 1e-3, "{rate} Hz: 8.2 kHz aliases at {loudest}");
            }
        }
    }

    #[test]
    fn no_rate_needs_a_long_transform() {
        for rate in RATES_HZ {
            let near = convertible(rate);
            assert!(block(near) <= MAX_BLOCK_SAMPLES && rate.abs_diff(near) <= 8, "{rate} Hz as {near} Hz");
            assert!(f64::from(rate.abs_diff(near)) / f64::from(rate) < 0.000_016, "{rate} Hz as {near} Hz");
            assert!(near == rate || rate > 65_536, "{rate} Hz as {near} Hz");
        }
        for rate in [1_009, 47_999, 65_521, 65_537, 383_999, 767_999] {
            let chunk = Resampler::new(rate).unwrap().fft.unwrap().chunk;
            assert!(chunk as u64 <= MAX_BLOCK_SAMPLES, "{rate} Hz: {chunk} samples");
            let out = convert(rate, &tone(rate, 200.0, rate as usize));
            let error = out.iter().zip(tone(16_000, 200.0, 16_000)).skip(2000).take(12_000).map(|(a, b)| (a - b).abs());
            assert!(error.fold(0.0, f32::max) < 0.1, "{rate} Hz");
        }
    }

    #[test]
    fn impossible_rates_are_refused() {
        for rate in [0, 1, 999, 768_001, u32::MAX] {
            assert!(matches!(Resampler::new(rate), Err(Error::SampleRate(r)) if r == rate));
        }
    }
}
