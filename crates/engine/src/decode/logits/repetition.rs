//! Discourages repetition: the repetition penalty and the ban on repeated n-grams. Both count text tokens only, because
//! consecutive segments may begin with the same word at different timestamps.

use crate::decode::options::LogitsFilterOptions;
use crate::tokenizer::Vocabulary;

pub(super) struct RepetitionFilter {
    eot: u32,
    no_repeat_ngram_size: usize,
    repetition_penalty: f32,
}

impl RepetitionFilter {
    pub(super) fn new(vocabulary: &Vocabulary, options: &LogitsFilterOptions) -> Self {
        Self {
            eot: vocabulary.special().eot,
            no_repeat_ngram_size: options.no_repeat_ngram_size,
            repetition_penalty: options.repetition_penalty,
        }
    }

    pub(super) fn apply(&self, sampled: &[u32], logits: &mut [f32]) {
        if self.no_repeat_ngram_size == 0 && self.repetition_penalty <= 1.0 {
            return;
        }
        let text: Vec<u32> = sampled.iter().copied().filter(|token| *token < self.eot).collect();
        if self.repetition_penalty > 1.0 {
            self.penalise_repetition(&text, logits);
        }
        if let Some(context_len) = self.no_repeat_ngram_size.checked_sub(1) {
            forbid_repeated_ngrams(&text, context_len, logits);
        }
    }

    /// Makes every token that occurs in `text` less probable. The penalty does not depend on how often the token
    /// occurs.
    fn penalise_repetition(&self, text: &[u32], logits: &mut [f32]) {
        let mut seen = text.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for token in seen {
            let logit = &mut logits[token as usize];
            *logit = if *logit > 0.0 { *logit / self.repetition_penalty } else { *logit * self.repetition_penalty };
        }
    }
}

/// Forbids every next token that would repeat an earlier n-gram of `context_len + 1` tokens.
fn forbid_repeated_ngrams(text: &[u32], context_len: usize, logits: &mut [f32]) {
    if context_len > text.len() {
        return;
    }
    let context = &text[text.len() - context_len..];
    for ngram in text.windows(context_len + 1).filter(|ngram| ngram[..context_len] == *context) {
        logits[ngram[context_len] as usize] = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the repetition filter to `logits`. The ids 0 to 9 are text tokens, and 10 is the end token.
    fn apply(no_repeat_ngram_size: usize, repetition_penalty: f32, sampled: &[u32], logits: &mut [f32]) {
        RepetitionFilter { eot: 10, no_repeat_ngram_size, repetition_penalty }.apply(sampled, logits);
    }

    #[test]
    fn the_penalty_divides_positive_logits_and_multiplies_negative_ones() {
        let mut logits = [3.0, -3.0, 1.0];
        apply(0, 2.0, &[0, 1, 0], &mut logits);
        assert_eq!(logits.map(f32::to_bits), [1.5_f32, -6.0, 1.0].map(f32::to_bits));
    }

    #[test]
    fn a_token_that_completes_a_repeated_ngram_is_forbidden() {
        let mut logits = [0.0; 10];
        apply(3, 1.0, &[1, 2, 3, 4, 1, 2], &mut logits);
        let forbidden: Vec<usize> = (0..10).filter(|token| logits[*token] < 0.0).collect();
        assert_eq!(forbidden, [3]);
    }

    #[test]
    fn an_ngram_size_of_one_forbids_every_earlier_token() {
        let mut logits = [0.0; 10];
        apply(1, 1.0, &[4, 6], &mut logits);
        let forbidden: Vec<usize> = (0..10).filter(|token| logits[*token] < 0.0).collect();
        assert_eq!(forbidden, [4, 6]);
    }

    #[test]
    fn timestamp_tokens_do_not_count_as_repetition() {
        let mut logits = [1.0; 20];
        apply(2, 2.0, &[12, 5, 12, 15], &mut logits);
        assert_eq!(logits[5].to_bits(), 0.5_f32.to_bits());
        assert!(logits[10..].iter().all(|logit| *logit >= 1.0));
    }

    #[test]
    fn the_default_options_change_nothing() {
        let mut logits = [1.0, -1.0];
        apply(0, 1.0, &[0, 0, 0, 0], &mut logits);
        assert_eq!(logits.map(f32::to_bits), [1.0_f32, -1.0].map(f32::to_bits));
    }
}
