//! Types for durations of audio: [`Samples`] at 16 kHz, [`Frames`] of a log-mel spectrogram, and [`Chunks`] of the
//! voice activity detector.
//!
//! Each type is also used for positions, counted from the start of a recording, window or stream. The name of a
//! variable shows whether it is a duration or a position.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Range, Sub, SubAssign};

/// Number of samples in a second.
pub const SAMPLE_RATE: usize = 16_000;
/// Number of samples in a mel frame, which lasts 10 ms.
pub const SAMPLES_PER_FRAME: usize = 160;
/// Number of samples in a chunk of the voice activity detector, which lasts 32 ms.
pub const SAMPLES_PER_CHUNK: usize = 512;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident of $samples:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub usize);

        impl $name {
            /// A duration of zero.
            pub const ZERO: Self = Self(0);

            /// The number of whole units of this type in `seconds`, rounded down; zero if `seconds` is negative.
            pub const fn within(seconds: f64) -> Self {
                Self((seconds * SAMPLE_RATE as f64 / $samples as f64) as usize)
            }

            /// The number of units of this type that is nearest to `seconds`; zero if `seconds` is negative.
            pub fn nearest(seconds: f64) -> Self {
                Self((seconds * (SAMPLE_RATE as f64 / $samples as f64)).round() as usize)
            }

            /// This duration in seconds.
            pub fn seconds(self) -> f64 {
                self.samples().0 as f64 / SAMPLE_RATE as f64
            }

            /// Converts this duration to samples.
            #[must_use]
            pub const fn samples(self) -> Samples {
                Samples(self.0.saturating_mul($samples))
            }

            /// The difference `self - other`, or zero if `other` is larger.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;

            /// Subtracts a duration.
            ///
            /// # Panics
            /// In a debug build, if `other` is larger than `self`.
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
                Self(values.map(|value| value.0).sum())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// A number of samples at 16 kHz.
    Samples of 1_usize
);
unit!(
    /// A number of frames of a log-mel spectrogram, 10 ms each.
    Frames of SAMPLES_PER_FRAME
);
unit!(
    /// A number of chunks of the voice activity detector, 32 ms each.
    Chunks of SAMPLES_PER_CHUNK
);

impl Samples {
    /// The number of whole frames in these samples.
    pub const fn whole_frames(self) -> Frames {
        Frames(self.0 / SAMPLES_PER_FRAME)
    }

    /// The number of whole chunks (32 ms each) in these samples.
    pub const fn whole_chunks(self) -> Chunks {
        Chunks(self.0 / SAMPLES_PER_CHUNK)
    }

    /// The number of chunks (32 ms each) that are needed to hold these samples. The final chunk may be incomplete.
    pub const fn chunks_rounded_up(self) -> Chunks {
        Chunks(self.0.div_ceil(SAMPLES_PER_CHUNK))
    }
}

/// The length of a range of frames; zero if the range is empty.
pub fn length(range: &Range<Frames>) -> Frames {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_duration_converts_to_every_unit() {
        assert_eq!(Frames(3000).samples(), Samples(480_000));
        assert_eq!(Samples(480_000).whole_frames(), Frames(3000));
        assert_eq!(Samples(480_000).whole_chunks(), Chunks(937));
        assert_eq!(Samples(480_000).chunks_rounded_up(), Chunks(938));
        assert!((Frames(3000).seconds() - 30.0).abs() < 1e-12);
    }

    #[test]
    fn within_rounds_down_and_nearest_rounds_to_nearest() {
        assert_eq!((Frames::within(1.239), Frames::nearest(1.239)), (Frames(123), Frames(124)));
        assert_eq!((Chunks::within(5.0), Chunks::within(-1.0)), (Chunks(156), Chunks(0)));
        assert_eq!(Frames::nearest(-1.0), Frames(0));
    }
}
