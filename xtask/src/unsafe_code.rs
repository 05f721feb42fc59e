//! Restricts `unsafe` code to some files, and requires a comment with the reason why it is safe.

use crate::source::{self, Line};
use crate::tree::{Finding, Tree};

/// The paths where `unsafe` code is allowed.
const UNSAFE_ALLOWED: &[&str] = &["crates/kernels/", "crates/weights/src/mmap.rs", "crates/xdna/src/ioctl.rs"];

/// The folders of crates in which only one module may use `unsafe`. Such a crate cannot forbid `unsafe` code. It is
/// enough that its root file denies `unsafe` code, which the one module then allows for itself.
const DENY_SUFFICES: &[&str] = &["crates/weights", "crates/xdna"];

const FORBID: &str = "#![forbid(unsafe_code)]";
const DENY: &str = "#![deny(unsafe_code)]";

/// Finds `unsafe` code outside of the allowed paths, and crates that do not forbid `unsafe` code although they must.
pub fn confined(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !UNSAFE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed))) {
        let lines = source::lines(&file.text);
        for (at, line) in lines.iter().enumerate() {
            if !source::ends_of("unsafe", &line.code).is_empty() {
                let message = format!("`unsafe` is allowed in {} only", UNSAFE_ALLOWED.join(", "));
                findings.push(Finding::error(&file.path, at + 1, message));
            }
        }
        if let Some(krate) = crate_of_root(&file.path) {
            let has = |attribute: &str| lines.iter().any(|line| line.code.trim_end() == attribute);
            let deny_suffices = DENY_SUFFICES.contains(&krate);
            let wanted = if deny_suffices { DENY } else { FORBID };
            if !has(FORBID) && !has(wanted) {
                findings.push(Finding::error(&file.path, 1, format!("the crate should start with `{wanted}`")));
            }
        }
    }
    findings
}

/// The folder of the crate that has the root file `path`. A root file is `lib.rs`, `main.rs` or a file of `bin/`.
/// Returns `None` for all other files.
fn crate_of_root(path: &str) -> Option<&str> {
    let (krate, file) = path.rsplit_once("/src/")?;
    let is_binary = file.strip_prefix("bin/").is_some_and(|name| !name.contains('/'));
    (file == "lib.rs" || file == "main.rs" || is_binary).then_some(krate)
}

/// What an `unsafe` keyword means. This follows from the tokens after the keyword.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// A block, an `impl`, a foreign block or an attribute. Its author promises that the safety requirements are met.
    Promise,
    /// A function or a trait. Its users must meet the safety requirements.
    Requirement,
    /// A type such as `unsafe fn(usize)`, which needs no comment.
    Type,
}

/// Finds `unsafe` code that lacks a `SAFETY` comment, and `unsafe` functions that lack a safety section in their
/// documentation.
pub fn documented(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines = source::lines(&file.text);
        for (at, line) in lines.iter().enumerate() {
            for end in source::ends_of("unsafe", &line.code) {
                let message = match use_at(&lines, at, end) {
                    Use::Promise if !has_safety_comment(&lines, at) => "no `// SAFETY:` comment says why this is sound",
                    Use::Requirement if !has_safety_section(&lines, at) => {
                        "no `# Safety` section states the requirements"
                    }
                    _ => continue,
                };
                findings.push(Finding::error(&file.path, at + 1, message));
            }
        }
    }
    findings
}

fn use_at(lines: &[Line], at: usize, end: usize) -> Use {
    let rest_of_line = lines[at].code[end..].trim();
    let following = || lines[at + 1..].iter().map(|line| line.code.trim()).find(|code| !code.is_empty());
    let rest = if rest_of_line.is_empty() { following().unwrap_or("") } else { rest_of_line };
    // The `"C"` of `extern "C"` is a string, so it is not part of the code here.
    let rest = rest.strip_prefix("extern ").map_or(rest, str::trim_start);
    if rest.starts_with(['{', '(']) || rest.starts_with("impl") {
        Use::Promise
    } else if rest.strip_prefix("fn").is_some_and(|name| name.starts_with(' ')) || rest.starts_with("trait ") {
        Use::Requirement
    } else {
        Use::Type
    }
}

/// Whether there is a `SAFETY` comment for the `unsafe` keyword in line `at`: in that line, in the first line inside
/// the block, or in the lines above up to the start of the statement.
fn has_safety_comment(lines: &[Line], at: usize) -> bool {
    let says_why = |line: &Line| line.comment.contains("SAFETY:");
    let inside = lines.get(at + 1).filter(|line| line.code.trim().is_empty());
    if says_why(&lines[at]) || inside.is_some_and(says_why) {
        return true;
    }
    for line in lines[..at].iter().rev() {
        if says_why(line) {
            return true;
        }
        let code = line.code.trim_end();
        let is_blank = code.is_empty() && line.comment.is_empty();
        if is_blank || code.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

/// Whether the documentation of the item in line `at` has a safety section. The documentation is above the attributes
/// of the item.
fn has_safety_section(lines: &[Line], at: usize) -> bool {
    let documentation = lines[..at].iter().rev().take_while(|line| {
        let code = line.code.trim();
        if code.is_empty() { !line.comment.is_empty() } else { code.starts_with("#[") || code.ends_with(")]") }
    });
    documentation.into_iter().any(|line| line.comment.contains("# Safety"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_outside_of_the_allowed_paths_is_an_error() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(lines_found(confined, "crates/audio/src/wav.rs", text), [2]);
        assert_eq!(lines_found(confined, "crates/audio/tests/wav.rs", text), [2]);
        assert!(lines_found(confined, "crates/kernels/src/gemm/avx2.rs", text).is_empty());
        assert!(lines_found(confined, "crates/weights/src/mmap.rs", text).is_empty());
        assert!(lines_found(confined, "crates/audio/src/wav.rs", "// unsafe\nlet a = \"unsafe\";").is_empty());
    }

    #[test]
    fn crates_must_forbid_unsafe() {
        let forbids = "//! Doc.\n#![forbid(unsafe_code)]\n";
        let denies = "//! Doc.\n#![deny(unsafe_code)]\n";
        assert!(lines_found(confined, "crates/audio/src/lib.rs", forbids).is_empty());
        assert_eq!(lines_found(confined, "crates/audio/src/lib.rs", denies), [1]);
        assert_eq!(lines_found(confined, "crates/cli/src/main.rs", "fn main() {}"), [1]);
        assert_eq!(lines_found(confined, "crates/cli/src/bin/a.rs", "// #![forbid(unsafe_code)]"), [1]);
        assert!(lines_found(confined, "crates/weights/src/lib.rs", denies).is_empty());
        assert!(lines_found(confined, "crates/kernels/src/lib.rs", "").is_empty());
        assert!(lines_found(confined, "crates/audio/src/wav.rs", "").is_empty());
    }

    fn undocumented(text: &str) -> Vec<usize> {
        lines_found(documented, "crates/kernels/src/a.rs", text)
    }

    #[test]
    fn unsafe_blocks_need_a_safety_comment() {
        assert!(undocumented("// SAFETY: in range\nlet a = unsafe { b() };").is_empty());
        assert!(undocumented("unsafe {\n    // SAFETY: in range\n    b() }").is_empty());
        assert!(undocumented("let a = unsafe { b() }; // SAFETY: in range").is_empty());
        assert!(undocumented("// SAFETY: in range\nlet a =\n    c(unsafe { b() });").is_empty());
        assert_eq!(undocumented("// SAFETY: in range\nlet a = 1;\nlet a = unsafe { b() };"), [3]);
        assert_eq!(undocumented("// SAFETY: in range\n\nunsafe { b() };"), [3]);
        assert_eq!(undocumented("// in range\nunsafe\n{ b() };"), [2]);
    }

    #[test]
    fn unsafe_impls_and_foreign_blocks_need_a_safety_comment() {
        assert!(undocumented("// SAFETY: no sharing\nunsafe impl Send for A {}").is_empty());
        assert_eq!(undocumented("unsafe impl Send for A {}"), [1]);
        assert_eq!(undocumented("unsafe extern \"C\" {\n}"), [1]);
        assert_eq!(undocumented("#[unsafe(no_mangle)]"), [1]);
    }

    #[test]
    fn unsafe_functions_need_a_safety_section() {
        assert!(undocumented("/// Adds.\n/// # Safety\n/// AVX2.\n#[inline]\npub unsafe fn f() {}").is_empty());
        assert!(undocumented("type Kernel = unsafe fn(usize);\ntype C = unsafe extern \"C\" fn(usize);").is_empty());
        assert_eq!(undocumented("/// # Safety\n/// AVX2.\nunsafe fn f() {}\nunsafe fn g() {}"), [4]);
        assert_eq!(undocumented("unsafe extern \"C\" fn f() {}"), [1]);
        assert_eq!(undocumented("/// Doc.\nunsafe trait T {}"), [2]);
    }
}
