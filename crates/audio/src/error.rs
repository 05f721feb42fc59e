//! The error type, and warnings about recordings that were decoded in spite of damage.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a recording cannot be decoded. Each message says what was found and, if possible, what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Reading from the file or other source of bytes failed.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// The file has no bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// The container format is unknown.
    #[error(
        "not a supported audio format (found: {found}); supported are WAV, AIFF, CAF, FLAC, MP3, AAC, Ogg, Opus, MP4, M4A, MOV, MKV and WebM"
    )]
    UnknownFormat {
        /// A description of the first bytes of the file.
        found: String,
    },
    /// The container is known, but its headers cannot be read.
    #[error("the headers of this file cannot be read: it is incomplete or damaged ({cause})")]
    Damaged {
        /// The error message of the demuxer.
        cause: String,
    },
    /// The container format is known, but a part that decoding needs was lost or never written.
    #[error(
        "the file was cut off, or its recording never finished: {missing} missing; if it is a copy, copy or download it again"
    )]
    CutOff {
        /// The missing part with its verb, as it stands in the message: "all of its audio data is".
        missing: &'static str,
    },
    /// The container format is known, but the file has no audio track.
    #[error("no audio track in this {container} file (found: {found})")]
    NoAudioTrack {
        /// The container's short name.
        container: &'static str,
        /// A list of the tracks that the file has, such as `1 video track`.
        found: String,
    },
    /// The codec, or the profile of the codec, is not supported.
    #[error(
        "the audio is {codec}, which cannot be decoded here ({cause}); convert it first, for example: ffmpeg -i INPUT -ac 1 -ar 16000 OUTPUT.wav"
    )]
    UnsupportedCodec {
        /// The codec's name.
        codec: &'static str,
        /// The error message of the decoder.
        cause: String,
    },
    /// The sample rate is outside the range that can be resampled.
    #[error("impossible sample rate: {0} Hz (1000 to 768000 Hz can be read); the header is wrong or damaged")]
    SampleRate(u32),
    /// The headers are valid, but not a single sample could be decoded.
    #[error("no audio could be decoded from this {container} file: {cause}")]
    NothingDecoded {
        /// The container's short name.
        container: &'static str,
        /// The most recent error message of the demuxer or decoder.
        cause: String,
    },
    /// Another process that decodes the recording reported this error.
    #[error("{message}")]
    Relayed {
        /// The category of the reported error.
        kind: ErrorKind,
        /// The message of the reported error.
        message: String,
    },
    /// The other process that decodes the recording ended too early, or sent malformed data.
    #[error("the recording cannot be decoded: {0}")]
    Relay(io::Error),
    /// The number of mel bins is not in the range 1 to 256.
    #[error("a log-mel spectrogram of {0} bins cannot be made (1 to 256 can)")]
    MelBins(usize),
    /// There are more samples than fit into a window of 30 s.
    #[error("{0} samples do not fit into a window of 30 s (480000 samples)")]
    WindowTooLong(usize),
}

/// The category of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file cannot be opened or read.
    Unreadable,
    /// The file is empty.
    Empty,
    /// The container or the codec is not supported, or the file is not a recording.
    Unsupported,
    /// The format is supported, but the contents cannot be decoded.
    Undecodable,
}

impl ErrorKind {
    pub(crate) const ALL: [Self; 4] = [Self::Unreadable, Self::Empty, Self::Unsupported, Self::Undecodable];
}

impl Error {
    /// Returns the category of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Relayed { kind, .. } => *kind,
            Self::Open { .. } | Self::Read(_) => ErrorKind::Unreadable,
            Self::Empty => ErrorKind::Empty,
            Self::UnknownFormat { .. } | Self::NoAudioTrack { .. } | Self::UnsupportedCodec { .. } => {
                ErrorKind::Unsupported
            }
            _ => ErrorKind::Undecodable,
        }
    }
}

/// Damage or an irregularity that did not prevent the recording from being decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// The kind of the damage or irregularity.
    pub kind: WarningKind,
    /// Time of the first occurrence, in seconds from the start of the decoded recording. `None` if the warning is
    /// about the whole file.
    pub seconds: Option<f64>,
    /// Number of occurrences. Depending on the kind of warning, it counts packets, samples or gaps.
    pub count: u64,
    /// A detail in the words of the demuxer or decoder. It may be empty.
    pub detail: String,
}

/// The kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// Packets that could not be decoded were replaced by silence.
    DamagedPackets,
    /// The recording is shorter than its headers state.
    Truncated,
    /// The header states less audio data than the file holds, so the stated size was ignored.
    WrongSize,
    /// Samples that are NaN or infinite were replaced by silence.
    NonFinite,
    /// Samples far beyond full scale were clipped, that is, reduced to a limit.
    Clipped,
    /// The container's timestamps jump. Silence was inserted, so that later times stay correct.
    Gap,
    /// The sample rate changes within the recording.
    RateChanged,
    /// The default audio track cannot be decoded, so another track is used.
    OtherTrack,
}

impl WarningKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::DamagedPackets,
        Self::Truncated,
        Self::WrongSize,
        Self::NonFinite,
        Self::Clipped,
        Self::Gap,
        Self::RateChanged,
        Self::OtherTrack,
    ];
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.count;
        match self.kind {
            WarningKind::DamagedPackets => write!(f, "{n} damaged packet(s) replaced by silence")?,
            WarningKind::Truncated => write!(f, "the file seems to be cut off")?,
            WarningKind::WrongSize => write!(f, "the header states less audio data than the file holds")?,
            WarningKind::NonFinite => write!(f, "{n} sample(s) that are not a number replaced by silence")?,
            WarningKind::Clipped => write!(f, "{n} sample(s) far beyond full scale clipped")?,
            WarningKind::Gap => write!(f, "{n} gap(s) in the file's timestamps filled with silence")?,
            WarningKind::RateChanged => write!(f, "the sample rate changes {n} time(s)")?,
            WarningKind::OtherTrack => write!(f, "the default audio track cannot be decoded, another is used")?,
        }
        if let Some(seconds) = self.seconds {
            let at = if n > 1 { "first at" } else { "at" };
            write!(f, ", {at} {seconds:.2} s")?;
        }
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// The warnings of one recording. There is at most one entry per kind, so that a badly damaged file cannot produce
/// enough warnings to fill the memory.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    /// Adds `count` occurrences of `kind`. If the kind already has an entry, only the count of that entry changes;
    /// `seconds` and `detail` are ignored.
    pub(crate) fn add(&mut self, kind: WarningKind, count: u64, seconds: Option<f64>, detail: impl Into<String>) {
        match self.0.iter_mut().find(|w| w.kind == kind) {
            Some(known) => known.count += count,
            None => self.0.push(Warning { kind, seconds, count, detail: detail.into() }),
        }
    }

    /// Replaces the warning of the same kind, or appends it if there is none.
    pub(crate) fn replace(&mut self, warning: Warning) {
        match self.0.iter_mut().find(|known| known.kind == warning.kind) {
            Some(known) => *known = warning,
            None => self.0.push(warning),
        }
    }

    pub(crate) fn as_slice(&self) -> &[Warning] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_of_a_kind_are_counted_in_one_entry() {
        let mut warnings = Warnings::default();
        warnings.add(WarningKind::DamagedPackets, 1, Some(1.5), "mp3: bad header");
        warnings.add(WarningKind::DamagedPackets, 2, Some(9.0), "other");
        warnings.add(WarningKind::Truncated, 1, None, "");
        let lines: Vec<String> = warnings.as_slice().iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "3 damaged packet(s) replaced by silence, first at 1.50 s (mp3: bad header)");
        assert_eq!(lines[1], "the file seems to be cut off");
        assert_eq!(lines.len(), 2);
    }
}
