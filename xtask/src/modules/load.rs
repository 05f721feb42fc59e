//! Parses the modules of a crate, beginning at its root file and following each `mod name;`.

use syn::{Expr, Item, Lit, Meta};

use super::code;
use super::module::{Module, ModuleId};
use crate::tree::{Finding, Tree};

/// The root files of all crates: `lib.rs`, `main.rs`, and each file in `bin/`.
pub fn roots(tree: &Tree) -> Vec<&str> {
    let is_root = |path: &str| {
        path.rsplit_once("/src/").is_some_and(|(_, file)| {
            let is_binary = file.strip_prefix("bin/").is_some_and(|name| !name.contains('/'));
            file == "lib.rs" || file == "main.rs" || is_binary
        })
    };
    tree.rust().map(|file| file.path.as_str()).filter(|path| is_root(path)).collect()
}

/// The modules of the crate that has this root file. The root module is the first. Modules that exist for tests only
/// are left out.
pub fn load(tree: &Tree, root: &str) -> Result<Vec<Module>, Finding> {
    let mut loader = Loader { tree, modules: Vec::new() };
    let folder = parent_folder(root);
    loader.add_file(root, None, folder)?;
    Ok(loader.modules)
}

struct Loader<'a> {
    tree: &'a Tree,
    modules: Vec<Module>,
}

/// The folders in which the files of a module's children are searched.
#[derive(Clone, Copy)]
struct Folders<'a> {
    /// The folder in which children declared as `mod name;` are searched.
    plain: &'a str,
    /// The folder that the paths in `#[path = "..."]` are relative to.
    path_attribute: &'a str,
}

impl Loader<'_> {
    /// Adds the module that is in the file `path`. Its children declared as `mod name;` are in `folder`. Returns
    /// `None` if the file does not exist.
    fn add_file(&mut self, path: &str, parent: Option<ModuleId>, folder: &str) -> Result<Option<ModuleId>, Finding> {
        let Some(file) = self.tree.file(path) else { return Ok(None) };
        let syntax = syn::parse_file(&file.text).map_err(|cause| {
            Finding::error(path, cause.span().start().line, format!("the file cannot be parsed: {cause}"))
        })?;
        let folders = Folders { plain: folder, path_attribute: parent_folder(path) };
        self.add_module(path, parent, &syntax.items, folders).map(Some)
    }

    fn add_module(
        &mut self,
        path: &str,
        parent: Option<ModuleId>,
        items: &[Item],
        folders: Folders,
    ) -> Result<ModuleId, Finding> {
        let id = self.modules.len();
        self.modules.push(Module { file: path.to_owned(), parent, ..Module::default() });
        for item in items.iter().filter(|item| !code::is_test_only(code::attributes(item))) {
            if let Item::Mod(child) = item {
                let name = code::name(&child.ident);
                if let Some(child) = self.add_child(path, id, child, folders)? {
                    self.modules[id].children.entry(name).or_default().push(child);
                }
            } else {
                define(item, &mut self.modules[id]);
                code::collect(item, &mut self.modules[id]);
            }
        }
        Ok(id)
    }

    /// Adds a child module, which is either inline (`mod name { }`) or in a separate file (`mod name;`).
    fn add_child(
        &mut self,
        path: &str,
        parent: ModuleId,
        child: &syn::ItemMod,
        folders: Folders,
    ) -> Result<Option<ModuleId>, Finding> {
        let name = code::name(&child.ident);
        let folder = join(folders.plain, &name);
        if let Some((_, items)) = &child.content {
            let folders = Folders { plain: &folder, path_attribute: &folder };
            return self.add_module(path, Some(parent), items, folders).map(Some);
        }
        if let Some(target) = path_attribute(&child.attrs) {
            let target = join(folders.path_attribute, &target);
            return self.add_file(&target, Some(parent), parent_folder(&target));
        }
        let beside = format!("{folder}.rs");
        let inside = format!("{folder}/mod.rs");
        match self.add_file(&beside, Some(parent), &folder)? {
            None => self.add_file(&inside, Some(parent), &folder),
            found => Ok(found),
        }
    }
}

/// Adds the names that `item` defines to the names of the module.
fn define(item: &Item, module: &mut Module) {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => {
            match &item.ident {
                Some(ident) => {
                    module.macros.insert(code::name(ident));
                    module.items.insert(code::name(ident));
                }
                None => module.generated.extend(code::identifiers(item.mac.tokens.clone())),
            }
            return;
        }
        _ => return,
    };
    module.items.insert(code::name(ident));
}

/// The path that the attribute `#[path = "..."]` states, if there is one.
fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(path) => Some(path.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

fn parent_folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
