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
    /// The declared child modules by name. A name has several modules if `#[cfg]` attributes choose between several
    /// files.
    pub children: HashMap<String, Vec<ModuleId>>,
    /// The names of the items that the module defines, including `macro_rules!` macros.
    pub items: HashSet<String>,
    /// The names in `items` that are `macro_rules!` macros. Child modules that are declared after a macro can use the
    /// macro without an import.
    pub macros: HashSet<String>,
    /// All identifiers in macro calls outside of functions, because such a call may define items. For example,
    /// `unit!(Frames, 160)` defines `Frames`.
    pub generated: HashSet<String>,
    pub uses: Vec<Use>,
    pub paths: Vec<CodePath>,
    /// The names of the variables and arguments in the module.
    pub bindings: HashSet<String>,
}

/// One name that a `use` declaration imports.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    pub path: Vec<String>,
    /// The name by which this module can use the import; `None` for a glob import (`*`).
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
