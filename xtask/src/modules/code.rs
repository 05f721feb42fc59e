//! Collects the `use` declarations and the paths in parsed code, except in code that is compiled for tests only.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Ident, Meta, UseTree, Visibility};

use super::module::{CodePath, Module, PathKind, Use};

/// Adds the `use` declarations and paths in `item` to the module. Modules nested in `item` are skipped.
pub fn collect(item: &syn::Item, module: &mut Module) {
    Collector { module }.visit_item(item);
}

/// All identifiers of a token stream, including those in nested groups.
pub fn identifiers(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => identifiers(group.stream()),
            TokenTree::Ident(ident) => vec![name(&ident)],
            TokenTree::Punct(_) | TokenTree::Literal(_) => Vec::new(),
        })
        .collect()
}

/// Whether the attributes of an item show that it is compiled for tests only.
pub fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || path.is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    })
}

/// Whether a `cfg` condition can only be true in tests.
fn needs_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    let Ok(conditions) = list.parse_args_with(parser) else { return false };
    if list.path.is_ident("all") {
        conditions.iter().any(needs_test)
    } else {
        list.path.is_ident("any") && conditions.iter().all(needs_test)
    }
}

struct Collector<'a> {
    module: &'a mut Module,
}

impl Collector<'_> {
    fn add_path(&mut self, path: &syn::Path, kind: PathKind) {
        // A leading `::` means that the path names another crate.
        if path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|segment| name(&segment.ident)).collect();
            let line = path.segments[0].ident.span().start().line;
            self.module.paths.push(CodePath { segments, kind, line });
        }
    }

    /// Adds the paths in the tokens of a macro call or an attribute, for which the parser builds no syntax tree. A
    /// single name in lower case is added only if it is called, because otherwise it may be a variable or a field.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let (segments, used) = path_at(&tokens[at..]);
                    let kind = match tokens.get(at + used) {
                        Some(TokenTree::Punct(next)) if next.as_char() == '!' => PathKind::Macro,
                        Some(TokenTree::Group(next)) if next.delimiter() == Delimiter::Parenthesis => PathKind::Call,
                        _ => PathKind::Other,
                    };
                    let is_type = segments[0].starts_with(char::is_uppercase);
                    let is_path = is_type || segments.len() > 1 || kind != PathKind::Other;
                    if is_path && starts_path(&tokens[..at]) {
                        self.module.paths.push(CodePath { segments, kind, line: first.span().start().line });
                    }
                    at += used;
                    continue;
                }
                TokenTree::Literal(literal) => self.add_path_in_string(&literal.to_string(), literal),
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }

    /// Adds the path that a string literal contains, as in `#[serde(default = "crate::defaults::port")]`.
    fn add_path_in_string(&mut self, text: &str, literal: &proc_macro2::Literal) {
        let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return };
        let is_path = text.contains("::") && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if is_path && let Ok(path) = syn::parse_str::<syn::Path>(text) {
            let segments = path.segments.iter().map(|segment| name(&segment.ident)).collect();
            let line = literal.span().start().line;
            self.module.paths.push(CodePath { segments, kind: PathKind::Other, line });
        }
    }

    fn add_use(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool) {
        let extended = |ident: &Ident| [prefix, &[name(ident)]].concat();
        let mut add = |path: Vec<String>, alias: Option<String>, ident_line: usize| {
            self.module.uses.push(Use { path, alias, is_reexport, line: ident_line });
        };
        match tree {
            UseTree::Path(part) => self.add_use(&part.tree, &extended(&part.ident), is_reexport),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(tree, prefix, is_reexport)),
            UseTree::Glob(glob) => add(prefix.to_vec(), None, glob.star_token.spans[0].start().line),
            UseTree::Name(part) if part.ident == "self" => {
                add(prefix.to_vec(), prefix.last().cloned(), part.ident.span().start().line);
            }
            UseTree::Name(part) => add(extended(&part.ident), Some(name(&part.ident)), line(&part.ident)),
            UseTree::Rename(part) if part.ident == "self" => {
                add(prefix.to_vec(), Some(name(&part.rename)), line(&part.ident));
            }
            UseTree::Rename(part) => add(extended(&part.ident), Some(name(&part.rename)), line(&part.ident)),
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test_only(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test_only(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test_only(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    /// Does nothing, because nested modules are collected separately.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.add_use(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    /// Does nothing, because the `crate` in `pub(crate)` is not an import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(path, PathKind::Other);
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(function) = &*call.func {
            self.add_path(&function.path, PathKind::Call);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_path(&call.path, PathKind::Macro);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && !list.path.is_ident("cfg")
        {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_pat_ident(&mut self, binding: &'ast syn::PatIdent) {
        self.module.bindings.insert(name(&binding.ident));
        visit::visit_pat_ident(self, binding);
    }
}

/// The path that begins at the first of `tokens`, and the number of tokens that the path consists of.
fn path_at(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut used = 0;
    while let Some(TokenTree::Ident(ident)) = tokens.get(used) {
        segments.push(name(ident));
        used += 1;
        match tokens.get(used..used + 3) {
            Some([colon, second, TokenTree::Ident(_)]) if is_punct(colon, ':') && is_punct(second, ':') => used += 2,
            _ => break,
        }
    }
    (segments, used)
}

/// Whether an identifier that follows the tokens `before` can begin a path. It cannot begin one if it is a field, a
/// lifetime, or a later segment of a path.
fn starts_path(before: &[TokenTree]) -> bool {
    match before {
        [.., first, second] if is_punct(first, '.') && is_punct(second, '.') => true,
        [.., first, second] if is_punct(first, ':') && is_punct(second, ':') => false,
        [.., last] => !is_punct(last, '.') && !is_punct(last, '\''),
        [] => true,
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// The name of an identifier, without the `r#` of raw identifiers.
pub fn name(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}

pub fn attributes(item: &syn::Item) -> &[Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
