//! What has to be known of a kernel before it boots: that QEMU finds its entry, how much memory it takes, its build id.

use crate::shape::Shape;
use anyhow::{Context, Result, bail};
use object::elf::{PT_LOAD, PT_NOTE};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSection as _};

/// Owner and type of the note that holds the 32-bit entry (XEN_ELFNOTE_PHYS32_ENTRY in Xen's elfnote.h). QEMU looks for
/// it in segments alone.
const ENTRY_NOTE: (&[u8], u32) = (b"Xen", 18);

/// Memory that is left for the firmware's tables, which QEMU puts below the end of the RAM: q35's and SeaBIOS's take 140
/// KiB. A kernel that needs the rest starts.
const FIRMWARE_TABLES: u64 = 160 << 10;

/// A kernel's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Whether it has the PVH note by which QEMU boots it.
    pub has_entry_note: bool,
    /// The physical address after the last byte that is loaded or cleared.
    pub memory_end: u64,
    /// In hexadecimal digits; `None` where it was linked without one.
    pub build_id: Option<String>,
    /// The machine that it is for, as its manifest says; one with PCI where it says nothing.
    pub shape: Shape,
    /// Whether its log is lines of text, as its manifest says; frames where it says nothing.
    pub log_is_text: bool,
}

impl Kernel {
    /// Reads the bytes of an ELF file.
    ///
    /// # Errors
    /// They are none, or one whose headers make no sense.
    pub fn parse(bytes: &[u8]) -> Result<Kernel> {
        let file =
            ElfFile64::<LittleEndian>::parse(bytes).context("expected a 64-bit ELF file, as ./just build makes")?;
        let (mut has_entry_note, mut memory_end) = (false, 0);
        for header in file.elf_header().program_headers(LittleEndian, bytes).context("the program headers")? {
            match header.p_type(LittleEndian) {
                PT_LOAD => {
                    let end = header.p_paddr(LittleEndian).checked_add(header.p_memsz(LittleEndian));
                    memory_end = memory_end.max(end.context("a segment goes beyond the last address")?);
                }
                PT_NOTE => {
                    let Some(mut notes) = header.notes(LittleEndian, bytes).context("the notes")? else { continue };
                    while let Some(note) = notes.next().context("a note")? {
                        has_entry_note |= (note.name(), note.n_type(LittleEndian)) == ENTRY_NOTE;
                    }
                }
                _ => {}
            }
        }
        let build_id = file.build_id().context("the build id")?;
        let build_id = build_id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect());
        let (shape, log_is_text) = match file.section_by_name(".manifest") {
            None => (Shape::default(), false),
            Some(section) => manifest(section.data().context("the manifest")?)?,
        };
        Ok(Kernel { has_entry_note, memory_end, build_id, shape, log_is_text })
    }

    /// Checks that QEMU can boot it with so much memory, in bytes, where that is known.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self, memory: Option<u64>) -> Result<()> {
        if !self.has_entry_note {
            bail!("the PVH note with the 32-bit entry is missing, without which QEMU boots nothing");
        }
        let need = self.memory_mebibytes();
        if let Some(memory) = memory.filter(|memory| *memory < need << 20) {
            bail!(
                "it needs {need} MiB of memory, for its image ends at {:#x}, and the board would have {} MiB",
                self.memory_end,
                memory as f64 / f64::from(1 << 20)
            );
        }
        Ok(())
    }

    /// How much memory the board must have.
    pub fn memory_mebibytes(&self) -> u64 {
        self.memory_end.saturating_add(FIRMWARE_TABLES).div_ceil(1 << 20)
    }
}

/// The machine that a kernel's manifest names, and whether the log is lines of text.
fn manifest(manifest: &[u8]) -> Result<(Shape, bool)> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).context("the manifest")?;
    let board = &manifest["board"];
    let shape = match board["machine"].as_str() {
        None | Some("q35") => Shape::Q35,
        Some("microvm") => Shape::MicroVm,
        Some(other) => bail!("its manifest is for the machine {other:?}, which is not known here"),
    };
    let log_is_text = match board["log"].as_str() {
        None | Some("frames") => false,
        Some("text") => true,
        Some(other) => bail!("its log is {other:?}, which is not known here"),
    };
    Ok((shape, log_is_text))
}

/// The bytes of an amount as QEMU's option `-m` has it: a number of MiB, or one with a unit, `1.5G`, perhaps behind
/// `size=` and before more settings. `None` where it is something else, which QEMU may understand.
pub fn memory_bytes(amount: &str) -> Option<u64> {
    let amount = amount.split(',').find_map(|part| match part.split_once('=') {
        Some(("size", size)) => Some(size),
        Some(_) => None,
        None => Some(part),
    })?;
    let (number, shift) = match amount.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => {
            (&amount[..at], 10 * (1 + "KMGT".find(unit.to_ascii_uppercase())? as u32))
        }
        _ => (amount, 20),
    };
    let number: f64 = number.parse().ok().filter(|number| *number >= 0.0)?;
    Some((number * (1_u64 << shift) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read_as_qemu_reads_them() {
        for (amount, bytes) in [
            ("16M", Some(16 << 20)),
            ("16", Some(16 << 20)),
            ("4096k", Some(4 << 20)),
            ("1.5G", Some(3 << 29)),
            ("size=8M,slots=2", Some(8 << 20)),
            ("slots=2", None),
            ("", None),
            ("-1M", None),
            ("lots", None),
        ] {
            assert_eq!(memory_bytes(amount), bytes, "{amount}");
        }
    }

    #[test]
    fn a_kernel_says_what_it_needs() {
        let kernel = Kernel {
            has_entry_note: true,
            memory_end: 0x69_f000,
            build_id: None,
            shape: Shape::Q35,
            log_is_text: false,
        };
        kernel.check(Some(7 << 20)).expect("enough");
        kernel.check(None).expect("not known");
        let refusal = kernel.check(Some(4 << 20)).expect_err("too little").to_string();
        assert_eq!(refusal, "it needs 7 MiB of memory, for its image ends at 0x69f000, and the board would have 4 MiB");
        let refusal = Kernel { has_entry_note: false, ..kernel }.check(None).expect_err("no entry").to_string();
        assert!(refusal.contains("the PVH note"), "{refusal}");
        assert_eq!(manifest(br#"{"board":{"name":"x"}}"#).expect("an older one"), (Shape::Q35, false));
        let text = manifest(br#"{"board":{"machine":"microvm","log":"text"}}"#);
        assert_eq!(text.expect("known"), (Shape::MicroVm, true));
        for unknown in ["machine", "log"] {
            let text = format!(r#"{{"board":{{"{unknown}":"vax"}}}}"#);
            assert!(manifest(text.as_bytes()).expect_err("unknown").to_string().contains("vax"));
        }
        assert!(manifest(b"").is_err());
        assert!(Kernel::parse(b"#!/bin/sh").expect_err("no ELF").to_string().contains("64-bit ELF"));
    }
}
