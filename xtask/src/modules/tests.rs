//! Tests of import cycles, with the sources of small artificial crates.

use super::{check, print};
use crate::tree::Tree;

const ROOT: &str = "crates/a/src/lib.rs";

/// The error message for the only import cycle of a crate. Panics unless there is exactly one.
fn circle(files: &[(&str, &str)]) -> String {
    let found = check(&tree(files));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].message.clone()
}

fn has_no_circle(files: &[(&str, &str)]) -> bool {
    let found = check(&tree(files));
    assert!(found.iter().all(|finding| finding.message.contains("import each other")), "{found:?}");
    found.is_empty()
}

/// A tree with the files of one crate. The paths are relative to the crate's `src/`.
fn tree(files: &[(&str, &str)]) -> Tree {
    let paths: Vec<(String, &str)> = files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), *text)).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    Tree::of(&files)
}

#[test]
fn two_files_that_import_each_other_form_an_import_cycle() {
    let files = [
        ("lib.rs", "mod x;\nmod y;\n"),
        ("x.rs", "use crate::y::Y;\npub struct X(Y);\n"),
        ("y.rs", "//! Doc.\nuse super::x::X as Renamed;\npub struct Y;\n"),
    ];
    let finding = &check(&tree(&files))[0];
    assert_eq!((finding.path.as_str(), finding.line), ("crates/a/src/x.rs", 1));
    assert_eq!(
        finding.message,
        "2 modules import each other: x.rs, y.rs\n    x.rs -> y.rs: Y (line 1)\n    y.rs -> x.rs: X (line 2)"
    );
}

#[test]
fn three_files_can_form_an_import_cycle() {
    let message = circle(&[
        ("lib.rs", "mod x; mod y; mod z; mod free;"),
        ("x.rs", "use crate::{free::F, y::{self, Y}}; pub struct X(Y, F);"),
        ("y.rs", "use crate::z::Z; pub struct Y(Z);"),
        ("z.rs", "use crate::x::X; pub struct Z(Box<X>);"),
        ("free.rs", "pub struct F;"),
    ]);
    assert!(message.starts_with("3 modules import each other: x.rs, y.rs, z.rs\n"), "{message}");
}

#[test]
fn a_name_reexported_by_the_root_is_an_import_from_its_defining_file() {
    let message = circle(&[
        ("lib.rs", "mod x; mod y; pub use x::X; pub(crate) use y::*;"),
        ("x.rs", "use crate::Y; pub struct X(Y);"),
        ("y.rs", "use crate::X; pub struct Y;"),
    ]);
    assert!(message.contains("x.rs, y.rs\n"), "{message}");
}

#[test]
fn a_name_reexported_by_a_folder_is_an_import_from_its_defining_file() {
    let message = circle(&[
        ("lib.rs", "mod x; mod group;"),
        ("x.rs", "use crate::group::Y; pub struct X(Y);"),
        ("group/mod.rs", "mod y; mod z; pub use self::z::Again as Y;"),
        ("group/z.rs", "pub use super::y::Inner as Again;"),
        ("group/y.rs", "use crate::x::X; pub struct Inner;"),
    ]);
    assert!(message.contains("group/y.rs, x.rs\n"), "{message}");
}

#[test]
fn a_parent_that_uses_its_child_is_in_a_cycle_if_the_child_imports_from_the_parent() {
    let child = "use super::Thing; pub fn run(_: Thing) {}";
    let parent = "mod child; pub struct Thing; pub fn f() { child::run(Thing) }";
    let message = circle(&[("lib.rs", "mod p;"), ("p/mod.rs", parent), ("p/child.rs", child)]);
    assert!(message.contains("p/child.rs -> p/mod.rs: Thing (line 1)\n"), "{message}");
    // A parent module that declares a child and re-exports an item of it does not import the child.
    let parent = "mod child; pub use child::run; pub struct Thing;";
    assert!(has_no_circle(&[("lib.rs", "mod p;"), ("p/mod.rs", parent), ("p/child.rs", child)]));
    // A parent module that also uses the re-exported item imports the child.
    let parent = "mod child; pub use child::run; pub struct Thing; pub fn f() { run(Thing) }";
    circle(&[("lib.rs", "mod p;"), ("p.rs", parent), ("p/child.rs", child)]);
}

#[test]
fn inline_paths_count_as_imports() {
    for body in [
        "fn f() { crate::y::g() }",
        "fn f() -> super::y::Y { todo() }",
        "use super::y; fn f() { y::g() }",
        "fn f() { use crate::y::g; g() }",
        "fn f() { println!(\"{}\", crate::y::g()) }",
        "impl super::y::Y { fn f() {} }",
        "#[serde(default = \"crate::y::g\")] struct S;",
        "use crate::y::*; fn f() { g() }",
    ] {
        let body = format!("pub struct X; {body}");
        let y = "use crate::x::X; pub struct Y(X); pub fn g() {}";
        circle(&[("lib.rs", "mod x; mod y;"), ("x.rs", &body), ("y.rs", y)]);
    }
}

#[test]
fn macros_and_the_items_they_define_belong_to_their_file() {
    let parent = "macro_rules! m { () => {} } mod child; pub fn f() { child::g() }";
    circle(&[("lib.rs", "mod p;"), ("p.rs", parent), ("p/child.rs", "pub fn g() { m!() }")]);
    let units = "use crate::x::X; macro_rules! unit { ($name:ident) => {} } unit!(Frames);";
    let message = circle(&[
        ("lib.rs", "mod units; mod x; pub use units::Frames;"),
        ("units.rs", units),
        ("x.rs", "use crate::Frames; pub struct X;"),
    ]);
    assert!(message.contains("x.rs -> units.rs: Frames"), "{message}");
}

#[test]
fn imports_in_test_code_do_not_count() {
    let y = "use crate::x::X; pub struct Y(X);";
    for x in [
        "#[cfg(test)] use crate::y::Y; pub struct X;",
        "pub struct X; #[cfg(test)] mod tests { use crate::y::Y; }",
        "pub struct X; #[cfg(all(test, unix))] fn f() { crate::y::g() }",
        "pub struct X; impl X { #[cfg(test)] fn f() -> crate::y::Y {} }",
        "pub struct X; #[cfg(test)] mod tests;",
    ] {
        let tests = ("x/tests.rs", "use crate::y::Y;");
        assert!(has_no_circle(&[("lib.rs", "mod x; mod y;"), ("x.rs", x), ("y.rs", y), tests]), "{x}");
    }
    let x = "#[cfg(any(test, feature = \"f\"))] use crate::y::Y; pub struct X;";
    circle(&[("lib.rs", "mod x; mod y;"), ("x.rs", x), ("y.rs", y)]);
}

#[test]
fn imports_without_a_cycle_pass() {
    assert!(has_no_circle(&[
        ("lib.rs", "mod x; mod y; mod group; pub use x::X; use serde; use serde::Serialize;"),
        ("x.rs", "use crate::y::Y; use crate::group::{Left, Right}; pub struct X(Y);"),
        ("y.rs", "use std::collections::HashMap; pub struct Y; // crate::x::X\n/// [`crate::x::X`]\nstruct D;"),
        ("group/mod.rs", "mod left; mod right; pub use left::Left; pub use right::*;"),
        ("group/left.rs", "use super::Right; pub struct Left(Right);"),
        ("group/right.rs", "use crate::y::Y; pub struct Right(Y);"),
    ]));
}

#[test]
fn variables_fields_and_variants_are_not_imports() {
    let lib = "mod x; pub use x::run; pub struct Thing { run: u8 }\n\
               enum Kind { Only } fn f(run: u8, t: Thing) -> u8 { let k = Kind::Only; t.run + run }";
    assert!(has_no_circle(&[("lib.rs", lib), ("x.rs", "use crate::Thing; pub fn run(_: Thing) {}")]));
}

#[test]
fn all_files_that_cfg_chooses_between_count() {
    let lib = "#[cfg(unix)] mod os; #[cfg(not(unix))] #[path = \"os/absent.rs\"] mod os; mod x;";
    let message = circle(&[
        ("lib.rs", lib),
        ("os.rs", "pub fn f() {}"),
        ("os/absent.rs", "use crate::x::X; pub fn f() {}"),
        ("x.rs", "pub struct X; fn g() { crate::os::f() }"),
    ]);
    assert!(message.contains("os/absent.rs, x.rs\n"), "{message}");
}

#[test]
fn a_crate_is_printed_from_the_highest_level_down() {
    let tree = tree(&[
        ("lib.rs", "mod x; mod y; pub use x::X;"),
        ("x.rs", "use crate::y::{Y, Z}; pub struct X;"),
        ("y.rs", "pub struct Y; pub struct Z;"),
    ]);
    let expected = [ROOT, "  level 1", "    x.rs", "      -> y.rs: Y, Z", "  level 0", "    lib.rs", "    y.rs"];
    assert_eq!(print(&tree, None).unwrap(), expected);
    assert_eq!(print(&tree, Some("a")).unwrap(), expected);
    assert!(print(&tree, Some("b")).unwrap().is_empty());
}

#[test]
fn a_file_that_cannot_be_parsed_is_an_error() {
    let found = check(&tree(&[("lib.rs", "mod x;"), ("x.rs", "fn f() {\n  let = ;\n}")]));
    assert_eq!((found.len(), found[0].path.as_str(), found[0].line), (1, "crates/a/src/x.rs", 2));
}
