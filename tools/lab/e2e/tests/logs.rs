//! A log that was saved, as without our tools, is decoded with the kernel that wrote it and with no other.

use slopos_e2e::built;
use slopos_run::{Decoder, Event, decode};
use std::path::Path;
use std::process::Command;

/// Boots an image by QEMU alone, with its second serial port in a file; returns what was written there.
fn saved(image: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("com2");
    let qemu = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
    let mut command = Command::new(qemu);
    command.args(["-M", "q35", "-cpu", "max", "-m", "16M", "-nodefaults", "-display", "none", "-no-reboot"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-append", "exit", "-serial", "null"]);
    command.arg("-kernel").arg(built(&format!("{image}.elf"))).arg("-serial").arg(format!("file:{}", file.display()));
    assert_eq!(command.status().expect("QEMU runs").code(), Some(33));
    std::fs::read(&file).expect("a log")
}

/// The lines of a log, by the kernel of an image, and how decoding it ended.
fn lines(image: &str, log: &[u8], partial: bool) -> (Vec<String>, Result<(), String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("com2");
    std::fs::write(&file, log).expect("written");
    let mut lines = Vec::new();
    let decoder = Decoder::from_elf(Path::new(&built(&format!("{image}.elf")))).expect("a kernel");
    let ended = decode(&decoder, &file, partial, |event| {
        if let Event::Log(line) = event {
            lines.push(line.text);
        }
        Ok(())
    });
    (lines, ended.map_err(|why| format!("{why:#}")))
}

#[test]
fn the_log_of_one_kernel_is_not_decoded_with_another_ones_texts() {
    let log = saved("qemu_q35-test");
    let (whole, ended) = lines("qemu_q35-test", &log, false);
    assert_eq!(ended, Ok(()));
    assert!(whole[0].starts_with("boot: log=true memory="), "{whole:?}");
    for partial in [false, true] {
        let (other, ended) = lines("qemu_q35", &log, partial);
        assert_eq!(other, Vec::<String>::new());
        let why = ended.expect_err("another kernel");
        assert!(why.contains("the log is of build ") && why.contains("qemu_q35.elf is build "), "{why}");
    }
    // Cut at any place, it says no line that was not said.
    for length in (0..log.len()).step_by(7) {
        let (cut, ended) = lines("qemu_q35-test", &log[..length], false);
        assert_eq!(ended.is_ok(), length > 0 && log[length - 1] == 0, "{length} bytes");
        let said = cut.len() - usize::from(cut.last().is_some_and(|line| line.starts_with("run: ")));
        assert_eq!(cut[..said], whole[..said], "{length} bytes");
    }
}
