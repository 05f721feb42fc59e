//! Finds the module that defines the item that a path names. Follows `use` declarations and re-exports.

use super::module::{Module, ModuleId};

/// The module or item that a path refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Module(ModuleId),
    /// An item, given by the module that defines it and by its name there.
    Item(ModuleId, String),
}

/// The modules and items that the path `segments` in a module can refer to. Empty if the path refers to another
/// crate.
pub fn resolve(modules: &[Module], module: ModuleId, segments: &[String]) -> Vec<Target> {
    Resolver { modules, open: Vec::new() }.resolve(module, segments)
}

/// The module that defines a macro called by its bare name: `module` itself or the nearest of its ancestors that
/// defines it. `None` if none of them does.
pub fn enclosing_macro(modules: &[Module], module: ModuleId, name: &str) -> Option<ModuleId> {
    let parents = std::iter::successors(Some(module), |&id| modules[id].parent);
    parents.into_iter().find(|&id| modules[id].macros.contains(name))
}

struct Resolver<'a> {
    modules: &'a [Module],
    /// The `use` declarations that are currently being followed, each as its module and its index there. This list
    /// prevents endless recursion, for example for `use serde;`, which must not resolve to itself.
    open: Vec<(ModuleId, usize)>,
}

impl Resolver<'_> {
    fn resolve(&mut self, module: ModuleId, segments: &[String]) -> Vec<Target> {
        let Some((first, rest)) = segments.split_first() else { return vec![Target::Module(module)] };
        let mut targets = match self.keyword(module, first) {
            Some(found) => vec![Target::Module(found)],
            None => self.lookup(module, first).unwrap_or_default(),
        };
        for segment in rest {
            targets = self.descend(&targets, segment);
        }
        targets
    }

    /// The module that the keyword `crate`, `self` or `super` refers to.
    fn keyword(&self, module: ModuleId, segment: &str) -> Option<ModuleId> {
        match segment {
            "crate" => Some(0),
            "self" => Some(module),
            "super" => self.modules[module].parent,
            _ => None,
        }
    }

    /// The modules and items to which the next path segment refers within each of `targets`.
    fn descend(&mut self, targets: &[Target], segment: &str) -> Vec<Target> {
        let mut found = Vec::new();
        let mut is_known = false;
        for target in targets {
            let Target::Module(module) = *target else { continue };
            let inner = match self.keyword(module, segment) {
                Some(module) => Some(vec![Target::Module(module)]),
                None => self.lookup(module, segment),
            };
            is_known |= inner.is_some();
            found.extend(inner.unwrap_or_default());
        }
        if is_known {
            return found;
        }
        // A variant or an associated item counts as part of the type before it in the path. An unknown name in a
        // module counts as an item of that module.
        let items: Vec<Target> = targets.iter().filter(|target| matches!(target, Target::Item(..))).cloned().collect();
        if !items.is_empty() {
            return items;
        }
        let in_module = |target: &Target| match target {
            Target::Module(module) => Some(Target::Item(*module, segment.to_owned())),
            Target::Item(..) => None,
        };
        targets.iter().filter_map(in_module).collect()
    }

    /// The modules and items that a name in a module can refer to. `None` if the module does not know the name. The
    /// name of another crate is known, but the result is empty.
    fn lookup(&mut self, module: ModuleId, name: &str) -> Option<Vec<Target>> {
        let modules = self.modules;
        let here = &modules[module];
        let mut targets = Vec::new();
        let mut is_known = here.items.contains(name);
        if is_known {
            targets.push(Target::Item(module, name.to_owned()));
        }
        if let Some(children) = here.children.get(name) {
            is_known = true;
            targets.extend(children.iter().map(|&child| Target::Module(child)));
        }
        for (index, found) in here.uses.iter().enumerate() {
            if found.alias.as_deref() == Some(name)
                && let Some(followed) = self.follow(module, index)
            {
                is_known = true;
                targets.extend(followed);
            }
        }
        if !is_known {
            if let Some(found) = self.lookup_globs(module, name) {
                return Some(found);
            }
            is_known = here.generated.contains(name);
            targets.extend(is_known.then(|| Target::Item(module, name.to_owned())));
        }
        is_known.then_some(targets)
    }

    fn lookup_globs(&mut self, module: ModuleId, name: &str) -> Option<Vec<Target>> {
        for (index, found) in self.modules[module].uses.iter().enumerate().filter(|(_, found)| found.alias.is_none()) {
            if self.open.contains(&(module, index)) {
                continue;
            }
            self.open.push((module, index));
            let mut named = None;
            for target in self.resolve(module, &found.path) {
                if let Target::Module(target) = target {
                    named = named.or_else(|| self.lookup(target, name));
                }
            }
            self.open.pop();
            if named.is_some() {
                return named;
            }
        }
        None
    }

    /// The modules and items that one `use` declaration can refer to. `None` if the declaration is already being
    /// followed.
    fn follow(&mut self, module: ModuleId, index: usize) -> Option<Vec<Target>> {
        if self.open.contains(&(module, index)) {
            return None;
        }
        self.open.push((module, index));
        let targets = self.resolve(module, &self.modules[module].uses[index].path);
        self.open.pop();
        Some(targets)
    }
}
