//! Compiles the plugin, as a shared library that QEMU loads.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=plugin.c");
    println!("cargo:rerun-if-env-changed=CC");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let library = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("count.so");
    let status = Command::new(&compiler)
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-o"])
        .arg(&library)
        .arg("plugin.c")
        .status()
        .unwrap_or_else(|why| panic!("cannot start {compiler}: {why}"));
    assert!(status.success(), "{compiler} could not compile plugin.c: {status}");
    println!("cargo:rustc-env=COUNT_PLUGIN={}", library.display());
}
