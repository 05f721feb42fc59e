//! A transcription on a thread of its own: what it finds comes back through a channel, and whoever drops the receiving end
//! gives the work up.

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

use crate::decode::{Decoder, OpenError};

/// What a transcription tells while it works.
#[derive(Debug)]
pub enum Heard {
    /// The language was detected.
    Language(Language),
    /// A segment was found.
    Segment(Segment),
    /// It has come to an end; the last of all.
    Ended(Result<Transcript, Failure>),
}

/// Why there is no transcript, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The recording cannot be read.
    #[error(transparent)]
    Audio(AudioError),
    /// There is no process for the recording.
    #[error("no decoder can be started: {0}")]
    Decoder(io::Error),
    /// The process for the recording was killed, and not for what is in it.
    #[error("{0}; it is worth another try")]
    Killed(String),
    /// The model cannot do what is asked, or failed.
    #[error(transparent)]
    Transcribe(TranscribeError),
    /// The recording cannot be read, or decoded, to its end.
    #[error("the recording cannot be transcribed beyond {done:.1} s: {reason}")]
    Incomplete {
        /// Seconds that could be.
        done: f64,
        /// Why not more.
        reason: String,
    },
    /// The recording is longer than is allowed.
    #[error("the recording is longer than {} s, which is the most that this server takes", .0.as_secs())]
    TooLong(Duration),
    /// The work took longer than is allowed.
    #[error("the transcription took longer than {} s, which is the most that this server allows", .0.as_secs())]
    TimedOut(Duration),
    /// Nobody wants the transcript any more, or the server is being stopped.
    #[error("the transcription was given up")]
    GivenUp,
}

/// How much a transcription may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest recording.
    pub duration: Duration,
    /// The longest time.
    pub time: Duration,
}

/// A transcription at work. Dropping it ends the work at the next window.
pub struct Running {
    heard: UnboundedReceiver<Heard>,
    given_up: Arc<AtomicBool>,
}

impl Running {
    /// What comes next; nothing after [`Heard::Ended`].
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Any [`Failure`].
    pub async fn transcript(mut self) -> Result<Transcript, Failure> {
        while let Some(heard) = self.next().await {
            if let Heard::Ended(end) = heard {
                return end;
            }
        }
        // The thread panicked.
        Err(Failure::Transcribe(TranscribeError::Stopped))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Begins to transcribe the recording at `path`, which `decoder` opens. `held` is kept until the work has ended, even if it
/// is given up.
pub fn start<H: Send + 'static>(
    transcriber: Arc<Transcriber>,
    decoder: Decoder,
    path: PathBuf,
    options: TranscribeOptions,
    bounds: Bounds,
    held: H,
) -> Running {
    let (tell, heard) = unbounded_channel();
    let given_up = Arc::new(AtomicBool::new(false));
    let running = Running { heard, given_up: Arc::clone(&given_up) };
    let watch = Watch { until: Instant::now() + bounds.time, given_up };
    spawn_blocking(move || {
        let end = transcribe(&transcriber, &decoder, path, &options, bounds, &watch, &tell);
        // Whoever hears of the end finds the places free, and the model idle.
        drop((held, transcriber));
        // Nobody listens to what was given up.
        let _ = tell.send(Heard::Ended(end));
    });
    running
}

fn transcribe(
    transcriber: &Transcriber,
    decoder: &Decoder,
    path: PathBuf,
    options: &TranscribeOptions,
    bounds: Bounds,
    watch: &Watch,
    tell: &UnboundedSender<Heard>,
) -> Result<Transcript, Failure> {
    let longest = bounds.duration.as_secs_f64();
    let failure = |stopped: Stopped| match stopped {
        Stopped::GivenUp => Failure::GivenUp,
        Stopped::TimedOut => Failure::TimedOut(bounds.time),
    };
    let file = File::open(&path).map_err(|source| Failure::Audio(AudioError::Open { path, source }))?;
    let is_wanted = {
        let watch = watch.clone();
        move || watch.stopped().is_none()
    };
    let (audio, fate) = decoder.open(file, is_wanted).map_err(|error| match (watch.stopped(), error) {
        (Some(stopped), _) => failure(stopped),
        (None, OpenError::Start(error)) => Failure::Decoder(error),
        (None, OpenError::Killed(reason)) => Failure::Killed(reason),
        (None, OpenError::Audio(error)) => Failure::Audio(error),
    })?;
    if audio.expected_duration().is_some_and(|seconds| seconds > longest) {
        return Err(Failure::TooLong(bounds.duration));
    }
    let mut is_too_long = false;
    let transcript = transcriber.transcribe(audio, options, &mut |event| {
        match event {
            // What comes now may have been cut where the samples end.
            _ if fate.killed().is_some() => return ControlFlow::Break(()),
            Event::Segment(segment) => drop(tell.send(Heard::Segment(segment.clone()))),
            Event::Language { language, .. } => drop(tell.send(Heard::Language(language))),
            Event::Progress { done, .. } => is_too_long |= done > longest,
            _ => {}
        }
        if is_too_long || watch.stopped().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(stopped) = watch.stopped() {
        return Err(failure(stopped));
    }
    if let Some(reason) = fate.killed() {
        return Err(Failure::Killed(reason.to_owned()));
    }
    let transcript = transcript.map_err(|error| match error {
        TranscribeError::Audio(error) => Failure::Audio(error),
        error => Failure::Transcribe(error),
    })?;
    match transcript.ending {
        _ if is_too_long || transcript.duration > longest => Err(Failure::TooLong(bounds.duration)),
        Ending::Complete => Ok(transcript),
        Ending::Cancelled => Err(Failure::GivenUp),
        Ending::Failed(reason) => Err(Failure::Incomplete { done: transcript.duration, reason }),
    }
}

/// Whether work is still wanted.
#[derive(Clone)]
struct Watch {
    until: Instant,
    given_up: Arc<AtomicBool>,
}

enum Stopped {
    GivenUp,
    TimedOut,
}

impl Watch {
    fn stopped(&self) -> Option<Stopped> {
        if self.given_up.load(Ordering::Relaxed) {
            Some(Stopped::GivenUp)
        } else {
            (Instant::now() > self.until).then_some(Stopped::TimedOut)
        }
    }
}
