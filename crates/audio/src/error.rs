//! What can go wrong, and what can go slightly wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a recording cannot be read. Each message says what was found and, where something helps, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The source failed while it was read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// There is not one byte.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// No known container format.
    #[error(
        "this is no recording in a known format (found: {found}); known are WAV, AIFF, CAF, FLAC, MP3, AAC, Ogg, Opus, MP4, M4A, MOV, MKV and WebM"
    )]
    UnknownFormat {
        /// What the first bytes look like.
        found: String,
    },
    /// A known container, but its headers cannot be read.
    #[error("the headers of this file cannot be read: it is incomplete or damaged ({cause})")]
    Damaged {
        /// The demuxer's reason.
        cause: String,
    },
    /// A known container of which a part without which nothing can be decoded was never written, or lost.
    #[error(
        "the file was cut off, or its recording never finished: {missing} missing; if it is a copy, copy or download it again"
    )]
    CutOff {
        /// The part, and its verb.
        missing: &'static str,
    },
    /// A known container without audio.
    #[error("no audio track in this {container} file (found: {found})")]
    NoAudioTrack {
        /// The container's short name.
        container: &'static str,
        /// The tracks that are there.
        found: String,
    },
    /// The audio is in a codec, or in a profile of a codec, that cannot be decoded.
    #[error(
        "the audio is {codec}, which cannot be decoded here ({cause}); convert it first, for example: ffmpeg -i INPUT -ac 1 -ar 16000 OUTPUT.wav"
    )]
    UnsupportedCodec {
        /// The codec's name.
        codec: &'static str,
        /// The decoder's reason.
        cause: String,
    },
    /// A sample rate that no recording has.
    #[error("impossible sample rate: {0} Hz (1000 to 768000 Hz can be read); the header is wrong or damaged")]
    SampleRate(u32),
    /// The headers are fine, but not one sample came out.
    #[error("no audio could be decoded from this {container} file: {cause}")]
    NothingDecoded {
        /// The container's short name.
        container: &'static str,
        /// The last reason of the demuxer or decoder.
        cause: String,
    },
    /// Another process decodes the recording, and found this wrong with it.
    #[error("{message}")]
    Relayed {
        /// What kind of error it was there.
        kind: ErrorKind,
        /// Its message there.
        message: String,
    },
    /// Another process decodes the recording, and ended or was lost before it was done.
    #[error("the recording cannot be decoded: {0}")]
    Relay(io::Error),
    /// A number of mel bins that no model has.
    #[error("a log-mel spectrogram of {0} bins cannot be made (1 to 256 can)")]
    MelBins(usize),
    /// More samples than one window holds.
    #[error("{0} samples do not fit into a window of 30 s (480000 samples)")]
    WindowTooLong(usize),
}

/// What an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file cannot be read, whatever is in it.
    Unreadable,
    /// There is nothing in it.
    Empty,
    /// It is no recording in a format and a codec that are known here.
    Unsupported,
    /// It is, or may be, but nothing can be made of it.
    Undecodable,
}

impl ErrorKind {
    pub(crate) const ALL: [Self; 4] = [Self::Unreadable, Self::Empty, Self::Unsupported, Self::Undecodable];
}

impl Error {
    /// What the error is about.
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

/// What was amiss in a recording that could be decoded all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What it is.
    pub kind: WarningKind,
    /// Where in the decoded recording it first happened, in seconds; `None` if it concerns the whole file.
    pub seconds: Option<f64>,
    /// How often it happened: packets, samples, gaps.
    pub count: u64,
    /// More about it, from the demuxer or decoder; may be empty.
    pub detail: String,
}

/// The kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// Packets that could not be decoded were replaced by silence.
    DamagedPackets,
    /// The file ends before its headers say that the recording does.
    Truncated,
    /// The header's size of the sound is smaller than what the file holds of it.
    WrongSize,
    /// Samples that are not a number, or infinite, were replaced by silence.
    NonFinite,
    /// Samples far beyond full scale were clipped.
    Clipped,
    /// The container's clock jumps; silence was put in so that times stay right.
    Gap,
    /// The sample rate changed on the way.
    RateChanged,
    /// The default audio track cannot be decoded; another was taken.
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
            WarningKind::WrongSize => write!(f, "the header does not count all of the sound")?,
            WarningKind::NonFinite => write!(f, "{n} sample(s) that are no number replaced by silence")?,
            WarningKind::Clipped => write!(f, "{n} sample(s) far beyond full scale clipped")?,
            WarningKind::Gap => write!(f, "{n} gap(s) in the file's clock filled with silence")?,
            WarningKind::RateChanged => write!(f, "the sample rate changes {n} time(s)")?,
            WarningKind::OtherTrack => write!(f, "the default audio track cannot be decoded, another was taken")?,
        }
        if let Some(seconds) = self.seconds {
            let place = if n > 1 { "first at" } else { "at" };
            write!(f, ", {place} {seconds:.2} s")?;
        }
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// The warnings of one recording: one entry a kind, so their number is bounded whatever the file holds.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    /// Adds `count` cases of `kind`; place and detail are kept of the first.
    pub(crate) fn add(&mut self, kind: WarningKind, count: u64, seconds: Option<f64>, detail: impl Into<String>) {
        match self.0.iter_mut().find(|w| w.kind == kind) {
            Some(known) => known.count += count,
            None => self.0.push(Warning { kind, seconds, count, detail: detail.into() }),
        }
    }

    /// Puts `warning` in the place of the one of its kind, or behind all others.
    pub(crate) fn put(&mut self, warning: Warning) {
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
    fn one_entry_a_kind_and_a_readable_line() {
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
