//! The data of a module: its parent and children, the names that it defines, and the paths that it uses.

use std::collections::{HashMap, HashSet};

/// The index of a module in the list of all modules of its crate.
pub type ModuleId = usize;

/// A module of a crate: a file, or an inline `mod name { }` within one.
#[derive(Debug, Default)]
pub struct Module {
    /// The path of the file, from the root of the workspace.
    pub file: String,
    pub parent: Option<ModuleId>,
    /// The declared child modules by name. A name has several modules if `#[cfg]` chooses between files.
    pub children: HashMap<String, Vec<ModuleId>>,
    /// The names of the items that the module defines, including `macro_rules!` macros.
    pub items: HashSet<String>,
    /// Those names in `items` that are `macro_rules!` macros. Child modules declared after a macro see it without an
    /// import.
    pub macros: HashSet<String>,
    /// All identifiers in macro calls at item level, because such a call may define items: `unit!(Frames, 160)`.
    pub generated: HashSet<String>,
    pub uses: Vec<Use>,
    pub paths: Vec<CodePath>,
    /// Names of variables and arguments.
    pub bindings: HashSet<String>,
}

/// One name that a `use` declaration imports.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    pub path: Vec<String>,
    /// The name that the import has in this module; `None` for `*`.
    pub alias: Option<String>,
    /// Whether the declaration has a visibility: `pub`, `pub(crate)` or `pub(super)`.
    pub is_reexport: bool,
    pub line: usize,
}

/// A path in code, such as `super::Thing` or `child::function`.
#[derive(Debug, PartialEq, Eq)]
pub struct CodePath {
    pub segments: Vec<String>,
    pub kind: PathKind,
    pub line: usize,
}

/// The syntactic role of a path. It decides whether a path of one segment can be a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// The name of a macro: `name!`.
    Macro,
    /// A called function: `name(...)`.
    Call,
    /// Any other use. The path may be a variable.
    Other,
}
