//! A kernel's ELF as it lies in memory: its sections, its symbols, its build id.

use crate::types::{self, SIZE_MAX, Types};
use anyhow::{Context, Result, bail, ensure};
use object::elf::{PF_W, PT_LOAD, SHF_ALLOC};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};

/// Name of the section that holds the build id.
const BUILD_ID: &str = ".note.gnu.build-id";

/// Largest alignment that is believed: a large page.
const ALIGNMENT_MAX: u64 = 2 << 20;

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
    /// Its name, in the language's own form: `slopos_board_pc::system::STACK`.
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
    /// Reads a kernel from the bytes of its file.
    ///
    /// # Errors
    /// The file is not an ELF of this kind, or was built without a build id or debugging information.
    pub fn parse(bytes: &[u8]) -> Result<Image> {
        let file = ElfFile64::<LittleEndian>::parse(bytes).context("not a 64-bit ELF")?;
        let note = file.section_by_name(BUILD_ID).with_context(|| format!("the section {BUILD_ID} is missing"))?;
        let build_id = file.build_id()?.context("the build id is missing")?;
        let segments = segments(&file, bytes)?;
        let image = Image {
            sections: sections(&file)?,
            symbols: symbols(&file)?,
            segments: segments.into_iter().map(|(segment, _)| segment).collect(),
            build_id: build_id.to_vec(),
            build_id_note: Note { address: note.address(), bytes: section(bytes, BUILD_ID)?.to_vec() },
            types: types::read(&file).context("the debugging information")?,
        };
        image.check()?;
        Ok(image)
    }

    /// Checks that what it holds can be counted with: that nothing ends beyond all memory, and segments are in their
    /// order.
    ///
    /// # Errors
    /// Something is absurd.
    fn check(&self) -> Result<()> {
        let physical_end = |segment: &Segment| segment.physical.checked_add(segment.size);
        ensure!(
            self.segments.iter().all(|segment| physical_end(segment).is_some()),
            "a segment's physical addresses go beyond the last one"
        );
        let all = self.segments.iter().map(|segment| segment.size).try_fold(0_u64, u64::checked_add);
        ensure!(
            all.is_some_and(|all| all <= SIZE_MAX),
            "the segments need more than {SIZE_MAX} bytes of memory, which no board has"
        );
        let (start, end) = self.physical_range();
        ensure!(end.saturating_sub(start) <= SIZE_MAX, "the segments lie too far apart: from {start:#x} to {end:#x}");
        Ok(())
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The build id as it is usually written.
    pub fn build_id_text(&self) -> String {
        crate::hexadecimal(&self.build_id)
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

/// What the section of this name holds, in the bytes of an ELF.
///
/// # Errors
/// The bytes are no ELF, or it has no such section.
pub fn section<'b>(bytes: &'b [u8], name: &str) -> Result<&'b [u8]> {
    let file = ElfFile64::<LittleEndian>::parse(bytes).context("not a 64-bit ELF")?;
    let section = file.section_by_name(name).with_context(|| format!("the section {name} is missing"))?;
    section.data().with_context(|| format!("the section {name}"))
}

/// The loaded segments with their flags.
fn segments(file: &ElfFile64<'_, LittleEndian>, bytes: &[u8]) -> Result<Vec<(Segment, u32)>> {
    let headers = file.elf_header().program_headers(LittleEndian, bytes).context("the program headers")?;
    let loaded = headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD);
    let mut segments = Vec::new();
    let mut held = 0;
    for header in loaded {
        let data = header.data(LittleEndian, bytes).ok().context("a segment lies outside the file")?;
        let (address, size) = (header.p_vaddr(LittleEndian), header.p_memsz(LittleEndian));
        ensure!(size <= SIZE_MAX, "the segment at {address:#x} claims {size} bytes, which no board has");
        ensure!(address.checked_add(size).is_some(), "the segment at {address:#x} goes beyond the last address");
        ensure!(data.len() as u64 <= size, "the segment at {address:#x} is larger in the file than in memory");
        // Segments that share the file's bytes could ask for any multiple of it.
        held += data.len();
        ensure!(held <= bytes.len(), "the segments hold more than the file");
        let segment = Segment { address, physical: header.p_paddr(LittleEndian), size, bytes: data.to_vec() };
        segments.push((segment, header.p_flags(LittleEndian)));
    }
    Ok(segments)
}

fn sections(file: &ElfFile64<'_, LittleEndian>) -> Result<Vec<Section>> {
    let segments = segments(file, file.data())?;
    let mut sections = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(SHF_ALLOC) == 0 {
            continue;
        }
        let (address, size, alignment) = (section.address(), section.size(), section.align());
        let name = section.name()?;
        ensure!(size <= SIZE_MAX, "the section {name} claims {size} bytes, which no board has");
        ensure!(address.checked_add(size).is_some(), "the section {name} goes beyond the last address");
        ensure!(
            alignment == 0 || alignment.is_power_of_two() && alignment <= ALIGNMENT_MAX,
            "the section {name} claims an alignment of {alignment}"
        );
        // What can be written is decided by the segment: the flag of a section only says what its parts were like.
        let inside = |(segment, _): &&(Segment, u32)| {
            (segment.address..=segment.address + segment.size).contains(&address)
                && address + size <= segment.address + segment.size
        };
        let writable = match segments.iter().filter(inside).map(|(_, flags)| flags & PF_W != 0).max() {
            Some(writable) => writable,
            None if size == 0 => false,
            None => bail!("the section {name} lies in no segment"),
        };
        sections.push(Section { name: name.to_owned(), address, size, alignment, writable });
    }
    sections.sort_by_key(|section| section.address);
    Ok(sections)
}

fn symbols(file: &ElfFile64<'_, LittleEndian>) -> Result<Vec<Symbol>> {
    let data = |kind: SymbolKind| matches!(kind, SymbolKind::Data | SymbolKind::Unknown | SymbolKind::Tls);
    let allocated = |index: object::SectionIndex| {
        let flags = file.section_by_index(index).map(|section| section.flags());
        matches!(flags, Ok(SectionFlags::Elf { sh_flags }) if sh_flags & u64::from(SHF_ALLOC) != 0)
    };
    let mut symbols = Vec::new();
    for symbol in file.symbols() {
        if !data(symbol.kind()) || !symbol.section_index().is_some_and(allocated) {
            continue;
        }
        let name = symbol.name().context("the name of a symbol")?;
        if !name.is_empty() {
            // The alternate form leaves the hash out; what the optimiser put behind it (`.0`) stays.
            let name = format!("{:#}", rustc_demangle::demangle(name));
            symbols.push(Symbol { name, address: symbol.address(), size: symbol.size() });
        }
    }
    symbols.sort_by(|left, right| (left.address, left.size, &left.name).cmp(&(right.address, right.size, &right.name)));
    for Symbol { name, address, size } in &symbols {
        ensure!(
            *size <= SIZE_MAX && address.checked_add(*size).is_some(),
            "the symbol {name} at {address:#x} claims {size} bytes"
        );
    }
    Ok(symbols)
}
