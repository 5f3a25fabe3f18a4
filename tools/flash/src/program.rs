//! A program as the kernel loads it: pieces of memory with their rights, and where to begin.

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian;
use object::elf::{
    EM_X86_64, ET_EXEC, FileHeader64, NT_GNU_BUILD_ID, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use slopos_abi::flash::{AppVersion, BUILD_ID_BYTES, EXECUTE, READ, SEGMENTS, VERSION_TEXT_MAX, WRITE};
use slopos_abi::{USER_BASE, USER_END};
use slopos_manifest::PAGE;

/// A program that has passed the kernel's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Virtual address of the first instruction; lies in an executable piece.
    pub entry: u64,
    /// What is loaded, by ascending address; no page belongs to two.
    pub pieces: Vec<Piece>,
    /// The version of its crate; empty where the file does not say it.
    pub version: String,
    /// The linker's build id; zeros where the file has none.
    pub build_id: [u8; BUILD_ID_BYTES],
}

/// A piece of a program that is loaded as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Virtual address; the beginning of a page.
    pub address: u64,
    /// Bytes in memory, at least those of `bytes`; the rest is zeros.
    pub memory_bytes: u64,
    /// [`READ`], [`WRITE`], [`EXECUTE`]; never both of the latter.
    pub flags: u32,
    /// What the memory holds at first.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// First address beyond the last page of the piece.
    fn end(&self) -> u64 {
        (self.address + self.memory_bytes).next_multiple_of(PAGE)
    }

    /// The rights as `r-x`, `rw-` and so on.
    pub fn rights(&self) -> String {
        let letter = |flag, letter| if self.flags & flag != 0 { letter } else { '-' };
        [letter(READ, 'r'), letter(WRITE, 'w'), letter(EXECUTE, 'x')].iter().collect()
    }
}

impl Program {
    /// Takes the loadable segments of an ELF file.
    ///
    /// # Errors
    /// The file is not a statically linked x86_64 program at a fixed address, or breaks a rule of the kernel.
    pub fn from_elf(file: &[u8]) -> Result<Program> {
        let header = FileHeader64::<LittleEndian>::parse(file).context("not a 64-bit little-endian ELF file")?;
        let endian = header.endian()?;
        ensure!(header.e_machine(endian) == EM_X86_64, "not built for x86_64");
        ensure!(
            header.e_type(endian) == ET_EXEC,
            "not linked at a fixed address; it needs the linker argument --no-pie and the script of libslop"
        );
        let headers = header.program_headers(endian, file).context("damaged program headers")?;
        // Before any is copied: thousands could each hold the whole file.
        let count = headers.iter().filter(|segment| loads(*segment, endian)).count();
        ensure!(count <= SEGMENTS, "has {count} segments; 1 to {SEGMENTS} fit a record");
        let mut pieces = Vec::new();
        for segment in headers {
            match segment.p_type(endian) {
                PT_LOAD if loads(segment, endian) => {
                    let address = segment.p_vaddr(endian);
                    let bytes = segment.data(endian, file).ok().context("a segment's bytes lie outside the file")?;
                    pieces.push(piece(address, segment.p_memsz(endian), segment.p_flags(endian), bytes)?);
                }
                PT_TLS => bail!("uses thread-local storage, which a process does not have"),
                PT_INTERP | PT_DYNAMIC => bail!("linked dynamically; there is nothing to link with at run time"),
                _ => {}
            }
        }
        pieces.sort_by_key(|piece| piece.address);
        let (version, build_id) = identity(header, file)?;
        let program = Program { entry: header.e_entry(endian), pieces, version, build_id };
        program.check()?;
        Ok(program)
    }

    /// Bytes from the first address of a process to the end of the program's last page: what its RAM has to hold.
    pub fn span(&self) -> u64 {
        self.pieces.iter().map(Piece::end).max().unwrap_or(USER_BASE) - USER_BASE
    }

    /// The number of its version; that of 0.0.0 where it has none.
    ///
    /// # Errors
    /// The version cannot be written as a number, or its text is too long for a record.
    pub fn version_number(&self) -> Result<AppVersion> {
        let text = &self.version;
        if text.is_empty() {
            return Ok(AppVersion::default());
        }
        ensure!(text.len() <= VERSION_TEXT_MAX, "the version `{text}` is longer than {VERSION_TEXT_MAX} bytes");
        AppVersion::parse(text).with_context(|| {
            format!("the version `{text}` is not MAJOR.MINOR.PATCH with numbers up to 255, 4095 and 4095")
        })
    }

    /// The rules that the kernel relies on.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<()> {
        let count = self.pieces.len();
        ensure!((1..=SEGMENTS).contains(&count), "has {count} segments; 1 to {SEGMENTS} fit a record");
        let mut free_from = USER_BASE;
        let mut previous = None;
        for piece in &self.pieces {
            let (address, length) = (piece.address, piece.memory_bytes);
            ensure!(address.is_multiple_of(PAGE), "the segment at {address:#x} does not begin a page");
            ensure!(
                length >= piece.bytes.len() as u64,
                "the segment at {address:#x} is larger in the file than in memory"
            );
            ensure!(
                address >= USER_BASE,
                "the segment at {address:#x} is below {USER_BASE:#x}, where a process begins"
            );
            let end = address.checked_add(length).filter(|&end| end <= USER_END);
            ensure!(
                end.is_some(),
                "the segment at {address:#x} with {length} bytes goes beyond {USER_END:#x}, where a process ends"
            );
            if let Some(previous) = previous {
                ensure!(address >= free_from, "the segments at {previous:#x} and {address:#x} share a page");
            }
            ensure!(piece.flags & !(READ | WRITE | EXECUTE) == 0, "the segment at {address:#x} has unknown flags");
            ensure!(piece.flags & READ != 0, "the segment at {address:#x} cannot be read");
            ensure!(
                piece.flags & (WRITE | EXECUTE) != WRITE | EXECUTE,
                "the segment at {address:#x} is writable and executable at once"
            );
            free_from = piece.end();
            previous = Some(address);
        }
        self.version_number()?;
        let holds_entry = |piece: &&Piece| (piece.address..piece.address + piece.memory_bytes).contains(&self.entry);
        match self.pieces.iter().find(holds_entry) {
            Some(piece) if piece.flags & EXECUTE != 0 => Ok(()),
            _ => bail!("the entry {:#x} lies in no executable segment", self.entry),
        }
    }
}

/// The section into which `libslop::entry!` puts the version of a program's crate.
const VERSION_SECTION: &[u8] = b".slopos.version";

/// A file's version and its build id, each empty or zeros where it has none.
fn identity(header: &FileHeader64<LittleEndian>, file: &[u8]) -> Result<(String, [u8; BUILD_ID_BYTES])> {
    let endian = header.endian()?;
    let (mut version, mut build_id) = (String::new(), [0; BUILD_ID_BYTES]);
    let sections = header.sections(endian, file).context("damaged section headers")?;
    for section in sections.iter() {
        if sections.section_name(endian, section).is_ok_and(|name| name == VERSION_SECTION) {
            let bytes = section.data(endian, file).context("the section of its version lies outside the file")?;
            version = String::from_utf8(bytes.to_vec()).context("its version is no text")?;
        }
        let Some(mut notes) = section.notes(endian, file).context("damaged notes")? else { continue };
        while let Some(note) = notes.next().context("damaged notes")? {
            if note.name() == b"GNU"
                && note.n_type(endian) == NT_GNU_BUILD_ID
                && let Some(id) = note.desc().first_chunk()
            {
                build_id = *id;
            }
        }
    }
    Ok((version, build_id))
}

/// Whether a segment takes memory.
fn loads(segment: &impl ProgramHeader<Endian = LittleEndian>, endian: LittleEndian) -> bool {
    segment.p_type(endian) == PT_LOAD && Into::<u64>::into(segment.p_memsz(endian)) > 0
}

/// A loadable segment of an ELF file, with zeros in front where it does not begin a page.
fn piece(address: u64, memory_bytes: u64, elf_flags: u32, bytes: &[u8]) -> Result<Piece> {
    let lead = address % PAGE;
    let mut padded = vec![0; lead as usize];
    padded.extend_from_slice(bytes);
    let mut flags = 0;
    for (theirs, ours) in [(PF_R, READ), (PF_W, WRITE), (PF_X, EXECUTE)] {
        if elf_flags & theirs != 0 {
            flags |= ours;
        }
    }
    let memory_bytes = memory_bytes.checked_add(lead).context("a segment's size cannot be counted")?;
    Ok(Piece { address: address - lead, memory_bytes, flags, bytes: padded })
}
