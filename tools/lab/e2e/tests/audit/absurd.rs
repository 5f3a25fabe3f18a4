//! A damaged or hostile ELF is refused with its reason, before memory is set aside for what it claims.

use slopos_audit::{Memory, account};
use slopos_e2e::built;

/// A kernel's file, to be spoiled.
struct Elf(Vec<u8>);

impl Elf {
    fn read() -> Elf {
        Elf(std::fs::read(built("qemu_q35.elf")).expect("a kernel"))
    }

    fn number(&self, at: usize, bytes: usize) -> u64 {
        self.0[at..at + bytes].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn put(&mut self, at: usize, bytes: usize, number: u64) {
        self.0[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..bytes]);
    }

    /// Where the program header of this number begins.
    fn program_header(&self, index: usize) -> usize {
        self.number(32, 8) as usize + index * 56
    }

    /// Where each section header begins.
    fn section_headers(&self) -> Vec<usize> {
        let (start, count) = (self.number(40, 8) as usize, self.number(60, 2) as usize);
        (0..count).map(|index| start + index * 64).collect()
    }

    /// Where the header of the section of this name begins.
    fn section(&self, name: &str) -> usize {
        let headers = self.section_headers();
        let names = self.number(headers[self.number(62, 2) as usize] + 24, 8) as usize;
        let named = |&at: &usize| {
            let text = &self.0[names + self.number(at, 4) as usize..];
            text.starts_with(name.as_bytes()) && text[name.len()] == 0
        };
        headers.into_iter().find(named).unwrap_or_else(|| panic!("no section {name}"))
    }

    /// Why it is refused; `None` where it is not, and can be audited to the end.
    fn refused(&self) -> Option<String> {
        match slopos_audit::parse(&self.0) {
            Err(why) => Some(format!("{why:#}")),
            Ok((image, manifest)) => {
                let audit = account::audit(&image, &manifest);
                assert!(audit.writable_bytes > 0 || !audit.problems.is_empty());
                None
            }
        }
    }
}

/// The offset of a field of a program header, and its bytes.
const P_OFFSET: (usize, usize) = (8, 8);
const P_VADDR: (usize, usize) = (16, 8);
const P_PADDR: (usize, usize) = (24, 8);
const P_FILESZ: (usize, usize) = (32, 8);
const P_MEMSZ: (usize, usize) = (40, 8);
/// The same of a section header.
const SH_ADDR: (usize, usize) = (16, 8);
const SH_OFFSET: (usize, usize) = (24, 8);
const SH_SIZE: (usize, usize) = (32, 8);
const SH_ADDRALIGN: (usize, usize) = (48, 8);

/// Numbers that no kernel has.
const ABSURD: [u64; 5] = [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 50, u64::MAX - 4095];

#[test]
fn absurd_segments_are_refused() {
    let good = Elf::read();
    for index in 0..good.number(56, 2) as usize {
        let at = good.program_header(index);
        if good.number(at, 4) != 1 {
            continue;
        }
        for (field, bytes) in [P_OFFSET, P_VADDR, P_FILESZ, P_MEMSZ] {
            // A segment that holds nothing of the file may say any place in it.
            if (field, bytes) == P_OFFSET && good.number(at + P_FILESZ.0, 8) == 0 {
                continue;
            }
            for number in ABSURD {
                let mut elf = Elf(good.0.clone());
                elf.put(at + field, bytes, number);
                let refused = elf.refused();
                assert!(refused.is_some(), "segment {index}, the field at {field} is {number:#x}");
            }
        }
        let mut elf = Elf(good.0.clone());
        elf.put(at + P_PADDR.0, 8, u64::MAX - 8);
        assert!(elf.refused().is_some(), "segment {index}");
    }
}

#[test]
fn absurd_sections_are_refused() {
    let good = Elf::read();
    for (name, fields) in [
        (".text", &[SH_ADDR, SH_SIZE, SH_ADDRALIGN][..]),
        (".shared.net", &[SH_ADDR, SH_SIZE, SH_ADDRALIGN]),
        (".grant.webget.net", &[SH_ADDR, SH_SIZE, SH_ADDRALIGN]),
        (".manifest", &[SH_OFFSET, SH_SIZE]),
        (".note.gnu.build-id", &[SH_ADDR, SH_SIZE, SH_OFFSET]),
        (".debug_info", &[SH_OFFSET, SH_SIZE]),
        (".debug_str", &[SH_OFFSET, SH_SIZE]),
        (".symtab", &[SH_OFFSET, SH_SIZE]),
        (".strtab", &[SH_OFFSET, SH_SIZE]),
    ] {
        let at = good.section(name);
        for &(field, bytes) in fields {
            for number in ABSURD {
                let mut elf = Elf(good.0.clone());
                elf.put(at + field, bytes, number);
                assert!(elf.refused().is_some(), "{name}, the field at {field} is {number:#x}");
            }
        }
    }
    let mut elf = Elf(good.0.clone());
    elf.put(good.section(".shared.net") + SH_ADDRALIGN.0, 8, 3);
    assert_eq!(elf.refused().as_deref(), Some("the section .shared.net claims an alignment of 3"));
}

#[test]
fn an_absurd_symbol_is_refused() {
    let mut elf = Elf::read();
    let symbols = elf.section(".symtab");
    let (start, size) = (elf.number(symbols + SH_OFFSET.0, 8) as usize, elf.number(symbols + SH_SIZE.0, 8) as usize);
    // The first one that names data with a size.
    let object = (start..start + size)
        .step_by(24)
        .find(|&at| elf.number(at + 4, 1) & 15 == 1 && elf.number(at + 16, 8) > 0 && elf.number(at + 6, 2) < 0xff00)
        .expect("an object");
    for number in ABSURD {
        elf.put(object + 16, 8, number);
        assert!(elf.refused().is_some_and(|why| why.contains("claims")), "{number:#x}");
    }
}

#[test]
fn an_absurd_header_is_refused() {
    let good = Elf::read();
    // Where the headers are, how large, and how many.
    for (at, bytes) in [(32, 8), (40, 8), (54, 2), (56, 2), (58, 2), (60, 2), (62, 2)] {
        for number in [u64::MAX, 1 << 63, 0, 1] {
            let mut elf = Elf(good.0.clone());
            elf.put(at, bytes, number);
            // Refused, or audited with what is wrong with it; never an abort.
            elf.refused();
        }
    }
    // As many program headers as there can be, each with the whole file.
    let mut elf = Elf(good.0.clone());
    let first = good.0[good.program_header(2)..][..56].to_vec();
    let table = elf.0.len();
    for _ in 0..0xfffe {
        elf.0.extend_from_slice(&first);
    }
    elf.put(32, 8, table as u64);
    elf.put(56, 2, 0xfffe);
    let file = good.0.len() as u64;
    for index in 0..0xfffe {
        let at = elf.program_header(index);
        elf.put(at, 4, 1);
        elf.put(at + P_OFFSET.0, 8, 0);
        elf.put(at + P_FILESZ.0, 8, file);
        elf.put(at + P_MEMSZ.0, 8, file);
    }
    assert!(elf.refused().is_some_and(|why| why.contains("hold more than the file")));
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let good = Elf::read();
    for part in 0..64 {
        let mut elf = Elf(good.0.clone());
        elf.0.truncate(good.0.len() * part / 64);
        assert!(elf.refused().is_some(), "{part} of 64 parts");
    }
}

#[test]
fn an_absurd_dump_is_refused() {
    let good = Elf::read();
    for (field, bytes) in [P_OFFSET, P_FILESZ] {
        for number in ABSURD {
            let mut elf = Elf(good.0.clone());
            elf.put(good.program_header(3) + field, bytes, number);
            assert!(Memory::parse_dump(&elf.0).is_err(), "the field at {field} is {number:#x}");
        }
    }
}
