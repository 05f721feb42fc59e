//! The main type of live transcription. It receives samples and reports words while somebody speaks.

use std::time::{Duration, Instant};

use amanuensis_engine::units::Samples;

use super::event::LiveEvent;
use super::options::UtteranceOptions;
use super::stream_decoder::StreamDecoder;
use super::utterance::Utterance;
use super::utterance_detector::{Change, UtteranceDetector};
use crate::vad::SpeechProbabilities;
use crate::{Error, Strategy, TranscribeOptions, Transcriber};

/// The current utterance is decoded again only after at least this much new audio.
const MIN_STEP: Duration = Duration::from_millis(300);

/// If the pause between two utterances is at most this many seconds, the second one is decoded together with the end
/// of the first.
const MAX_CONTEXT_PAUSE_S: f64 = 2.0;

/// Pushed samples are processed in blocks of 0.1 seconds.
const BLOCK: Samples = Samples::within(0.1);

/// Transcribes a stream of speech while it is spoken.
///
/// The stream is split into utterances, from one pause to the next. While an utterance grows, it is decoded at most
/// every 300 ms. A word on which two successive decodes agree is committed and never changes. [`Self::push`] blocks
/// while it decodes. Samples that arrive in the meantime should be pushed together in the next call.
///
/// If the transcriber has no voice activity detector, or if the options turn it off, the whole stream is one
/// utterance.
pub struct LiveTranscriber<'t> {
    decoder: StreamDecoder<'t>,
    detects_speech: bool,
    speech_probabilities: SpeechProbabilities<'t>,
    utterance_detector: UtteranceDetector,
    /// The most recent samples while there is no current utterance. The next utterance may begin within these
    /// samples.
    recent: Vec<f32>,
    max_recent: Samples,
    /// The number of samples received since the start of the stream.
    received: Samples,
    current: Option<Utterance>,
    previous: Option<Utterance>,
    /// The position in the stream up to which the current utterance was decoded.
    decoded_to: Samples,
    /// The amount of new audio after which the utterance is decoded again; at least [`MIN_STEP`].
    step: Duration,
    /// A reused buffer for the speech probabilities of one block.
    probabilities: Vec<f32>,
}

impl<'t> LiveTranscriber<'t> {
    /// Starts to transcribe a stream. `options` are the same options as for [`Transcriber::transcribe`], but clips
    /// (parts of a recording), a prefix and the sequential strategy are not supported. The speech threshold is taken
    /// from `utterance_options`.
    ///
    /// # Errors
    /// The errors of [`Transcriber::check`], and [`Error::Options`] if an option is not supported or out of range.
    pub fn new(
        transcriber: &'t Transcriber,
        options: &TranscribeOptions,
        utterance_options: UtteranceOptions,
    ) -> Result<Self, Error> {
        transcriber.check(options)?;
        if options.strategy != Strategy::Batched || options.prefix.is_some() || !options.clips.is_empty() {
            let problem = "live transcription does not support clips, a prefix or the sequential strategy";
            return Err(Error::Options(problem.to_owned()));
        }
        utterance_options.check()?;
        let vad = transcriber.vad().filter(|_| options.vad.is_some());
        let utterance_detector = UtteranceDetector::new(utterance_options);
        Ok(Self {
            decoder: StreamDecoder::new(transcriber, options)?,
            detects_speech: vad.is_some(),
            speech_probabilities: SpeechProbabilities::new(vad),
            max_recent: utterance_detector.max_lookback() + Samples::nearest(MAX_CONTEXT_PAUSE_S) + BLOCK,
            utterance_detector,
            recent: Vec::new(),
            received: Samples::ZERO,
            current: None,
            previous: None,
            decoded_to: Samples::ZERO,
            step: MIN_STEP,
            probabilities: Vec::new(),
        })
    }

    /// Seconds of audio received so far.
    pub fn seconds(&self) -> f64 {
        self.received.seconds()
    }

    /// Appends samples (16 kHz mono) to the stream, and decodes the current utterance if enough new audio has
    /// arrived.
    ///
    /// # Errors
    /// If the engine fails. The current utterance then continues; to discard it, call [`Self::clear`].
    pub fn push(&mut self, samples: &[f32], on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        for block in samples.chunks(BLOCK.0) {
            self.push_block(block, on_event)?;
            if self.current.as_ref().is_some_and(Utterance::is_full) {
                self.decode(on_event)?;
            }
        }
        let due = self.decoded_to + Samples::nearest(self.step.as_secs_f64());
        if self.current.as_ref().is_some_and(|utterance| utterance.end() >= due) {
            self.decode(on_event)?;
        }
        Ok(())
    }

    /// Ends the current utterance, if there is one, at the end of the received samples.
    ///
    /// # Errors
    /// If the engine fails. The utterance has ended even then.
    pub fn end_utterance(&mut self, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(utterance) = self.current.take() else { return Ok(()) };
        self.utterance_detector.end(self.received);
        self.finish(utterance, on_event)
    }

    /// Discards the current utterance, if there is one, and the recent samples in which the next utterance might have
    /// begun.
    pub fn clear(&mut self) {
        (self.current, self.previous) = (None, None);
        self.recent.clear();
        self.utterance_detector.end(self.received);
    }

    /// Whether an utterance has begun and has not ended yet.
    pub fn is_in_utterance(&self) -> bool {
        self.current.is_some()
    }

    /// Processes a block of samples: runs the voice activity detector on the block, and starts and ends utterances
    /// where speech and pauses begin.
    fn push_block(&mut self, samples: &[f32], on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        self.received += Samples(samples.len());
        match &mut self.current {
            Some(utterance) => utterance.push(samples),
            None => self.recent.extend_from_slice(samples),
        }
        let mut probabilities = std::mem::take(&mut self.probabilities);
        self.speech_probabilities.push(samples, &mut probabilities);
        self.speech_probabilities.flush(&mut probabilities);
        let mut result = Ok(());
        for probability in probabilities.drain(..) {
            match self.utterance_detector.push(probability) {
                Some(Change::Started(start)) => self.start_utterance(start, on_event),
                Some(Change::Ended(end)) => result = result.and(self.end_utterance_at(end, on_event)),
                None => {}
            }
            let is_speech = self.utterance_detector.is_speech(probability);
            if let Some(utterance) = self.current.as_mut().filter(|_| is_speech) {
                utterance.push_speech_chunk(self.utterance_detector.position());
            }
        }
        self.probabilities = probabilities;
        let surplus = self.recent.len().saturating_sub(self.max_recent.0);
        self.recent.drain(..surplus);
        result
    }

    fn start_utterance(&mut self, start: Samples, on_event: &mut dyn FnMut(LiveEvent<'_>)) {
        let start = start.max(self.received - Samples(self.recent.len()));
        let max_pause = Samples::nearest(MAX_CONTEXT_PAUSE_S);
        let is_near = |previous: &Utterance| start.saturating_sub(previous.end()) <= max_pause;
        let mut utterance = match self.previous.take().filter(is_near) {
            Some(previous) => previous.into_next(&self.decoder),
            None => Utterance::new(&self.decoder, start, self.detects_speech),
        };
        let n_missing = self.received - utterance.end();
        utterance.push(&self.recent[self.recent.len() - n_missing.0..]);
        self.recent.clear();
        self.current = Some(utterance);
        self.decoded_to = self.received;
        self.step = MIN_STEP;
        on_event(LiveEvent::UtteranceStarted { start: start.seconds() });
    }

    /// Ends the current utterance at a position in the stream. The samples after this position may belong to the next
    /// utterance.
    fn end_utterance_at(&mut self, end: Samples, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(mut utterance) = self.current.take() else { return Ok(()) };
        self.recent = utterance.split_off(end);
        self.finish(utterance, on_event)
    }

    /// Decodes an utterance for the last time, and reports all of its words.
    fn finish(&mut self, mut utterance: Utterance, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        on_event(LiveEvent::UtteranceEnded { end: utterance.end().seconds() });
        let n_before = utterance.words().len();
        utterance.decode(&mut self.decoder, true)?;
        on_event(LiveEvent::Words { committed: &utterance.words()[n_before..], provisional: &[] });
        let language = utterance.language().filter(|_| !utterance.words().is_empty());
        on_event(LiveEvent::UtteranceTranscribed { words: utterance.words(), language });
        self.previous = Some(utterance);
        Ok(())
    }

    /// Decodes the audio of the current utterance that has arrived so far.
    fn decode(&mut self, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(utterance) = &mut self.current else { return Ok(()) };
        let (start, n_before) = (Instant::now(), utterance.words().len());
        utterance.decode(&mut self.decoder, false)?;
        let committed = &utterance.words()[n_before..];
        on_event(LiveEvent::Words { committed, provisional: &utterance.provisional() });
        // Wait for at least as much audio as this decode took, so that decoding takes at most half of the time even
        // on a slow machine.
        self.step = start.elapsed().max(MIN_STEP);
        self.decoded_to = utterance.end();
        Ok(())
    }
}

impl std::fmt::Debug for LiveTranscriber<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveTranscriber")
            .field("received", &self.received)
            .field("utterance_detector", &self.utterance_detector)
            .finish_non_exhaustive()
    }
}
