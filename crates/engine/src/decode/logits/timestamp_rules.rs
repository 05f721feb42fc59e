//! The rules for timestamp tokens: they come in pairs, they never decrease, and the first token is a timestamp.

use std::ops::Range;

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::log_sum_exp;

use crate::tokenizer::Vocabulary;

pub(super) struct TimestampRules {
    eot: u32,
    timestamps: Range<u32>,
    /// The first of the timestamp tokens that are too late to be the first token of a window.
    initial_end: u32,
}

impl TimestampRules {
    /// Creates the rules. `max_initial_timestamp` is the latest time that the first timestamp of a window can have,
    /// in seconds.
    pub(super) fn new(vocabulary: &Vocabulary, max_initial_timestamp: f64) -> Self {
        let timestamps = vocabulary.timestamps();
        // The tolerance ensures that the latest time itself is allowed in spite of rounding.
        let latest = max_initial_timestamp + 1e-6;
        let is_later = |id: &u32| vocabulary.timestamp(*id).is_none_or(|seconds| seconds > latest);
        Self {
            eot: vocabulary.special().eot,
            initial_end: timestamps.clone().find(is_later).unwrap_or(timestamps.end),
            timestamps,
        }
    }

    pub(super) fn apply(&self, cpu: Cpu, sampled: &[u32], logits: &mut [f32]) {
        self.forbid_unpaired(sampled, logits);
        self.prefer_timestamps(cpu, logits);
    }

    /// Forbids timestamps that do not continue a sequence of non-decreasing pairs. A segment has the form: start
    /// timestamp, text, end timestamp. It is followed directly by the start timestamp of the next segment.
    fn forbid_unpaired(&self, sampled: &[u32], logits: &mut [f32]) {
        let is_timestamp = |token: &u32| *token >= self.timestamps.start;
        let Some(last) = sampled.last() else {
            forbid(logits, 0..self.timestamps.start);
            forbid(logits, self.initial_end..self.timestamps.end);
            return;
        };
        let follows_timestamp = is_timestamp(last);
        let is_pair_complete = sampled.len() < 2 || is_timestamp(&sampled[sampled.len() - 2]);
        if follows_timestamp && is_pair_complete {
            // A start timestamp must be followed by text, or by the end token.
            forbid(logits, self.timestamps.clone());
        } else if follows_timestamp {
            // An end timestamp must be followed by the start timestamp of the next segment, or by the end token.
            forbid(logits, 0..self.eot);
        }
        if let Some(latest) = sampled.iter().rev().find(|token| is_timestamp(token)) {
            // The start of a segment may equal the end of the previous segment, but its end must be later than its
            // own start.
            let first_allowed = if follows_timestamp && !is_pair_complete { *latest } else { latest + 1 };
            forbid(logits, self.timestamps.start..first_allowed.min(self.timestamps.end));
        }
    }

    /// Forbids all other tokens if the total probability of the timestamps is higher than that of the most probable
    /// other token.
    fn prefer_timestamps(&self, cpu: Cpu, logits: &mut [f32]) {
        let (others, timestamps) = logits.split_at(self.timestamps.start as usize);
        let (max, log_sum) = log_sum_exp(cpu, timestamps);
        let max_other = others.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if max > f32::NEG_INFINITY && max + log_sum > max_other {
            forbid(logits, 0..self.timestamps.start);
        }
    }
}

fn forbid(logits: &mut [f32], ids: Range<u32>) {
    logits[ids.start as usize..ids.end as usize].fill(f32::NEG_INFINITY);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules for text tokens 0 to 3, end of text 4, and timestamps 5 to 9. Only timestamps 5 and 6 can be the first
    /// token.
    const RULES: TimestampRules = TimestampRules { eot: 4, timestamps: 5..10, initial_end: 7 };

    /// The tokens that may follow `sampled`. The logits make timestamps improbable, so that no timestamp is forced.
    fn allowed(sampled: &[u32]) -> Vec<usize> {
        let mut logits = [[10.0; 5], [0.0; 5]].concat();
        RULES.apply(Cpu::detect(), sampled, &mut logits);
        (0..10).filter(|token| logits[*token].is_finite()).collect()
    }

    #[test]
    fn the_first_token_is_an_early_timestamp() {
        assert_eq!(allowed(&[]), [5, 6]);
    }

    #[test]
    fn text_or_the_end_follows_the_start_of_a_segment() {
        assert_eq!(allowed(&[6]), [0, 1, 2, 3, 4]);
        assert_eq!(allowed(&[5, 1, 7, 7]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_timestamp_or_the_end_follows_the_end_of_a_segment() {
        assert_eq!(allowed(&[5, 1, 8]), [4, 8, 9]);
    }

    #[test]
    fn a_segment_ends_after_its_start() {
        assert_eq!(allowed(&[7, 1]), [0, 1, 2, 3, 4, 8, 9]);
    }

    #[test]
    fn timestamps_never_decrease() {
        assert_eq!(allowed(&[5, 1, 8, 8, 2]), [0, 1, 2, 3, 4, 9]);
        assert_eq!(allowed(&[5, 1, 9, 9, 2]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_timestamp_is_forced_if_timestamps_together_are_more_probable() {
        let apply = |timestamp_logit: f32| {
            let mut logits = [[0.0; 5], [timestamp_logit; 5]].concat();
            RULES.apply(Cpu::detect(), &[5, 1], &mut logits);
            logits[..5].iter().all(|logit| *logit == f32::NEG_INFINITY)
        };
        // After 5, four timestamps are allowed. Their total probability exceeds that of a token with logit 0 if each
        // has a logit of more than -ln 4 = -1.386.
        assert!(apply(-1.38));
        assert!(!apply(-1.40));
    }
}
