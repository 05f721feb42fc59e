//! Suppresses single tokens: those that the model's files or the options list, and all special tokens but the end of
//! text.

use std::ops::Range;

use crate::decode::options::DecodeOptions;
use crate::model::Config;
use crate::tokenizer::Vocabulary;

pub(super) struct SuppressFilter {
    /// Tokens that are always forbidden.
    always: Vec<u32>,
    /// Tokens that must not be the first token after the prompt.
    at_begin: Vec<u32>,
    /// The timestamp tokens, if no timestamps are wanted. Otherwise the range is empty.
    timestamps: Range<u32>,
}

impl SuppressFilter {
    pub(super) fn new(config: &Config, vocabulary: &Vocabulary, options: &DecodeOptions) -> Self {
        let filters = &options.logits_filters;
        let (special, timestamps) = (vocabulary.special(), vocabulary.timestamps());
        let n_vocab = vocabulary.n_vocab() as u32;
        // The end of text is the only special token that can occur in a transcript, so the others are forbidden. The
        // ids after the last timestamp are unused, so they are forbidden too.
        let special_tokens = (special.eot.min(special.sot)..timestamps.start).chain(timestamps.end..n_vocab);
        let listed = config.suppress.iter().filter(|_| filters.suppress_listed);
        let always = listed.chain(&filters.suppress).copied().filter(|id| *id < n_vocab).chain(special_tokens);
        let at_begin = config.suppress_at_begin.iter().filter(|_| filters.suppress_blank);
        Self {
            always: always.filter(|id| *id != special.eot).collect(),
            at_begin: at_begin.copied().filter(|id| *id < n_vocab).collect(),
            timestamps: if options.timestamps { 0..0 } else { timestamps },
        }
    }

    pub(super) fn apply(&self, sampled: &[u32], logits: &mut [f32]) {
        for id in &self.always {
            logits[*id as usize] = f32::NEG_INFINITY;
        }
        if sampled.is_empty() {
            for id in &self.at_begin {
                logits[*id as usize] = f32::NEG_INFINITY;
            }
        }
        logits[self.timestamps.start as usize..self.timestamps.end as usize].fill(f32::NEG_INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::options::LogitsFilterOptions;

    /// A vocabulary with three text tokens, the special tokens from 3 (end of text) to 12, the timestamps 13 to 18,
    /// and one unused id.
    fn vocabulary() -> Vocabulary {
        let directory = tempfile::tempdir().unwrap();
        let list = "a\nb\nc\n<|endoftext|>\n<|startoftranscript|>\n<|en|>\n<|de|>\n<|translate|>\n<|transcribe|>\n\
            <|startoflm|>\n<|startofprev|>\n<|nospeech|>\n<|notimestamps|>\n";
        std::fs::write(directory.path().join("vocabulary.txt"), list).unwrap();
        Vocabulary::read(directory.path(), None, 20, 5, &Config::default()).unwrap()
    }

    /// The tokens that may follow `sampled`, the tokens after the prompt.
    fn allowed(timestamps: bool, logits_filters: LogitsFilterOptions, sampled: &[u32]) -> Vec<usize> {
        let config = Config { suppress: vec![1, 3, 99], suppress_at_begin: vec![0, 3, 99], ..Config::default() };
        let options = DecodeOptions { timestamps, logits_filters, ..DecodeOptions::default() };
        let mut logits = [0.0; 20];
        SuppressFilter::new(&config, &vocabulary(), &options).apply(sampled, &mut logits);
        (0..20).filter(|token| logits[*token].is_finite()).collect()
    }

    #[test]
    fn listed_tokens_special_tokens_and_unused_ids_are_forbidden() {
        let expected = [0, 2, 3, 13, 14, 15, 16, 17, 18];
        assert_eq!(allowed(true, LogitsFilterOptions::default(), &[2]), expected);
    }

    #[test]
    fn blanks_and_the_end_token_are_forbidden_as_the_first_token_only() {
        assert_eq!(allowed(false, LogitsFilterOptions::default(), &[]), [2]);
        assert_eq!(allowed(false, LogitsFilterOptions::default(), &[2]), [0, 2, 3]);
        let filters = LogitsFilterOptions { suppress_blank: false, ..LogitsFilterOptions::default() };
        assert_eq!(allowed(false, filters, &[]), [0, 2, 3]);
    }

    #[test]
    fn timestamps_are_forbidden_if_none_are_wanted() {
        assert!(allowed(false, LogitsFilterOptions::default(), &[2]).iter().all(|token| *token < 13));
    }

    #[test]
    fn the_options_add_to_the_list_and_can_turn_it_off() {
        let suppress = vec![2, 99];
        let filters = LogitsFilterOptions { suppress_listed: false, suppress, ..LogitsFilterOptions::default() };
        assert_eq!(allowed(false, filters, &[2]), [0, 1, 3]);
    }

    #[test]
    fn the_end_of_text_cannot_be_suppressed() {
        let filters = LogitsFilterOptions { suppress: vec![3], ..LogitsFilterOptions::default() };
        assert!(allowed(false, filters, &[2]).contains(&3));
    }
}
