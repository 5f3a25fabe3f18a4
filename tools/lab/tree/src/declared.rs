//! Which names a source file declares, so that a link that names a function can be held against the file.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, TraitItem, Type};

/// The names that `source` declares: each item's, and for methods, variants, fields and associated constants also
/// `Type::name`.
///
/// Errors: `source` is no Rust.
pub fn names(source: &str) -> Result<BTreeSet<String>> {
    let file = syn::parse_file(source).context("not Rust")?;
    let mut names = Names::default();
    names.visit_file(&file);
    Ok(names.0)
}

/// Whether `names` has what a document calls `text`: `name`, `name()`, `Type::name` or `module::name`.
pub fn declares(names: &BTreeSet<String>, text: &str) -> bool {
    let path = text.split(['(', '<', ' ']).next().unwrap_or(text).trim_end_matches('!');
    let mut parts = path.rsplit("::");
    let last = parts.next().unwrap_or(path);
    match parts.next() {
        // A type's: it must be that type's, not another's of the same name.
        Some(owner) if owner.starts_with(char::is_uppercase) => names.contains(&format!("{owner}::{last}")),
        _ => names.contains(last),
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn member(&mut self, owner: &str, name: &syn::Ident) {
        self.0.insert(name.to_string());
        self.0.insert(format!("{owner}::{name}"));
    }
}

impl Visit<'_> for Names {
    fn visit_item(&mut self, item: &Item) {
        match item {
            Item::Fn(item) => drop(self.0.insert(item.sig.ident.to_string())),
            Item::Const(item) => drop(self.0.insert(item.ident.to_string())),
            Item::Static(item) => drop(self.0.insert(item.ident.to_string())),
            Item::Type(item) => drop(self.0.insert(item.ident.to_string())),
            Item::Mod(item) => drop(self.0.insert(item.ident.to_string())),
            Item::Macro(item) => self.0.extend(item.ident.as_ref().map(ToString::to_string)),
            Item::Struct(item) => {
                self.0.insert(item.ident.to_string());
                for name in item.fields.iter().filter_map(|field| field.ident.as_ref()) {
                    self.member(&item.ident.to_string(), name);
                }
            }
            Item::Enum(item) => {
                self.0.insert(item.ident.to_string());
                for variant in &item.variants {
                    self.member(&item.ident.to_string(), &variant.ident);
                }
            }
            Item::Trait(item) => {
                self.0.insert(item.ident.to_string());
                for member in &item.items {
                    if let TraitItem::Fn(function) = member {
                        self.member(&item.ident.to_string(), &function.sig.ident);
                    }
                }
            }
            Item::Impl(item) => {
                if let Some(owner) = type_name(&item.self_ty) {
                    for member in &item.items {
                        match member {
                            ImplItem::Fn(function) => self.member(&owner, &function.sig.ident),
                            ImplItem::Const(constant) => self.member(&owner, &constant.ident),
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }
}

/// The last name of a type's path: `Stack` for `super::Stack<'_>`.
pub(crate) fn type_name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Type::Reference(reference) => type_name(&reference.elem),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_its_types_alone() {
        let source =
            "struct A { x: u8 } impl A { fn f() {} } impl crate::B<'_> { const C: u8 = 0; } fn g() {} enum E { V }";
        let names = names(source).unwrap();
        for there in ["A::f", "A::f()", "f", "B::C", "g", "module::g", "E::V", "A::x"] {
            assert!(declares(&names, there), "{there}");
        }
        for not_there in ["B::f", "A::g", "h", "A::C"] {
            assert!(!declares(&names, not_there), "{not_there}");
        }
    }
}
