//! The imports between the files of a crate, with the imported names.

use std::collections::BTreeMap;

use super::load;
use super::module::{CodePath, Module, ModuleId, PathKind};
use super::resolve::{self, Target};
use crate::tree::{Finding, Tree};

/// The files of a crate and the imports between them.
#[derive(Debug)]
pub struct Imports {
    /// The folder of the sources, for example `crates/audio/src/`.
    pub folder: String,
    /// The paths of the files, relative to `folder`. Other fields refer to a file by its index in this list.
    pub files: Vec<String>,
    /// The imported names for each pair of files: first the file that imports, then the file that defines the names.
    /// Each name has the number of the first line that uses it.
    pub arrows: BTreeMap<(usize, usize), BTreeMap<String, usize>>,
}

/// Finds the imports between the files of the crate that has this root file.
pub fn of_crate(tree: &Tree, root: &str) -> Result<Imports, Finding> {
    let modules = load::load(tree, root)?;
    let folder = root.find("/src/").map_or("", |at| &root[..at + "/src/".len()]).to_owned();
    let mut files: Vec<String> = modules.iter().map(|module| module.file[folder.len()..].to_owned()).collect();
    files.sort();
    files.dedup();
    let mut imports = Imports { folder, files, arrows: BTreeMap::new() };
    for module in 0..modules.len() {
        add_uses(&modules, module, &mut imports);
        add_paths(&modules, module, &mut imports);
    }
    Ok(imports)
}

impl Imports {
    /// The indices of the files that the file with the index `file` imports from.
    pub fn imported_by(&self, file: usize) -> impl Iterator<Item = usize> {
        self.arrows.range((file, 0)..=(file, usize::MAX)).map(|(&(_, to), _)| to)
    }

    fn index(&self, path: &str) -> usize {
        let file = &path[self.folder.len()..];
        self.files.iter().position(|listed| listed == file).expect("the list has the file of every module")
    }

    fn add(&mut self, modules: &[Module], from: ModuleId, to: ModuleId, name: &str, line: usize) {
        let (from, to) = (self.index(&modules[from].file), self.index(&modules[to].file));
        if from != to {
            let first = self.arrows.entry((from, to)).or_default().entry(name.to_owned()).or_insert(line);
            *first = line.min(*first);
        }
    }
}

fn add_uses(modules: &[Module], module: ModuleId, imports: &mut Imports) {
    let here = &modules[module];
    // Re-exports in a root or parent module do not count as imports of that module, because users of the name count
    // as importing from the file that defines it.
    let is_facade = here.parent.is_none() || here.file.ends_with("/mod.rs") || !here.children.is_empty();
    for import in here.uses.iter().filter(|import| !(import.is_reexport && is_facade)) {
        for target in resolve::resolve(modules, module, &import.path) {
            match target {
                Target::Item(defined, name) => imports.add(modules, module, defined, &name, import.line),
                // An imported module counts only where a path starts with its name, and a glob import (`use ...::*`)
                // only where an imported name is used. But the traits and macros of a glob can be used without being
                // named. So a glob of a module that defines items always counts.
                Target::Module(defined) if import.alias.is_none() && !modules[defined].items.is_empty() => {
                    imports.add(modules, module, defined, "*", import.line);
                }
                Target::Module(_) => {}
            }
        }
    }
}

fn add_paths(modules: &[Module], module: ModuleId, imports: &mut Imports) {
    for path in modules[module].paths.iter().filter(|path| !is_variable(&modules[module], path)) {
        if let (PathKind::Macro, [name]) = (path.kind, path.segments.as_slice())
            && let Some(defined) = resolve::enclosing_macro(modules, module, name)
        {
            imports.add(modules, module, defined, name, path.line);
            continue;
        }
        for target in resolve::resolve(modules, module, &path.segments) {
            if let Target::Item(defined, name) = target {
                imports.add(modules, module, defined, &name, path.line);
            }
        }
    }
}

/// Whether a path in code probably is a variable: it has one segment, and the module has a variable of that name.
fn is_variable(module: &Module, path: &CodePath) -> bool {
    path.segments.len() == 1 && path.kind == PathKind::Other && module.bindings.contains(&path.segments[0])
}
