//! A static that somebody puts where it does not belong is found wherever that is.
//!
//! A copy of the tree is changed and built, once for all: with a buffer in a capsule, a chip, the kernel, the board and
//! a foreign library, and with one socket more than the board has.

use crate::kernel;
use slopos_audit::{Audit, account};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of each planted buffer.
const BYTES: u64 = 64;
/// The buffer: some start as zeros and some do not, for these go to different sections.
const ZEROS: &str = "\n#[used]\nstatic PLANTED: [core::sync::atomic::AtomicU64; 8] =\n    \
    [const { core::sync::atomic::AtomicU64::new(0) }; 8];\n";
const ONES: &str = "\n#[used]\nstatic PLANTED: [core::sync::atomic::AtomicU64; 8] =\n    \
    [const { core::sync::atomic::AtomicU64::new(1) }; 8];\n";

/// Where the buffers are planted, and what the audit has to call them.
const PLACES: [(&str, &str, &str); 4] = [
    ("capsules/net/src/lib.rs", ZEROS, "slopos_net::PLANTED"),
    ("chips/virtio/src/lib.rs", ONES, "slopos_virtio::PLANTED"),
    ("kernel/src/lib.rs", ZEROS, "slopos_kernel::PLANTED"),
    ("boards/pc/src/lib.rs", ONES, "slopos_board_pc::PLANTED"),
];

/// The root of the tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().expect("the root of the tree")
}

/// Copies a folder without what is built, and without what git keeps.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "target" || name == "build" {
            continue;
        }
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(&name));
        } else {
            fs::copy(entry.path(), to.join(&name)).expect("copied");
        }
    }
}

/// Adds text to a file.
fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    fs::write(path, old + text).expect("written");
}

/// Replaces a text that is there once.
fn replace(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    assert_eq!(text.matches(old).count(), 1, "{} has {old:?} not once", path.display());
    fs::write(path, text.replace(old, new)).expect("written");
}

/// Builds the board of a tree and returns its kernel.
///
/// The output folder is one of its own: cargo names what it builds by the place within a tree, not by the tree, and
/// would take a planted crate for the board's.
fn build(tree: &Path) -> PathBuf {
    let environment = fs::read_to_string(root().join("build/toolchain.env")).expect("run ./just setup first");
    let toolchain = environment.trim().strip_prefix("BARE_TOOLCHAIN=").expect("the toolchain").to_owned();
    let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let output = output.join("bare-planted");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--release",
        "--target",
        "x86_64-unknown-none",
        "-p",
        "slopos-board-qemu-q35",
        "--target-dir",
    ]);
    cargo.arg(&output).current_dir(tree).env("DEFMT_LOG", "info").env_remove("CARGO_TARGET_DIR");
    cargo.env("SLOPOS_MANIFEST", tree.join("boards/qemu_q35/board.toml"));
    // Paths as tools/setup/bare.sh has them written, for what is declared where is compared. The library's own do not
    // matter.
    cargo
        .env("RUSTC_WRAPPER", tree.join("tools/setup/rustc_remapped.sh"))
        .env("SLOPOS_ROOT", tree.canonicalize().expect("a folder"));
    cargo.env("SLOPOS_LIBRARY", "/nowhere").env("SLOPOS_COMPILER", "none").env_remove("SLOPOS_WRAPPER");
    if !toolchain.is_empty() {
        cargo.env("RUSTUP_TOOLCHAIN", root().join(toolchain));
    }
    let built = cargo.output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    output.join("x86_64-unknown-none/release/qemu_q35")
}

/// The audit of the board with everything planted, and the texts of what it has to find.
fn planted(folder: &Path) -> Audit {
    let tree = folder.join("tree");
    copy(&root(), &tree);
    // How kernels are compiled.
    copy(&root().join(".cargo"), &tree.join(".cargo"));
    for (file, text, _) in PLACES {
        append(&tree.join(file), text);
    }
    // The library lies outside the tree, as one from a registry does.
    let library = folder.join("library");
    fs::create_dir_all(library.join("src")).expect("a folder");
    fs::write(
        library.join("Cargo.toml"),
        "[package]\nname = \"foreign\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n",
    )
    .expect("written");
    fs::write(library.join("src/lib.rs"), format!("#![no_std]{ONES}")).expect("written");
    replace(
        &tree.join("kernel/Cargo.toml"),
        "\n[dependencies]\n",
        "\n[dependencies]\nforeign = { path = \"../../library\" }\n",
    );
    append(&tree.join("kernel/src/lib.rs"), "use foreign as _;\n");
    replace(&tree.join("boards/qemu_q35/board.toml"), "sockets = 4", "sockets = 5");

    let (image, manifest) = slopos_audit::read(&build(&tree)).unwrap_or_else(|why| panic!("{why:#}"));
    account::audit(&image, &manifest)
}

#[test]
fn what_is_planted_is_found_and_one_socket_more_is_one_process_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = planted(folder.path());
    assert!(!found.passes());
    let names = PLACES.iter().map(|(_, _, name)| *name).chain(["foreign::PLANTED"]);
    for name in names.clone() {
        let lost = found.unaccounted.iter().find(|lost| lost.what == name);
        let lost = lost.unwrap_or_else(|| panic!("{name} was not found\n{:#?}", found.unaccounted));
        assert_eq!(lost.bytes, BYTES, "{name}");
        assert!(lost.section == ".data" || lost.section == ".bss", "{name} in {}", lost.section);
        assert!(lost.declared.contains(".rs:"), "{name} declared at {:?}", lost.declared);
        assert!(found.problems.iter().any(|problem| problem.contains(name)), "{:#?}", found.problems);
    }
    assert_eq!(found.unaccounted_bytes, names.count() as u64 * BYTES, "{:#?}", found.unaccounted);

    // The socket that was added: its process has the bytes of one socket more, and nobody else has any.
    let (image, manifest) = kernel("qemu_q35");
    let before = account::audit(&image, &manifest);
    assert_eq!(found.shared, before.shared);
    for (before, after) in before.processes.iter().zip(&found.processes) {
        assert_eq!((&before.name, &before.memory), (&after.name, &after.memory));
        if before.name != "webget" {
            assert_eq!(before.grants, after.grants);
            continue;
        }
        for (before, after) in before.grants[0].rows.iter().zip(&after.grants[0].rows) {
            assert_eq!(before.what, after.what);
            match before.count {
                0 if before.what == "flags of cells" || before.what == "padding" => {}
                0 => assert_eq!(before.bytes, after.bytes, "{}", before.what),
                count => assert_eq!(after.bytes, before.bytes / count * (count + 1), "{}", before.what),
            }
        }
    }
}
