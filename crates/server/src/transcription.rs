//! Transcribes one recording on a blocking thread, which sends the events through a channel. Dropping the receiver of
//! the channel cancels the transcription.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use amanuensis_transcribe::{
    AudioError, Ending, Error as TranscribeError, Event, Language, Segment, TranscribeOptions, Transcriber, Transcript,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;

use amanuensis_decode_worker::{Decoder, OpenError};

/// An event of a running transcription.
#[derive(Debug)]
pub enum TranscriptionEvent {
    /// The spoken language was detected.
    Language(Language),
    /// A segment of the transcript is complete.
    Segment(Segment),
    /// The transcription has finished or failed. No event follows this one.
    Finished(Result<Transcript, TranscriptionError>),
}

/// The reason why a transcription did not produce a transcript.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptionError {
    /// The recording cannot be opened or decoded.
    #[error(transparent)]
    Audio(AudioError),
    /// The operating system cannot start a worker process to decode the recording. The recording is not the cause.
    #[error("cannot start a decoder: {0}")]
    DecoderStart(io::Error),
    /// The worker process was killed from outside, for example by the kernel's out-of-memory killer. A retry may
    /// succeed.
    #[error("{0}; try again")]
    DecoderKilled(String),
    /// The model does not support the options, or the model failed.
    #[error(transparent)]
    Transcribe(TranscribeError),
    /// The recording could be decoded only up to some point.
    #[error("the recording cannot be transcribed beyond {done:.1} s: {reason}")]
    Incomplete {
        /// Seconds of the recording that were transcribed before the failure.
        done: f64,
        /// The error message of the audio decoder.
        reason: String,
    },
    /// The recording is longer than [`TranscriptionLimits::max_duration`].
    #[error("the recording is longer than {} s, the maximum of this server", .0.as_secs())]
    TooLong(Duration),
    /// The transcription took longer than [`TranscriptionLimits::timeout`].
    #[error("the transcription took longer than {} s, the time limit of this server", .0.as_secs())]
    TimedOut(Duration),
    /// The client disconnected, or the server is shutting down.
    #[error("the transcription was cancelled")]
    Cancelled,
}

/// The limits of one transcription: how long its recording may be, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct TranscriptionLimits {
    /// Maximum duration of a recording.
    pub max_duration: Duration,
    /// Maximum time that the transcription may take.
    pub timeout: Duration,
}

/// A transcription on another thread. Dropping this value cancels the transcription after its current window.
pub struct RunningTranscription {
    events: UnboundedReceiver<TranscriptionEvent>,
    cancelled: Arc<AtomicBool>,
}

impl RunningTranscription {
    /// Waits for the next event. Returns `None` after [`TranscriptionEvent::Finished`].
    pub async fn next(&mut self) -> Option<TranscriptionEvent> {
        self.events.recv().await
    }

    /// Waits until the transcription has finished, and returns the transcript. Ignores all other events.
    ///
    /// # Errors
    /// Any [`TranscriptionError`].
    pub async fn transcript(mut self) -> Result<Transcript, TranscriptionError> {
        while let Some(event) = self.next().await {
            if let TranscriptionEvent::Finished(result) = event {
                return result;
            }
        }
        // If the channel is closed without a `Finished` event, the transcription thread has panicked.
        Err(TranscriptionError::Transcribe(TranscribeError::Stopped))
    }
}

impl Drop for RunningTranscription {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Starts to transcribe the recording at `path`. `decoder` opens the recording. `guard` holds what must live as long
/// as the transcription: the slot of the request and the uploaded file. It is dropped when the thread finishes, even
/// after a cancellation.
pub fn start<G: Send + 'static>(
    transcriber: Arc<Transcriber>,
    decoder: Decoder,
    path: PathBuf,
    options: TranscribeOptions,
    limits: TranscriptionLimits,
    guard: G,
) -> RunningTranscription {
    let (sender, events) = unbounded_channel();
    let cancelled = Arc::new(AtomicBool::new(false));
    let running = RunningTranscription { events, cancelled: Arc::clone(&cancelled) };
    let token = CancellationToken { deadline: Instant::now() + limits.timeout, cancelled };
    spawn_blocking(move || {
        let result = transcribe(&transcriber, &decoder, path, &options, limits, &token, &sender);
        // Drop these before the final event is sent. When the client receives the event, the slot is then free and
        // the model is idle.
        drop((guard, transcriber));
        // Sending fails only if the receiver was dropped, which means that the transcription was cancelled.
        let _ = sender.send(TranscriptionEvent::Finished(result));
    });
    running
}

fn transcribe(
    transcriber: &Transcriber,
    decoder: &Decoder,
    path: PathBuf,
    options: &TranscribeOptions,
    limits: TranscriptionLimits,
    token: &CancellationToken,
    events: &UnboundedSender<TranscriptionEvent>,
) -> Result<Transcript, TranscriptionError> {
    let max_seconds = limits.max_duration.as_secs_f64();
    let stop_error = |reason: StopReason| match reason {
        StopReason::Cancelled => TranscriptionError::Cancelled,
        StopReason::TimedOut => TranscriptionError::TimedOut(limits.timeout),
    };
    let file = File::open(&path).map_err(|source| TranscriptionError::Audio(AudioError::Open { path, source }))?;
    let is_cancelled = {
        let token = token.clone();
        move || token.stop_reason().is_some()
    };
    let (audio, exit) = decoder.open(file, is_cancelled).map_err(|error| match (token.stop_reason(), error) {
        (Some(reason), _) => stop_error(reason),
        (None, OpenError::Start(error)) => TranscriptionError::DecoderStart(error),
        (None, OpenError::Killed(reason)) => TranscriptionError::DecoderKilled(reason),
        (None, OpenError::Audio(error)) => TranscriptionError::Audio(error),
    })?;
    if audio.expected_duration().is_some_and(|seconds| seconds > max_seconds) {
        return Err(TranscriptionError::TooLong(limits.max_duration));
    }
    let mut is_too_long = false;
    let transcript = transcriber.transcribe(audio, options, &mut |event| {
        match event {
            // If the worker process was killed, the decoded audio ends too early, so this event may belong to an
            // incomplete window.
            _ if exit.killed().is_some() => return ControlFlow::Break(()),
            Event::Segment(segment) => drop(events.send(TranscriptionEvent::Segment(segment.clone()))),
            Event::Language { language, .. } => drop(events.send(TranscriptionEvent::Language(language))),
            Event::Progress { done, .. } => is_too_long |= done > max_seconds,
            _ => {}
        }
        if is_too_long || token.stop_reason().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(reason) = token.stop_reason() {
        return Err(stop_error(reason));
    }
    if let Some(reason) = exit.killed() {
        return Err(TranscriptionError::DecoderKilled(reason.to_owned()));
    }
    let transcript = transcript.map_err(|error| match error {
        TranscribeError::Audio(error) => TranscriptionError::Audio(error),
        error => TranscriptionError::Transcribe(error),
    })?;
    match transcript.ending {
        _ if is_too_long || transcript.duration > max_seconds => Err(TranscriptionError::TooLong(limits.max_duration)),
        Ending::Complete => Ok(transcript),
        Ending::Cancelled => Err(TranscriptionError::Cancelled),
        Ending::Failed(reason) => Err(TranscriptionError::Incomplete { done: transcript.duration, reason }),
    }
}

/// Whether a transcription must stop, because it was cancelled or its deadline has passed.
#[derive(Clone)]
struct CancellationToken {
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
}

enum StopReason {
    Cancelled,
    TimedOut,
}

impl CancellationToken {
    fn stop_reason(&self) -> Option<StopReason> {
        if self.cancelled.load(Ordering::Relaxed) {
            Some(StopReason::Cancelled)
        } else {
            (Instant::now() > self.deadline).then_some(StopReason::TimedOut)
        }
    }
}
