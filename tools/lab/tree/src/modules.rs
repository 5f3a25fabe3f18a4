//! Which files of a crate depend on which others.
//!
//! The nodes are files; an inline `mod x { ... }` is part of its file. A file A depends on a file B where code in A
//! names an item that B defines, be it by an import or by a path in an expression, a type, a pattern or a macro's
//! arguments. In detail:
//!
//! - A name is followed to where the item is defined. A re-export (`pub use`) is no dependency of the file that has it,
//!   so a `mod.rs` may list what its folder offers, and who takes something from that list depends on the file behind.
//! - A child that names an item of its parent depends on the parent's file, and a parent that names one of its child's
//!   depends on the child's. `mod child;` alone is no dependency, nor is the import of a module.
//! - An `impl` names its type and its trait, so its file depends on theirs.
//! - Code under `#[cfg(test)]` is left out, and so are documentation and attributes.
//! - Method calls are not followed, for that takes types; unless asked ([`Methods::Apart`]): then a call of a method
//!   that stands in another file than its type counts, where no other method of the crate has its name. Without that, a
//!   type whose methods are spread over files hides what its files need of each other.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use scan::{Module, Scan};

/// Whether calls of methods count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// No call does.
    Ignored,
    /// Those do whose method stands apart from its type's file, and has a name of its own in the crate.
    Apart,
}

/// The files of a crate and their dependencies.
pub struct Graph {
    /// The files, relative to where the crate was read from.
    pub files: Vec<PathBuf>,
    /// Which file (by index) names what of which other.
    pub edges: BTreeMap<(usize, usize), BTreeSet<String>>,
}

/// Reads the crate whose root file is `file`, relative to `root`.
///
/// Errors: a file is missing or is no Rust.
pub fn read(root: &Path, file: &Path, methods: Methods) -> Result<Graph> {
    let scan = Scan::of(root, file)?;
    let mut edges: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    let mut add = |from: usize, to: usize, what: String| {
        if from != to {
            edges.entry((from, to)).or_default().insert(what);
        }
    };
    for (index, module) in scan.modules.iter().enumerate() {
        let imports = module.imports.iter().filter(|import| !import.exported).map(|import| &import.path);
        for path in module.mentions.iter().chain(imports) {
            if let Some(Target::Item(target, name)) = resolve(&scan, index, path, 0) {
                add(module.file, scan.modules[target].file, name);
            }
        }
    }
    if methods == Methods::Apart {
        for (name, file) in methods_apart(&scan) {
            for module in scan.modules.iter().filter(|module| module.calls.contains(&name)) {
                add(module.file, file, format!(".{name}()"));
            }
        }
    }
    Ok(Graph { files: scan.files, edges })
}

/// The methods that stand in another file than their type and share their name with no other, with that file.
fn methods_apart(scan: &Scan) -> Vec<(String, usize)> {
    let mut by_name: BTreeMap<&str, Vec<(usize, bool)>> = BTreeMap::new();
    for (index, module) in scan.modules.iter().enumerate() {
        for (owner, name) in &module.methods {
            let home = match resolve(scan, index, owner, 0) {
                Some(Target::Item(home, _)) => scan.modules[home].file,
                _ => module.file,
            };
            by_name.entry(name).or_default().push((module.file, home != module.file));
        }
    }
    by_name
        .into_iter()
        .filter_map(|(name, places)| match places[..] {
            [(file, true)] => Some((name.to_owned(), file)),
            _ => None,
        })
        .collect()
}

impl Graph {
    /// The groups of files that depend on each other in a cycle, each sorted.
    ///
    /// `within` chooses the files that are looked at.
    pub fn cycles(&self, within: impl Fn(&Path) -> bool) -> Vec<Vec<PathBuf>> {
        let mut graph = DiGraph::<usize, ()>::new();
        let nodes: Vec<_> = (0..self.files.len()).map(|file| graph.add_node(file)).collect();
        for &(from, to) in self.edges.keys() {
            if within(&self.files[from]) && within(&self.files[to]) {
                graph.add_edge(nodes[from], nodes[to], ());
            }
        }
        let mut cycles: Vec<Vec<PathBuf>> = tarjan_scc(&graph)
            .into_iter()
            .filter(|group| group.len() > 1)
            .map(|group| {
                let mut files: Vec<_> = group.into_iter().map(|node| self.files[graph[node]].clone()).collect();
                files.sort();
                files
            })
            .collect();
        cycles.sort();
        cycles
    }

    /// Each dependency between two files of `group`, as a line for a person.
    pub fn explain(&self, group: &[PathBuf]) -> Vec<String> {
        self.edges
            .iter()
            .filter(|((from, to), _)| group.contains(&self.files[*from]) && group.contains(&self.files[*to]))
            .map(|((from, to), names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{} -> {}: {}", self.files[*from].display(), self.files[*to].display(), names.join(", "))
            })
            .collect()
    }
}

/// What a path leads to.
enum Target {
    Module(usize),
    /// An item, by the module that defines it.
    Item(usize, String),
}

/// Imports that lead to each other are given up after so many steps.
const STEPS_MAX: usize = 16;

fn resolve(scan: &Scan, from: usize, path: &[String], steps: usize) -> Option<Target> {
    let (first, rest) = path.split_first()?;
    let mut target = match first.as_str() {
        "crate" => Target::Module(0),
        "self" => Target::Module(from),
        "super" => Target::Module(scan.modules[from].parent?),
        name => look_up(scan, from, name, !rest.is_empty(), steps)?,
    };
    for (index, name) in rest.iter().enumerate() {
        let Target::Module(module) = target else { break };
        target = match name.as_str() {
            "super" => Target::Module(scan.modules[module].parent?),
            "self" => Target::Module(module),
            name => look_up(scan, module, name, index + 1 < rest.len(), steps)?,
        };
    }
    Some(target)
}

/// What `name` is in `module`. A module and an item may share a name; `more` says that the path goes on.
fn look_up(scan: &Scan, module: usize, name: &str, more: bool, steps: usize) -> Option<Target> {
    if steps > STEPS_MAX {
        return None;
    }
    let here: &Module = &scan.modules[module];
    let child = here.children.get(name).map(|&child| Target::Module(child));
    let item = here.items.contains(name).then(|| Target::Item(module, name.to_owned()));
    let found = if more { child.or(item) } else { item.or(child) };
    if found.is_some() {
        return found;
    }
    if module == 0
        && let Some(&owner) = scan.exported_macros.get(name)
    {
        return Some(Target::Item(owner, name.to_owned()));
    }
    for import in here.imports.iter().filter(|import| import.name == name) {
        // `use name::...;` in a crate is another crate's name unless a module has it.
        if import.path.first().is_some_and(|first| first == name) && !here.children.contains_key(name) {
            continue;
        }
        if let Some(found) = resolve(scan, module, &import.path, steps + 1) {
            return Some(found);
        }
    }
    for glob in &here.globs {
        if let Some(Target::Module(other)) = resolve(scan, module, glob, steps + 1)
            && other != module
            && let Some(found) = look_up(scan, other, name, more, steps + 1)
        {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests;
