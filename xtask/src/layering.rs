//! Checks that the crates of the workspace depend on each other only in the allowed ways: each crate may only use
//! crates of lower layers.

use crate::tree::{Finding, Kind, Package, Tree};

/// Every crate, from the top layer to the bottom layer, with the crates that it may use. `ARCHITECTURE.md` has a
/// drawing of this table. Tests (dev-dependencies) may use any crate further down this list.
#[rustfmt::skip]
const LAYERS: &[(&str, &[&str])] = &[
    ("xtask",                 &[]),
    // The command `bench` measures single components, and `inspect` prints the contents of files, so the crate
    // `amanuensis` uses the lower crates directly.
    ("amanuensis",            &["amanuensis-server", "amanuensis-transcribe", "amanuensis-models", "amanuensis-engine",
                                "amanuensis-audio", "amanuensis-decode-worker", "amanuensis-kernels",
                                "amanuensis-score", "amanuensis-weights", "amanuensis-xdna"]),
    ("amanuensis-server",     &["amanuensis-transcribe", "amanuensis-models", "amanuensis-audio",
                                "amanuensis-decode-worker"]),
    ("amanuensis-transcribe", &["amanuensis-audio", "amanuensis-engine"]),
    ("amanuensis-decode-worker", &["amanuensis-audio"]),
    ("amanuensis-engine",     &["amanuensis-kernels", "amanuensis-weights", "amanuensis-xdna"]),
    ("amanuensis-models",     &[]),
    ("amanuensis-score",      &[]),
    ("amanuensis-audio",      &[]),
    ("amanuensis-weights",    &[]),
    ("amanuensis-xdna",       &["amanuensis-kernels"]),
    ("amanuensis-kernels",    &[]),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.dir);
        let Some(layer) = layer(&package.name) else {
            findings.push(Finding::error(&manifest, 1, format!("`{}` is missing in the layers of tidy", package.name)));
            continue;
        };
        for (dependency, kind) in &package.dependencies {
            // Only crates of the workspace have layers, so other dependencies are skipped.
            let Some(below) = layer_of_dependency(tree, dependency) else { continue };
            let allowed = match kind {
                Kind::Normal | Kind::Build => LAYERS[layer].1.contains(&dependency.as_str()),
                // A crate may list itself as a dev-dependency, so that its tests can enable a feature of the crate.
                Kind::Dev => below == layer || (layer != 0 && below > layer),
            };
            if !allowed {
                let line = line_naming(tree, &manifest, dependency);
                let message = format!("`{}` may not depend on `{dependency}`{}", package.name, kind_note(*kind));
                findings.push(Finding::error(&manifest, line, message));
            }
        }
    }
    findings
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(crate_name, _)| *crate_name == name)
}

/// The layer (the index in the table) of a dependency. A crate of the workspace that is not in the table counts as
/// the topmost layer. `None` for crates outside of the workspace.
fn layer_of_dependency(tree: &Tree, name: &str) -> Option<usize> {
    let is_ours = |package: &Package| package.name == name;
    tree.packages.iter().any(is_ours).then(|| layer(name).unwrap_or(0))
}

fn line_naming(tree: &Tree, manifest: &str, dependency: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            || line.contains(&format!("\"{dependency}\""))
            || line.ends_with(&format!("dependencies.{dependency}]"))
    };
    tree.file(manifest).and_then(|file| file.text.lines().position(names)).map_or(1, |at| at + 1)
}

fn kind_note(kind: Kind) -> &'static str {
    match kind {
        Kind::Dev => ", not even in tests",
        Kind::Normal | Kind::Build => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, dependencies: &[(&str, Kind)]) -> Tree {
        let package = |name: &str, dependencies: &[(&str, Kind)]| Package {
            name: name.into(),
            dir: format!("crates/{name}"),
            dependencies: dependencies.iter().map(|&(name, kind)| (name.into(), kind)).collect(),
        };
        let mut packages: Vec<Package> =
            LAYERS.iter().filter(|layer| layer.0 != name).map(|layer| package(layer.0, &[])).collect();
        packages.push(package(name, dependencies));
        let manifest = "[package]\n\n[dependencies]\namanuensis-engine.workspace = true\n";
        let files = Tree::of(&[(&format!("crates/{name}/Cargo.toml"), manifest)]).files;
        Tree { files, packages }
    }

    #[test]
    fn the_table_allows_downward_dependencies_only() {
        for (at, (name, uses)) in LAYERS.iter().enumerate() {
            for used in *uses {
                assert!(layer(used).is_some_and(|below| below > at), "{name} -> {used}");
            }
        }
    }

    #[test]
    fn every_crate_of_the_table_exists() {
        let workspace = Tree::of_workspace().unwrap();
        for (name, _) in LAYERS {
            assert!(workspace.packages.iter().any(|package| package.name == *name), "there is no crate `{name}`");
        }
    }

    #[test]
    fn downward_dependencies_pass() {
        let uses = [
            ("amanuensis-engine", Kind::Normal),
            ("serde", Kind::Normal),
            ("amanuensis-weights", Kind::Dev),
            ("amanuensis-transcribe", Kind::Dev),
        ];
        assert_eq!(check(&tree("amanuensis-transcribe", &uses)), []);
    }

    #[test]
    fn upward_and_unlisted_dependencies_are_errors() {
        let found = check(&tree("amanuensis-audio", &[("amanuensis-engine", Kind::Normal)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/amanuensis-audio/Cargo.toml", 4));
        assert_eq!(check(&tree("amanuensis-audio", &[("amanuensis-engine", Kind::Dev)])).len(), 1);
        assert_eq!(check(&tree("amanuensis-transcribe", &[("amanuensis-weights", Kind::Build)])).len(), 1);
        assert_eq!(check(&tree("amanuensis-kernels", &[("xtask", Kind::Dev)])).len(), 1);
    }

    #[test]
    fn crates_that_the_table_lacks_are_errors() {
        let found = check(&tree("amanuensis-utils", &[]));
        assert_eq!(found.len(), 1);
        assert_eq!(check(&tree("xtask", &[("amanuensis-kernels", Kind::Dev)])).len(), 1);
    }
}
