//! The command line: what it refuses, and how it ends.

use std::process::{Command, Output};

fn audit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audit")).args(arguments).output().expect("the tool")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_audited_ends_with_2_and_the_cure() {
    let output = audit(&["--image", "no/such/image"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("no/such/image.elf; run ./just build"), "{}", words(&output));
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("other");
    std::fs::write(image.with_extension("elf"), "not a kernel").expect("written");
    let output = audit(&["--image", &image.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("not a 64-bit ELF"), "{}", words(&output));
}

#[test]
fn a_program_that_is_no_kernel_is_told_what_it_lacks() {
    // The tool itself: an ELF with debugging information and without a manifest.
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("tool");
    std::fs::copy(env!("CARGO_BIN_EXE_audit"), image.with_extension("elf")).expect("copied");
    let output = audit(&["--image", &image.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("the section .manifest is missing"), "{}", words(&output));
}

#[test]
fn what_contradicts_itself_is_refused() {
    for arguments in [&["--live", "--dump", "x"][..], &["--qmp", "x"], &["--json", "--quiet"], &["--jsn"]] {
        assert_eq!(audit(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
