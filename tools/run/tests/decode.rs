//! Frames decoded with an ELF that is made here, as the kernel's linker makes one.

use object::write::{Object, StandardSegment, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use slopos_run::{Decoded, Decoder, Line};
use std::path::PathBuf;
use std::process::Command;

/// The text of a log message's symbol: `defmt` keeps format strings in symbol names.
fn message(tag: &str, format: &str) -> String {
    format!(r#"{{"package":"p","tag":"{tag}","data":"{format}","disambiguator":"1","crate_name":"c"}}"#)
}

/// The build id of the tests' kernel.
const BUILD: [u8; 4] = [0x00, 0x9a, 0xbc, 0xff];

/// An ELF with these messages, the first at index 1.
fn elf(messages: &[String], encoding: &str) -> Vec<u8> {
    elf_of_build(BUILD, messages, encoding)
}

/// The same of another build.
fn elf_of_build(build: [u8; 4], messages: &[String], encoding: &str) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let segment = object.segment_name(StandardSegment::Data).to_vec();
    let section = object.add_section(segment.clone(), b".defmt".to_vec(), SectionKind::ReadOnlyData);
    object.append_section_data(section, &[0; 64], 1);
    // System V ABI, "Note Section": the lengths of owner and content, a type (NT_GNU_BUILD_ID), then both.
    let note = object.add_section(segment.clone(), b".note.gnu.build-id".to_vec(), SectionKind::Note);
    let head = [4_u32, 4, 3].map(u32::to_le_bytes).concat();
    object.append_section_data(note, &[&head[..], b"GNU\0", &build].concat(), 4);
    let mut symbol = |name: &str, value, section| {
        object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: 1,
            kind: SymbolKind::Data,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        });
    };
    symbol("_defmt_version_ = 4", 0, SymbolSection::Absolute);
    symbol(&format!("_defmt_encoding_ = {encoding}"), 0, SymbolSection::Absolute);
    for (index, name) in (1..).zip(messages) {
        symbol(name, index, SymbolSection::Section(section));
    }
    object.write().expect("an ELF file")
}

/// Encodes a frame with rzCOBS: groups of seven bytes lose their zeros and gain a byte that says where they were.
fn rzcobs(frame: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for group in frame.chunks(7) {
        let mut zeros = 0;
        for place in 0..7 {
            match group.get(place) {
                Some(&byte) if byte != 0 => encoded.push(byte),
                _ => zeros |= 1 << place,
            }
        }
        assert_ne!(zeros, 0, "a group without zeros is encoded in another way, which these tests do not need");
        encoded.push(zeros);
    }
    encoded.push(0);
    encoded
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Folder {
        Folder { folder: tempfile::tempdir().expect("a folder") }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

/// Messages 1 and 2 of the tests, and a time stamp in milliseconds.
fn messages() -> [String; 3] {
    [
        message("defmt_info", "arp: gateway {=u8} is-at {=u8}"),
        message("defmt_warn", "short"),
        message("defmt_timestamp", "{=u8:ms}"),
    ]
}

/// What a stream gave, all of which has to be lines.
fn lines(events: Vec<Decoded>) -> Vec<Line> {
    let line = |event| match event {
        Decoded::Line(line) => line,
        other => panic!("{other:?} is no line"),
    };
    events.into_iter().map(line).collect()
}

fn line(time: &str, level: &'static str, text: &str) -> Line {
    Line { time: Some(time.into()), level: Some(level), text: text.into() }
}

#[test]
fn frames_become_lines_however_they_are_cut() {
    let folder = Folder::new();
    let kernel = folder.write("kernel.elf", &elf(&messages(), "rzcobs"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let bytes = [rzcobs(&[1, 0, 250, 2, 42]), rzcobs(&[2, 0, 251])].concat();
    let expected = [line("0.250", "info", "arp: gateway 2 is-at 42"), line("0.251", "warn", "short")];
    for size in 1..=bytes.len() {
        let mut stream = decoder.stream();
        let lines: Vec<_> = bytes.chunks(size).flat_map(|piece| lines(stream.push(piece))).collect();
        assert_eq!(lines, expected, "cut into pieces of {size}");
        assert_eq!(stream.finish(), None);
    }
}

#[test]
fn text_of_processes_is_no_line_and_nothing_else_is_taken_for_it() {
    let folder = Folder::new();
    let messages = [
        message("defmt_println", "process text {=[u8]:02x}"),
        message("defmt_info", "process text {=[u8]:02x}"),
        message("defmt_println", "another {=[u8]:02x}"),
        message("defmt_timestamp", "{=u8:ms}"),
    ];
    let kernel = folder.write("kernel.elf", &elf(&messages, "rzcobs"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let text = b"\0ab\r\n\xff\x1b[";
    let frames = (1..=3).map(|index| rzcobs(&[&[index, 0, 1, text.len() as u8, 0, 0, 0], &text[..]].concat()));
    let mut stream = decoder.stream();
    let events = stream.push(&frames.collect::<Vec<_>>().concat());
    let other = |level, text: &str| Decoded::Line(Line { time: Some("0.001".into()), level, text: text.into() });
    let digits = "[00, 61, 62, 0d, 0a, ff, 1b, 5b]";
    let expected = [
        Decoded::Text(text.to_vec()),
        other(Some("info"), &format!("process text {digits}")),
        other(None, &format!("another {digits}")),
    ];
    assert_eq!(events, expected);
    assert_eq!(stream.finish(), None);
}

#[test]
fn what_cannot_be_decoded_is_told_and_the_rest_goes_on() {
    let folder = Folder::new();
    let kernel = folder.write("kernel.elf", &elf(&messages(), "rzcobs"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let mut stream = decoder.stream();
    let lines = lines(stream.push(&[rzcobs(&[9, 0, 1]), rzcobs(&[2, 0, 7]), vec![5, 5]].concat()));
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["run: frame 1 on COM2 that this ELF does not explain", "short"]);
    let rest = stream.finish().expect("two bytes are left");
    assert_eq!(rest.text, "run: 2 bytes on COM2 after the last whole frame");
    assert_eq!(rest.level, Some("error"));
}

#[test]
fn a_stream_without_the_end_of_a_frame_is_not_kept_for_ever() {
    let folder = Folder::new();
    let kernel = folder.write("kernel.elf", &elf(&messages(), "rzcobs"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let mut stream = decoder.stream();
    let told: Vec<_> = (0..48).flat_map(|_| lines(stream.push(&[5; 65_536]))).collect();
    let texts: Vec<_> = told.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["run: 1048576 bytes on COM2 without the end of a frame"]);
    // What comes after the end of it is decoded again.
    let lines = lines(stream.push(&[vec![0], rzcobs(&[2, 0, 7])].concat()));
    assert_eq!(lines.last().map(|line| line.text.as_str()), Some("short"));
}

#[test]
fn a_log_of_any_bytes_is_decoded_or_told() {
    let folder = Folder::new();
    let kernel = folder.write("kernel.elf", &elf(&messages(), "rzcobs"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        let mut stream = decoder.stream();
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                // Small numbers, which are messages, and ends of frames more often than chance would have it.
                if seed.is_multiple_of(3) { (seed >> 32) as u8 % 4 } else { (seed >> 32) as u8 }
            })
            .collect();
        let lines = stream.push(&bytes);
        assert!(lines.len() <= bytes.len());
        stream.finish();
    }
}

#[test]
fn an_elf_without_log_data_says_so_once() {
    let folder = Folder::new();
    let object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let kernel = folder.write("kernel.elf", &object.write().expect("an ELF file"));
    let decoder = Decoder::from_elf(&kernel).expect("a decoder");
    let mut stream = decoder.stream();
    assert_eq!(stream.push(b"any"), []);
    assert_eq!(
        stream.finish().map(|line| line.text),
        Some("run: 3 bytes on COM2 and no defmt data in the ELF to decode them with".into())
    );
    assert_eq!(decoder.stream().finish(), None);
}

/// A log's first frame.
fn beginning(build: &str) -> Vec<u8> {
    format!("SlopOS log, build {build}\0").into_bytes()
}

/// The log of the tests' kernel: two lines.
fn log() -> Vec<u8> {
    [beginning("009abcff"), rzcobs(&[1, 0, 250, 2, 42]), rzcobs(&[2, 0, 251])].concat()
}

/// Its lines, as they are shown.
const LINES: &str = "arp: gateway 2 is-at 42\nwarning: short\n";

/// What `run --decode` makes of such a file, with the tests' kernel: exit code, output, complaints.
fn decode(saved: &[u8], more: &[&str]) -> (Option<i32>, String, String) {
    let folder = Folder::new();
    folder.write("board.elf", &elf(&messages(), "rzcobs"));
    let saved = folder.write("com2", saved);
    let image = folder.folder.path().join("board");
    let mut command = Command::new(env!("CARGO_BIN_EXE_run"));
    command.arg("--image").arg(image).arg("--decode").arg(&saved).args(more);
    let output = command.output().expect("run runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_saved_com2_is_decoded_by_the_command() {
    assert_eq!(decode(&log(), &[]), (Some(0), LINES.into(), String::new()));
    let times = "       0.250 info  arp: gateway 2 is-at 42\n       0.251 warn  short\n";
    assert_eq!(decode(&log(), &["--times"]), (Some(0), times.into(), String::new()));
    // A board that was reset, and logs into the same file.
    assert_eq!(decode(&[log(), log()].concat(), &[]), (Some(0), LINES.repeat(2), String::new()));
}

#[test]
fn the_log_of_another_kernel_is_refused() {
    let other = [beginning("deadbeef"), rzcobs(&[2, 0, 251])].concat();
    for more in [&[][..], &["--partial"]] {
        let (code, output, words) = decode(&other, more);
        assert_eq!((code, output.as_str()), (Some(1), ""));
        assert!(words.contains("the log is of build deadbeef, and ") && words.contains("is build 009abcff"), "{words}");
    }
    // What this kernel wrote before stands.
    let (code, output, _) = decode(&[log(), other].concat(), &[]);
    assert_eq!((code, output.as_str()), (Some(1), LINES));
}

#[test]
fn what_is_no_log_is_refused() {
    let no_log = std::fs::read(env!("CARGO_BIN_EXE_run")).expect("a program");
    let frames_alone = rzcobs(&[2, 0, 251]);
    for (saved, complaint) in [
        (&b""[..], "is empty: no kernel has written to it"),
        (b"# A page of text, without any zero.\n", "it is no log of this system, or its beginning is missing"),
        (&no_log, "it is no log of this system, or its beginning is missing"),
        (&frames_alone, "it is no log of this system, or its beginning is missing"),
    ] {
        let (code, output, words) = decode(saved, &[]);
        assert_eq!((code, output.as_str()), (Some(1), ""));
        assert!(words.contains(complaint), "{words}");
    }
}

#[test]
fn of_a_cut_or_damaged_log_what_is_whole_is_decoded() {
    let whole = log();
    for length in 1..whole.len() {
        let (code, output, words) = decode(&whole[..length], &[]);
        // Where a frame ends nobody can see that more was there.
        let cut = whole[length - 1] != 0;
        assert_eq!(code, Some(cut.into()), "{length}: {words}");
        assert_eq!(words.contains("ends within a frame"), cut, "{length}: {words}");
        let lines = output.lines().filter(|line| !line.starts_with("error: run: ")).collect::<Vec<_>>();
        assert!(LINES.starts_with(&lines.join("\n")), "{length}: {output}");
    }
    let damaged = [beginning("009abcff"), rzcobs(&[9, 0, 1]), rzcobs(&[2, 0, 251])].concat();
    let (code, output, words) = decode(&damaged, &[]);
    let expected = "error: run: frame 1 on COM2 that this ELF does not explain\nwarning: short\n";
    assert_eq!((code, output.as_str()), (Some(1), expected));
    assert!(words.contains("is damaged: 1 of its frames"), "{words}");
}

#[test]
fn a_log_without_its_beginning_is_decoded_where_that_is_asked_for() {
    // The second part of a frame could be another frame, so it is left out.
    let ring = [&rzcobs(&[2, 0, 250])[1..], &rzcobs(&[1, 0, 250, 2, 42]), &rzcobs(&[2, 0, 251])].concat();
    assert_eq!(decode(&ring, &[]).0, Some(1));
    assert_eq!(decode(&ring, &["--partial"]), (Some(0), LINES.into(), String::new()));
    assert_eq!(decode(&log(), &["--partial"]), (Some(0), LINES.into(), String::new()));
}

#[test]
fn the_first_frame_is_no_line() {
    let folder = Folder::new();
    let kernel = folder.write("kernel.elf", &elf(&messages(), "rzcobs"));
    let other = folder.write("other.elf", &elf_of_build([1; 4], &messages(), "rzcobs"));
    let decoded = |kernel, size| {
        let decoder = Decoder::from_elf(kernel).expect("a decoder");
        let mut stream = decoder.stream();
        let decoded: Vec<_> = log().chunks(size).flat_map(|piece| lines(stream.push(piece))).collect();
        (decoded, stream.refusal().map(str::to_owned))
    };
    for size in 1..40 {
        let expected = [line("0.250", "info", "arp: gateway 2 is-at 42"), line("0.251", "warn", "short")];
        assert_eq!(decoded(&kernel, size), (expected.to_vec(), None));
        let (nothing, refusal) = decoded(&other, size);
        assert_eq!(nothing, []);
        assert!(refusal.expect("a refusal").contains("is build 01010101"));
    }
}
