//! Finds import cycles: modules of a crate that import each other, directly or through other modules.

use super::imports::{self, Imports};
use super::levels::{self, Group};
use super::load;
use crate::tree::{Finding, Tree};

/// Returns one error for each import cycle. The error lists the files of the cycle and all imports between them.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root in load::roots(tree) {
        match imports::of_crate(tree, root) {
            Ok(imports) => {
                let circles = levels::groups(&imports).into_iter().filter(|group| group.files.len() > 1);
                findings.extend(circles.map(|circle| describe(&imports, &circle)));
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

fn describe(imports: &Imports, circle: &Group) -> Finding {
    let names: Vec<&str> = circle.files.iter().map(|&file| imports.files[file].as_str()).collect();
    let mut lines = vec![format!("{} modules import each other: {}", names.len(), names.join(", "))];
    let is_within = |file: &usize| circle.files.contains(file);
    let mut position = None;
    for ((from, to), taken) in imports.arrows.iter().filter(|((from, to), _)| is_within(from) && is_within(to)) {
        position = position.or_else(|| Some((*from, *taken.values().min()?)));
        let taken: Vec<String> = taken.iter().map(|(name, line)| format!("{name} (line {line})")).collect();
        lines.push(format!("    {} -> {}: {}", imports.files[*from], imports.files[*to], taken.join(", ")));
    }
    let (file, line) = position.unwrap_or((circle.files[0], 1));
    Finding::error(&format!("{}{}", imports.folder, imports.files[file]), line, lines.join("\n"))
}
