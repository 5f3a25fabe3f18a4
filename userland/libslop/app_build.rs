//! The build script of each app: links it by `link.ld`, at its fixed address.
//!
//! An app names this file in its manifest (`build = "../../libslop/app_build.rs"`), so there is one copy of it.

use std::env;
use std::path::Path;

fn main() {
    let app = env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let script = Path::new(&app).join("../../libslop/link.ld");
    let script = script.to_str().expect("the path of the work tree is UTF-8");
    println!("cargo:rerun-if-changed=../../libslop/app_build.rs");
    println!("cargo:rerun-if-changed={script}");
    // On the host an app's binary only has to compile, for the linter's sake.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T{script}");
        println!("cargo:rustc-link-arg-bins=--no-pie");
        println!("cargo:rustc-link-arg-bins=--build-id=none");
    }
}
