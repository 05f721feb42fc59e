//! Finds names that the code must not use, because speech recognition or software engineering has a standard term for
//! the same thing.

use crate::source;
use crate::tree::{Finding, Tree};

/// Forbidden identifiers, each with the name to use instead.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("Asked", "`Params` or `Request`"),
    ("Fate", "`ExitStatus` or `Outcome`"),
    ("Heard", "`Event` or `Outcome`"),
    ("Judged", "`DecodeCheck`"),
    ("Lent", "`Pooled`"),
    ("Listened", "`SilenceMap`"),
    ("ReadWindow", "`WindowCheckpoint`"),
    ("Spares", "`BufferPool`"),
    ("Told", "`Event`"),
    ("VoiceDetector", "`SileroVad`"),
    ("Voicing", "`SpeechProbabilities`"),
    ("become_like", "`copy_from`"),
    ("heir", "`guard`"),
    ("pass_over", "`replay`"),
];

/// Forbidden beginnings of constant names, each with the beginning to use instead.
const PREFIXES: &[(&str, &str)] = &[("LEAST_", "`MIN_`"), ("MOST_", "`MAX_`")];

/// Forbidden names of source files (without `.rs`) and folders, each with the name to use instead.
const FILES: &[(&str, &str)] = &[
    ("implied", "`special_tokens`"),
    ("refusals", "`error_responses`"),
    ("spares", "`buffer_pool`"),
    ("voicing", "`speech_probabilities`"),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let path = file.path.trim_end_matches(".rs");
        for (name, better) in FILES.iter().filter(|(name, _)| path.split('/').any(|part| part == *name)) {
            findings.push(Finding::error(&file.path, 1, format!("a file or folder is called `{name}`: use {better}")));
        }
        for (at, line) in source::lines(&file.text).iter().enumerate() {
            let names = IDENTIFIERS.iter().filter(|(name, _)| !source::ends_of(name, &line.code).is_empty());
            let constants = PREFIXES.iter().filter(|(prefix, _)| has_word_with_prefix(prefix, &line.code));
            for (name, better) in names.chain(constants) {
                findings.push(Finding::error(&file.path, at + 1, format!("`{name}`: use {better}")));
            }
        }
    }
    findings
}

fn has_word_with_prefix(prefix: &str, code: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn forbidden_identifiers_are_found() {
        let text = "struct Heard;\nfn f(heir: u8) {}\nconst MOST_WORDS: u8 = LEAST_WORDS;\n";
        assert_eq!(lines_found("crates/a/src/lib.rs", text), [1, 2, 3, 3]);
        assert_eq!(lines_found("crates/a/tests/a.rs", "pool.become_like(other);"), [1]);
    }

    #[test]
    fn comments_strings_and_parts_of_words_pass() {
        let text = "// Heard\nlet their = \"Told\";\nlet heirs = ALMOST_ALL + most_words;\nfn unheard() {}\n";
        assert!(lines_found("crates/a/src/lib.rs", text).is_empty());
    }

    #[test]
    fn forbidden_file_names_are_found() {
        assert_eq!(lines_found("crates/a/src/spares.rs", ""), [1]);
        assert_eq!(lines_found("crates/a/src/voicing/mod.rs", ""), [1]);
        assert!(lines_found("crates/a/src/spares_test.rs", "").is_empty());
    }
}
