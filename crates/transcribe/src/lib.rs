//! Transcribes recordings and live speech. The result for a recording is a [`Transcript`].
//!
//! A [`Transcriber`] is a loaded model. It reads an [`Audio`] as a stream, so memory does not grow with the length of
//! the recording. It reports segments and progress to a callback, which can also cancel the transcription.
//! [`OutputFormat`] writes the transcript as text, subtitles, a table or JSON. A [`LiveTranscriber`] transcribes a
//! stream of speech while it is spoken.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use amanuensis_transcribe::{Audio, ComputeType, EngineOptions, Event, OutputFormat, SubtitleOptions};
//! use amanuensis_transcribe::{TranscribeOptions, Transcriber};
//!
//! let engine = EngineOptions { compute_type: ComputeType::Int8, threads: 2, ..EngineOptions::default() };
//! let transcriber = Transcriber::load(Path::new("models/base"), &engine)?;
//! let transcript = transcriber.transcribe(Audio::open("talk.mp3")?, &TranscribeOptions::default(), &mut |event| {
//!     if let Event::Segment(segment) = event {
//!         println!("{:.2} {}", segment.start, segment.line());
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! OutputFormat::TXT.write(&transcript, &SubtitleOptions::default(), &mut std::io::stdout())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate contains no HTTP code and no async code, and it writes nothing to the terminal.
#![forbid(unsafe_code)]

mod checkpoint;
mod decoding;
mod error;
mod event;
mod language;
mod live;
mod model;
mod options;
mod output;
mod pipeline;
mod sample_buffer;
mod segments;
mod transcriber;
mod transcript;
mod vad;
mod windowing;
mod words;

pub use amanuensis_audio::{Audio, Error as AudioError, ErrorKind as AudioErrorKind, RawFormat, RawStream};
pub use amanuensis_engine::{
    ComputeType, Device, DeviceOptions, Engine, EngineOptions, Error as EngineError, LogitsFilterOptions, Runtime,
    SileroVad, Task,
};
pub use checkpoint::WindowCheckpoint;
pub use error::Error;
pub use event::Event;
pub use language::{Language, UnknownLanguage};
pub use live::{LiveEvent, LiveTranscriber, UtteranceOptions};
pub use options::{Strategy, TranscribeOptions};
pub use output::{OutputFormat, SubtitleOptions, UnknownFormat};
pub use transcriber::Transcriber;
pub use transcript::{Ending, Flag, Segment, Timings, Transcript, Word};
pub use vad::VadOptions;
pub use windowing::speech_windows;
