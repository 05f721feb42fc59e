//! British spellings and their American counterparts.
//!
//! `spellings.tsv` holds the list that Whisper's normaliser uses, one word each: British, a tab, American. It goes back to
//! the comparative list of Tysto (2023).

use std::collections::HashMap;

use crate::characters::split;

/// The words that are spelt otherwise in America.
#[derive(Debug)]
pub struct Spellings(HashMap<&'static str, &'static str>);

impl Default for Spellings {
    fn default() -> Self {
        Self(include_str!("spellings.tsv").lines().filter_map(|line| line.split_once('\t')).collect())
    }
}

impl Spellings {
    /// The words of the text as Americans spell them, with single spaces between them.
    pub fn americanise(&self, text: &str) -> String {
        split(text).map(|word| self.0.get(word).copied().unwrap_or(word)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_word_of_its_own() {
        assert_eq!(Spellings::default().0.len(), include_str!("spellings.tsv").lines().count());
    }

    #[test]
    fn spellings() {
        assert_eq!(Spellings::default().americanise(" the  colour of mobilisation "), "the color of mobilization");
    }
}
