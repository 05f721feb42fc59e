//! Limits the number of lines of source files and the size of files.

use crate::tree::{Finding, Tree};

/// A source file with more lines than this gets a warning.
const MAX_LINES: usize = 400;
/// A source file with more lines than this is an error, unless a comment in it states a reason.
const MAX_LINES_WITHOUT_REASON: usize = 600;

/// The beginning of the comment with which a source file states the reason for its length.
const REASON: &str = "// tidy: long because ";

/// A file with more bytes than this must not be in the repository.
const MAX_BYTES: u64 = 1_000_000;

/// Files that may have more than `MAX_BYTES` bytes, each with the reason.
const MAY_BE_LARGE: &[(&str, &str)] = &[];

/// Finds source files that are too long.
pub fn length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let count = file.text.lines().count();
        let has_reason = file.text.lines().any(|line| {
            line.trim_start().strip_prefix(REASON).is_some_and(|reason| !reason.trim_matches(['.', ' ']).is_empty())
        });
        if has_reason || count <= MAX_LINES {
            continue;
        }
        findings.push(if count > MAX_LINES_WITHOUT_REASON {
            let message = format!("{count} lines (at most {MAX_LINES_WITHOUT_REASON}): split it, or say `{REASON}...`");
            Finding::error(&file.path, count, message)
        } else {
            Finding::warning(&file.path, count, format!("{count} lines (better at most {MAX_LINES})"))
        });
    }
    findings
}

/// Finds files that are too large.
pub fn size(tree: &Tree) -> Vec<Finding> {
    let is_listed = |path: &str| MAY_BE_LARGE.iter().any(|(listed, _)| *listed == path);
    let too_large = tree.files.iter().filter(|file| file.size > MAX_BYTES && !is_listed(&file.path));
    too_large.map(|file| Finding::error(&file.path, 1, format!("{} bytes (at most {MAX_BYTES})", file.size))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Level;

    fn levels(text: &str) -> Vec<Level> {
        length(&Tree::of(&[("crates/a/src/lib.rs", text)])).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn long_files_are_warnings_and_very_long_ones_errors() {
        assert_eq!(levels(&"x\n".repeat(MAX_LINES)), []);
        assert_eq!(levels(&"x\n".repeat(MAX_LINES + 1)), [Level::Warning]);
        assert_eq!(levels(&"x\n".repeat(MAX_LINES_WITHOUT_REASON + 1)), [Level::Error]);
    }

    #[test]
    fn an_empty_reason_does_not_count() {
        let with = |reason: &str| format!("{REASON}{reason}\n{}", "x\n".repeat(MAX_LINES_WITHOUT_REASON));
        assert_eq!(levels(&with("it is one table.")), []);
        assert_eq!(levels(&with("...")), [Level::Error]);
    }

    #[test]
    fn large_files_are_errors() {
        let tree = |bytes: usize| Tree::of(&[("docs/a.png", &"x".repeat(bytes))]);
        assert_eq!(size(&tree(1_000_000)).len(), 0);
        assert_eq!(size(&tree(1_000_001)).len(), 1);
    }
}
