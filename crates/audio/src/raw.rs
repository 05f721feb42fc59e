//! Converts a byte stream of raw samples without a header to 16 kHz `f32` samples. Sound cards and telephone systems
//! send such streams.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::mix::clean;
use crate::resample::Resampler;

/// The encoding of a raw sample. All formats are mono; samples of several bytes are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawFormat {
    /// Signed 16-bit integers.
    S16,
    /// 32-bit floats, full scale -1..1.
    F32,
    /// ITU-T G.711 mu-law, one byte for each sample: telephony in North America and Japan.
    MuLaw,
    /// ITU-T G.711 A-law, one byte for each sample: telephony elsewhere.
    ALaw,
}

impl RawFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::S16, Self::F32, Self::MuLaw, Self::ALaw];

    /// The short name of the format, which `Display` and `FromStr` use too.
    pub fn name(self) -> &'static str {
        match self {
            Self::S16 => "s16",
            Self::F32 => "f32",
            Self::MuLaw => "mulaw",
            Self::ALaw => "alaw",
        }
    }

    /// The size of one sample in bytes.
    pub fn width(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::F32 => 4,
            Self::MuLaw | Self::ALaw => 1,
        }
    }

    /// Decodes one sample from [`Self::width`] bytes.
    fn sample(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::S16, &[low, high]) => from_i16(i16::from_le_bytes([low, high])),
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::MuLaw, &[code]) => from_i16(mu_law(code)),
            (Self::ALaw, &[code]) => from_i16(a_law(code)),
            _ => 0.0,
        }
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RawFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| format!("unknown sample format `{name}`: s16, f32, mulaw or alaw"))
    }
}

fn from_i16(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// Decodes a mu-law code. All its bits are inverted. They are a sign, three bits of exponent and four bits of
/// mantissa. A bias is added, so that the ranges of successive exponents join without a jump.
fn mu_law(code: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let code = !code;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = ((mantissa << 3 | BIAS) << exponent) - BIAS;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Decodes an A-law code. Every other bit of it is inverted, and a set sign bit means plus. The two lowest exponents
/// have the same step size.
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let step = mantissa << 4 | 8;
    let magnitude = if exponent == 0 { step } else { (step | 0x100) << (exponent - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Converts a stream of raw bytes to 16 kHz samples. If the input has another rate, resampling delays the output by
/// up to 0.1 s.
pub struct RawStream {
    format: RawFormat,
    resampler: Resampler,
    /// The first bytes of a sample whose other bytes have not arrived yet.
    partial: Vec<u8>,
    samples: Vec<f32>,
}

impl RawStream {
    /// Creates a stream of samples at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::SampleRate`] for a rate that cannot be resampled.
    pub fn new(format: RawFormat, rate: u32) -> Result<Self, Error> {
        Ok(Self { format, resampler: Resampler::new(rate)?, partial: Vec::new(), samples: Vec::new() })
    }

    /// Converts the next bytes and appends the finished samples to `out`. The bytes may end in the middle of a
    /// sample. NaN and infinity become silence.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<f32>) {
        let Self { format, resampler, partial, samples } = self;
        samples.clear();
        if !partial.is_empty() {
            let missing = (format.width() - partial.len()).min(bytes.len());
            partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if partial.len() < format.width() {
                return;
            }
            samples.push(format.sample(partial));
            partial.clear();
        }
        let whole = bytes.chunks_exact(format.width());
        partial.extend_from_slice(whole.remainder());
        samples.extend(whole.map(|bytes| format.sample(bytes)));
        clean(samples);
        resampler.push(samples, out);
    }

    /// Ends the stream: appends the samples that the resampler still holds.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.resampler.finish(out);
    }
}

impl fmt::Debug for RawStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawStream")
            .field("format", &self.format)
            .field("rate", &self.resampler.rate())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Audio;

    /// Compares decoded codes with values from the tables of ITU-T G.711, scaled to 16 bits.
    #[test]
    fn mu_law_and_a_law_have_the_values_of_the_standard() {
        let known = [(0x00, -32_124), (0x80, 32_124), (0x7f, 0), (0xff, 0), (0xfe, 8), (0x8f, 16_764), (0x2a, -5_372)];
        assert_eq!(known.map(|(code, _)| mu_law(code)), known.map(|(_, value)| value));
        let known = [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xd4, 24), (0x80, 5_504), (0x00, -5_504)];
        assert_eq!(known.map(|(code, _)| a_law(code)), known.map(|(_, value)| value));
    }

    /// Decodes all 256 codes twice: as a raw stream, and as a WAV file. The samples must be the same.
    #[test]
    fn files_and_streams_have_the_same_samples() {
        let codes: Vec<u8> = (0..=255).collect();
        for (format, tag) in [(RawFormat::MuLaw, 7_u16), (RawFormat::ALaw, 6)] {
            let mut wav = b"RIFF\x26\x01\0\0WAVEfmt \x12\0\0\0".to_vec();
            wav.extend([tag, 1].into_iter().flat_map(u16::to_le_bytes));
            wav.extend([16_000_u32, 16_000].into_iter().flat_map(u32::to_le_bytes));
            wav.extend([1_u16, 8, 0].into_iter().flat_map(u16::to_le_bytes));
            wav.extend(b"data\0\x01\0\0");
            wav.extend(&codes);
            let mut out = Vec::new();
            RawStream::new(format, 16_000).unwrap().push(&codes, &mut out);
            let mut audio = Audio::from_bytes(wav).unwrap();
            assert_eq!(audio.next_block().unwrap().unwrap(), out, "{format}");
        }
    }

    #[test]
    fn formats_are_parsed_from_their_names() {
        for format in RawFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("s24".parse::<RawFormat>().is_err());
    }

    #[test]
    fn nan_and_infinity_become_silence() {
        let mut out = Vec::new();
        let bytes: Vec<u8> = [0.25, f32::NAN, f32::INFINITY].into_iter().flat_map(f32::to_le_bytes).collect();
        RawStream::new(RawFormat::F32, 16_000).unwrap().push(&bytes, &mut out);
        assert_eq!(out, [0.25, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn splitting_the_bytes_does_not_change_the_samples(bytes in prop::collection::vec(any::<u8>(), 0..999), size in 1..50_usize) {
            for format in RawFormat::ALL {
                for rate in [8_000, 16_000, 24_000] {
                    let all = |size: usize| {
                        let (mut stream, mut out) = (RawStream::new(format, rate).unwrap(), Vec::new());
                        bytes.chunks(size).for_each(|bytes| stream.push(bytes, &mut out));
                        stream.finish(&mut out);
                        out
                    };
                    prop_assert_eq!(all(size), all(999));
                }
            }
        }
    }
}
