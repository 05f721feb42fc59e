//! British spellings and their American counterparts.
//!
//! The file `spellings.tsv` is the list that Whisper's normaliser uses. Each line has the British word, a tab and the
//! American word. The list is based on the one by Tysto (2023).

use std::collections::HashMap;

use crate::characters::split;

/// British words with their American spellings.
#[derive(Debug)]
pub struct Spellings(HashMap<&'static str, &'static str>);

impl Default for Spellings {
    fn default() -> Self {
        Self(include_str!("spellings.tsv").lines().filter_map(|line| line.split_once('\t')).collect())
    }
}

impl Spellings {
    /// Replaces British spellings by American ones. The words of the result are separated by single spaces.
    pub fn americanise(&self, text: &str) -> String {
        split(text).map(|word| self.0.get(word).copied().unwrap_or(word)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_different_british_word() {
        assert_eq!(Spellings::default().0.len(), include_str!("spellings.tsv").lines().count());
    }

    #[test]
    fn british_spellings_become_american() {
        assert_eq!(Spellings::default().americanise(" the  colour of mobilisation "), "the color of mobilization");
    }
}
