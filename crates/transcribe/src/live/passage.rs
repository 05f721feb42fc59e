//! What is being said: read again and again as it grows, from its beginning or, once it is long, from a sentence in it.
//! Turns with short pauses between them are one passage: what was said before tells what is meant.

use amanuensis_audio::{HOP_LENGTH, LogMel, SAMPLE_RATE};
use amanuensis_engine::Frames;

use super::agreement::{Agreement, Read, words_after};
use crate::decoding::{Client, Prompt, RequestBuilder, WindowDecoder, WindowInput};
use crate::model::Model;
use crate::segments::remove_repetition;
use crate::words::{Listened, SENTENCE_END};
use crate::{Error, Language, TranscribeOptions, Transcriber, Word};

/// Seconds of speech: what is longer is from then on read from its last settled sentence; from its last settled word; and
/// is settled if no two readings agreed on anything. A window has room for 30.
const LONG: f64 = 15.0;
const TOO_LONG: f64 = 20.0;
const LONGEST: f64 = 25.0;

/// Seconds at the end of what was heard in which no word is settled: it lacks what follows.
const UNCERTAIN: f64 = 0.5;

/// The mean log-probability of words that are not settled, whoever agrees on them.
const UNSURE: f32 = -0.5;

/// Seconds that are kept of what was too long and held no word.
const KEPT: f64 = 2.0;

/// Seconds from which the language that is detected is believed, and its probability where it is believed before.
const ENOUGH: f64 = 3.0;
const CERTAIN: f32 = 0.8;

/// What all passages of a stream have in common.
pub(super) struct Reader<'t> {
    transcriber: &'t Transcriber,
    client: Client<'t>,
    options: TranscribeOptions,
    mel: LogMel,
    /// Of a text that is not final: one, for the next reading is at hand.
    partial_requests: RequestBuilder,
    final_requests: RequestBuilder,
}

impl<'t> Reader<'t> {
    pub(super) fn new(transcriber: &'t Transcriber, options: &TranscribeOptions) -> Result<Self, Error> {
        // What leaves a window is told to the next; a window that begins with silence is no reason to write nothing.
        let options = TranscribeOptions { condition_on_previous_text: true, ..options.clone() };
        Ok(Self {
            transcriber,
            client: transcriber.scheduler().client(),
            mel: LogMel::new(transcriber.engine().n_mels())?,
            partial_requests: RequestBuilder::for_stream(&TranscribeOptions {
                temperatures: vec![0.0],
                ..options.clone()
            }),
            final_requests: RequestBuilder::for_stream(&options),
            options,
        })
    }

    /// The language given, or that of a model which knows no other.
    fn language(&self) -> Option<Language> {
        if self.transcriber.engine().is_multilingual() { self.options.language } else { Some(Language::ENGLISH) }
    }
}

/// Speech from the beginning of a turn, or of one before it, on.
pub(super) struct Passage {
    /// The first of `samples` in the stream.
    start: usize,
    samples: Vec<f32>,
    /// Samples that have not been read yet.
    fresh: usize,
    /// The chunks in which somebody speaks, by their last sample, if that is known at all.
    voiced: Option<Vec<usize>>,
    language: Option<Language>,
    context: Prompt,
    /// The settled words of `samples`; those before are left to the context.
    settled: Vec<Read>,
    agreement: Agreement,
    /// All settled words of the turn.
    words: Vec<Word>,
}

impl Passage {
    /// Begins at a sample of the stream.
    pub(super) fn new(reader: &Reader<'_>, start: usize, detects_speech: bool) -> Self {
        Self {
            start,
            samples: Vec::new(),
            fresh: 0,
            voiced: detects_speech.then(Vec::new),
            language: reader.language(),
            context: Prompt::new(reader.transcriber.engine(), &reader.options),
            settled: Vec::new(),
            agreement: Agreement::default(),
            words: Vec::new(),
        }
    }

    /// Goes on with the next turn.
    pub(super) fn resume(mut self, reader: &Reader<'_>) -> Self {
        self.words.clear();
        self.shorten(reader.transcriber.engine());
        self
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
        self.fresh += samples.len();
    }

    /// Somebody speaks in the chunk that ends at this sample of the stream.
    pub(super) fn hear(&mut self, end: usize) {
        self.voiced.iter_mut().for_each(|voiced| voiced.push(end));
    }

    /// Ends at a sample of the stream, and gives what is behind it.
    pub(super) fn cut(&mut self, end: usize) -> Vec<f32> {
        self.samples.split_off(end.saturating_sub(self.start).min(self.samples.len()))
    }

    /// The sample of the stream at which it ends so far.
    pub(super) fn end(&self) -> usize {
        self.start + self.samples.len()
    }

    /// Whether it has to be read before more comes.
    pub(super) fn is_full(&self) -> bool {
        self.seconds() > TOO_LONG
    }

    /// The settled words, from the beginning of the turn.
    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    /// The words that may change.
    pub(super) fn provisional(&self) -> Vec<Word> {
        self.agreement.tentative().iter().map(|read| read.word.clone()).collect()
    }

    pub(super) fn language(&self) -> Option<Language> {
        self.language
    }

    fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE)
    }

    /// Reads what was said so far, and settles what can be: all of it where nothing follows.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, is_last: bool) -> Result<(), Error> {
        let is_known = self.language.is_some();
        let reading = self.reading(reader, is_last)?;
        let settled = match reading {
            Some((reading, _)) if is_last => {
                self.agreement.replace(reading);
                self.agreement.settle(0)
            }
            // Words in a language that is not certain, or of which the model is not, are not yet certain either.
            Some((reading, is_sure)) if !is_known || !is_sure => {
                self.agreement.replace(reading);
                Vec::new()
            }
            Some((reading, _)) => self.agreement.read(reading, self.end() as f64 / f64::from(SAMPLE_RATE) - UNCERTAIN),
            None if is_last => self.agreement.settle(0),
            None => Vec::new(),
        };
        self.settle(settled);
        if !is_last {
            self.shorten(reader.transcriber.engine());
        }
        Ok(())
    }

    /// The words after the settled ones, and whether the model is sure of them; none where the text is not to be believed.
    fn reading(&mut self, reader: &mut Reader<'_>, is_last: bool) -> Result<Option<(Vec<Read>, bool)>, Error> {
        let engine = reader.transcriber.engine();
        let vocabulary = engine.vocabulary();
        let samples = &self.samples[..self.samples.len().min(engine.n_frames().samples().0)];
        let frames = samples.len() / HOP_LENGTH;
        let mut spectrogram = Vec::new();
        reader.mel.window(samples, &mut spectrogram)?;
        spectrogram.truncate(engine.window_frames(Frames(frames)).0 * engine.n_mels());
        let listened = Listened::new(0, frames, &spectrogram, engine.n_mels());
        let prefix: Vec<u32> = self.settled.iter().flat_map(|read| read.tokens.iter().copied()).collect();
        let given = prefix.len();
        let requests = if is_last { &reader.final_requests } else { &reader.partial_requests };
        let request = requests.build(WindowInput {
            mel: spectrogram,
            content_frames: Frames(frames),
            // What is read again is no new work of this caller's: a stream waits for nobody.
            cost_s: self.fresh as f64 / f64::from(SAMPLE_RATE),
            seed: (self.start / HOP_LENGTH) as u64,
            language: self.language,
            prompt: &self.context,
            prefix,
            speech_s: self.voiced.as_ref().map(|voiced| seconds_of_chunks(voiced.len())),
        });
        let answer = reader.client.wait(reader.client.submit(request));
        let answer = answer.map_err(|failure| failure.into_error(reader.transcriber.name()))?;
        self.fresh = 0;
        let mut judged = answer.check;
        let is_sure = judged.result.avg_logprob >= UNSURE;
        let (tokens, detected) = (&mut judged.result.tokens, answer.detected);
        tokens.retain(|token| vocabulary.is_text(*token));
        if judged.is_silent || judged.is_too_long {
            tokens.truncate(given);
        } else if judged.is_repetitive {
            let mut rest = tokens.split_off(given.min(tokens.len()));
            if !is_last || remove_repetition(&mut rest, |_| false).is_empty() {
                return Ok(None);
            }
            tokens.extend(rest);
        }
        let (Some(window), false) = (answer.encoder_output, tokens.len() <= given) else {
            return Ok(Some((Vec::new(), true)));
        };
        let language = self.language.or(detected.map(|(language, _)| language)).unwrap_or(Language::ENGLISH);
        if detected.is_some_and(|(_, probability)| is_last || probability >= CERTAIN || self.seconds() >= ENOUGH) {
            self.language = Some(language);
        }
        let asked = (language, reader.options.task);
        let spoken = Model::words(engine, &window, asked, &[(0..frames, &*tokens)], &listened, 0)?;
        let start = self.start as f64 / f64::from(SAMPLE_RATE);
        let in_stream = |word: Word| Word { start: start + word.start, end: start + word.end, ..word };
        let words = spoken.into_iter().flat_map(|spoken| spoken.words).map(in_stream).collect();
        Ok(Some((words_after(given, words, tokens, vocabulary), is_sure)))
    }

    fn settle(&mut self, words: Vec<Read>) {
        self.words.extend(words.iter().map(|read| read.word.clone()));
        self.settled.extend(words);
    }

    /// Lets go of speech whose words are settled, if there is much of it.
    fn shorten(&mut self, model: &impl Model) {
        if self.seconds() > LONGEST && self.settled.is_empty() {
            let words = self.agreement.settle(1);
            self.settle(words);
        }
        let tokens: usize = self.settled.iter().map(|read| read.tokens.len()).sum();
        let has_ended = |read: &Read| read.word.word.ends_with(SENTENCE_END);
        let count = if self.seconds() > TOO_LONG || tokens > model.max_prompt_tokens() / 2 {
            self.settled.len()
        } else if self.seconds() > LONG {
            self.settled.iter().rposition(has_ended).map_or(0, |last| last + 1)
        } else {
            0
        };
        if count > 0 {
            let next = self.settled.get(count).or(self.agreement.tentative().first());
            let end = self.settled[count - 1].word.end;
            // Amid the pause, if there is one.
            self.begin_at(next.map_or(end, |next| f64::midpoint(end, next.word.start.max(end))));
            for read in self.settled.drain(..count) {
                self.context.append(&read.tokens);
            }
        } else if self.seconds() > LONGEST {
            self.begin_at(self.end() as f64 / f64::from(SAMPLE_RATE) - KEPT);
        }
    }

    /// Forgets the samples before a time of the stream, in seconds.
    fn begin_at(&mut self, time: f64) {
        let start = (time * f64::from(SAMPLE_RATE)) as usize;
        let count = start.saturating_sub(self.start).min(self.samples.len());
        self.samples.drain(..count);
        self.start += count;
        let start = self.start;
        self.voiced.iter_mut().for_each(|voiced| voiced.retain(|end| *end > start));
    }
}

fn seconds_of_chunks(count: usize) -> f64 {
    (count * amanuensis_engine::units::SAMPLES_PER_CHUNK) as f64 / f64::from(SAMPLE_RATE)
}
