//! Finds texts that must not be in the repository: paths of one machine, hosts of package registries, unfinished
//! code. Each of these texts is concatenated from two parts here, so that the rule does not find it in this file.

use crate::tree::{File, Finding, Tree};

const WORDS: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("pypi", ".org"), "the host of a registry: name only the package"),
    (concat!("pythonhosted", ".org"), "the host of a registry: name only the package"),
    (concat!("npmjs", "."), "the host of a registry: name only the package"),
    (concat!("index.", "crates.io"), "the host of a registry: name only the package"),
    (concat!("static.", "crates.io"), "the host of a registry: name only the package"),
    (concat!("debian", ".org"), "the host of a registry: name only the package"),
    (concat!("todo", "!("), "unfinished code"),
    (concat!("unimplemented", "!("), "unfinished code"),
    (concat!("dbg", "!("), "debugging output"),
    (concat!("#[ign", "ore"), "a test that does not run"),
];

/// The extensions of the files that are searched. In the folders of `FOLDERS`, every file is searched.
const EXTENSIONS: &[&str] = &["rs", "md", "toml", "sh", "py", "json", "yml", "html"];
const FOLDERS: &[&str] = &[".ci/"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_searched(file)) {
        for (at, line) in file.text.lines().enumerate() {
            for (word, what) in WORDS.iter().filter(|(word, _)| line.contains(word)) {
                findings.push(Finding::error(&file.path, at + 1, format!("`{word}`: {what}")));
            }
        }
    }
    findings
}

fn is_searched(file: &File) -> bool {
    EXTENSIONS.iter().any(|extension| file.has_extension(extension))
        || FOLDERS.iter().any(|folder| file.path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn each_word_is_found() {
        for (word, _) in WORDS {
            assert_eq!(found("README.md", &format!("a\nb {word} c\n")), 1, "{word}");
        }
    }

    #[test]
    fn only_text_files_are_searched() {
        let text = format!("cd {}main", WORDS[0].0);
        assert_eq!(found(".ci/run", &text), 1);
        assert_eq!(found("Cargo.lock", &text), 0);
        assert_eq!(found("docs/a.md", "The network is hard work/rest."), 0);
    }
}
