//! Recordings of any length, with the sequential algorithm of `openai-whisper` (Radford et al., arXiv 2212.04356,
//! section 3.8): a window of 30 s that moves on to the last timestamp found in it.
//!
//! Not done here: prompting a window with the text before it, and decoding again at a higher temperature.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_audio::LogMel;
use amanuensis_engine::{DecodeOptions, Decoded};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::cut::{Piece, cut};
use crate::model::Model;
use crate::transcriber::{Event, TranscribeOptions};
use crate::windows::{FRAMES_PER_SECOND, Samples, Windows, seconds};
use crate::{Ending, Error, Language, Segment, Timings, Transcript};

/// Frames that a window needs for anybody to say something in it. What is left behind the last timestamp is often
/// shorter, and a model that is given next to nothing invents something.
const SHORTEST: usize = 20;

/// A window is silent if the probability of no speech is above the one, and the mean log-probability of what was decoded
/// all the same not above the other.
const NO_SPEECH_THRESHOLD: f32 = 0.6;
const LOGPROB_THRESHOLD: f32 = -1.0;

/// One transcription at work.
pub(crate) struct LongForm<'a, M, S> {
    model: &'a M,
    name: &'a str,
    options: &'a TranscribeOptions,
    on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    mel: LogMel,
    /// The spectrogram of the window, `(n_frames, n_mels)`.
    spectrogram: Vec<f32>,
    windows: Windows<S>,
    total: Option<f64>,
    /// The language given, that of an English-only model, or the one detected; none yet if it is to be detected.
    language: Option<Language>,
    segments: Vec<Segment>,
    timings: Timings,
    cancelled: bool,
}

impl<'a, M: Model, S: Samples> LongForm<'a, M, S> {
    pub(crate) fn new(
        model: &'a M,
        name: &'a str,
        mel: LogMel,
        samples: S,
        options: &'a TranscribeOptions,
        on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Self {
        let language = if model.is_multilingual() { options.language } else { Some(Language::ENGLISH) };
        Self {
            model,
            name,
            options,
            on_event,
            mel,
            spectrogram: Vec::new(),
            total: samples.expected_duration(),
            windows: Windows::new(samples),
            language,
            segments: Vec::new(),
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
            Ending::Failed(_) | Ending::Cancelled => seconds(self.windows.position()),
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
        loop {
            let n_frames = self.model.n_frames();
            timed(&mut self.timings.audio_decode, || self.windows.fill(n_frames))?;
            let frames = self.windows.window(n_frames).len() / amanuensis_audio::HOP_LENGTH;
            if frames < SHORTEST {
                return Ok(match self.windows.failure() {
                    Some(error) => Ending::Failed(error.to_string()),
                    None => Ending::Complete,
                });
            }
            let done = seconds(self.windows.position());
            self.tell(Event::Progress { done, total: self.total });
            if self.cancelled {
                return Ok(Ending::Cancelled);
            }
            match self.window(frames) {
                Ok(advance) => self.windows.advance(advance),
                Err(error) if self.windows.position() == 0 => return Err(error),
                Err(error) => return Ok(Ending::Failed(error.to_string())),
            }
        }
    }

    /// Transcribes one window, which holds `frames` frames of the recording, and returns how far to move on.
    fn window(&mut self, frames: usize) -> Result<usize, Error> {
        let samples = self.windows.window(self.model.n_frames());
        timed(&mut self.timings.mel, || self.mel.window(samples, &mut self.spectrogram))?;
        let encoded = timed(&mut self.timings.encode, || self.model.encode(&self.spectrogram))?;

        let start = Instant::now();
        let detected = if self.language.is_some() { None } else { Some(self.detect_language(&encoded)?) };
        let language = self.language.or(detected.map(|(language, _)| language));
        let options = DecodeOptions {
            language: language.filter(|_| self.model.is_multilingual()).map(|language| language.code().to_owned()),
            task: self.options.task,
            timestamps: true,
        };
        let decoded = self.model.decode(&encoded, &options)?;
        self.timings.decode += start.elapsed().as_secs_f64();

        if is_silent(&decoded) {
            return Ok(frames);
        }
        // What was detected where nothing is said means nothing: then the next window decides.
        if let Some((language, probability)) = detected.filter(|_| !self.model.text(&decoded.tokens).trim().is_empty())
        {
            self.language = Some(language);
            self.tell(Event::Language { language, probability });
        }
        let frame_of = |token| Some((self.model.timestamp(token)? * FRAMES_PER_SECOND as f64).round() as usize);
        let found = cut(&decoded.tokens, frames, frame_of);
        self.keep(&decoded, &found.pieces);
        Ok(found.advance)
    }

    /// The most probable language of a window, and its probability.
    fn detect_language(&self, encoded: &M::Window) -> Result<(Language, f32), Error> {
        let detected = self.model.detect_language(encoded);
        let known = detected.iter().find_map(|(code, probability)| Some((Language::from_code(code)?, *probability)));
        known.ok_or_else(|| Error::NoLanguageDetected { model: self.name.to_owned() })
    }

    /// Makes segments of a window's pieces, those without text and those without length left out.
    fn keep(&mut self, decoded: &Decoded, pieces: &[Piece]) {
        let seek = self.windows.position();
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
