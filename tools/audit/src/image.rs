//! The kernel's ELF: its sections, its symbols, the build id and the manifest that it carries.

use crate::dwarf::{self, Types};
use anyhow::{Context, Result, bail};
use object::elf::{PF_W, PT_LOAD, SHF_ALLOC};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};
use slopos_manifest::Expanded;
use std::path::Path;

/// Name of the section that holds the manifest.
const MANIFEST: &str = ".manifest";
/// Name of the section that holds the build id.
const BUILD_ID: &str = ".note.gnu.build-id";

/// A kernel as the linker wrote it.
#[derive(Debug, Default)]
pub struct Image {
    /// The sections that have an address, in its order.
    pub sections: Vec<Section>,
    /// The symbols that name data, in the order of their addresses.
    pub symbols: Vec<Symbol>,
    /// The parts of the file that are loaded.
    pub segments: Vec<Segment>,
    /// The bytes of the build id.
    pub build_id: Vec<u8>,
    /// Where the note with the build id lies in the kernel's memory.
    pub build_id_note: Note,
    /// What the debugging information says about types and statics.
    pub types: Types,
}

/// Where something is in memory, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Virtual address.
    pub address: u64,
    /// All of it, header included.
    pub bytes: Vec<u8>,
}

/// A section that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its first address.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// What its address is a multiple of.
    pub alignment: u64,
    /// Whether it lies in a segment that can be written.
    pub writable: bool,
}

impl Section {
    /// The address after the last byte.
    pub fn end(&self) -> u64 {
        self.address + self.size
    }
}

/// A named piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name, in the language's own form: `qemu_q35::STACK`.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its bytes; 0 where the assembler or the linker script did not say.
    pub size: u64,
}

/// A part of the file that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// Bytes in memory; those beyond `bytes` are zeros.
    pub size: u64,
    /// What the file holds of it.
    pub bytes: Vec<u8>,
}

impl Image {
    /// Reads a kernel, and the manifest in it.
    ///
    /// # Errors
    /// The file is not an ELF of this kind, or was built without a manifest, a build id or debugging information.
    pub fn read(path: &Path) -> Result<(Image, Expanded)> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}; run ./just build", path.display()))?;
        Image::parse(&bytes).with_context(|| path.display().to_string())
    }

    /// Reads a kernel from the bytes of its file.
    ///
    /// # Errors
    /// As [`Image::read`].
    pub fn parse(bytes: &[u8]) -> Result<(Image, Expanded)> {
        let file = ElfFile64::<LittleEndian>::parse(bytes).context("not a 64-bit ELF")?;
        let section = |name: &str| -> Result<Vec<u8>> {
            let section = file.section_by_name(name).with_context(|| format!("the section {name} is missing"))?;
            Ok(section.data().with_context(|| format!("the section {name}"))?.to_vec())
        };
        let manifest = String::from_utf8(section(MANIFEST)?).with_context(|| format!("the section {MANIFEST}"))?;
        let manifest = match Expanded::from_json(&manifest) {
            Ok(manifest) => manifest,
            Err(why) => bail!("the manifest in the ELF cannot be read: {why}"),
        };
        let note = file.section_by_name(BUILD_ID).with_context(|| format!("the section {BUILD_ID} is missing"))?;
        let build_id = file.build_id()?.context("the build id is missing")?;
        let segments = segments(&file, bytes)?;
        let image = Image {
            sections: sections(&file)?,
            symbols: symbols(&file),
            segments: segments.into_iter().map(|(segment, _)| segment).collect(),
            build_id: build_id.to_vec(),
            build_id_note: Note { address: note.address(), bytes: section(BUILD_ID)? },
            types: dwarf::read(&file).context("the debugging information")?,
        };
        Ok((image, manifest))
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The build id as it is usually written.
    pub fn build_id_text(&self) -> String {
        hexadecimal(&self.build_id)
    }

    /// The physical address of a virtual one; `None` outside the image.
    pub fn physical(&self, address: u64) -> Option<u64> {
        let inside = |segment: &&Segment| (segment.address..segment.address + segment.size).contains(&address);
        self.segments.iter().find(inside).map(|segment| address - segment.address + segment.physical)
    }

    /// The lowest physical address of the image, and the one after its last byte.
    pub fn physical_range(&self) -> (u64, u64) {
        let start = self.segments.iter().map(|segment| segment.physical).min().unwrap_or(0);
        let end = self.segments.iter().map(|segment| segment.physical + segment.size).max().unwrap_or(0);
        (start, end)
    }
}

/// Bytes as two digits each.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The loaded segments with their flags.
fn segments(file: &ElfFile64<'_, LittleEndian>, bytes: &[u8]) -> Result<Vec<(Segment, u32)>> {
    let headers = file.elf_header().program_headers(LittleEndian, bytes).context("the program headers")?;
    let loaded = headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD);
    loaded
        .map(|header| {
            let data = header.data(LittleEndian, bytes).ok().context("a segment lies outside the file")?;
            let segment = Segment {
                address: header.p_vaddr(LittleEndian),
                physical: header.p_paddr(LittleEndian),
                size: header.p_memsz(LittleEndian),
                bytes: data.to_vec(),
            };
            Ok((segment, header.p_flags(LittleEndian)))
        })
        .collect()
}

fn sections(file: &ElfFile64<'_, LittleEndian>) -> Result<Vec<Section>> {
    let segments = segments(file, file.data())?;
    let mut sections = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(SHF_ALLOC) == 0 {
            continue;
        }
        let (address, size) = (section.address(), section.size());
        // What can be written is decided by the segment: the flag of a section only says what its parts were like.
        let inside = |(segment, _): &&(Segment, u32)| {
            (segment.address..=segment.address + segment.size).contains(&address)
                && address + size <= segment.address + segment.size
        };
        let writable = match segments.iter().filter(inside).map(|(_, flags)| flags & PF_W != 0).max() {
            Some(writable) => writable,
            None if size == 0 => false,
            None => bail!("the section {} lies in no segment", section.name()?),
        };
        sections.push(Section {
            name: section.name()?.to_owned(),
            address,
            size,
            alignment: section.align(),
            writable,
        });
    }
    sections.sort_by_key(|section| section.address);
    Ok(sections)
}

fn symbols(file: &ElfFile64<'_, LittleEndian>) -> Vec<Symbol> {
    let data = |kind: SymbolKind| matches!(kind, SymbolKind::Data | SymbolKind::Unknown | SymbolKind::Tls);
    let allocated = |index: object::SectionIndex| {
        let flags = file.section_by_index(index).map(|section| section.flags());
        matches!(flags, Ok(SectionFlags::Elf { sh_flags }) if sh_flags & u64::from(SHF_ALLOC) != 0)
    };
    let mut symbols: Vec<Symbol> = file
        .symbols()
        .filter(|symbol| data(symbol.kind()) && symbol.section_index().is_some_and(allocated))
        .filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            // The alternate form leaves the hash out; what the optimiser put behind it (`.0`) stays.
            let name = format!("{:#}", rustc_demangle::demangle(name));
            Some(Symbol { name, address: symbol.address(), size: symbol.size() })
        })
        .collect();
    symbols.sort_by(|left, right| (left.address, left.size, &left.name).cmp(&(right.address, right.size, &right.name)));
    symbols
}
