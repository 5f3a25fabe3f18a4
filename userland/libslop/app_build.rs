//! The build script of each app: links it by `link.ld`, at its fixed address.
//!
//! An app names this file in its manifest (`build = "../../libslop/app_build.rs"`, or wherever libslop lies), so there is
//! one copy of it.

use std::env;
use std::fs;
use std::path::Path;

/// In the script itself, for an app outside of the tree does not say where libslop is.
const LINK_SCRIPT: &str = include_str!("link.ld");

fn main() {
    // All that it depends on is compiled into it.
    println!("cargo:rerun-if-changed=Cargo.toml");
    // On the host an app's binary only has to compile, for the linter's sake.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let out = env::var_os("OUT_DIR").expect("cargo names a folder for what a build script writes");
    let script = Path::new(&out).join("link.ld");
    fs::write(&script, LINK_SCRIPT).unwrap_or_else(|why| panic!("cannot write {}: {why}", script.display()));
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=--no-pie");
    println!("cargo:rustc-link-arg-bins=--build-id=sha1");
}
