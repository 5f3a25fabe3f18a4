//! The `flash` command as a script sees it: its exit status and its words.

use std::path::Path;
use std::process::{Command, Output};

const BOARD: &str = r#"
[board]
name = "b"
network_budget = "0 B"
max_frame = 1514
flash_size = "64 KiB"
[[process]]
name = "missing"
app = "missing"
ram = "16 KiB"
stack = "4 KiB"
"#;

fn flash(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flash")).current_dir(folder).args(arguments).output().expect("flash runs")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_failure_is_told_and_leaves_no_image() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("board.toml"), BOARD).expect("written");
    let build = ["build", "--manifest", "board.toml", "--apps", ".", "--output", "b.img"];

    let output = flash(folder.path(), &build);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("cannot read ./missing"), "{}", words(&output));

    std::fs::write(folder.path().join("missing"), "not a program").expect("written");
    let output = flash(folder.path(), &build);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("app `missing`: not a 64-bit little-endian ELF file"), "{}", words(&output));
    assert!(!folder.path().join("b.img").exists());
}

#[test]
fn what_is_no_image_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("zeros"), vec![0; 65_536]).expect("written");
    for command in ["list", "verify"] {
        let output = flash(folder.path(), &[command, "zeros"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(words(&output).contains("zeros: no flash map"), "{}", words(&output));
    }
}
