//! The first page of what `cargo doc` makes: every crate, by its folder, with what its documentation says first.

use std::path::Path;

use anyhow::{Context, Result};
use maud::{DOCTYPE, html};

use crate::packages::Package;

/// The page, for the folder that rustdoc writes to.
///
/// Errors: a crate's root file cannot be read or is no Rust.
pub fn page(root: &Path, packages: &[Package]) -> Result<String> {
    let mut rows = Vec::new();
    for package in packages {
        // rustdoc makes one page of a library and a program of the same name.
        let library = package.targets.iter().find(|target| !target.program);
        for target in &package.targets {
            if library.is_some_and(|library| library.name == target.name && target.program) {
                continue;
            }
            let source = std::fs::read_to_string(root.join(&target.file))
                .with_context(|| format!("cannot read {}", target.file.display()))?;
            let link = format!("{}/index.html", target.name.replace('-', "_"));
            rows.push((package.folder.display().to_string(), target.name.clone(), link, first_sentence(&source)));
        }
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "SlopOS" }
                style { (STYLE) }
            }
            body {
                h1 { "SlopOS: the crates" }
                p { "Start with " a href="slopos_kernel/index.html" { "slopos_kernel" } ", " a href="slopos_net/index.html" { "slopos_net" } " or " a href="libslop/index.html" { "libslop" } "; doc/tour.md in the tree leads through all three." }
                table {
                    tr { th { "folder" } th { "crate" } th { "what it is" } }
                    @for (folder, name, link, what) in &rows {
                        tr { td { (folder) } td { a href=(link) { code { (name) } } } td { (what) } }
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}";

/// The first sentence of a file's own documentation, as plain text.
fn first_sentence(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: Vec<&str> = lines
        .map(str::trim)
        .skip_while(|line| line.is_empty() || line.starts_with('#'))
        .take_while(|line| !line.is_empty())
        .collect();
    let text = paragraph.join(" ").replace(['`', '[', ']'], "");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_described_by_its_first_sentence() {
        assert_eq!(
            first_sentence("//! # Title\n//!\n//! The `net`\n//! work. More.\n//!\n//! Else.\n"),
            "The net work."
        );
        assert_eq!(first_sentence("//! One line\n\nfn f() {}"), "One line");
        assert_eq!(first_sentence("fn f() {}"), "");
    }
}
