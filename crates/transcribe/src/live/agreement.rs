//! Which of the words read so far will stay: those that two successive readings agree on (`LocalAgreement-2`: Liu et al.,
//! arXiv 2005.11185; for Whisper Macháček et al., arXiv 2307.14743).
//!
//! What is settled is given to the next reading as the beginning of its text, so that no reading can contradict it; here
//! is only what comes after.

use amanuensis_engine::Vocabulary;

use crate::Word;

/// A word of a reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    pub(super) word: Word,
    /// The tokens that it is made of.
    pub(super) tokens: Vec<u32>,
}

/// The words that are not settled yet.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    tentative: Vec<Read>,
}

impl Agreement {
    /// Takes what was read after the settled words this time, and gives the words that are settled now: those that end
    /// before `latest`, in seconds. The last word never is: it may go on, and so may its sentence.
    pub(super) fn read(&mut self, reading: Vec<Read>, latest: f64) -> Vec<Read> {
        let pairs = self.tentative.iter().zip(&reading);
        let is_settled =
            |before: &Read, now: &Read| is_same(&before.word.word, &now.word.word) && now.word.end <= latest;
        let agreed = pairs.take_while(|(before, now)| is_settled(before, now)).count();
        self.tentative = reading;
        let settled = agreed.min(self.tentative.len().saturating_sub(1));
        self.tentative.drain(..settled).collect()
    }

    /// Takes a reading to compare the next one with.
    pub(super) fn replace(&mut self, reading: Vec<Read>) {
        self.tentative = reading;
    }

    /// Settles all words but the last `spared`.
    pub(super) fn settle(&mut self, spared: usize) -> Vec<Read> {
        self.tentative.drain(..self.tentative.len().saturating_sub(spared)).collect()
    }

    /// The words that are not settled.
    pub(super) fn tentative(&self) -> &[Read] {
        &self.tentative
    }
}

/// Whether two words sound the same: case and punctuation depend on what follows.
fn is_same(one: &str, other: &str) -> bool {
    let sound =
        |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    sound(one) == sound(other)
}

/// The words of a text after the first `given` of its tokens, each with its own tokens. `words` are those of all text
/// tokens, and joined are their text.
pub(super) fn words_after(given: usize, words: Vec<Word>, tokens: &[u32], vocabulary: &Vocabulary) -> Vec<Read> {
    let mut bytes = Vec::new();
    let length = |token: &u32| {
        bytes.clear();
        vocabulary.extend_bytes(*token, &mut bytes);
        bytes.len()
    };
    split_after(given, words, tokens, &tokens.iter().map(length).collect::<Vec<_>>())
}

/// The same, of tokens of so many bytes.
fn split_after(given: usize, words: Vec<Word>, tokens: &[u32], lengths: &[usize]) -> Vec<Read> {
    let ends: Vec<usize> = lengths.iter().scan(0, |end, length| Some((*end += length, *end).1)).collect();
    let given = given.min(tokens.len());
    let skipped = given.checked_sub(1).map_or(0, |last| ends[last]);
    let mut found: Vec<Read> = Vec::new();
    // Where the text and the tokens of the next word begin, and whether the one before is whole.
    let (mut from, mut first, mut is_whole) = (0, given, true);
    for word in words {
        let to = from + word.word.len();
        if to > skipped {
            // Of a word whose beginning is given, what is left.
            let rest = word.word.get(skipped.saturating_sub(from)..).unwrap_or(&word.word).to_owned();
            let word = Word { word: rest, ..word };
            match found.last_mut().filter(|_| !is_whole) {
                Some(before) => {
                    before.word.word += &word.word;
                    before.word.end = word.end;
                }
                None => found.push(Read { word, tokens: Vec::new() }),
            }
            // A word ends with a token, but for one that is no UTF-8, which stays with the next.
            let end = ends.partition_point(|end| *end <= to);
            is_whole = end > first && ends[end - 1] == to;
            if let Some(last) = found.last_mut().filter(|_| is_whole) {
                last.tokens.extend_from_slice(&tokens[first..end]);
                first = end;
            }
        }
        from = to;
    }
    if let Some(last) = found.last_mut().filter(|_| first < tokens.len()) {
        last.tokens.extend_from_slice(&tokens[first..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str) -> Word {
        Word { word: text.to_owned(), start: 0.0, end: 0.0, probability: 1.0 }
    }

    fn reading(text: &str) -> Vec<Read> {
        text.split_inclusive(' ').map(|text| Read { word: word(text), tokens: Vec::new() }).collect()
    }

    fn text(words: &[Read]) -> String {
        words.iter().map(|read| read.word.word.as_str()).collect()
    }

    #[test]
    fn words_settle_when_they_come_twice() {
        let mut agreement = Agreement::default();
        assert_eq!(text(&agreement.read(reading("Ask not."), 1.0)), "");
        assert_eq!(text(&agreement.read(reading("ask not what your"), 1.0)), "ask not ");
        assert_eq!(text(agreement.tentative()), "what your");
        assert_eq!(text(&agreement.read(reading("what you can do"), 1.0)), "what ");
        assert_eq!(text(&agreement.read(reading("you can do"), 1.0)), "you can ");
        assert_eq!(text(&agreement.settle(0)), "do");
        assert!(agreement.tentative().is_empty());
    }

    #[test]
    fn tokens_go_with_their_words() {
        let words = || vec![word(" country,"), word(" can"), word("\u{fffd}"), word(" do")];
        // " country" "," " c" "an" half a character, " do"
        let (tokens, lengths) = ([1, 2, 3, 4, 5, 6], [8, 1, 2, 2, 1, 3]);
        let found = split_after(1, words(), &tokens, &lengths);
        let found: Vec<_> = found.iter().map(|read| (read.word.word.as_str(), read.tokens.as_slice())).collect();
        assert_eq!(found, [(",", &[2][..]), (" can", &[3, 4]), ("\u{fffd} do", &[5, 6])]);
        assert_eq!(split_after(9, words(), &tokens, &lengths[..]).len(), 1);
    }

    proptest! {
        /// Whatever is read, nothing is lost, and what was said once stays.
        #[test]
        fn settled_and_tentative_words_are_the_reading(readings in prop::collection::vec("[ab] [ab] [ab] [ab]", 1..9)) {
            let mut agreement = Agreement::default();
            for reading in readings.iter().map(|text| self::reading(text)) {
                let whole = text(&reading);
                let settled = agreement.read(reading, 1.0);
                prop_assert_eq!(text(&settled) + &text(agreement.tentative()), whole);
            }
        }

        #[test]
        fn all_tokens_after_the_given_have_a_word(lengths in prop::collection::vec(0..4_usize, 1..20), given in 0..20_usize) {
            let tokens: Vec<u32> = (0..lengths.len() as u32).collect();
            let total = lengths.iter().sum::<usize>();
            let words: Vec<Word> = (0..total).step_by(3).map(|at| word(&"x".repeat(3.min(total - at)))).collect();
            let found = split_after(given, words, &tokens, &lengths);
            let of_words: Vec<u32> = found.iter().flat_map(|read| read.tokens.iter().copied()).collect();
            if !found.is_empty() {
                prop_assert_eq!(of_words, &tokens[given.min(tokens.len())..]);
            }
        }
    }
}
