//! Decodes recordings ([`Audio`]) and raw live streams ([`RawStream`]) to 16 kHz mono `f32` samples, and computes the
//! log-mel spectrogram that Whisper takes as input ([`LogMel`]).
//!
//! Formats: WAV, RF64, AIFF, CAF, FLAC, MP3, MP2, ADTS AAC, Ogg (Vorbis, Opus, FLAC), MP4, M4A and MOV (AAC, ALAC,
//! Opus, MP3, PCM), MKV and `WebM` (the same codecs, and also FLAC and Vorbis). Of a video file, the audio track is
//! decoded. The format is detected by the contents, never by the file's name. These formats are not supported and give
//! a clear error: AAC of more than two channels, ALAC in MOV, AC-3, DTS, WMA, Speex, AVI, MPEG streams. Of HE-AAC, only
//! the AAC-LC core is decoded. It is the lower half of the spectrum, which contains nearly all of speech.
//!
//! All decoding is streaming: memory use does not grow with the length of the recording. No input makes this crate
//! panic, or allocate memory only because a header claims a large size. If a recording is damaged, only the damaged
//! part is lost, and a [`Warning`] is added.
//!
//! To limit the memory and time that a decoder can take, decode in another process: call [`send`] there, and
//! [`Audio::from_relay`] here.
#![forbid(unsafe_code)]

mod audio;
mod codecs;
mod container;
mod decode;
mod error;
mod guard;
mod input;
mod mel;
mod mix;
mod mkv;
mod mp4;
mod opus;
mod raw;
mod relay;
mod resample;
mod riff;
mod sample_rate;
mod timeline;

pub use audio::Audio;
pub use container::StreamInfo;
pub use error::{Error, ErrorKind, Warning, WarningKind};
pub use input::Source;
pub use mel::{HOP_LENGTH, LogMel, N_FFT, WINDOW_FRAMES, WINDOW_SAMPLES};
pub use raw::{RawFormat, RawStream};
pub use relay::send;
pub use sample_rate::SAMPLE_RATE;
