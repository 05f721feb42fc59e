//! Tasks for developers of this repository. `cargo xtask tidy` checks the rules of the architecture that neither the
//! compiler nor a lint checks. `cargo xtask modules` prints the imports between the modules of each crate.
#![forbid(unsafe_code)]

mod absences;
mod files;
mod layering;
mod links;
mod modules;
mod source;
mod tree;
mod unsafe_code;
mod words;

use std::process::ExitCode;

use tree::{Finding, Level, Tree};

/// A rule that `cargo xtask tidy` checks.
struct Rule {
    name: &'static str,
    what: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { name: "layering", what: "crates depend downwards only",                        check: layering::check },
    Rule { name: "circles",  what: "modules of a crate do not import each other",         check: modules::check },
    Rule { name: "confined", what: "`unsafe` stays in the files that may hold it",        check: unsafe_code::confined },
    Rule { name: "safety",   what: "each `unsafe` has its safety comment or section",    check: unsafe_code::documented },
    Rule { name: "absences", what: "names that must not occur in some crates",            check: absences::check },
    Rule { name: "length",   what: "source files are not too long",                       check: files::length },
    Rule { name: "size",     what: "files are not too large",                             check: files::size },
    Rule { name: "words",    what: "no paths of a machine, no unfinished code",           check: words::check },
    Rule { name: "links",    what: "links between documents are not broken",              check: links::check },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["tidy"] => Tree::of_workspace().map(|tree| tidy(&tree)),
        ["modules"] => Tree::of_workspace().and_then(|tree| print_modules(&tree, None)),
        ["modules", name] => Tree::of_workspace().and_then(|tree| print_modules(&tree, Some(name))),
        _ => {
            print_usage();
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|cause| {
        eprintln!("xtask: {cause}");
        ExitCode::from(2)
    })
}

fn print_usage() {
    eprintln!("usage: cargo xtask tidy             check the rules below");
    eprintln!("       cargo xtask modules [CRATE]  print the imports between the modules of each crate");
    eprintln!();
    eprintln!("rules:");
    for rule in RULES {
        eprintln!("  {:10} {}", rule.name, rule.what);
    }
}

/// Prints the imports between the modules of each crate. If `name` is given, prints only the crate in the folder
/// `name`.
fn print_modules(tree: &Tree, name: Option<&str>) -> Result<ExitCode, String> {
    let lines = modules::print(tree, name).map_err(|f| format!("{}:{}: {}", f.path, f.line, f.message))?;
    if lines.is_empty() {
        return Err(format!("there is no crate in a folder `{}`", name.unwrap_or_default()));
    }
    println!("{}", lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// Prints the findings of every rule. Fails if one of them is an error.
fn tidy(tree: &Tree) -> ExitCode {
    let (mut errors, mut warnings) = (0, 0);
    for rule in RULES {
        for finding in (rule.check)(tree) {
            let level = match finding.level {
                Level::Error => {
                    errors += 1;
                    "error"
                }
                Level::Warning => {
                    warnings += 1;
                    "warning"
                }
            };
            println!("{}:{}: {level}: {} [{}]", finding.path, finding.line, finding.message, rule.name);
        }
    }
    println!("tidy: {} files, {} rules, {errors} errors, {warnings} warnings", tree.files.len(), RULES.len());
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
