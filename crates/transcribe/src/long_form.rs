//! Recordings of any length, in windows of up to 30 s, by one of two strategies.
//!
//! Sequential: the algorithm of `openai-whisper` (Radford et al., arXiv 2212.04356, section 3.8), in which a window
//! begins at the last timestamp found in the one before. Batched: windows are cut where it is quiet, so that none has to
//! wait for another, and many are read at once.
//!
//! Not done here: prompting a window with the text before it, and decoding again at a higher temperature.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_audio::{HOP_LENGTH, LogMel};
use amanuensis_engine::Decoded;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::cut::{Cut, Piece, cut};
use crate::model::{Model, Reader};
use crate::scheduler::{Failure, Request};
use crate::transcriber::{Event, Strategy, TranscribeOptions};
use crate::windows::{FRAMES_PER_SECOND, Samples, Windows, seconds};
use crate::{Ending, Error, Language, Segment, Timings, Transcript};

/// Frames that a window needs for anybody to say something in it. What is left behind the last timestamp is often
/// shorter, and a model that is given next to nothing invents something.
const SHORTEST: usize = 20;

/// A window is silent if the probability of no speech is above the one, and the mean log-probability of what was decoded
/// all the same not above the other.
const NO_SPEECH_THRESHOLD: f32 = 0.6;
const LOGPROB_THRESHOLD: f32 = -1.0;

/// A batched window is cut at its quietest place between these frames before the end of what the model can take. Some
/// silence is left: at the end of a window that is full to the brim, a model keeps back a sentence that may go on.
const CUT_RANGE: (usize, usize) = (1000, 200);

/// One transcription at work.
pub(crate) struct LongForm<'a, M, R, S> {
    model: &'a M,
    reader: &'a R,
    name: &'a str,
    options: &'a TranscribeOptions,
    on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    mel: LogMel,
    windows: Windows<S>,
    total: Option<f64>,
    /// The language given, that of an English-only model, or the one detected; none yet if it is to be detected.
    language: Option<Language>,
    segments: Vec<Segment>,
    /// What has been transcribed, in frames.
    done: usize,
    timings: Timings,
    cancelled: bool,
}

/// A window that is being read.
struct Pending<T> {
    ticket: T,
    /// Where it begins, and how long it is, in frames.
    position: usize,
    frames: usize,
}

impl<'a, M: Model, R: Reader, S: Samples> LongForm<'a, M, R, S> {
    pub(crate) fn new(
        (model, reader): (&'a M, &'a R),
        name: &'a str,
        mel: LogMel,
        samples: S,
        options: &'a TranscribeOptions,
        on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Self {
        let language = if model.is_multilingual() { options.language } else { Some(Language::ENGLISH) };
        Self {
            model,
            reader,
            name,
            options,
            on_event,
            mel,
            total: samples.expected_duration(),
            windows: Windows::new(samples),
            language,
            segments: Vec::new(),
            done: 0,
            timings: Timings::default(),
            cancelled: false,
        }
    }

    /// Transcribes the recording to its end, or until there is a reason not to.
    pub(crate) fn run(mut self) -> Result<Transcript, Error> {
        let start = Instant::now();
        let ending = self.windows()?;
        let warnings = self.warnings();
        let duration = match ending {
            Ending::Complete => self.windows.seconds_read(),
            // An end that cannot be read leaves everything before it transcribed.
            Ending::Failed(_) if self.windows.failure().is_some() => self.windows.seconds_read(),
            Ending::Failed(_) | Ending::Cancelled => seconds(self.done),
        };
        self.timings.total = start.elapsed().as_secs_f64();
        Ok(Transcript {
            task: self.options.task,
            language: self.language,
            duration,
            segments: self.segments,
            model: self.name.to_owned(),
            timings: self.timings,
            warnings,
            ending,
        })
    }

    fn windows(&mut self) -> Result<Ending, Error> {
        let mut pending = VecDeque::new();
        loop {
            while pending.len() < self.ahead() && self.fill()? >= SHORTEST {
                let frames = self.window_length();
                pending.push_back(self.submit(frames)?);
            }
            let Some(window) = pending.pop_front() else {
                return Ok(match self.windows.failure() {
                    Some(error) => Ending::Failed(error.to_string()),
                    None => Ending::Complete,
                });
            };
            self.tell(Event::Progress { done: seconds(self.done), total: self.total });
            if self.cancelled {
                return Ok(Ending::Cancelled);
            }
            match self.take(window) {
                Ok(()) => {}
                Err(error) if self.done == 0 => return Err(error),
                Err(error) => return Ok(Ending::Failed(error.to_string())),
            }
        }
    }

    /// Windows to hand over before the first of them is waited for: enough that a place in the batch never stays empty.
    /// Until the language is known, each window waits for what the one before says of it.
    fn ahead(&self) -> usize {
        match self.options.strategy {
            Strategy::Batched if self.language.is_some() => self.reader.batch_size() + 2,
            _ => 1,
        }
    }

    /// Reads on until there is a whole window, and a little more where there is more; returns the window's frames.
    fn fill(&mut self) -> Result<usize, Error> {
        let n_frames = self.model.n_frames();
        timed(&mut self.timings.audio_decode, || self.windows.fill(n_frames + 1))?;
        Ok(self.windows.window(n_frames).len() / HOP_LENGTH)
    }

    /// Frames of the window that is read next. A sequential one is as long as can be.
    fn window_length(&self) -> usize {
        let n_frames = self.model.n_frames();
        let held = self.windows.window(n_frames).len() / HOP_LENGTH;
        let is_last = self.windows.window(n_frames + 1).len() <= n_frames * HOP_LENGTH;
        let [from, to] = [CUT_RANGE.0, CUT_RANGE.1].map(|before_end| n_frames.saturating_sub(before_end));
        match self.options.strategy {
            Strategy::Batched if !is_last => self.windows.quietest(from, to),
            _ => held,
        }
    }

    /// Hands over the window that lies ahead, which holds `frames` frames of the recording.
    fn submit(&mut self, frames: usize) -> Result<Pending<R::Ticket>, Error> {
        let mut spectrogram = Vec::new();
        let samples = self.windows.window(frames);
        timed(&mut self.timings.mel, || self.mel.window(samples, &mut spectrogram))?;
        let request = Request { mel: spectrogram, language: self.language, task: self.options.task };
        let pending = Pending { ticket: self.reader.submit(request), position: self.windows.position(), frames };
        // A sequential window moves on only once it is known how far.
        if self.options.strategy == Strategy::Batched {
            self.windows.advance(frames);
        }
        Ok(pending)
    }

    /// Waits for a window and makes segments of it.
    fn take(&mut self, Pending { ticket, position, frames }: Pending<R::Ticket>) -> Result<(), Error> {
        let answer = self.reader.wait(ticket).map_err(|failure| match failure {
            Failure::Engine(error) => Error::Engine(error),
            Failure::NoLanguage => Error::NoLanguageDetected { model: self.name.to_owned() },
            Failure::Stopped => Error::Stopped,
        })?;
        self.timings.encode += answer.encode;
        self.timings.decode += answer.decode;
        let decoded = &answer.decoded;
        let mut advance = frames;
        if !is_silent(decoded) {
            // What was detected where nothing is said means nothing: then the next window decides.
            let says_something = !self.model.text(&decoded.tokens).trim().is_empty();
            if let Some((language, probability)) = answer.detected.filter(|_| says_something) {
                self.language = Some(language);
                self.tell(Event::Language { language, probability });
            }
            let frame_of = |token| Some((self.model.timestamp(token)? * FRAMES_PER_SECOND as f64).round() as usize);
            let Cut { mut pieces, rest, advance: next } = cut(&decoded.tokens, frames, frame_of);
            match self.options.strategy {
                Strategy::Batched => pieces.extend(rest),
                Strategy::Sequential => advance = next,
            }
            self.keep(position, decoded, &pieces);
        }
        if self.options.strategy == Strategy::Sequential {
            self.windows.advance(advance);
        }
        self.done = position + advance;
        Ok(())
    }

    /// Makes segments of a window's pieces, those without text and those without length left out.
    fn keep(&mut self, seek: usize, decoded: &Decoded, pieces: &[Piece]) {
        let compression_ratio = compression_ratio(self.model.text(&decoded.tokens).trim());
        for piece in pieces {
            let tokens = &decoded.tokens[piece.tokens.clone()];
            let text = self.model.text(tokens);
            if text.trim().is_empty() || piece.start == piece.end {
                continue;
            }
            let segment = Segment {
                id: self.segments.len(),
                seek,
                start: seconds(seek + piece.start),
                end: seconds(seek + piece.end),
                text,
                tokens: tokens.to_vec(),
                temperature: decoded.temperature,
                avg_logprob: decoded.avg_logprob,
                compression_ratio,
                no_speech_prob: decoded.no_speech_prob,
                words: Vec::new(),
            };
            self.tell(Event::Segment(&segment));
            self.segments.push(segment);
        }
    }

    fn warnings(&mut self) -> Vec<String> {
        let mut warnings = self.windows.source().warnings();
        if self.windows.seconds_read() < seconds(SHORTEST) {
            let ms = 1000.0 * self.windows.seconds_read();
            warnings.push(format!("the recording is too short for speech ({ms:.0} ms)"));
        }
        for warning in &warnings {
            self.tell(Event::Warning(warning));
        }
        warnings
    }

    fn tell(&mut self, event: Event<'_>) {
        self.cancelled |= (self.on_event)(event).is_break();
    }
}

fn is_silent(decoded: &Decoded) -> bool {
    decoded.no_speech_prob > NO_SPEECH_THRESHOLD && decoded.avg_logprob <= LOGPROB_THRESHOLD
}

/// Bytes of `text` to its bytes compressed by zlib.
fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f32 / compressed.expect("writing to memory does not fail").len() as f32
}

/// Runs `work` and adds the seconds it took.
fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *seconds += start.elapsed().as_secs_f64();
    result
}

#[cfg(test)]
mod tests;
