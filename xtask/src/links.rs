//! Finds links in documents that lead to missing files of the repository.

use crate::tree::{Finding, Tree};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension("md")) {
        for (line, target) in targets(&file.text) {
            let path = target.split(['#', '?']).next().unwrap_or("");
            if path.is_empty() || path.contains(':') || path.starts_with("//") {
                // The link leads to a section of the same document or to another site, so no file has to exist for
                // it.
                continue;
            }
            if !resolve(&file.path, path).is_some_and(|path| exists(tree, &path)) {
                findings.push(Finding::error(&file.path, line, format!("`{target}` is not in the repository")));
            }
        }
    }
    findings
}

/// The line number and the target of each link outside of code.
fn targets(text: &str) -> Vec<(usize, String)> {
    const FORMS: &[(&str, char)] = &[("](", ')'), ("href=\"", '"'), ("src=\"", '"')];
    let mut targets = Vec::new();
    let mut in_fence = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        // Splitting at backquotes makes every second part code, so only the first, third, fifth part and so on are
        // kept.
        let prose: String = line.split('`').step_by(2).collect();
        for (open, close) in FORMS {
            for link in prose.split(open).skip(1) {
                let target = link.split(*close).next().unwrap_or("");
                targets.push((at + 1, first_word(target)));
            }
        }
        if let Some((label, target)) = prose.split_once("]: ")
            && label.starts_with('[')
            && !label.starts_with("[^")
        {
            targets.push((at + 1, first_word(target)));
        }
    }
    targets
}

/// The target of a Markdown link, without the link's title and without angle brackets.
fn first_word(target: &str) -> String {
    target.split_whitespace().next().unwrap_or("").trim_matches(['<', '>']).to_owned()
}

/// The path, from the root of the repository, of the file that the link `target` in the document `from` leads to.
/// `None` if this file is outside of the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let (folder, target) = match target.strip_prefix('/') {
        Some(target) => ("", target),
        None => (from.rsplit_once('/').map_or("", |(folder, _)| folder), target),
    };
    let mut parts = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty() || tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        let tree = Tree::of(&[(path, text), ("LICENSE-MIT", ""), ("docs/a.md", ""), ("docs/img/b.png", "")]);
        check(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_to_existing_files_pass() {
        let text = "[a](docs/a.md) ![b](./docs/img/b.png \"title\") [c](docs/img) [d](#place)\n\
                    [e](https://example.com/x.md) <a href=\"LICENSE-MIT\">f</a>\n[g]: docs/a.md#place\n\
                    `[h](none.md)`\n```\n[i](none.md)\n```\n";
        assert!(lines_found("README.md", text).is_empty());
        assert!(lines_found("docs/c.md", "[a](a.md) [b](../LICENSE-MIT) [c](/docs/a.md)").is_empty());
    }

    #[test]
    fn links_to_missing_files_are_errors() {
        let text = "[a](docs/none.md)\ntext [a](docs/a.md) [b](none.png)\n[c]: gone.md\n<img src=\"x.png\">";
        assert_eq!(lines_found("README.md", text), [1, 2, 3, 4]);
        assert_eq!(lines_found("docs/c.md", "[a](docs/a.md)\n[b](../../x)"), [1, 2]);
    }
}
