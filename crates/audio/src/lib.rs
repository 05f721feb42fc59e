//! Sound in, features out: the bytes of a recording become 16 kHz mono `f32` samples ([`Audio`]), and those become the
//! log-mel spectrogram that Whisper reads ([`LogMel`]). Samples that come without a header, live, are a [`RawStream`].
//!
//! Formats: WAV, RF64, AIFF, CAF, FLAC, MP3, MP2, ADTS AAC, Ogg (Vorbis, Opus, FLAC), MP4, M4A and MOV (AAC, ALAC, Opus,
//! MP3, PCM), MKV and `WebM` (the same, FLAC and Vorbis). A video file gives its audio track. The contents decide, never
//! the file's name. Not read, and refused with a clear error: AAC of more than two channels, ALAC in MOV, AC-3, DTS, WMA,
//! Speex, AVI, MPEG streams. Of HE-AAC the core is read, which holds all of speech but its air.
//!
//! Everything is a stream: memory does not grow with the length of the recording. Whatever the bytes, nothing here
//! panics and nothing allocates by a size that only the file claims; damage costs the damaged part and leaves a
//! [`Warning`].
//!
//! Whoever wants to be safe from decoders that take more memory or time than they should has another process [`send`]
//! what it decodes, and takes it in with [`Audio::from_relay`].
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
mod timeline;

pub use audio::{Audio, SAMPLE_RATE};
pub use container::StreamInfo;
pub use error::{Error, ErrorKind, Warning, WarningKind};
pub use input::Source;
pub use mel::{HOP_LENGTH, LogMel, N_FFT, WINDOW_FRAMES, WINDOW_SAMPLES};
pub use raw::{RawFormat, RawStream};
pub use relay::send;
