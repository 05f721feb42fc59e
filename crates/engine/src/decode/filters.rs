//! Which tokens may come next: rules that set the logits of all others to minus infinity, as in the original
//! implementation's `decoding.py`.

use std::ops::Range;

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::log_sum_exp;

use crate::Vocabulary;
use crate::config::Config;
use crate::vocabulary::Special;

/// The first timestamp of a window lies within its first second.
const MAX_INITIAL_TIMESTAMP: f64 = 1.0;

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
}

impl Filters {
    pub(super) fn new(config: &Config, vocabulary: &Vocabulary, wants_timestamps: bool) -> Self {
        let (special, timestamps) = (vocabulary.special(), vocabulary.timestamps());
        let n_vocab = vocabulary.n_vocab() as u32;
        // No special token but the end is ever text; ids beyond the last timestamp mean nothing.
        let specials = (special.eot.min(special.sot)..timestamps.start).chain(timestamps.end..n_vocab);
        let suppress = config.suppress.iter().copied().filter(|id| *id < n_vocab).chain(specials);
        let is_late = |id: &u32| vocabulary.timestamp(*id).is_none_or(|seconds| seconds > MAX_INITIAL_TIMESTAMP + 1e-6);
        Self {
            special,
            suppress: suppress.filter(|id| *id != special.eot).collect(),
            suppress_at_begin: config.suppress_at_begin.iter().copied().filter(|id| *id < n_vocab).collect(),
            initial_end: timestamps.clone().find(is_late).unwrap_or(timestamps.end),
            timestamps,
            wants_timestamps,
        }
    }

    /// Applies all rules to the logits that follow `sampled`.
    pub(super) fn apply(&self, cpu: Cpu, sampled: &[u32], logits: &mut [f32]) {
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
