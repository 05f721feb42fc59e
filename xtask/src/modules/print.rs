//! Prints the imports between the modules of each crate. Apart from import cycles, each file comes before the files
//! that it imports.

use super::imports::{self, Imports};
use super::{levels, load};
use crate::tree::{Finding, Tree};

/// Returns lines that list the imports of every crate, or only of the crate in the folder `only`, such as `audio`.
pub fn print(tree: &Tree, only: Option<&str>) -> Result<Vec<String>, Finding> {
    let is_wanted = |root: &&str| only.is_none_or(|only| root.split('/').any(|part| part == only));
    let mut lines = Vec::new();
    for root in load::roots(tree).into_iter().filter(is_wanted) {
        lines.push(root.to_owned());
        add_levels(&imports::of_crate(tree, root)?, &mut lines);
    }
    Ok(lines)
}

fn add_levels(imports: &Imports, lines: &mut Vec<String>) {
    let groups = levels::groups(imports);
    let highest = groups.iter().map(|group| group.level).max().unwrap_or(0);
    for level in (0..=highest).rev() {
        lines.push(format!("  level {level}"));
        let mut on_level: Vec<_> = groups.iter().filter(|group| group.level == level).collect();
        on_level.sort_by_key(|group| &group.files);
        for group in on_level {
            let mark = if group.files.len() > 1 { " (in a circle)" } else { "" };
            for &file in &group.files {
                lines.push(format!("    {}{mark}", imports.files[file]));
                add_imports_of(file, imports, lines);
            }
        }
    }
}

fn add_imports_of(file: usize, imports: &Imports, lines: &mut Vec<String>) {
    for imported in imports.imported_by(file) {
        let names: Vec<&str> = imports.arrows[&(file, imported)].keys().map(String::as_str).collect();
        lines.push(format!("      -> {}: {}", imports.files[imported], names.join(", ")));
    }
}
