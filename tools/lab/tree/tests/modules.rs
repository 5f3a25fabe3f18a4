//! No two files depend on each other in a cycle; `slopos_tree::modules` says what counts as a dependency.

use std::path::Path;

use slopos_tree::modules::{self, Methods};
use slopos_tree::{files, packages};

#[test]
fn no_files_of_a_crate_depend_on_each_other_in_a_cycle() {
    let root = files::root();
    let mut told = String::new();
    let mut read = 0;
    for target in packages::all(&root).unwrap().iter().flat_map(|package| &package.targets) {
        let graph = modules::read(&root, &target.file, Methods::Ignored).unwrap();
        read += graph.files.len();
        for group in graph.cycles(|_| true) {
            told += &format!("{}:\n    {}\n", target.file.display(), graph.explain(&group).join("\n    "));
        }
    }
    assert!(read > 300, "only {read} files were read");
    assert!(told.is_empty(), "files that depend on each other in a cycle:\n{told}");
}

/// Inside tcp/ methods count too: a type whose methods are spread over files is no way round the rule.
#[test]
fn no_arrow_points_up_inside_tcp() {
    let root = files::root();
    let tcp = Path::new("capsules/net/src/tcp");
    let graph = modules::read(&root, "capsules/net/src/lib.rs".as_ref(), Methods::Apart).unwrap();
    assert!(graph.files.iter().filter(|file| file.starts_with(tcp)).count() > 10);
    let told: Vec<String> =
        graph.cycles(|file| file.starts_with(tcp)).iter().map(|group| graph.explain(group).join("\n")).collect();
    assert!(told.is_empty(), "cycles inside tcp/:\n{}", told.join("\n\n"));
}

/// What each layer may stand on: folders, by what their path begins with. Build scripts and tests are left out.
const LAYERS: [(&str, &[&str]); 9] = [
    // What both sides of the system calls link, and knows nothing of either.
    ("lib", &["lib"]),
    ("kernel/abi", &[]),
    ("kernel", &["kernel"]),
    ("capsules", &["kernel"]),
    ("chips", &["kernel", "chips", "lib"]),
    ("boards", &["kernel", "capsules", "chips", "boards", "lib"]),
    ("userland", &["kernel/abi", "userland", "lib"]),
    ("tools/lab", &["kernel", "capsules", "userland", "tools", "lib"]),
    // `fetch` is the front end of the board's webget, and has its options from there; `texts` writes the table that the log's
    // capsule reads.
    ("tools", &["kernel", "capsules/log", "userland/escape", "userland/apps/webget", "tools"]),
];

#[test]
fn dependencies_between_crates_point_one_way() {
    let packages = packages::all(&files::root()).unwrap();
    let mut wrong = Vec::new();
    for package in &packages {
        let (_, below) = LAYERS
            .iter()
            .find(|(layer, _)| package.folder.starts_with(layer))
            .unwrap_or_else(|| panic!("{} lies in no layer", package.folder.display()));
        for needed in packages.iter().filter(|other| package.needs.contains(&other.name)) {
            let laboratory = needed.folder.starts_with("tools/lab") && !package.folder.starts_with("tools/lab");
            if laboratory || !below.iter().any(|layer| needed.folder.starts_with(layer)) {
                wrong.push(format!("{} -> {}", package.folder.display(), needed.folder.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
