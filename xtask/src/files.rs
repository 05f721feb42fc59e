//! How long and how large files may be.

use crate::tree::{Finding, Tree};

/// Lines past which a source file gets a warning, and past which it needs a stated reason.
const LONG: usize = 400;
const TOO_LONG: usize = 600;

/// Comment that states the reason.
const REASON: &str = "// tidy: long because ";

/// Bytes past which a file does not belong in the repository.
const TOO_LARGE: u64 = 1_000_000;

/// Larger files that do belong there, with the reason.
const MAY_BE_LARGE: &[(&str, &str)] = &[];

/// Source files that are too long.
pub fn length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let count = file.text.lines().count();
        let has_reason = file.text.lines().any(|line| {
            line.trim_start().strip_prefix(REASON).is_some_and(|reason| !reason.trim_matches(['.', ' ']).is_empty())
        });
        if has_reason || count <= LONG {
            continue;
        }
        findings.push(if count > TOO_LONG {
            let message = format!("{count} lines (at most {TOO_LONG}): split it, or say `{REASON}...`");
            Finding::error(&file.path, count, message)
        } else {
            Finding::warning(&file.path, count, format!("{count} lines (better at most {LONG})"))
        });
    }
    findings
}

/// Files that are too large.
pub fn size(tree: &Tree) -> Vec<Finding> {
    let is_listed = |path: &str| MAY_BE_LARGE.iter().any(|(listed, _)| *listed == path);
    let too_large = tree.files.iter().filter(|file| file.size > TOO_LARGE && !is_listed(&file.path));
    too_large.map(|file| Finding::error(&file.path, 1, format!("{} bytes (at most {TOO_LARGE})", file.size))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Level;

    fn levels(text: &str) -> Vec<Level> {
        length(&Tree::of(&[("crates/a/src/lib.rs", text)])).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(levels(&"x\n".repeat(LONG)), []);
        assert_eq!(levels(&"x\n".repeat(LONG + 1)), [Level::Warning]);
        assert_eq!(levels(&"x\n".repeat(TOO_LONG + 1)), [Level::Error]);
    }

    #[test]
    fn a_reason_must_say_something() {
        let with = |reason: &str| format!("{REASON}{reason}\n{}", "x\n".repeat(TOO_LONG));
        assert_eq!(levels(&with("it is one table.")), []);
        assert_eq!(levels(&with("...")), [Level::Error]);
    }

    #[test]
    fn large_files_are_found() {
        let tree = |bytes: usize| Tree::of(&[("docs/a.png", &"x".repeat(bytes))]);
        assert_eq!(size(&tree(1_000_000)).len(), 0);
        assert_eq!(size(&tree(1_000_001)).len(), 1);
    }
}
