//! No two files depend on each other in a circle; `slopos_tree::modules` says what counts as a dependency.

use std::path::{Path, PathBuf};

use slopos_tree::modules::{self, Methods};
use slopos_tree::{files, packages};

/// Circles that are still there: the crate's root file, and the files of the circle. The list only shrinks.
const KNOWN: &[(&str, &[&str])] = &[];

#[test]
fn no_files_of_a_crate_depend_on_each_other_in_a_circle() {
    let root = files::root();
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut told = String::new();
    let mut read = 0;
    for target in packages::all(&root).unwrap().iter().flat_map(|package| &package.targets) {
        let graph = modules::read(&root, &target.file, Methods::Ignored).unwrap();
        read += graph.files.len();
        for group in graph.cycles(|_| true) {
            let files: Vec<String> = group.iter().map(|file| file.display().to_string()).collect();
            let crate_root = target.file.display().to_string();
            if !KNOWN.iter().any(|(root, known)| *root == crate_root && *known == files) {
                told += &format!("{crate_root}:\n    {}\n", graph.explain(&group).join("\n    "));
            }
            found.push((crate_root, files));
        }
    }
    assert!(read > 300, "only {read} files were read");
    assert!(told.is_empty(), "files that depend on each other in a circle:\n{told}");
    let gone: Vec<_> =
        KNOWN.iter().filter(|(root, files)| !found.iter().any(|(r, f)| r == root && f == files)).collect();
    assert!(gone.is_empty(), "no circle any more, so take it from the list: {gone:#?}");
}

/// Inside tcp/ methods count too: a type whose methods are spread over files is no way round the rule.
#[test]
fn no_arrow_points_up_inside_tcp() {
    let root = files::root();
    let tcp = Path::new("capsules/net/src/tcp");
    let graph = modules::read(&root, &PathBuf::from("capsules/net/src/lib.rs"), Methods::Apart).unwrap();
    assert!(graph.files.iter().filter(|file| file.starts_with(tcp)).count() > 10);
    let told: Vec<String> =
        graph.cycles(|file| file.starts_with(tcp)).iter().map(|group| graph.explain(group).join("\n")).collect();
    assert!(told.is_empty(), "circles inside tcp/:\n{}", told.join("\n\n"));
}
