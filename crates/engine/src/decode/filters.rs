//! Which tokens may come next: rules that set the logits of all others to minus infinity, as in the original
//! implementation's `decoding.py`.

use std::ops::Range;

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::log_sum_exp;

use super::DecodeOptions;
use crate::Vocabulary;
use crate::config::Config;
use crate::vocabulary::Special;

/// The rules for one window.
pub(super) struct Filters {
    special: Special,
    /// Never sampled.
    suppress: Vec<u32>,
    /// Not sampled first.
    suppress_at_begin: Vec<u32>,
    timestamps: Range<u32>,
    /// One past the last timestamp that may come first.
    initial_end: u32,
    wants_timestamps: bool,
    no_repeat_ngram_size: usize,
    repetition_penalty: f32,
}

impl Filters {
    pub(super) fn new(config: &Config, vocabulary: &Vocabulary, options: &DecodeOptions) -> Self {
        let rules = &options.logits_filters;
        let (special, timestamps) = (vocabulary.special(), vocabulary.timestamps());
        let n_vocab = vocabulary.n_vocab() as u32;
        // No special token but the end is ever text; ids beyond the last timestamp mean nothing.
        let specials = (special.eot.min(special.sot)..timestamps.start).chain(timestamps.end..n_vocab);
        let listed = config.suppress.iter().filter(|_| rules.suppress_listed);
        let suppress = listed.chain(&rules.suppress).copied().filter(|id| *id < n_vocab).chain(specials);
        let latest = rules.max_initial_timestamp + 1e-6;
        let is_late = |id: &u32| vocabulary.timestamp(*id).is_none_or(|seconds| seconds > latest);
        let at_begin = config.suppress_at_begin.iter().filter(|_| rules.suppress_blank);
        Self {
            special,
            suppress: suppress.filter(|id| *id != special.eot).collect(),
            suppress_at_begin: at_begin.copied().filter(|id| *id < n_vocab).collect(),
            initial_end: timestamps.clone().find(is_late).unwrap_or(timestamps.end),
            timestamps,
            wants_timestamps: options.timestamps,
            no_repeat_ngram_size: rules.no_repeat_ngram_size,
            repetition_penalty: rules.repetition_penalty,
        }
    }

    /// Applies all rules to the logits that follow `sampled`.
    pub(super) fn apply(&self, cpu: Cpu, sampled: &[u32], logits: &mut [f32]) {
        self.discourage_repeats(sampled, logits);
        for id in &self.suppress {
            logits[*id as usize] = f32::NEG_INFINITY;
        }
        if sampled.is_empty() {
            for id in &self.suppress_at_begin {
                logits[*id as usize] = f32::NEG_INFINITY;
            }
        }
        if self.wants_timestamps {
            self.pair_timestamps(sampled, logits);
            self.prefer_timestamps(cpu, logits);
        } else {
            forbid(logits, self.timestamps.clone());
        }
    }

    /// Text that came before is less probable, and no run of so many text tokens comes twice. Times are left alone: two
    /// texts may begin with the same word a second apart.
    fn discourage_repeats(&self, sampled: &[u32], logits: &mut [f32]) {
        if self.no_repeat_ngram_size == 0 && self.repetition_penalty <= 1.0 {
            return;
        }
        let text: Vec<u32> = sampled.iter().copied().filter(|token| *token < self.special.eot).collect();
        if self.repetition_penalty > 1.0 {
            let mut seen = text.clone();
            seen.sort_unstable();
            seen.dedup();
            for token in seen {
                let logit = &mut logits[token as usize];
                *logit = if *logit > 0.0 { *logit / self.repetition_penalty } else { *logit * self.repetition_penalty };
            }
        }
        if let Some(before) = self.no_repeat_ngram_size.checked_sub(1).filter(|before| *before <= text.len()) {
            let end = &text[text.len() - before..];
            for run in text.windows(before + 1).filter(|run| run[..before] == *end) {
                logits[run[before] as usize] = f32::NEG_INFINITY;
            }
        }
    }

    /// Timestamps come in pairs, never go back, and one comes first.
    fn pair_timestamps(&self, sampled: &[u32], logits: &mut [f32]) {
        let is_timestamp = |token: &u32| *token >= self.timestamps.start;
        let Some(last) = sampled.last() else {
            forbid(logits, 0..self.timestamps.start);
            forbid(logits, self.initial_end..self.timestamps.end);
            return;
        };
        let last_is_time = is_timestamp(last);
        let opens_text = sampled.len() < 2 || is_timestamp(&sampled[sampled.len() - 2]);
        if last_is_time && opens_text {
            forbid(logits, self.timestamps.clone());
        } else if last_is_time {
            forbid(logits, 0..self.special.eot);
        }
        if let Some(latest) = sampled.iter().rev().find(|token| is_timestamp(token)) {
            // A segment may begin where the last one ended; it may not end where it began.
            let next = if last_is_time && !opens_text { *latest } else { latest + 1 };
            forbid(logits, self.timestamps.start..next.min(self.timestamps.end));
        }
    }

    /// If all timestamps together are more probable than any one text token, a timestamp comes next.
    fn prefer_timestamps(&self, cpu: Cpu, logits: &mut [f32]) {
        let (text, times) = logits.split_at(self.timestamps.start as usize);
        let (largest, log_sum) = log_sum_exp(cpu, times);
        let most_probable_text = text.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if largest > f32::NEG_INFINITY && largest + log_sum > most_probable_text {
            forbid(logits, 0..self.timestamps.start);
        }
    }
}

fn forbid(logits: &mut [f32], ids: Range<u32>) {
    logits[ids.start as usize..ids.end as usize].fill(f32::NEG_INFINITY);
}
