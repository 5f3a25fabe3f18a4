//! The commands as a script sees them: exit status, output and complaints.

#[path = "kernel/mod.rs"]
mod kernel;

use kernel::{COM1, COM2, FOR_EVER, exit, kernel, write_port};
use std::path::Path;
use std::process::{Command, Stdio};

/// The `run` command on the folder's kernel; returns its exit code, its output and its complaints.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_run"))
        .arg("--image")
        .arg(folder.join("kernel"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("run runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder with a kernel of this code and an empty flash.
fn folder(code: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    kernel(folder.path(), code);
    std::fs::write(folder.path().join("kernel.img"), vec![0; 65_536]).expect("written");
    folder
}

#[test]
fn codes_and_words_are_passed_on() {
    let folder = folder(&[write_port(COM1, b"hello\nend"), exit(16 + 7)].concat());
    let transcript = folder.path().join("log");
    let name = transcript.to_str().expect("a name");
    let plain = ["--net", "none", "--timeout", "60", "--transcript", name];
    assert_eq!(run(folder.path(), &plain), (Some(47), "hello\nend\n".into(), String::new()));
    assert_eq!(std::fs::read_to_string(&transcript).expect("a transcript"), "hello\nend\n");
    assert_eq!(run(folder.path(), &["--net", "none", "--status"]), (Some(7), "hello\nend\n".into(), String::new()));
    // Interactive without a terminal: bytes pass unchanged, and the end of the input does not end the board.
    assert_eq!(run(folder.path(), &["--net", "none", "--interactive"]).1, "hello\nend");
}

#[test]
fn both_ports_make_one_log() {
    let folder = folder(&[write_port(COM1, b"a\n"), write_port(COM2, &[7]), exit(16)].concat());
    let (code, output, _) = run(folder.path(), &["--net", "none"]);
    assert_eq!(code, Some(33));
    let mut lines: Vec<_> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "error: run: 1 bytes on COM2 and no defmt data in the ELF to decode them with"]);
}

#[test]
fn console_text_cannot_pass_for_another_s_line() {
    let text = b"error: gone\nqemu: x\n\x1b[1Aplain\rrun: x\nrun: y\n";
    let folder = folder(&[write_port(COM1, text), exit(16)].concat());
    let transcript = folder.path().join("log");
    let name = transcript.to_str().expect("a name");
    let expected = "| error: gone\n| qemu: x\n\\x1b[1Aplain\\x0drun: x\n| run: y\n";
    let (_, output, _) = run(folder.path(), &["--net", "none", "--transcript", name]);
    assert_eq!(output, expected);
    assert_eq!(std::fs::read_to_string(&transcript).expect("a transcript"), expected);
    assert_eq!(run(folder.path(), &["--net", "none", "--raw"]).1.as_bytes(), text);
    // A person's terminal gets no such sequence either.
    let interactive = run(folder.path(), &["--net", "none", "--interactive"]).1;
    assert_eq!(interactive, "error: gone\nqemu: x\n\\x1b[1Aplain\rrun: x\nrun: y\n");
}

#[test]
fn a_command_line_that_the_loader_cannot_take_is_refused() {
    let folder = folder(&exit(16));
    let long = "x".repeat(slopos_run::COMMAND_LINE_MAX + 1);
    let (code, _, words) = run(folder.path(), &["--append", &long]);
    assert_eq!(code, Some(1));
    assert!(words.contains("has 4096 bytes, and QEMU's loader takes 4095 at most"), "{words}");
    assert_eq!(run(folder.path(), &["--net", "none", "--append", &long[1..]]).0, Some(33));
}

#[test]
fn a_stop_has_its_reason() {
    let endless = folder(&[&write_port(COM1, b"up")[..], &FOR_EVER].concat());
    let (code, output, _) = run(endless.path(), &["--net", "none", "--timeout", "3", "--status"]);
    assert_eq!((code, output.as_str()), (Some(124), "up\nrun: stopped after 3 s, the board did not exit\n"));

    let panicking = folder(&exit(1));
    let (code, _, words) = run(panicking.path(), &["--net", "none", "--status"]);
    assert_eq!((code, words.as_str()), (Some(125), "run: the kernel panicked\n"));
    assert_eq!(run(panicking.path(), &["--net", "none"]).0, Some(3));
}

#[test]
fn qemu_gets_the_arguments_after_two_dashes() {
    let folder = folder(&exit(16));
    let (code, output, words) = run(folder.path(), &["--status", "--", "-no-such-option"]);
    assert_eq!(code, Some(125));
    assert!(output.contains("qemu: ") && output.contains("no-such-option"), "{output}");
    assert!(words.contains("QEMU ended with code 1 before the board exited"), "{words}");
}

#[test]
fn a_missing_qemu_is_named_with_the_cure() {
    let folder = folder(&exit(16));
    let output = Command::new(env!("CARGO_BIN_EXE_run"))
        .arg("--image")
        .arg(folder.path().join("kernel"))
        .env("QEMU", "/no/such/qemu")
        .output()
        .expect("run runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains("/no/such/qemu is not installed; run ./just setup"), "{words}");
}

#[test]
fn an_address_that_the_board_cannot_be_told_is_refused() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_fetch")).args(["--", "http://10.0.2.2/a\"b"]).output().expect("fetch runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot hold"));
}

#[test]
fn a_fetch_ends_with_the_status_of_its_command() {
    let folder = folder(&[write_port(COM1, b"done\n"), exit(16 + 22)].concat());
    let output = Command::new(env!("CARGO_BIN_EXE_fetch"))
        .arg("--image")
        .arg(folder.path().join("kernel"))
        .args(["--", "http://10.0.2.2:1/"])
        .output()
        .expect("fetch runs");
    assert_eq!(output.status.code(), Some(22), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}
