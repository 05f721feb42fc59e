//! Samples without a header, as sound cards and telephones send them: bytes to 16 kHz `f32`, as they come.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::mix::clean;
use crate::resample::Resampler;

/// What the bytes of a sample mean. All are one channel; those of several bytes are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawFormat {
    /// Signed integers of 16 bits.
    S16,
    /// Floats of 32 bits, full scale -1..1.
    F32,
    /// A byte a sample, the logarithm of North American and Japanese telephones (ITU-T G.711, mu-law).
    MuLaw,
    /// A byte a sample, the logarithm of all other telephones (ITU-T G.711, A-law).
    ALaw,
}

impl RawFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::S16, Self::F32, Self::MuLaw, Self::ALaw];

    /// Its short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::S16 => "s16",
            Self::F32 => "f32",
            Self::MuLaw => "mulaw",
            Self::ALaw => "alaw",
        }
    }

    /// Bytes of a sample.
    pub fn width(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::F32 => 4,
            Self::MuLaw | Self::ALaw => 1,
        }
    }

    /// A sample of [`Self::width`] bytes.
    fn sample(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::S16, &[low, high]) => of_16_bits(i16::from_le_bytes([low, high])),
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::MuLaw, &[code]) => of_16_bits(mu_law(code)),
            (Self::ALaw, &[code]) => of_16_bits(a_law(code)),
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
        found.ok_or_else(|| format!("unknown format of samples `{name}`: s16, f32, mulaw or alaw"))
    }
}

fn of_16_bits(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// The code is sent inverted: a sign, three bits of exponent, four of mantissa, with a bias that makes steps meet.
fn mu_law(code: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let code = !code;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = ((mantissa << 3 | BIAS) << exponent) - BIAS;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Every other bit is sent inverted, and a sign that is set is a plus; the two lowest exponents have the same step.
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let step = mantissa << 4 | 8;
    let magnitude = if exponent == 0 { step } else { (step | 0x100) << (exponent - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// A stream of such bytes on its way to 16 kHz. A sample at another rate comes out a tenth of a second after it went in.
pub struct RawStream {
    format: RawFormat,
    resampler: Resampler,
    /// The first bytes of a sample whose others have not come yet.
    begun: Vec<u8>,
    samples: Vec<f32>,
}

impl RawStream {
    /// Of samples at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::SampleRate`] for a rate that no recording has.
    pub fn new(format: RawFormat, rate: u32) -> Result<Self, Error> {
        Ok(Self { format, resampler: Resampler::new(rate)?, begun: Vec::new(), samples: Vec::new() })
    }

    /// Takes the next bytes, which may end within a sample, and appends what is ready at 16 kHz. Floats that are no
    /// number are silence.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<f32>) {
        let Self { format, resampler, begun, samples } = self;
        samples.clear();
        if !begun.is_empty() {
            let missing = (format.width() - begun.len()).min(bytes.len());
            begun.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if begun.len() < format.width() {
                return;
            }
            samples.push(format.sample(begun));
            begun.clear();
        }
        let whole = bytes.chunks_exact(format.width());
        begun.extend_from_slice(whole.remainder());
        samples.extend(whole.map(|bytes| format.sample(bytes)));
        clean(samples);
        resampler.push(samples, out);
    }

    /// The stream ends: appends what is still on its way.
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

    /// Table values of ITU-T G.711, scaled to 16 bits.
    #[test]
    fn telephones_logarithms_have_the_values_of_the_standard() {
        let known = [(0x00, -32_124), (0x80, 32_124), (0x7f, 0), (0xff, 0), (0xfe, 8), (0x8f, 16_764), (0x2a, -5_372)];
        assert_eq!(known.map(|(code, _)| mu_law(code)), known.map(|(_, value)| value));
        let known = [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xd4, 24), (0x80, 5_504), (0x00, -5_504)];
        assert_eq!(known.map(|(code, _)| a_law(code)), known.map(|(_, value)| value));
    }

    /// All codes, as the decoder of recordings reads them.
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
    fn names_are_read_back() {
        for format in RawFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("s24".parse::<RawFormat>().is_err());
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let mut out = Vec::new();
        let bytes: Vec<u8> = [0.25, f32::NAN, f32::INFINITY].into_iter().flat_map(f32::to_le_bytes).collect();
        RawStream::new(RawFormat::F32, 16_000).unwrap().push(&bytes, &mut out);
        assert_eq!(out, [0.25, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_come(bytes in prop::collection::vec(any::<u8>(), 0..999), size in 1..50_usize) {
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
