//! Detects the container format of a file by its contents, chooses an audio track, and creates a decoder for it.

use std::io::Seek;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error as FormatError;
use symphonia::core::formats::probe::{Hint, Probe, ProbeOptions};
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_AIFF, FORMAT_ID_CAF, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MKV, FORMAT_ID_MP2,
    FORMAT_ID_MP3, FORMAT_ID_OGG, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, Track, TrackFlags, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::codecs;
use crate::error::{Error, WarningKind, Warnings};
use crate::guard::guard;
use crate::input::Input;

/// Number of bytes that may precede the first header, because a stream can start in the middle of a frame. The limit
/// is low, because a long run of random bytes nearly always contains something that looks like an MP3 frame.
const PROBE_DEPTH_BYTES: u32 = 64 * 1024;

/// Container and codec of a recording, as its headers state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// The container's short name, such as `wav`, `mp4` or `ogg`.
    pub container: &'static str,
    /// The codec's short name, such as `mp3`, `opus` or `pcm_s16le`.
    pub codec: &'static str,
    /// Sample rate before resampling, in Hz.
    pub sample_rate: u32,
    /// Number of channels before mixing to mono. If the headers do not state it, it is zero until the first block is
    /// decoded.
    pub channels: usize,
}

/// The audio track that was chosen, and its decoder.
pub(crate) struct AudioTrack {
    pub(crate) track: Track,
    pub(crate) params: AudioCodecParameters,
    pub(crate) decoder: Box<dyn AudioDecoder>,
    pub(crate) info: StreamInfo,
}

/// Finds the container format of `input` and reads its headers.
pub(crate) fn open(mut input: Input) -> Result<Box<dyn FormatReader>, Error> {
    let mut head = [0; 512];
    let n = input.read_at(0, &mut head)?;
    let head = &head[..n];
    if head.is_empty() {
        return Err(Error::Empty);
    }
    if let Some(found) = unsupported_format(head) {
        return Err(Error::UnknownFormat { found: found.to_owned() });
    }
    let described = describe(head);
    input.rewind()?;
    let stream = MediaSourceStream::new(Box::new(input), MediaSourceStreamOptions::default());
    let mut probe =
        Probe::new_with_options(&ProbeOptions { max_probe_depth: PROBE_DEPTH_BYTES, ..ProbeOptions::default() });
    symphonia::default::register_enabled_formats(&mut probe);
    guard(|| probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())).map_err(|error| {
        match error {
            FormatError::Unsupported(cause) if cause.contains("probe") => Error::UnknownFormat { found: described },
            FormatError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Error::Read(e),
            error => Error::Damaged { cause: cause(&error) },
        }
    })
}

/// The text of an error of the demuxer or decoder, for messages to the user.
pub(crate) fn cause(error: &FormatError) -> String {
    match error {
        FormatError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file ends too early".to_owned()
        }
        FormatError::DecodeError(cause) | FormatError::Unsupported(cause) | FormatError::LimitError(cause) => {
            (*cause).to_owned()
        }
        error => error.to_string(),
    }
}

/// Chooses the default audio track, or the first audio track if none is the default. If that track cannot be decoded,
/// chooses the first one that can be decoded.
pub(crate) fn choose_track(reader: &dyn FormatReader, warnings: &mut Warnings) -> Result<AudioTrack, Error> {
    let container = container_name(reader.format_info().format);
    let mut tracks: Vec<&Track> = reader.tracks().iter().filter(|t| t.track_type() == Some(TrackType::Audio)).collect();
    tracks.sort_by_key(|t| !t.flags.contains(TrackFlags::DEFAULT));
    let mut refused = None;
    for track in tracks {
        let Some(CodecParameters::Audio(params)) = &track.codec_params else { continue };
        match codecs::decoder(params) {
            Ok(decoder) => {
                if let Some(Error::UnsupportedCodec { codec, .. }) = &refused {
                    warnings.add(WarningKind::OtherTrack, 1, None, *codec);
                }
                // If the codec's own header contradicts the container's header, the codec's header takes precedence.
                let codec_params = decoder.codec_params();
                let info = StreamInfo {
                    container,
                    codec: codecs::name(params.codec),
                    sample_rate: codec_params.sample_rate.or(params.sample_rate).unwrap_or(0),
                    channels: codec_params.channels.as_ref().or(params.channels.as_ref()).map_or(0, Channels::count),
                };
                return Ok(AudioTrack { track: track.clone(), params: params.clone(), decoder, info });
            }
            Err(error) if refused.is_none() => {
                refused = Some(Error::UnsupportedCodec { codec: codecs::name(params.codec), cause: cause(&error) });
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| Error::NoAudioTrack { container, found: tracks_found(reader.tracks()) }))
}

/// Describes the tracks of a file without audio, for an error message: `1 video track, 2 subtitle tracks`.
fn tracks_found(tracks: &[Track]) -> String {
    let kinds = [
        ("video track", Some(TrackType::Video)),
        ("subtitle track", Some(TrackType::Subtitle)),
        ("unknown track", None),
    ];
    let mut found = Vec::new();
    for (name, kind) in kinds {
        match tracks.iter().filter(|t| t.track_type() == kind).count() {
            0 => {}
            1 => found.push(format!("1 {name}")),
            n => found.push(format!("{n} {name}s")),
        }
    }
    if found.is_empty() { "no track at all".to_owned() } else { found.join(", ") }
}

pub(crate) fn container_name(format: FormatId) -> &'static str {
    match format {
        FORMAT_ID_WAVE => "wav",
        FORMAT_ID_AIFF => "aiff",
        FORMAT_ID_CAF => "caf",
        FORMAT_ID_FLAC => "flac",
        FORMAT_ID_MP2 => "mp2",
        FORMAT_ID_MP3 => "mp3",
        FORMAT_ID_ADTS => "aac",
        FORMAT_ID_OGG => "ogg",
        FORMAT_ID_ISOMP4 => "mp4",
        FORMAT_ID_MKV => "matroska",
        _ => "media",
    }
}

/// The signatures of formats that are not supported. Each entry consists of a position near the start of the file,
/// the bytes that are found there, and the name of the format.
const UNSUPPORTED_MAGIC: [(usize, &[u8], &str); 20] = [
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (0, b"FLV\x01", "Flash video"),
    (8, b"AVI LIST", "AVI video"),
    (0, b"\x00\x00\x01\xba", "MPEG program stream"),
    (0, b"#!AMR", "AMR"),
    (28, b"Speex   ", "Speex"),
    (0, b"MThd", "MIDI, which holds notes and no audio"),
    (0, b".snd", "Sun audio"),
    (0, b"wvPK", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b".RMF", "RealMedia"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"\x7fELF", "a program"),
];

/// Returns the name of the unsupported format that a file starting with `head` has. `None` if the file has no known
/// unsupported format.
fn unsupported_format(head: &[u8]) -> Option<&'static str> {
    let known = UNSUPPORTED_MAGIC.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|h| h.starts_with(magic)));
    // An MPEG transport stream consists of packets of 188 bytes, each of which starts with the byte `G` (0x47).
    let transport_stream = head.len() > 376 && [0, 188, 376].iter().all(|&at| head[at] == b'G');
    known
        .map(|(_, _, name)| *name)
        .or_else(|| is_text(head).then_some("text"))
        .or_else(|| transport_stream.then_some("MPEG transport stream"))
}

/// Describes the first bytes of a file of unknown format, for an error message.
fn describe(head: &[u8]) -> String {
    if head.iter().all(|b| *b == 0) {
        return "zeros".to_owned();
    }
    let bytes: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("unknown data that starts with the bytes {}", bytes.join(" "))
}

/// Whether `head` is UTF-8 text without control characters. A character that is cut off at the end of `head` is
/// allowed.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head.len(),
        Err(e) if e.error_len().is_none() => e.valid_up_to(),
        Err(_) => return false,
    };
    head[..valid].iter().all(|b| *b >= b' ' || b"\t\n\r\x0c".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_formats_are_named() {
        assert_eq!(unsupported_format("Grüße,\nein Text".as_bytes()), Some("text"));
        assert_eq!(unsupported_format(b"\xff\xd8\xff\xe0"), Some("a JPEG picture"));
        assert_eq!(unsupported_format(b"RIFF....AVI LIST"), Some("AVI video"));
        assert_eq!(unsupported_format(b"RIFF\x24\0\0\0WAVEfmt "), None);
        assert_eq!(unsupported_format(b"ID3\x04\0\0\0\0\0\0"), None);
        assert_eq!(describe(&[0; 16]), "zeros");
        assert_eq!(describe(&[0xde, 0xad]), "unknown data that starts with the bytes de ad");
    }
}
