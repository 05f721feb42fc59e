//! The input of the rules of `cargo xtask tidy`: all files that git tracks, new files that git does not ignore, and
//! the packages of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The severity of a finding. `cargo xtask tidy` fails only if there are errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// A violation of a rule of `cargo xtask tidy`.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// The line number, counted from 1.
    pub line: usize,
    pub level: Level,
    pub message: String,
}

impl Finding {
    pub fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, level: Level::Error, message: message.into() }
    }

    pub fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(path, line, message) }
    }
}

/// A file of the repository.
pub struct File {
    /// The path from the root of the workspace, with forward slashes.
    pub path: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The contents of the file; empty if it is not UTF-8.
    pub text: String,
}

impl File {
    /// Whether the file's name ends with `.` and this extension.
    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }
}

/// The kind of a dependency, which depends on the table of `Cargo.toml` that lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Build,
    Dev,
}

/// A package of the workspace.
pub struct Package {
    pub name: String,
    /// The folder that contains the `Cargo.toml` of the package, as a path from the root of the workspace.
    pub dir: String,
    pub dependencies: Vec<(String, Kind)>,
}

/// The repository: its files and packages.
pub struct Tree {
    pub files: Vec<File>,
    pub packages: Vec<Package>,
}

impl Tree {
    /// Reads the workspace that contains the current directory.
    pub fn of_workspace() -> Result<Self, String> {
        let metadata = run("cargo", &["metadata", "--no-deps", "--offline", "--format-version=1"], Path::new("."))?;
        let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
        let root = PathBuf::from(metadata["workspace_root"].as_str().ok_or("cargo metadata names no workspace root")?);
        let packages = packages(&metadata, &root).ok_or("cargo metadata: unexpected shape")?;
        let listing = run("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"], &root)?;
        let mut files = Vec::new();
        for path in listing.split_terminator('\0') {
            // Files that were deleted but are still in the index are skipped.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            let size = bytes.len() as u64;
            files.push(File { path: path.to_owned(), size, text: String::from_utf8(bytes).unwrap_or_default() });
        }
        Ok(Self { files, packages })
    }

    /// All Rust source files of the repository.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension("rs"))
    }

    /// The file at `path`, given from the root of the workspace. `None` if there is no such file.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Creates a tree of these files, given as path and text, for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |&(path, text): &(&str, &str)| File { path: path.into(), size: text.len() as u64, text: text.into() };
        Self { files: files.iter().map(file).collect(), packages: Vec::new() }
    }
}

fn packages(metadata: &Value, root: &Path) -> Option<Vec<Package>> {
    let package = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let dependency = |dependency: &Value| {
            let kind = match dependency["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            };
            Some((dependency["name"].as_str()?.to_owned(), kind))
        };
        Some(Package {
            name: package["name"].as_str()?.to_owned(),
            dir: manifest.parent()?.strip_prefix(root).ok()?.to_str()?.to_owned(),
            dependencies: package["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?,
        })
    };
    metadata["packages"].as_array()?.iter().map(package).collect()
}

fn run(program: &str, args: &[&str], dir: &Path) -> Result<String, String> {
    let output = Command::new(program).args(args).current_dir(dir).output().map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("{program}: {e}"))
}
