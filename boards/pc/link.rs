//! The build script of each board: gives the linker its arguments. The scripts are those that boards/pc has and writes.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=../pc/link.rs");
    // Linters read the kernel for this machine too; it is linked for its own alone.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo:rustc-link-arg-bins=use ./just build: the kernel is linked for x86_64-unknown-none alone");
        return;
    }
    // What boards/pc's build script says as `metadata`.
    let said = |key| env::var(format!("DEP_SLOPOS_BOARD_PC_{key}")).expect("boards/pc says it");
    // The package is named after its folder.
    let package = env::var("CARGO_PKG_NAME").expect("cargo sets it").replace('-', "_");
    assert_eq!(package, format!("slopos_board_{}", said("BOARD")), "the manifest is for another board");
    println!("cargo:rustc-link-search={}", said("SECTIONS"));
    for argument in ["--no-pie", "--build-id=sha1", "--orphan-handling=error", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-T{}", said("LAYOUT"));
}
