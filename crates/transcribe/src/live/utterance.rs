//! An utterance (speech from one pause to the next) that is decoded repeatedly while it grows.
//!
//! The decoded window begins at the start of the utterance. Once the utterance is long, the window begins after words
//! that are already committed, so that each decode takes about the same time, however long the utterance gets. After
//! a short pause, the window also contains the end of the previous utterance as context.

use amanuensis_engine::units::{Chunks, Samples};

use super::local_agreement::LocalAgreement;
use super::stream_decoder::StreamDecoder;
use super::word_tokens::{DecodedWord, words_after_prefix};
use crate::decoding::{DecodeCheck, Prompt, WindowInput};
use crate::model::Model;
use crate::segments::remove_repetition;
use crate::words::SENTENCE_END;
use crate::{Error, Language, Word};

/// If the buffered audio is longer than this, everything up to the end of the most recent committed sentence is
/// dropped.
const TRIM_TO_SENTENCE: Samples = Samples::within(15.0);

/// If the buffered audio is longer than this, everything up to the end of the most recent committed word is dropped.
const TRIM_TO_WORD: Samples = Samples::within(20.0);

/// If the buffered audio is longer than this and has no committed words, words are committed even if two hypotheses
/// do not agree on them. Otherwise the audio would exceed the 30 s that fit into a window.
const COMMIT_WITHOUT_AGREEMENT: Samples = Samples::within(25.0);

/// If the buffered audio is longer than `COMMIT_WITHOUT_AGREEMENT` and the model found no words in it, only the final
/// part of this many seconds is kept.
const KEPT_WITHOUT_WORDS_S: f64 = 2.0;

/// Words that end within this many seconds before the end of the audio are not committed, because the audio that
/// follows may change them.
const UNCERTAIN_END_S: f64 = 0.5;

/// If the mean log-probability of a hypothesis is lower than this, its words are not committed, even if two
/// hypotheses agree.
const MIN_LOGPROB_TO_COMMIT: f32 = -0.5;

/// A detected language is accepted if it has at least this probability.
const CERTAIN_LANGUAGE_PROBABILITY: f32 = 0.8;
/// With at least this much audio, a detected language is accepted regardless of its probability.
const MIN_AUDIO_FOR_LANGUAGE: Samples = Samples::within(3.0);

/// An utterance: speech from one pause to the next. Holds the audio that has arrived so far.
pub(super) struct Utterance {
    /// The position in the stream of the first element of `samples`.
    start: Samples,
    samples: Vec<f32>,
    /// The number of samples that arrived since the previous decode.
    n_new: Samples,
    /// The end of each chunk (32 ms) in which the voice activity detector found speech, as a position in the stream.
    /// `None` without a voice activity detector.
    speech_chunks: Option<Vec<Samples>>,
    language: Option<Language>,
    prompt: Prompt,
    /// The committed words whose audio is still in `samples`. Earlier committed words are in the prompt.
    committed: Vec<DecodedWord>,
    agreement: LocalAgreement,
    /// All committed words of the utterance.
    words: Vec<Word>,
}

/// A hypothesis for the words after the committed words.
struct Hypothesis {
    words: Vec<DecodedWord>,
    /// Whether words of this hypothesis may be committed if two hypotheses agree.
    is_confident: bool,
}

impl Utterance {
    /// Creates an utterance that begins at `start`, a position in the stream.
    pub(super) fn new(decoder: &StreamDecoder<'_>, start: Samples, detects_speech: bool) -> Self {
        Self {
            start,
            samples: Vec::new(),
            n_new: Samples::ZERO,
            speech_chunks: detects_speech.then(Vec::new),
            language: decoder.language(),
            prompt: decoder.initial_prompt(),
            committed: Vec::new(),
            agreement: LocalAgreement::default(),
            words: Vec::new(),
        }
    }

    /// Ends this utterance and creates the next one, which keeps audio and words of this utterance as context.
    pub(super) fn into_next(mut self, decoder: &StreamDecoder<'_>) -> Self {
        self.words.clear();
        self.trim(decoder.engine());
        self
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
        self.n_new += Samples(samples.len());
    }

    /// Records that the detector chunk that ends at `chunk_end` contains speech.
    pub(super) fn push_speech_chunk(&mut self, chunk_end: Samples) {
        self.speech_chunks.iter_mut().for_each(|chunks| chunks.push(chunk_end));
    }

    /// Ends the utterance at a position in the stream, and returns the samples after this position.
    pub(super) fn split_off(&mut self, end: Samples) -> Vec<f32> {
        self.samples.split_off(end.saturating_sub(self.start).0.min(self.samples.len()))
    }

    /// The end of the audio received so far, as a position in the stream.
    pub(super) fn end(&self) -> Samples {
        self.start + self.duration()
    }

    /// Whether there is so much buffered audio that the utterance must be decoded before more samples are pushed.
    pub(super) fn is_full(&self) -> bool {
        self.duration() > TRIM_TO_WORD
    }

    /// All words of the utterance that are committed so far.
    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    /// The words after the committed words, which may still change.
    pub(super) fn provisional(&self) -> Vec<Word> {
        self.agreement.provisional().iter().map(|decoded| decoded.word.clone()).collect()
    }

    /// The language, given or detected. `None` if it is not known yet.
    pub(super) fn language(&self) -> Option<Language> {
        self.language
    }

    fn duration(&self) -> Samples {
        Samples(self.samples.len())
    }

    /// Decodes the audio received so far, and commits the words that are certain. The final decode commits all words.
    ///
    /// # Errors
    /// If the engine fails.
    pub(super) fn decode(&mut self, decoder: &mut StreamDecoder<'_>, is_final: bool) -> Result<(), Error> {
        let had_language = self.language.is_some();
        let hypothesis = self.next_hypothesis(decoder, is_final)?;
        let committed = match hypothesis {
            Some(hypothesis) if is_final => {
                self.agreement.replace(hypothesis.words);
                self.agreement.commit_all_but(0)
            }
            // Commit nothing if the hypothesis is uncertain, or if the language was not known before this decode,
            // because a newly detected language may be wrong.
            Some(hypothesis) if !had_language || !hypothesis.is_confident => {
                self.agreement.replace(hypothesis.words);
                Vec::new()
            }
            Some(hypothesis) => self.agreement.commit_agreed(hypothesis.words, self.end().seconds() - UNCERTAIN_END_S),
            None if is_final => self.agreement.commit_all_but(0),
            None => Vec::new(),
        };
        self.commit(committed);
        if !is_final {
            self.trim(decoder.engine());
        }
        Ok(())
    }

    /// Decodes the words after the committed words. `None` if the hypothesis only repeats one phrase.
    fn next_hypothesis(
        &mut self,
        decoder: &mut StreamDecoder<'_>,
        is_final: bool,
    ) -> Result<Option<Hypothesis>, Error> {
        let vocabulary = decoder.engine().vocabulary();
        let (mel, silence_map) = decoder.spectrogram(&self.samples)?;
        let prefix: Vec<u32> = self.committed.iter().flat_map(|decoded| decoded.tokens.iter().copied()).collect();
        let n_prefix = prefix.len();
        let input = WindowInput {
            mel,
            content_frames: silence_map.n_frames,
            // Only new audio is charged in the fair queue, because the same audio is decoded repeatedly.
            cost_s: self.n_new.seconds(),
            seed: self.start.whole_frames().0 as u64,
            language: self.language,
            prompt: &self.prompt,
            prefix,
            speech_s: self.speech_chunks.as_ref().map(|chunks| Chunks(chunks.len()).seconds()),
        };
        let decoded = decoder.decode(input, is_final)?;
        self.n_new = Samples::ZERO;
        let is_confident = decoded.check.result.avg_logprob >= MIN_LOGPROB_TO_COMMIT;
        let is_text = |token| vocabulary.is_text(token);
        let Some(tokens) = usable_tokens(decoded.check, n_prefix, is_final, is_text) else { return Ok(None) };
        let (Some(encoder_output), false) = (decoded.encoder_output, tokens.len() <= n_prefix) else {
            return Ok(Some(Hypothesis { words: Vec::new(), is_confident: true }));
        };
        let language = self.language.or(decoded.detected.map(|(language, _)| language)).unwrap_or(Language::ENGLISH);
        let is_certain = |(_, probability)| {
            is_final || probability >= CERTAIN_LANGUAGE_PROBABILITY || self.duration() >= MIN_AUDIO_FOR_LANGUAGE
        };
        if decoded.detected.is_some_and(is_certain) {
            self.language = Some(language);
        }
        let start_s = self.start.seconds();
        let in_stream = |word: Word| Word { start: start_s + word.start, end: start_s + word.end, ..word };
        let words = decoder.words(&encoder_output, language, &tokens, &silence_map)?;
        let words = words.into_iter().map(in_stream).collect();
        Ok(Some(Hypothesis { words: words_after_prefix(n_prefix, words, &tokens, vocabulary), is_confident }))
    }

    fn commit(&mut self, words: Vec<DecodedWord>) {
        self.words.extend(words.iter().map(|decoded| decoded.word.clone()));
        self.committed.extend(words);
    }

    /// If the utterance is long, moves committed words from the start of the utterance into the prompt and drops
    /// their audio.
    fn trim(&mut self, model: &impl Model) {
        let is_overlong = self.duration() > COMMIT_WITHOUT_AGREEMENT;
        if is_overlong && self.committed.is_empty() {
            let words = self.agreement.commit_all_but(1);
            self.commit(words);
        }
        let count = self.words_to_trim(model.max_prompt_tokens());
        if count > 0 {
            let next = self.committed.get(count).or(self.agreement.provisional().first());
            let end = self.committed[count - 1].word.end;
            // Cut in the middle between the end of the last dropped word and the start of the next word.
            self.drop_samples_before(next.map_or(end, |next| f64::midpoint(end, next.word.start.max(end))));
            for decoded in self.committed.drain(..count) {
                self.prompt.append(&decoded.tokens);
            }
        } else if is_overlong {
            self.drop_samples_before(self.end().seconds() - KEPT_WITHOUT_WORDS_S);
        }
    }

    /// The number of committed words to move into the prompt; 0 if the audio is short enough.
    fn words_to_trim(&self, max_prompt_tokens: usize) -> usize {
        let n_tokens: usize = self.committed.iter().map(|decoded| decoded.tokens.len()).sum();
        let ends_sentence = |decoded: &DecodedWord| decoded.word.word.ends_with(SENTENCE_END);
        if self.duration() > TRIM_TO_WORD || n_tokens > max_prompt_tokens / 2 {
            self.committed.len()
        } else if self.duration() > TRIM_TO_SENTENCE {
            self.committed.iter().rposition(ends_sentence).map_or(0, |last| last + 1)
        } else {
            0
        }
    }

    /// Drops the samples before `time_s` (seconds from the start of the stream).
    fn drop_samples_before(&mut self, time_s: f64) {
        let count = Samples::within(time_s).saturating_sub(self.start).min(self.duration());
        self.samples.drain(..count.0);
        self.start += count;
        let start = self.start;
        self.speech_chunks.iter_mut().for_each(|chunks| chunks.retain(|end| *end > start));
    }
}

/// Returns the text tokens of a hypothesis. The first `n_prefix` text tokens are the prefix that the request gave.
///
/// If the window is silent, or the hypothesis is too long for the speech in the window, only the prefix is returned.
/// If the hypothesis repeats itself, the result is `None`; in the final decode, the repetition is removed instead if
/// possible.
fn usable_tokens(
    check: DecodeCheck,
    n_prefix: usize,
    is_final: bool,
    is_text: impl Fn(u32) -> bool,
) -> Option<Vec<u32>> {
    let mut tokens = check.result.tokens;
    tokens.retain(|token| is_text(*token));
    if check.is_silent || check.is_too_long {
        tokens.truncate(n_prefix);
    } else if check.is_repetitive {
        let mut after_prefix = tokens.split_off(n_prefix.min(tokens.len()));
        if !is_final || remove_repetition(&mut after_prefix, |_| false).is_empty() {
            return None;
        }
        tokens.extend(after_prefix);
    }
    Some(tokens)
}
