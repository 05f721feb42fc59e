//! Decoding a window until its text passes: at rising temperatures, as `openai-whisper` does it (Radford et al., arXiv
//! 2212.04356, section 4.5), but after the first attempt without the text before it, which often is what misleads.

use std::io::Write;

use amanuensis_engine::{DecodingResult, Search};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::TranscribeOptions;

/// Characters that nobody says in a second, in any language, and some that do no harm in a window with little speech.
const MOST_PER_SECOND: f64 = 30.0;
const MOST_AT_ONCE: f64 = 20.0;

/// What goes in circles for so long that it is given up has a higher compression ratio than this.
const LOOPS: f32 = 3.0;

/// Seconds; so little that is voiced may as well be music or noise.
const HARDLY: f64 = 2.0;

/// How often a window is decoded, and what its text must be like.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    searches: Vec<Search>,
    compression_ratio_threshold: Option<f32>,
    logprob_threshold: Option<f32>,
    no_speech_threshold: Option<f32>,
}

/// A text, and what is to be thought of it.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub(crate) struct Judged {
    pub(crate) decoded: DecodingResult,
    /// Bytes of the text to its bytes compressed by zlib.
    pub(crate) compression_ratio: f32,
    /// Whether it repeats itself.
    pub(crate) repeats: bool,
    /// Whether it is longer than what is voiced in the window can be.
    pub(crate) too_long: bool,
    /// Whether the model itself does not believe it.
    pub(crate) doubtful: bool,
    /// Whether nobody speaks, so that there should be no text.
    pub(crate) silent: bool,
}

impl Judged {
    /// Whether the window need not be decoded again.
    pub(crate) fn passes(&self) -> bool {
        self.silent || !(self.repeats || self.too_long || self.doubtful)
    }

    /// The better of two texts of a window: one that does not repeat itself, is not too long, and more probable.
    pub(crate) fn or(self, other: Self) -> Self {
        let worth = |text: &Self| (!text.repeats, !text.too_long);
        let is_better = worth(&other) > worth(&self)
            || worth(&other) == worth(&self) && other.decoded.avg_logprob > self.decoded.avg_logprob;
        if is_better { other } else { self }
    }
}

impl Attempts {
    pub(crate) fn new(options: &TranscribeOptions) -> Self {
        let search = |temperature: &f32| {
            if *temperature > 0.0 {
                // The seed is that of the window.
                Search::Sample { temperature: *temperature, best_of: options.best_of, seed: 0 }
            } else if options.beam_size > 1 {
                Search::Beam { size: options.beam_size, patience: options.patience }
            } else {
                Search::Greedy
            }
        };
        Self {
            searches: options.temperatures.iter().map(search).collect(),
            compression_ratio_threshold: options.compression_ratio_threshold,
            logprob_threshold: options.logprob_threshold,
            no_speech_threshold: options.no_speech_threshold,
        }
    }

    /// How to decode a window for the `attempt`th time, from 0; `seed` is its own.
    pub(crate) fn search(&self, attempt: usize, seed: u64) -> Option<Search> {
        Some(match *self.searches.get(attempt)? {
            Search::Sample { temperature, best_of, .. } => Search::Sample { temperature, best_of, seed },
            search => search,
        })
    }

    /// Whether a text that goes in circles cannot pass, so that it need not be followed to its end.
    pub(crate) fn abandon_loops(&self) -> bool {
        self.compression_ratio_threshold.is_some_and(|bar| bar <= LOOPS)
    }

    /// `text` is that of `decoded`, `voiced` the seconds of the window in which somebody speaks, where that is known.
    pub(crate) fn judge(&self, decoded: DecodingResult, text: &str, voiced: Option<f64>) -> Judged {
        let compression_ratio = compression_ratio(text.trim());
        let is_improbable = |threshold: Option<f32>| threshold.is_some_and(|bar| decoded.avg_logprob < bar);
        let characters = text.trim().chars().count() as f64;
        let no_speech = self.no_speech_threshold.is_some_and(|bar| decoded.no_speech_prob > bar);
        // Where next to nothing is voiced, half the doubt is enough.
        let bar = self
            .logprob_threshold
            .map(|bar| if voiced.is_some_and(|seconds| seconds < HARDLY) { bar / 2.0 } else { bar });
        Judged {
            compression_ratio,
            repeats: self.compression_ratio_threshold.is_some_and(|bar| compression_ratio > bar),
            too_long: voiced.is_some_and(|seconds| characters > MOST_PER_SECOND * seconds + MOST_AT_ONCE),
            doubtful: is_improbable(self.logprob_threshold),
            silent: no_speech && (bar.is_none() || is_improbable(bar)),
            decoded,
        }
    }
}

/// Bytes of `text` to its bytes compressed by zlib.
pub(crate) fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f32 / compressed.expect("writing to memory does not fail").len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(avg_logprob: f32, no_speech_prob: f32) -> DecodingResult {
        DecodingResult { tokens: vec![1], avg_logprob, no_speech_prob, temperature: 0.0 }
    }

    #[test]
    fn texts_pass_or_not() {
        let attempts = Attempts::new(&TranscribeOptions::default());
        let judge = |avg_logprob, no_speech_prob, text: &str| {
            attempts.judge(decoded(avg_logprob, no_speech_prob), text, Some(2.0))
        };
        assert!(judge(-0.3, 0.1, " Hello there.").passes());
        assert!(!judge(-1.2, 0.1, " Hello there.").passes());
        let silent = judge(-1.2, 0.9, " Thank you.");
        assert!(silent.silent && silent.passes());
        assert!(!judge(-0.9, 0.9, " Thank you.").silent);
        assert!(attempts.judge(decoded(-0.9, 0.9), " Thank you.", Some(0.6)).silent, "next to nothing is voiced");
        assert!(!attempts.judge(decoded(-0.9, 0.2), " Thank you.", Some(0.6)).silent);
        let loops = judge(-0.1, 0.1, &" and again".repeat(40));
        assert!(loops.repeats && loops.too_long && !loops.passes());
        // The better text is the one that does not repeat itself, however improbable.
        assert!(!loops.or(judge(-2.0, 0.1, " Hello.")).repeats);
    }

    #[test]
    fn thresholds_can_be_left_out() {
        let options = TranscribeOptions {
            compression_ratio_threshold: None,
            logprob_threshold: None,
            no_speech_threshold: None,
            ..TranscribeOptions::default()
        };
        let judged = Attempts::new(&options).judge(decoded(-9.0, 1.0), &" again".repeat(40), None);
        assert!(judged.passes() && !judged.silent);
    }

    #[test]
    fn attempts_are_as_many_as_temperatures() {
        let options = TranscribeOptions { temperatures: vec![0.0, 0.5], beam_size: 3, ..TranscribeOptions::default() };
        let attempts = Attempts::new(&options);
        assert_eq!(attempts.search(0, 7), Some(Search::Beam { size: 3, patience: 1.0 }));
        assert_eq!(attempts.search(1, 7), Some(Search::Sample { temperature: 0.5, best_of: 5, seed: 7 }));
        assert_eq!(attempts.search(2, 7), None);
    }

    #[test]
    fn compression_ratio_is_high_for_loops() {
        assert!(compression_ratio(&"again and ".repeat(30)) > 2.4);
        assert!(compression_ratio("It was the best of times, it was the worst of times.") < 2.0);
        // Python: len(text) / len(zlib.compress(text))
        for (text, ratio) in [
            ("thank you. ".repeat(20), 220.0 / 22.0),
            ("ask not what your country can do for you".to_owned(), 40.0 / 46.0),
            (String::new(), 0.0),
        ] {
            assert!((compression_ratio(&text) - ratio).abs() < 1e-6);
        }
    }
}
