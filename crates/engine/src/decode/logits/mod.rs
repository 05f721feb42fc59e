//! The logits filters. They decide which tokens can come next: a forbidden token gets a logit of minus infinity. The
//! filters are those of `whisper/decoding.py` in openai-whisper, plus the repetition filters.

mod repetition;
mod suppress;
mod timestamp_rules;

use amanuensis_kernels::Cpu;

use self::repetition::RepetitionFilter;
use self::suppress::SuppressFilter;
use self::timestamp_rules::TimestampRules;
use super::options::DecodeOptions;
use crate::model::Config;
use crate::tokenizer::Vocabulary;

/// All logits filters for one window.
pub(super) struct LogitsFilters {
    repetition: RepetitionFilter,
    suppress: SuppressFilter,
    /// `None` if no timestamps are wanted. In this case `suppress` forbids the timestamp tokens.
    timestamp_rules: Option<TimestampRules>,
}

impl LogitsFilters {
    pub(super) fn new(config: &Config, vocabulary: &Vocabulary, options: &DecodeOptions) -> Self {
        let filters = &options.logits_filters;
        let timestamp_rules = || TimestampRules::new(vocabulary, filters.max_initial_timestamp);
        Self {
            repetition: RepetitionFilter::new(vocabulary, filters),
            suppress: SuppressFilter::new(config, vocabulary, options),
            timestamp_rules: options.timestamps.then(timestamp_rules),
        }
    }

    /// Applies all filters to the logits of the next token. `sampled` contains the tokens after the prompt. The
    /// timestamp rules are applied last, because they compare the probabilities of the tokens that the other filters
    /// allow.
    pub(super) fn apply(&self, cpu: Cpu, sampled: &[u32], logits: &mut [f32]) {
        self.repetition.apply(sampled, logits);
        self.suppress.apply(sampled, logits);
        if let Some(rules) = &self.timestamp_rules {
            rules.apply(cpu, sampled, logits);
        }
    }
}
