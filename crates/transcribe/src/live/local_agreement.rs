//! `LocalAgreement-2`: a word is committed once two successive hypotheses agree on it (Liu et al., arXiv 2005.11185;
//! for Whisper Macháček et al., arXiv 2307.14743).
//!
//! The decoder is forced to begin the next hypothesis with the committed words, so that no hypothesis can contradict
//! them. This module only receives the words after the committed words.

use super::word_tokens::DecodedWord;

/// The provisional words of an utterance: the words that two successive hypotheses have not agreed on yet.
#[derive(Debug, Default)]
pub(super) struct LocalAgreement {
    provisional: Vec<DecodedWord>,
}

impl LocalAgreement {
    /// Takes the next hypothesis for the words after the committed words, and returns the newly committed words. A
    /// word is committed if it is the same as in the previous hypothesis and ends before `latest_end` (in seconds).
    /// The final word of the hypothesis is never committed, because more audio may still extend this word.
    pub(super) fn commit_agreed(&mut self, hypothesis: Vec<DecodedWord>, latest_end: f64) -> Vec<DecodedWord> {
        let pairs = self.provisional.iter().zip(&hypothesis);
        let is_agreed = |previous: &DecodedWord, new: &DecodedWord| {
            is_same_word(&previous.word.word, &new.word.word) && new.word.end <= latest_end
        };
        let n_agreed = pairs.take_while(|(previous, new)| is_agreed(previous, new)).count();
        self.provisional = hypothesis;
        let n_committed = n_agreed.min(self.provisional.len().saturating_sub(1));
        self.provisional.drain(..n_committed).collect()
    }

    /// Replaces the provisional words by the next hypothesis, without committing any word.
    pub(super) fn replace(&mut self, hypothesis: Vec<DecodedWord>) {
        self.provisional = hypothesis;
    }

    /// Commits and returns all provisional words except the final `n_kept`.
    pub(super) fn commit_all_but(&mut self, n_kept: usize) -> Vec<DecodedWord> {
        self.provisional.drain(..self.provisional.len().saturating_sub(n_kept)).collect()
    }

    /// The provisional words, which may still change.
    pub(super) fn provisional(&self) -> &[DecodedWord] {
        &self.provisional
    }
}

/// Whether two words are the same except for case and punctuation. Case and punctuation are ignored because they
/// depend on the words that follow.
fn is_same_word(one: &str, other: &str) -> bool {
    let normalized =
        |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    normalized(one) == normalized(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Word;

    /// Makes a hypothesis by splitting `text` at spaces.
    fn hypothesis(text: &str) -> Vec<DecodedWord> {
        let word = |text: &str| Word { word: text.to_owned(), start: 0.0, end: 0.0, probability: 1.0 };
        text.split_inclusive(' ').map(|text| DecodedWord { word: word(text), tokens: Vec::new() }).collect()
    }

    fn text(words: &[DecodedWord]) -> String {
        words.iter().map(|word| word.word.word.as_str()).collect()
    }

    #[test]
    fn words_are_committed_when_two_hypotheses_agree() {
        let mut agreement = LocalAgreement::default();
        assert_eq!(text(&agreement.commit_agreed(hypothesis("Ask not."), 1.0)), "");
        assert_eq!(text(&agreement.commit_agreed(hypothesis("ask not what your"), 1.0)), "ask not ");
        assert_eq!(text(agreement.provisional()), "what your");
        assert_eq!(text(&agreement.commit_agreed(hypothesis("what you can do"), 1.0)), "what ");
        assert_eq!(text(&agreement.commit_agreed(hypothesis("you can do"), 1.0)), "you can ");
        assert_eq!(text(&agreement.commit_all_but(0)), "do");
        assert!(agreement.provisional().is_empty());
    }

    proptest! {
        #[test]
        fn committed_and_provisional_words_together_are_the_hypothesis(
            hypotheses in prop::collection::vec("[ab] [ab] [ab] [ab]", 1..9),
        ) {
            let mut agreement = LocalAgreement::default();
            for hypothesis in hypotheses.iter().map(|text| self::hypothesis(text)) {
                let expected = text(&hypothesis);
                let committed = agreement.commit_agreed(hypothesis, 1.0);
                prop_assert_eq!(text(&committed) + &text(agreement.provisional()), expected);
            }
        }
    }
}
