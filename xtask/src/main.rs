//! Repository chores: `cargo xtask tidy` checks the rules of the architecture that no compiler and no lint checks.
#![forbid(unsafe_code)]

mod absences;
mod files;
mod layering;
mod links;
mod source;
mod tree;
mod unsafe_code;
mod words;

use std::process::ExitCode;

use tree::{Finding, Level, Tree};

/// One thing that tidy checks.
struct Rule {
    name: &'static str,
    what: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { name: "layering", what: "crates depend downwards only",                        check: layering::check },
    Rule { name: "confined", what: "`unsafe` stays in the files that may hold it",        check: unsafe_code::confined },
    Rule { name: "safety",   what: "each `unsafe` says why it is sound, or what it asks", check: unsafe_code::documented },
    Rule { name: "absences", what: "what a crate must not know",                          check: absences::check },
    Rule { name: "length",   what: "source files stay short",                             check: files::length },
    Rule { name: "size",     what: "no large files",                                      check: files::size },
    Rule { name: "words",    what: "no machine's paths, no unfinished code",              check: words::check },
    Rule { name: "links",    what: "links between documents lead somewhere",              check: links::check },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args != ["tidy"] {
        eprintln!("usage: cargo xtask tidy\n\nchecks:");
        for rule in RULES {
            eprintln!("  {:10} {}", rule.name, rule.what);
        }
        return ExitCode::from(2);
    }
    match Tree::of_workspace() {
        Ok(tree) => tidy(&tree),
        Err(cause) => {
            eprintln!("tidy: {cause}");
            ExitCode::from(2)
        }
    }
}

/// Prints what every rule finds; fails if one of the findings is an error.
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
