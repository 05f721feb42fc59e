//! Recordings of any length, in windows of up to 30 s, by one of two strategies.
//!
//! Sequential: the algorithm of `openai-whisper` (Radford et al., arXiv 2212.04356, section 3.8), in which a window
//! begins at the last timestamp found in the one before. Batched: windows are cut where it is quiet, so that none has to
//! wait for another, and many are read at once.
//!
//! What is done about a window whose text does not pass is in `attempts.rs`.

mod resume;

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use amanuensis_audio::{HOP_LENGTH, LogMel};
use amanuensis_engine::{EncoderOutput, Frames, SileroVad};

use crate::decoding::{DecodeCheck, Prompt, RequestBuilder, WindowDecoder, WindowInput};
use crate::model::Model;
use crate::options::{Strategy, TranscribeOptions};
use crate::sample_buffer::{FRAMES_PER_SECOND, Samples, Windows, frames_of, seconds};
use crate::segments::{Cut, Piece, cut, remove_repetition};
use crate::vad::SpeechProbabilities;
use crate::windowing::{Planned, Planner, gaps, voiced_frames};
use crate::words::SilenceMap;
use crate::{Ending, Error, Event, Flag, Language, Segment, Timings, Transcript, WindowCheckpoint, Word};

/// Frames that a window needs for anybody to say something in it. What is left behind the last timestamp is often
/// shorter, and a model that is given next to nothing invents something.
const SHORTEST: usize = 20;

/// A text drawn at a higher temperature than this is nothing for the next window to go by.
const MOST_CHANCE: f32 = 0.5;

/// Frames that are read at a time: a second.
const AT_ONCE: usize = FRAMES_PER_SECOND;

/// How often a part of the recording is read, at most.
const MOST_READINGS: usize = 3;

/// One transcription at work.
pub(crate) struct LongForm<'a, M, R, S> {
    model: &'a M,
    reader: &'a R,
    name: &'a str,
    options: &'a TranscribeOptions,
    on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    mel: LogMel,
    windows: Windows<S>,
    voicing: SpeechProbabilities<'a>,
    /// Whether it is known where somebody speaks.
    detects_speech: bool,
    planner: Planner,
    /// What was read before, and is not read again.
    before: VecDeque<WindowCheckpoint>,
    total: Option<f64>,
    /// The language given, that of an English-only model, or the one detected; none yet if it is to be detected.
    language: Option<Language>,
    requests: RequestBuilder,
    context: Prompt,
    /// What the first text begins with, until there is one.
    prefix: Vec<u32>,
    segments: Vec<Segment>,
    warnings: Vec<String>,
    /// What has been transcribed, in frames.
    done: usize,
    timings: Timings,
    cancelled: bool,
}

/// A window that is being read.
struct Pending<T> {
    ticket: T,
    /// Where it is silent, if the times of words are asked for.
    silence_map: Option<SilenceMap>,
    /// Where it begins, and how long it is, in frames.
    position: usize,
    frames: usize,
    /// Its samples, in case a part of it has to be read again.
    samples: Vec<f32>,
    /// Where in it somebody speaks, in frames of the recording.
    voiced: Vec<Range<usize>>,
}

/// What was read in a window.
struct Reading {
    segments: Vec<Segment>,
    /// Frames from its beginning to where the next one begins.
    advance: usize,
    /// Whether the text so far is nothing for the next one to go by.
    forgets: bool,
}

impl<'a, M: Model, R: WindowDecoder, S: Samples> LongForm<'a, M, R, S> {
    pub(crate) fn new(
        (model, reader, detector): (&'a M, &'a R, Option<&'a SileroVad>),
        name: &'a str,
        mel: LogMel,
        samples: S,
        options: &'a TranscribeOptions,
        on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Self {
        let language = if model.is_multilingual() { options.language } else { Some(Language::ENGLISH) };
        let planner = Planner::new(options.vad.unwrap_or_default(), model.n_frames().0, &options.clips);
        Self {
            model,
            reader,
            name,
            options,
            on_event,
            mel,
            total: samples.expected_duration(),
            windows: Windows::new(samples),
            voicing: SpeechProbabilities::new(detector.filter(|_| options.vad.is_some())),
            detects_speech: detector.is_some() && options.vad.is_some(),
            planner: if options.multilingual { planner.by_turns() } else { planner },
            before: VecDeque::new(),
            language,
            requests: RequestBuilder::new(options),
            context: Prompt::new(model, options),
            prefix: model.encode_phrase(options.prefix.as_deref()),
            segments: Vec::new(),
            warnings: Vec::new(),
            done: 0,
            timings: Timings::default(),
            cancelled: false,
        }
    }

    /// Transcribes the recording to its end, or until there is a reason not to.
    pub(crate) fn run(mut self) -> Result<Transcript, Error> {
        let start = Instant::now();
        if self.context.is_truncated() {
            self.warn(
                "hot words and initial prompt are longer than the model's context; a part is left out".to_owned(),
            );
        }
        let ending = self.windows()?;
        self.warn_of_source();
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
            warnings: self.warnings,
            ending,
        })
    }

    fn windows(&mut self) -> Result<Ending, Error> {
        self.pass_over()?;
        if self.cancelled {
            return Ok(Ending::Cancelled);
        }
        let mut pending = VecDeque::new();
        loop {
            while pending.len() < self.ahead() {
                let Some(stretch) = self.next_stretch()? else { break };
                pending.push_back(self.submit(stretch)?);
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
    /// Until the language is known, and the prefix used, each window waits for what the one before says.
    fn ahead(&self) -> usize {
        let knows_language = self.language.is_some() || self.options.multilingual;
        match self.options.strategy {
            Strategy::Batched if knows_language && self.prefix.is_empty() => self.reader.slots() + 2,
            _ => 1,
        }
    }

    /// Reads on until it is known what to read next; none at the end.
    fn next_stretch(&mut self) -> Result<Option<Planned>, Error> {
        loop {
            let stretch = match self.options.strategy {
                Strategy::Batched => self.planner.next_window(),
                Strategy::Sequential => self.planner.window_from(self.windows.position()),
            };
            if let Some(stretch) = stretch {
                self.windows.move_to(stretch.frames.start);
                // The last chunk may go on behind the recording's end, or begin there.
                let frames = stretch.frames.start..stretch.frames.end.min(self.windows.frames_read());
                if frames.is_empty() {
                    return Ok(None);
                }
                if frames.len() >= SHORTEST {
                    return Ok(Some(Planned { frames, ..stretch }));
                }
                // What is left behind the last timestamp is often shorter.
                self.windows.move_to(frames.end);
                continue;
            }
            if self.windows.is_at_end() {
                return Ok(None);
            }
            self.windows.move_to(self.planner.done());
            self.listen_on()?;
        }
    }

    /// Reads a second more, if the recording is that long, and hears what is said there.
    fn listen_on(&mut self) -> Result<(), Error> {
        let Self { windows, voicing, planner, timings, .. } = self;
        let (mut heard, mut probabilities) = (0.0, Vec::new());
        let mut hear = |samples: &[f32]| timed(&mut heard, || voicing.push(samples, &mut probabilities));
        let start = Instant::now();
        let result = windows.read_to(windows.frames_read() + AT_ONCE, &mut hear);
        if windows.is_at_end() {
            timed(&mut heard, || voicing.finish(&mut probabilities));
        }
        timings.audio_decode += start.elapsed().as_secs_f64() - heard;
        timings.vad += heard;
        planner.push(&probabilities);
        if windows.is_at_end() {
            planner.finish();
        }
        Ok(result?)
    }

    /// Hands over the next window.
    fn submit(&mut self, planned: Planned) -> Result<Pending<R::Ticket>, Error> {
        let samples = self.windows.window(planned.frames.len()).to_vec();
        // A sequential window moves on only once it is known how far.
        if self.options.strategy == Strategy::Batched {
            self.windows.move_to(planned.frames.end);
        }
        self.submit_samples(planned, samples)
    }

    fn submit_samples(&mut self, planned: Planned, samples: Vec<f32>) -> Result<Pending<R::Ticket>, Error> {
        let Planned { frames: Range { start: position, end }, voiced } = planned;
        let frames = end - position;
        let mut spectrogram = Vec::new();
        timed(&mut self.timings.mel, || self.mel.window(&samples, &mut spectrogram))?;
        let n_mels = self.mel.n_mels();
        spectrogram.truncate(self.model.window_frames(Frames(frames)).0 * n_mels);
        let wants_words = self.options.word_timestamps;
        let silence_map = wants_words.then(|| SilenceMap::new(Frames(position), Frames(frames), &spectrogram, n_mels));
        let request = self.requests.build(WindowInput {
            mel: spectrogram,
            content_frames: Frames(frames),
            cost_s: seconds(frames),
            seed: position as u64,
            language: self.language.filter(|_| !self.options.multilingual),
            prompt: &self.context,
            prefix: self.prefix.clone(),
            // A prefix need not be said.
            speech_s: (self.detects_speech && self.prefix.is_empty())
                .then(|| seconds(voiced_frames(&voiced, &(position..end)))),
        });
        Ok(Pending { ticket: self.reader.submit(request), silence_map, position, frames, samples, voiced })
    }

    /// Waits for a window, makes segments of it, and moves on.
    fn take(&mut self, window: Pending<R::Ticket>) -> Result<(), Error> {
        let start = window.position;
        let (warned, language) = (self.warnings.len(), self.language);
        let Reading { mut segments, advance, forgets } = self.read(window, MOST_READINGS)?;
        segments.sort_by(|a, b| a.start.total_cmp(&b.start));
        for (segment, id) in segments.iter_mut().zip(self.segments.len()..) {
            segment.id = id;
            self.tell(Event::Segment(segment));
        }
        let language = self.language.filter(|_| language.is_none());
        let warnings = self.warnings[warned..].to_vec();
        let window =
            WindowCheckpoint { start, end: start + advance, segments, language, resets_prompt: forgets, warnings };
        self.tell(Event::Checkpoint(&window));
        self.move_behind(window);
        Ok(())
    }

    /// Waits for a window and makes segments of it. Where somebody speaks for long and nothing was written down, that part
    /// is read again by itself: models skip sentences.
    fn read(&mut self, window: Pending<R::Ticket>, readings: usize) -> Result<Reading, Error> {
        let Pending { ticket, silence_map, position, frames, samples, voiced } = window;
        let answer = self.reader.wait(ticket).map_err(|failure| failure.into_error(self.name))?;
        self.timings.encode += answer.encode_s;
        self.timings.decode += answer.decode_s;
        let mut judged = answer.check;
        // Where a model has once found nothing to write, what it is not sure of the second time is made up.
        if judged.is_silent || (readings < MOST_READINGS && judged.is_improbable) {
            return Ok(Reading { segments: Vec::new(), advance: frames, forgets: false });
        }
        self.drop_inventions(position, frames, &mut judged);
        let tokens = &judged.result.tokens;
        // What was detected where nothing is said means nothing: then the next window decides.
        // A prefix that nothing follows was not said either.
        let text = self.model.text(tokens);
        let says_something = !text.trim().is_empty() && text.trim() != self.model.text(&self.prefix).trim();
        let detected = answer.detected.filter(|_| says_something);
        if let Some((language, probability)) = detected.filter(|_| self.language.is_none()) {
            self.language = Some(language);
            self.tell(Event::Language { language, probability });
        }
        let frame_of = |token| Some(frames_of(self.model.timestamp(token)?));
        let Cut { mut pieces, rest, advance: next } = cut(tokens, frames, frame_of);
        let advance = match self.options.strategy {
            Strategy::Batched => {
                pieces.extend(rest);
                frames
            }
            Strategy::Sequential => next,
        };
        pieces.retain(|_| says_something);
        let language = detected.map(|(language, _)| language).filter(|_| self.options.multilingual);
        let mut forgets = judged.result.temperature > MOST_CHANCE || judged.is_repetitive;
        if forgets {
            self.context.reset();
        }
        let mut segments = self.keep(position, &judged, pieces, language, silence_map.zip(answer.encoder_output))?;
        self.use_prefix(&segments);
        if readings > 1 && self.detects_speech && !segments.is_empty() {
            let written = segments.iter().map(|segment| frames_of(segment.start)..frames_of(segment.end));
            for gap in gaps(written, &voiced, position..position + advance) {
                let samples = samples[(gap.start - position) * HOP_LENGTH..][..gap.len() * HOP_LENGTH].to_vec();
                let voiced = voiced.iter().filter(|run| run.start < gap.end && gap.start < run.end).cloned().collect();
                let again = self.submit_samples(Planned { frames: gap, voiced }, samples)?;
                match self.read(again, readings - 1) {
                    Ok(found) => {
                        segments.extend(found.segments);
                        forgets |= found.forgets;
                    }
                    // What was found before is not lost for that.
                    Err(error) => self.warn(format!("a part of the recording could not be read again: {error}")),
                }
            }
        }
        Ok(Reading { segments, advance, forgets })
    }

    /// Takes out of a text what no attempt could prevent: a phrase that comes over and over stays once, and more than can
    /// have been said is not believed at all.
    fn drop_inventions(&mut self, position: usize, frames: usize, judged: &mut DecodeCheck) {
        let place = |model: &M, tokens: &[u32]| {
            let text: String = model.text(tokens).trim().chars().take(60).collect();
            format!("between {:.1} and {:.1} s ({text:?})", seconds(position), seconds(position + frames))
        };
        let tokens = &mut judged.result.tokens;
        if judged.is_repetitive {
            let again = remove_repetition(tokens, |token| self.model.timestamp(token).is_some());
            judged.is_repetitive = !again.is_empty();
            if judged.is_repetitive {
                self.warn(format!("left out what was repeated over and over {}", place(self.model, &again)));
            }
        } else if judged.is_too_long {
            let warning = format!("left out more text than can have been said {}", place(self.model, tokens));
            tokens.clear();
            self.warn(warning);
        }
    }

    /// The segments of a window's pieces, those without text and those without length left out.
    fn keep(
        &mut self,
        seek: usize,
        judged: &DecodeCheck,
        mut pieces: Vec<Piece>,
        language: Option<Language>,
        word_input: Option<(SilenceMap, EncoderOutput)>,
    ) -> Result<Vec<Segment>, Error> {
        let decoded = &judged.result;
        let tokens_of = |piece: &Piece| &decoded.tokens[piece.tokens.clone()];
        pieces.retain(|piece| piece.start < piece.end && !self.model.text(tokens_of(piece)).trim().is_empty());
        let mut words = Vec::new();
        if let Some((silence_map, encoder_output)) = word_input.filter(|_| !pieces.is_empty()) {
            let spans: Vec<_> =
                pieces.iter().map(|piece| (Frames(piece.start)..Frames(piece.end), tokens_of(piece))).collect();
            let language = language.or(self.language).unwrap_or(Language::ENGLISH);
            let previous_end = self.segments.last().map_or(0, |segment| frames_of(segment.end)).max(seek);
            let model = self.model;
            let found = timed(&mut self.timings.decode, || {
                model.words(&encoder_output, (language, self.options.task), &spans, &silence_map, Frames(previous_end))
            })?;
            for (piece, found) in pieces.iter_mut().zip(found) {
                (piece.start, piece.end) = (found.span.start.0, found.span.end.0);
                words.push((found.words, found.logprobs));
            }
        }
        words.resize(pieces.len(), (Vec::new(), Vec::new()));
        let flags = [(judged.is_repetitive, Flag::Repetition), (judged.is_improbable, Flag::LowConfidence)];
        let segment = |(piece, (words, token_logprobs)): (&Piece, (Vec<Word>, Vec<f32>))| Segment {
            id: 0,
            seek,
            start: seconds(seek + piece.start),
            end: seconds(seek + piece.end),
            text: self.model.text(tokens_of(piece)),
            tokens: tokens_of(piece).to_vec(),
            token_logprobs,
            temperature: decoded.temperature,
            avg_logprob: decoded.avg_logprob,
            compression_ratio: judged.compression_ratio,
            no_speech_prob: decoded.no_speech_prob,
            language,
            flags: flags.iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| *flag).collect(),
            words,
        };
        Ok(pieces.iter().zip(words).map(segment).collect())
    }

    fn warn_of_source(&mut self) {
        let mut warnings = self.windows.source().warnings();
        if self.windows.seconds_read() < seconds(SHORTEST) {
            let ms = 1000.0 * self.windows.seconds_read();
            warnings.push(format!("the recording is too short for speech ({ms:.0} ms)"));
        }
        if self.windows.is_at_end() && self.options.clips.iter().any(|clip| clip.start >= self.windows.seconds_read()) {
            warnings.push("a part that was asked for begins behind the end of the recording".to_owned());
        }
        for warning in warnings {
            self.warn(warning);
        }
    }

    fn warn(&mut self, warning: String) {
        self.tell(Event::Warning(&warning));
        self.warnings.push(warning);
    }

    fn tell(&mut self, event: Event<'_>) {
        self.cancelled |= (self.on_event)(event).is_break();
    }
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
