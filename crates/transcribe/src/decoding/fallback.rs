//! Temperature fallback: if no hypothesis for a window is accepted, the window is decoded again at the next higher
//! temperature, as in `openai-whisper` (Radford et al., arXiv 2212.04356, section 4.5). There is one difference from
//! `openai-whisper`: only the first attempt has the previous text in its prompt, because the previous text is often
//! the reason why the first attempt failed.

use std::io::Write;

use amanuensis_engine::{DecodingResult, Search};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::TranscribeOptions;

/// A hypothesis with more characters per second of speech than this counts as too long. The limit is the same for all
/// languages.
const MAX_SPEECH_RATE_CHARS_PER_S: f64 = 30.0;

/// A hypothesis may have this many characters more than the speech rate allows, because a window may contain more
/// speech than the voice activity detector found.
const EXTRA_CHARS: f64 = 20.0;

/// The engine may stop early when a hypothesis repeats itself. It does so only if the compression ratio of the
/// hypothesis so far is higher than this.
const MIN_LOOP_COMPRESSION_RATIO: f32 = 3.0;

/// If a window has fewer seconds of speech than this, the voice activity detector may have mistaken music or noise
/// for speech.
const MIN_RELIABLE_SPEECH_S: f64 = 2.0;

/// The temperatures to try, and the thresholds for accepting a hypothesis.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    temperatures: Vec<f32>,
    beam_size: usize,
    patience: f32,
    best_of: usize,
    compression_ratio_threshold: Option<f32>,
    logprob_threshold: Option<f32>,
    no_speech_threshold: Option<f32>,
}

/// A hypothesis for a window, with the results of the checks that decide whether it is accepted.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is the result of an independent check")]
pub(crate) struct DecodeCheck {
    pub(crate) result: DecodingResult,
    /// The size of the text in bytes, divided by the size of the text after zlib compression.
    pub(crate) compression_ratio: f32,
    /// Whether the compression ratio is above the threshold, which means that the text repeats itself.
    pub(crate) is_repetitive: bool,
    /// Whether the text is too long for the amount of speech in the window.
    pub(crate) is_too_long: bool,
    /// Whether the mean log-probability of the hypothesis is below the threshold, which means that the text may be
    /// wrong.
    pub(crate) is_improbable: bool,
    /// Whether the window counts as silent, so that the text is ignored.
    pub(crate) is_silent: bool,
}

impl DecodeCheck {
    /// Whether the hypothesis is accepted, so that no further attempt is needed.
    pub(crate) fn accepted(&self) -> bool {
        self.is_silent || !(self.is_repetitive || self.is_too_long || self.is_improbable)
    }

    /// Returns the better of two hypotheses. A non-repetitive hypothesis is better than a repetitive one. If both are
    /// equal in this respect, one that is not too long is better. If that is equal too, the higher mean
    /// log-probability decides.
    pub(crate) fn better_of(self, other: Self) -> Self {
        let score = |check: &Self| (!check.is_repetitive, !check.is_too_long);
        let is_better = score(&other) > score(&self)
            || score(&other) == score(&self) && other.result.avg_logprob > self.result.avg_logprob;
        if is_better { other } else { self }
    }
}

impl Fallback {
    pub(crate) fn new(options: &TranscribeOptions) -> Self {
        Self {
            temperatures: options.temperatures.clone(),
            beam_size: options.beam_size,
            patience: options.patience,
            best_of: options.best_of,
            compression_ratio_threshold: options.compression_ratio_threshold,
            logprob_threshold: options.logprob_threshold,
            no_speech_threshold: options.no_speech_threshold,
        }
    }

    /// The search method for attempt number `attempt`, which counts from 0. `seed` is the random seed of the window.
    /// Returns `None` if there is no temperature left for this attempt.
    pub(crate) fn search(&self, attempt: usize, seed: u64) -> Option<Search> {
        let temperature = *self.temperatures.get(attempt)?;
        Some(if temperature > 0.0 {
            Search::Sample { temperature, best_of: self.best_of, seed }
        } else if self.beam_size > 1 {
            Search::Beam { size: self.beam_size, patience: self.patience }
        } else {
            Search::Greedy
        })
    }

    /// Whether the engine may stop decoding a hypothesis as soon as it repeats itself. This is allowed only if the
    /// compression ratio threshold would reject every such hypothesis.
    pub(crate) fn abandon_loops(&self) -> bool {
        self.compression_ratio_threshold.is_some_and(|threshold| threshold <= MIN_LOOP_COMPRESSION_RATIO)
    }

    /// Checks a hypothesis. `text` is the text of `result`. `speech_s` is the number of seconds of speech in the
    /// window; `None` without a voice activity detector.
    pub(crate) fn check(&self, result: DecodingResult, text: &str, speech_s: Option<f64>) -> DecodeCheck {
        let text = text.trim();
        let compression_ratio = compression_ratio(text);
        let max_chars = |speech_s: f64| MAX_SPEECH_RATE_CHARS_PER_S * speech_s + EXTRA_CHARS;
        DecodeCheck {
            compression_ratio,
            is_repetitive: self.compression_ratio_threshold.is_some_and(|threshold| compression_ratio > threshold),
            is_too_long: speech_s.is_some_and(|speech_s| text.chars().count() as f64 > max_chars(speech_s)),
            is_improbable: self.logprob_threshold.is_some_and(|threshold| result.avg_logprob < threshold),
            is_silent: self.is_silent(&result, speech_s),
            result,
        }
    }

    /// Whether the window counts as silent: the no-speech probability is above its threshold, and the mean
    /// log-probability of the hypothesis is below its threshold. If the window has little speech, the log-probability
    /// threshold is halved, which makes silence more likely.
    fn is_silent(&self, result: &DecodingResult, speech_s: Option<f64>) -> bool {
        let has_little_speech = speech_s.is_some_and(|speech_s| speech_s < MIN_RELIABLE_SPEECH_S);
        let logprob_threshold =
            self.logprob_threshold.map(|logprob| if has_little_speech { logprob / 2.0 } else { logprob });
        self.no_speech_threshold.is_some_and(|threshold| result.no_speech_prob > threshold)
            && logprob_threshold.is_none_or(|threshold| result.avg_logprob < threshold)
    }
}

/// The size of `text` in bytes, divided by the size of `text` after zlib compression.
fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f32 / compressed.expect("writing to a vector does not fail").len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(avg_logprob: f32, no_speech_prob: f32) -> DecodingResult {
        DecodingResult { tokens: vec![1], avg_logprob, no_speech_prob, temperature: 0.0 }
    }

    #[test]
    fn a_probable_hypothesis_that_does_not_repeat_itself_is_accepted() {
        let fallback = Fallback::new(&TranscribeOptions::default());
        let check = |avg_logprob, no_speech_prob, text: &str| {
            fallback.check(result(avg_logprob, no_speech_prob), text, Some(2.0))
        };
        assert!(check(-0.3, 0.1, " Hello there.").accepted());
        assert!(!check(-1.2, 0.1, " Hello there.").accepted());
        let repetitive = check(-0.1, 0.1, &" and again".repeat(40));
        assert!(repetitive.is_repetitive && repetitive.is_too_long && !repetitive.accepted());
        let improbable = check(-2.0, 0.1, " Hello.");
        assert!(!repetitive.better_of(improbable).is_repetitive, "repetition is worse than a low probability");
    }

    #[test]
    fn a_window_is_silent_if_speech_and_hypothesis_are_improbable() {
        let fallback = Fallback::new(&TranscribeOptions::default());
        let check = |avg_logprob, no_speech_prob, speech_s| {
            fallback.check(result(avg_logprob, no_speech_prob), " Thank you.", Some(speech_s))
        };
        let silent = check(-1.2, 0.9, 2.0);
        assert!(silent.is_silent && silent.accepted());
        assert!(!check(-0.9, 0.9, 2.0).is_silent);
        assert!(check(-0.9, 0.9, 0.6).is_silent, "with little speech, the threshold is -0.5 instead of -1");
        assert!(!check(-0.9, 0.2, 0.6).is_silent);
    }

    #[test]
    fn without_thresholds_every_hypothesis_is_accepted() {
        let options = TranscribeOptions {
            compression_ratio_threshold: None,
            logprob_threshold: None,
            no_speech_threshold: None,
            ..TranscribeOptions::default()
        };
        let check = Fallback::new(&options).check(result(-9.0, 1.0), &" again".repeat(40), None);
        assert!(check.accepted() && !check.is_silent);
    }

    #[test]
    fn there_is_one_attempt_for_each_temperature() {
        let options = TranscribeOptions { temperatures: vec![0.0, 0.5], beam_size: 3, ..TranscribeOptions::default() };
        let fallback = Fallback::new(&options);
        assert_eq!(fallback.search(0, 7), Some(Search::Beam { size: 3, patience: 1.0 }));
        assert_eq!(fallback.search(1, 7), Some(Search::Sample { temperature: 0.5, best_of: 5, seed: 7 }));
        assert_eq!(fallback.search(2, 7), None);
    }

    #[test]
    fn the_compression_ratio_equals_that_of_python_and_is_high_for_loops() {
        assert!(compression_ratio(&"again and ".repeat(30)) > 2.4);
        assert!(compression_ratio("It was the best of times, it was the worst of times.") < 2.0);
        // The expected ratios are `len(text) / len(zlib.compress(text))` in Python.
        for (text, ratio) in [
            ("thank you. ".repeat(20), 220.0 / 22.0),
            ("ask not what your country can do for you".to_owned(), 40.0 / 46.0),
            (String::new(), 0.0),
        ] {
            assert!((compression_ratio(&text) - ratio).abs() < 1e-6);
        }
    }
}
