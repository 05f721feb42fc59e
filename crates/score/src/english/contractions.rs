//! Expands English contractions such as `won't` and titles such as `mr`.

use crate::characters::is_word;

/// Whole words and their expansions, in the order in which they are replaced.
const WORDS: [(&str, &str); 39] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("ain't", "aint"),
    ("y'all", "you all"),
    ("wanna", "want to"),
    ("kinda", "kind of"),
    ("sorta", "sort of"),
    ("dunno", "do not know"),
    ("gotta", "got to"),
    ("gonna", "going to"),
    ("i'ma", "i am going to"),
    ("imma", "i am going to"),
    ("woulda", "would have"),
    ("coulda", "could have"),
    ("shoulda", "should have"),
    ("cause", "because"),
    ("ma'am", "madam"),
    // Titles, such as "mister".
    ("mr", "mister "),
    ("mrs", "missus "),
    ("st", "saint "),
    ("dr", "doctor "),
    ("prof", "professor "),
    ("capt", "captain "),
    ("gov", "governor "),
    ("ald", "alderman "),
    ("gen", "general "),
    ("sen", "senator "),
    ("rep", "representative "),
    ("pres", "president "),
    ("rev", "reverend "),
    ("hon", "honorable "),
    ("asst", "assistant "),
    ("assoc", "associate "),
    ("lt", "lieutenant "),
    ("col", "colonel "),
    ("jr", "junior "),
    ("sr", "senior "),
    ("esq", "esquire "),
];

/// Ends of words and their expansions, in the order in which they are replaced, after the whole words.
const ENDS: [(&str, &str); 14] = [
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

/// Expands the contractions and titles in a text that is in lower case.
pub fn expand(text: &str) -> String {
    let mut text = text.to_owned();
    for (word, meaning) in WORDS {
        replace(&mut text, word, meaning, true);
    }
    for (end, meaning) in ENDS {
        replace(&mut text, end, meaning, false);
    }
    text
}

/// Replaces `contraction` by `meaning` wherever it ends a word. If `whole` is set, replaces it only where it is the
/// whole word.
fn replace(text: &mut String, contraction: &str, meaning: &str, whole: bool) {
    let fits = |&(at, _): &(usize, &str)| {
        let begins = !whole || !text[..at].chars().next_back().is_some_and(is_word);
        begins && !text[at + contraction.len()..].chars().next().is_some_and(is_word)
    };
    let positions: Vec<usize> = text.match_indices(contraction).filter(fits).map(|(at, _)| at).collect();
    for at in positions.into_iter().rev() {
        text.replace_range(at..at + contraction.len(), meaning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contractions_are_expanded() {
        assert_eq!(expand("i won't, she'd been; they've gone"), "i will not, she had been; they have gone");
        assert_eq!(expand("don't can't it's i'm"), "do not can not it is i am");
    }

    #[test]
    fn only_whole_words_are_titles() {
        assert_eq!(expand("mr. mrs. stop first st"), "mister . missus . stop first saint ");
        assert_eq!(expand("because cause"), "because because");
        assert_eq!(expand("'tis isn'tx"), "'tis isn'tx");
    }
}
