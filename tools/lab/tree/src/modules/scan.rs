//! A crate's source as modules: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Type, UseTree, Visibility};

/// A crate, with everything under `#[cfg(test)]` left out.
#[derive(Default)]
pub struct Scan {
    pub files: Vec<PathBuf>,
    /// The first is the crate's root.
    pub modules: Vec<Module>,
    /// Macros with `#[macro_export]`, which are named by the crate's root, with the module that has them.
    pub exported_macros: BTreeMap<String, usize>,
}

/// A module, in a file of its own or inline.
#[derive(Default)]
pub struct Module {
    /// By index.
    pub file: usize,
    pub parent: Option<usize>,
    pub children: BTreeMap<String, usize>,
    /// What it defines.
    pub items: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// The modules of which it imports everything.
    pub globs: Vec<Vec<String>>,
    /// Each path that its code has.
    pub mentions: BTreeSet<Vec<String>>,
    /// The methods of its inherent implementations, with the path of their type.
    pub methods: Vec<(Vec<String>, String)>,
    /// The names of the methods that its code calls.
    pub calls: BTreeSet<String>,
}

pub struct Import {
    pub name: String,
    pub path: Vec<String>,
    /// A re-export, to whomever.
    pub exported: bool,
}

impl Scan {
    pub fn of(root: &Path, file: &Path) -> Result<Scan> {
        let mut scan = Scan::default();
        let folder = file.parent().context("a file without a folder")?;
        scan.file(root, file, folder, None)?;
        Ok(scan)
    }

    /// Reads the module in `file`, whose children lie in `folder`; answers its index.
    fn file(&mut self, root: &Path, file: &Path, folder: &Path, parent: Option<usize>) -> Result<usize> {
        let source =
            std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&source).with_context(|| format!("{} is not Rust", file.display()))?;
        self.files.push(file.to_owned());
        let module = Module { file: self.files.len() - 1, parent, ..Module::default() };
        self.modules.push(module);
        let index = self.modules.len() - 1;
        if !is_test(&parsed.attrs) {
            self.items(root, file, folder, index, &parsed.items)?;
        }
        Ok(index)
    }

    fn items(&mut self, root: &Path, file: &Path, folder: &Path, index: usize, items: &[Item]) -> Result<()> {
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            if let Item::Mod(child) = item {
                let name = child.ident.to_string();
                let below = folder.join(&name);
                let child = match &child.content {
                    Some((_, items)) => {
                        let module =
                            Module { file: self.modules[index].file, parent: Some(index), ..Module::default() };
                        self.modules.push(module);
                        let child = self.modules.len() - 1;
                        self.items(root, file, &below, child, items)?;
                        child
                    }
                    None => {
                        let (path, below) = locate(root, file, folder, &name, &child.attrs)?;
                        self.file(root, &path, &below, Some(index))?
                    }
                };
                self.modules[index].children.insert(name, child);
                continue;
            }
            if let Item::Macro(of) = item
                && let Some(name) = &of.ident
                && of.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
            {
                self.exported_macros.insert(name.to_string(), index);
            }
            let module = &mut self.modules[index];
            module.items.extend(defined(item));
            Visitor(module).visit_item(item);
        }
        Ok(())
    }
}

/// The file of `mod name;`, and the folder of its children.
fn locate(root: &Path, file: &Path, folder: &Path, name: &str, attributes: &[Attribute]) -> Result<(PathBuf, PathBuf)> {
    for attribute in attributes {
        if attribute.path().is_ident("path")
            && let syn::Meta::NameValue(value) = &attribute.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &value.value
        {
            let path = crate::files::normalise(&file.parent().unwrap_or(Path::new("")).join(path.value()));
            let below = path.parent().unwrap_or(Path::new("")).to_owned();
            return Ok((path, below));
        }
    }
    let below = folder.join(name);
    for path in [folder.join(format!("{name}.rs")), below.join("mod.rs")] {
        if root.join(&path).is_file() {
            return Ok((path, below));
        }
    }
    bail!("{}: `mod {name};` has no file", file.display())
}

/// Whether the attributes leave the item out of every build but that of the tests.
fn is_test(attributes: &[Attribute]) -> bool {
    fn requires_test(meta: &syn::Meta) -> bool {
        match meta {
            syn::Meta::Path(path) => path.is_ident("test"),
            syn::Meta::List(list) if list.path.is_ident("all") => list
                .parse_args_with(syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated)
                .is_ok_and(|parts| parts.iter().any(requires_test)),
            _ => false,
        }
    }
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Meta>().is_ok_and(|meta| requires_test(&meta))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
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

/// The names that an item defines. Those that a macro makes are taken from its arguments: `struct NAME` and its like.
fn defined(item: &Item) -> Vec<String> {
    match item {
        Item::Const(item) => vec![item.ident.to_string()],
        Item::Enum(item) => vec![item.ident.to_string()],
        Item::Fn(item) => vec![item.sig.ident.to_string()],
        Item::Static(item) => vec![item.ident.to_string()],
        Item::Struct(item) => vec![item.ident.to_string()],
        Item::Trait(item) => vec![item.ident.to_string()],
        Item::TraitAlias(item) => vec![item.ident.to_string()],
        Item::Type(item) => vec![item.ident.to_string()],
        Item::Union(item) => vec![item.ident.to_string()],
        Item::Macro(item) => match &item.ident {
            Some(name) => vec![name.to_string()],
            None => made(item.mac.tokens.clone()),
        },
        Item::ForeignMod(block) => block
            .items
            .iter()
            .filter_map(|item| match item {
                syn::ForeignItem::Fn(item) => Some(item.sig.ident.to_string()),
                syn::ForeignItem::Static(item) => Some(item.ident.to_string()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn made(tokens: TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    let mut after_keyword = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if after_keyword {
                    names.push(ident.to_string());
                }
                after_keyword = matches!(
                    ident.to_string().as_str(),
                    "struct" | "enum" | "fn" | "const" | "static" | "type" | "trait" | "pub"
                );
            }
            TokenTree::Group(group) => {
                names.extend(made(group.stream()));
                // `pub(crate) NAME [`, as the macros for registers have it.
                after_keyword = group.delimiter() == proc_macro2::Delimiter::Parenthesis && after_keyword;
            }
            _ => after_keyword = false,
        }
    }
    names
}

struct Visitor<'a>(&'a mut Module);

impl Visitor<'_> {
    fn import(&mut self, tree: &UseTree, before: &[String], exported: bool) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `{self}` names what stands before it.
            if name != "self" || path.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(&path.ident), exported),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, exported);
                }
            }
            UseTree::Glob(_) => self.0.globs.push(before.to_vec()),
            UseTree::Name(name) => {
                let path = with(&name.ident);
                let name = path.last().cloned().unwrap_or_default();
                self.0.imports.push(Import { name, path, exported });
            }
            UseTree::Rename(rename) => {
                self.0.imports.push(Import { name: rename.rename.to_string(), path: with(&rename.ident), exported });
            }
        }
    }

    /// The paths in a macro's arguments, which are no more than tokens here.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut dot = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path));
                    }
                    if dot {
                        self.0.calls.insert(ident.to_string());
                    } else {
                        path.push(ident.to_string());
                    }
                    (colons, dot) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    dot = false;
                }
                TokenTree::Group(group) => {
                    self.mention(std::mem::take(&mut path));
                    (colons, dot) = (0, false);
                    self.tokens(group.stream());
                }
                other => {
                    self.mention(std::mem::take(&mut path));
                    colons = 0;
                    dot = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '.');
                }
            }
        }
        self.mention(path);
    }

    fn mention(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.0.mentions.insert(path);
        }
    }
}

impl Visit<'_> for Visitor<'_> {
    fn visit_item(&mut self, item: &Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        if item.trait_.is_none()
            && let Type::Path(owner) = &*item.self_ty
        {
            let owner: Vec<String> = owner.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            for member in &item.items {
                if let ImplItem::Fn(method) = member
                    && !is_test(&method.attrs)
                {
                    self.0.methods.push((owner.clone(), method.sig.ident.to_string()));
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            self.mention(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        self.0.calls.insert(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, of: &syn::Macro) {
        self.visit_path(&of.path);
        self.tokens(of.tokens.clone());
    }

    /// `pub(super)` names nothing that is used.
    fn visit_visibility(&mut self, _: &Visibility) {}

    /// Attributes and documentation are no code of the module's.
    fn visit_attribute(&mut self, _: &Attribute) {}
}
