//! Checks which crates may use the network, start programs and so on. Each rule lists names that must not occur in
//! the source files of some crates.

use crate::source;
use crate::tree::{Finding, Tree};

/// A rule: the `names` must not occur in source files below the paths in `within`, except in tests.
struct Absence {
    what: &'static str,
    names: &'static [&'static str],
    /// The paths of the folders and files that are searched.
    within: &'static [&'static str],
    /// Paths below `within` where the names are allowed.
    except: &'static [&'static str],
}

const ABSENCES: &[Absence] = &[
    Absence {
        what: "the network is for `models` and `server` only",
        names: &["std::net", "TcpStream", "TcpListener", "UdpSocket", "ureq", "reqwest", "hyper", "hf_hub"],
        within: &["crates/", "xtask/"],
        except: &["crates/models/", "crates/server/"],
    },
    Absence {
        what: "programs are started by `models` and `decode-worker` only",
        names: &["process::Command", "process::{Command", "Command::new"],
        within: &["crates/"],
        except: &["crates/models/", "crates/decode-worker/"],
    },
    Absence {
        what: "async code is for `server` only",
        names: &["async", "await", "tokio"],
        within: &["crates/", "xtask/"],
        except: &["crates/server/"],
    },
    Absence {
        what: "HTTP is for `server/src/api`, `serve.rs` and `error.rs` only",
        names: &["axum", "utoipa", "tower_http"],
        within: &["crates/"],
        except: &["crates/server/src/api/", "crates/server/src/serve.rs", "crates/server/src/error.rs"],
    },
    Absence {
        what: "the engine knows no clock",
        names: &["std::time", "Instant", "SystemTime"],
        within: &["crates/engine/"],
        except: &[],
    },
    Absence {
        what: "kernels know no files",
        names: &["std::fs", "std::path", "File"],
        within: &["crates/kernels/"],
        except: &[],
    },
    Absence {
        what: "no global mutable state, no global thread pool",
        names: &["static mut", "lazy_static", "rayon"],
        within: &["crates/"],
        except: &[],
    },
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| is_product_source(&file.path)) {
        let is_under = |paths: &[&str]| paths.iter().any(|path| file.path.starts_with(path));
        let absences: Vec<&Absence> =
            ABSENCES.iter().filter(|absence| is_under(absence.within) && !is_under(absence.except)).collect();
        for (at, line) in source::lines(&file.text).iter().enumerate().filter(|(_, line)| !line.in_tests) {
            for absence in &absences {
                for name in absence.names.iter().filter(|name| !source::ends_of(name, &line.code).is_empty()) {
                    findings.push(Finding::error(&file.path, at + 1, format!("`{name}`: {}", absence.what)));
                }
            }
        }
    }
    findings
}

/// Whether a source file is part of the product, that is, not a test, an example or a benchmark.
fn is_product_source(path: &str) -> bool {
    path.contains("/src/") && !path.ends_with("/tests.rs") && !path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn network_access_is_restricted_to_some_crates() {
        let text = "use std::io;\nuse std::net::TcpAddr;\nlet a = ureq::get(b);";
        assert_eq!(lines_found("crates/audio/src/lib.rs", text), [2, 3]);
        assert!(lines_found("crates/models/src/hub.rs", text).is_empty());
        assert!(lines_found("crates/audio/tests/a.rs", text).is_empty());
        assert!(lines_found("crates/audio/src/lib.rs", "// std::net\nlet hyperbola = \"ureq\";").is_empty());
    }

    #[test]
    fn only_some_paths_may_start_programs() {
        let text = "use std::process;\nuse std::process::{Command, Stdio};\nlet a = process::Command::new(b);";
        assert_eq!(lines_found("crates/cli/src/main.rs", text), [2, 3, 3]);
        assert_eq!(lines_found("crates/server/src/transcription.rs", text), [2, 3, 3]);
        assert!(lines_found("crates/models/src/pip.rs", text).is_empty());
        assert!(lines_found("crates/decode-worker/src/process.rs", text).is_empty());
        assert!(lines_found("xtask/src/tree.rs", text).is_empty());
        assert!(lines_found("crates/cli/src/main.rs", "use args::{Args, Command};\nprocess::exit(1);").is_empty());
    }

    #[test]
    fn tests_may_use_forbidden_names() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n}\n";
        assert!(lines_found("crates/engine/src/lib.rs", text).is_empty());
        assert!(lines_found("crates/engine/src/decode/tests.rs", "use std::time::Instant;").is_empty());
    }

    #[test]
    fn each_crate_has_its_own_forbidden_names() {
        let text = "use std::time::Instant;\nuse std::fs::read;\nasync fn f() {}\nstatic mut A: u8 = 0;";
        assert_eq!(lines_found("crates/engine/src/lib.rs", text), [1, 1, 3, 4]);
        assert_eq!(lines_found("crates/kernels/src/lib.rs", text), [2, 3, 4]);
        assert_eq!(lines_found("crates/cli/src/main.rs", text), [3, 4]);
    }
}
