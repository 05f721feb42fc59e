//! The data of a module: its parent and children, the names that it defines, and the paths that it uses.

use std::collections::{HashMap, HashSet};

/// Index of a module in the list of its crate.
pub type ModuleId = usize;

/// A module of a crate: a file, or an inline `mod name { }` within one.
#[derive(Debug, Default)]
pub struct Module {
    /// Path of the file from the root of the workspace.
    pub file: String,
    pub parent: Option<ModuleId>,
    /// Declared modules. A name has several if `#[cfg]` chooses between files.
    pub children: HashMap<String, Vec<ModuleId>>,
    /// Names of the items that the module defines, `macro_rules!` included.
    pub items: HashSet<String>,
    /// Names of the `macro_rules!` among them. Modules declared further down see these without an import.
    pub macros: HashSet<String>,
    /// Identifiers in macro calls at item level, which may define items: `unit!(Frames, 160)`.
    pub generated: HashSet<String>,
    pub uses: Vec<Use>,
    pub paths: Vec<CodePath>,
    /// Names of variables and arguments.
    pub bindings: HashSet<String>,
}

/// One name of a `use` declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    pub path: Vec<String>,
    /// The name that the module gets; none for `*`.
    pub alias: Option<String>,
    /// Whether the declaration has a visibility: `pub`, `pub(crate)`, `pub(super)`.
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

/// The syntactic role of a path, which decides whether a single name can be a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// The name of a macro: `name!`.
    Macro,
    /// A called function: `name(...)`.
    Call,
    /// Anything else, perhaps a variable.
    Other,
}
