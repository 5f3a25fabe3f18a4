//! A board as `./just dist` packs it: what is in the archive, and that it boots from there as its first page says.

use object::{Object, ObjectSection};
use slopos_dist::{Board, Packed, pack};
use slopos_e2e::built;
use slopos_tree::files;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The board of board.toml, packed.
fn packed() -> Packed {
    pack(&board(), env!("CARGO_PKG_VERSION")).unwrap_or_else(|why| panic!("{why:#}"))
}

/// Where its parts are.
fn board() -> Board {
    let root = files::root();
    let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    Board {
        manifest: root.join("boards/qemu_q35/board.toml"),
        kernel: built("qemu_q35.elf"),
        apps: output.join("bare-apps/x86_64-unknown-none/release"),
        development: true,
        root,
    }
}

/// Runs a command of the shell in a folder; its exit code and what it printed.
fn shell(folder: &Path, command: &str) -> (Option<i32>, String) {
    let run = Command::new("sh").args(["-euc", command]).current_dir(folder).stdin(Stdio::null()).output();
    let output = run.expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_archive_boots_as_its_first_page_says() {
    let packed = packed();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("board.tar.gz"), &packed.bytes).expect("written");
    let (code, said) = shell(folder.path(), "tar xzf board.tar.gz");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let unpacked = folder.path().join(&packed.name);
    let (code, said) = shell(&unpacked, "sha256sum --strict --check SHA256SUMS");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().count(), packed.files.len() - 1, "each file but the sums themselves: {said}");

    let page = fs::read_to_string(unpacked.join("README.md")).expect("a first page");
    assert!(!page.contains(['{', '}']), "{page}");
    let (_, command) = page.split_once("```sh\n").expect("a command");
    let (command, _) = command.split_once("```").expect("the command's end");
    let (code, said) = shell(&unpacked, &format!("timeout 120 {command}"));
    assert_eq!(code, Some(33), "{said}");
    assert!(said.contains("10.0.2.15"), "{said}");
}

#[test]
fn a_board_that_trusts_the_development_key_is_refused_unless_that_is_asked_for() {
    let packed = packed();
    for (name, bytes) in &packed.files {
        assert!(!String::from_utf8_lossy(bytes).contains("PRIVATE KEY"), "{name} has a private key in it");
    }
    let why = pack(&Board { development: false, ..board() }, "0").err().expect("refused").to_string();
    assert!(why.contains("trusts the development key") && why.contains("--development"), "{why}");
}

#[test]
fn packing_twice_gives_the_same_archive_and_changes_are_told() {
    let (one, two) = (packed(), packed());
    assert!(one.bytes == two.bytes && one.name == two.name);
    let text = |name: &str| String::from_utf8_lossy(&one.files[name]).into_owned();
    assert_eq!(one.source.dirty, one.name.ends_with("+dirty"));
    assert_eq!(one.source.dirty, text("README.md").contains("had changes that are not in the revision"));
    assert_eq!(one.source.dirty, text("VERSION").contains(" with changes\n"));
    assert!(text("VERSION").contains(&format!("revision {}", one.source.revision)));
    assert!(text("VERSION").contains("\ncompiler rustc 1."), "{}", text("VERSION"));
}

#[test]
fn the_list_of_components_has_every_package_that_the_kernel_was_compiled_from() {
    let packed = packed();
    let list: serde_json::Value = serde_json::from_slice(&packed.files["sbom.cdx.json"]).expect("JSON");
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = list["components"].as_array().expect("components");
    let listed = |component: &serde_json::Value| {
        let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        format!("{}-{}", text("name"), text("version"))
    };
    let listed: BTreeSet<String> = components.iter().map(listed).collect();
    assert_eq!(listed.len(), components.len(), "a component is there twice");

    // The debug information names the folder of each package of which code or types are left.
    let file = object::File::parse(&*packed.files["qemu_q35.elf"]).expect("an ELF");
    let strings = file.section_by_name(".debug_str").expect("debug information").uncompressed_data().expect("strings");
    let strings = String::from_utf8_lossy(&strings);
    let compiled: BTreeSet<&str> = strings
        .split('\0')
        .filter_map(|text| text.strip_prefix("/crates/"))
        .map(|path| path.split('/').next().unwrap_or(path))
        .collect();
    assert!(compiled.len() > 5, "{compiled:?}");
    for package in compiled {
        assert!(listed.contains(package), "{package} is in the kernel and not among {listed:?}");
        assert!(packed.files.keys().any(|file| file.starts_with(&format!("licenses/{package}/"))), "{package}");
    }
    // What only runs while the board is built is not in it, and neither are tools.
    for stranger in ["syn-", "proc-macro2-", "defmt-macros-", "clap-", "serde-", "slopos-manifest-"] {
        assert!(!listed.iter().any(|name| name.starts_with(stranger)), "{stranger} is not linked into a board");
    }
    for part in ["webget-0", "slopos-kernel-0", "libslop-0", "getargs-0", "core-1", "compiler_builtins-1"] {
        assert!(listed.iter().any(|name| name.starts_with(part)), "{part} is missing in {listed:?}");
    }
}
