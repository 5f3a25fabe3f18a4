//! A log that was saved, as without our tools, is decoded with the kernel that wrote it and with no other. A log that is
//! lines of text says what the same log says as frames.

use slopos_e2e::built;
use slopos_log::lines::{Texts, Values};
use slopos_run::{Decoder, Event, Line, decode};
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
    let (lines, ended) = whole_lines(image, log, partial);
    (lines.into_iter().map(|line| line.text).collect(), ended)
}

/// The same with times and levels.
fn whole_lines(image: &str, log: &[u8], partial: bool) -> (Vec<Line>, Result<(), String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("com2");
    std::fs::write(&file, log).expect("written");
    let mut lines = Vec::new();
    let decoder = Decoder::from_elf(Path::new(&built(&format!("{image}.elf")))).expect("a kernel");
    let ended = decode(&decoder, &file, partial, |event| {
        if let Event::Log(line) = event {
            lines.push(line);
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

/// The index and the values in a frame, without the zero at its end: the reverse of rzCOBS.
fn values(frame: &[u8]) -> Vec<u8> {
    let mut values = Vec::new();
    let mut bytes = frame.iter().rev().copied();
    while let Some(head) = bytes.next() {
        match head {
            // For each of seven bytes, the first in the lowest bit, whether it is a zero.
            0x01..=0x7f => {
                for place in (0..7).rev() {
                    values.push(if head & 1 << place == 0 { bytes.next().expect("a whole frame") } else { 0 });
                }
            }
            // So many bytes and then a zero.
            0x80..=0xfe => {
                values.push(0);
                values.extend(bytes.by_ref().take(usize::from(head & 0x7f) + 7));
            }
            0xff => values.extend(bytes.by_ref().take(134)),
            0 => panic!("a zero within a frame"),
        }
    }
    values.reverse();
    values
}

#[test]
fn a_kernel_s_frames_are_the_same_lines_when_it_shows_them_itself() {
    for image in ["qemu_q35", "qemu_q35-test"] {
        let log = saved(image);
        let kernel = std::fs::read(built(&format!("{image}.elf"))).expect("a kernel");
        let table = slopos_texts::table(&slopos_texts::entries(&kernel).expect("texts")).expect("what can be shown");
        let show = |frame: &[u8]| {
            let mut collected = Values::new();
            collected.push(&values(frame));
            let mut line = String::new();
            collected.write(Texts::new(&table), &mut line).expect("a String takes all");
            line
        };
        // The first frame is the build id.
        let frames = log.split(|&byte| byte == 0).skip(1).filter(|frame| !frame.is_empty());
        let (decoded, ended) = whole_lines(image, &log, false);
        assert_eq!(ended, Ok(()));
        assert!(decoded.len() > 3, "{decoded:?}");
        assert_eq!(
            frames.map(show).collect::<Vec<_>>(),
            decoded.iter().map(|line| line.show(true)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_board_whose_log_is_text_says_what_another_says_in_frames() {
    let text = saved("qemu_q35-text");
    let shown = String::from_utf8(text.clone()).expect("lines of text");
    assert!(shown.starts_with("SlopOS log, build ") && shown.ends_with("\r\n"), "{shown}");
    // The figures are those of another image and another moment.
    let shape = |line: &Line| {
        let digit = |character: char| if character.is_ascii_hexdigit() { '#' } else { character };
        let words: Vec<_> = line
            .text
            .split_inclusive([' ', '='])
            .map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
                true => word.chars().map(digit).collect::<String>().replace("##", "#").replace("##", "#"),
                false => word.to_owned(),
            })
            .collect();
        (line.level, words.concat())
    };
    let (own, ended) = whole_lines("qemu_q35-text", &text, false);
    assert_eq!(ended, Ok(()));
    // Each is there, as it is.
    for line in &own {
        assert!(shown.contains(&format!("\n{}\r\n", line.show(true))), "{line:?} in {shown}");
    }
    let (frames, ended) = whole_lines("qemu_q35", &saved("qemu_q35"), false);
    assert_eq!(ended, Ok(()));
    assert_eq!(own.iter().map(shape).collect::<Vec<_>>(), frames.iter().map(shape).collect::<Vec<_>>());
    // Neither kernel takes the other's log for its own.
    for (image, log) in [("qemu_q35", &text), ("qemu_q35-text", &saved("qemu_q35"))] {
        let (said, ended) = lines(image, log, false);
        assert_eq!(said, Vec::<String>::new());
        let why = ended.expect_err("another kernel");
        assert!(why.contains("the log is of build ") && why.contains(&format!("{image}.elf is build ")), "{why}");
    }
    // Cut at any place, it says no line that was not said.
    let whole: Vec<String> = own.into_iter().map(|line| line.text).collect();
    for length in (0..text.len()).step_by(7) {
        let (cut, ended) = lines("qemu_q35-text", &text[..length], false);
        assert_eq!(ended.is_ok(), length > 0 && text[length - 1] == b'\n', "{length} bytes");
        let said = cut.len() - usize::from(cut.last().is_some_and(|line| line.starts_with("run: ")));
        assert_eq!(cut[..said], whole[..said], "{length} bytes");
    }
}
