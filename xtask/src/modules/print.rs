//! Prints the imports between the modules of each crate, the highest level first.

use super::imports::{self, Imports};
use super::{levels, load};
use crate::tree::{Finding, Tree};

/// The imports of every crate, or of those whose path contains `only`: `audio` for `crates/audio/src/lib.rs`.
pub fn print(tree: &Tree, only: Option<&str>) -> Result<String, Finding> {
    let mut text = String::new();
    for root in
        load::roots(tree).into_iter().filter(|root| only.is_none_or(|only| root.split('/').any(|part| part == only)))
    {
        text.push_str(&format!("{root}\n"));
        text.push_str(&lines(&imports::of_crate(tree, root)?));
        text.push('\n');
    }
    Ok(text)
}

fn lines(imports: &Imports) -> String {
    let groups = levels::groups(imports);
    let highest = groups.iter().map(|group| group.level).max().unwrap_or(0);
    let mut text = String::new();
    for level in (0..=highest).rev() {
        text.push_str(&format!("  level {level}\n"));
        let mut groups: Vec<_> = groups.iter().filter(|group| group.level == level).collect();
        groups.sort_by_key(|group| &group.files);
        for group in groups {
            let mark = if group.files.len() > 1 { " (in a circle)" } else { "" };
            for &file in &group.files {
                text.push_str(&format!("    {}{mark}\n", imports.files[file]));
                for imported in imports.imported_by(file) {
                    let names: Vec<&str> = imports.arrows[&(file, imported)].keys().map(String::as_str).collect();
                    text.push_str(&format!("      -> {}: {}\n", imports.files[imported], names.join(", ")));
                }
            }
        }
    }
    text
}
