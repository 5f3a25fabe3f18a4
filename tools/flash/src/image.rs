//! The whole flash: its map, and a slot for each app and each data region.

use crate::key::PrivateKey;
use crate::program::Program;
use crate::record;
use crate::sign::{self, Signer};
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use slopos_abi::flash::{
    APP_SLOTS, AppHeader, AppState, EntryFault, FlashState, KIND_APP, KIND_DATA, MAP_ENTRIES, MAP_MAGIC, MAP_SECTORS,
    MAP_VERSION, MapEntry, MapHeader, SECTOR, SLOT_ALIGNMENT, SLOTS_BEGIN, STATE_SECTORS, Slot as Half, StateFault,
    check_map, name_bytes, name_text,
};
use slopos_manifest::{Data, Manifest, PAGE, PublicKey, size, suggest};
use std::path::Path;
use zerocopy::{FromBytes, IntoBytes};

/// A flash, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
    board: String,
    slots: Vec<Slot>,
}

/// A slot as the map describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The app's or the region's name.
    pub name: String,
    /// [`KIND_APP`] or [`KIND_DATA`].
    pub kind: u32,
    /// First sector of the first slot.
    pub start_sector: u32,
    /// Sectors of each slot.
    pub sectors: u32,
    /// How many slots there are: two of an app, one of a region.
    pub slots: u32,
}

impl Slot {
    /// Bytes of the slot.
    pub fn size(&self) -> u64 {
        u64::from(self.sectors) * SECTOR as u64
    }

    /// Where the bytes of one of its slots are in the image.
    pub fn range(&self, slot: Half) -> std::ops::Range<usize> {
        let length = self.sectors as usize * SECTOR;
        let start = self.start_sector as usize * SECTOR + slot.index() * length;
        start..start + length
    }
}

/// What a slot was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A good record: its bytes, its hash, and the program in it.
    App {
        /// Bytes of the record.
        record_bytes: u64,
        /// SHA-256 of the record.
        sha256: [u8; 32],
        /// Who signed it.
        signer: Signer,
        /// The program.
        program: Program,
    },
    /// Data: the hash of the whole region.
    Data {
        /// SHA-256 of the region.
        sha256: [u8; 32],
    },
}

impl Image {
    /// Builds the flash of `manifest`, its programs signed with `key` where there is one. `program` gives the ELF file
    /// of an app, `data` what a file holds.
    ///
    /// # Errors
    /// A program or a file cannot be had, or does not fit its slot, its process's RAM, or the flash.
    pub fn build(
        manifest: &Manifest,
        key: Option<&PrivateKey>,
        program: impl Fn(&str) -> Result<Vec<u8>>,
        data: impl Fn(&Path) -> Result<Vec<u8>>,
    ) -> Result<Image> {
        let program = |app: &str| {
            let file = program(app)?;
            Program::from_elf(&file).with_context(|| format!("app `{app}`")).map(Some)
        };
        let contents = |region: &Data| {
            let Some(path) = &region.file else { return Ok(None) };
            let file = data(path)?;
            let length = file.len() as u64;
            ensure!(
                length <= region.size,
                "data region `{}`: {} has {length} bytes; {}",
                region.name,
                path.display(),
                change(region.size_line, "size", region.size, length.next_multiple_of(SECTOR as u64))
            );
            Ok(Some(file))
        };
        Image::assemble(manifest, key, program, contents)
    }

    /// Makes the flash of `manifest` from programs and contents of regions, as far as there are any; signed where there
    /// is a key.
    ///
    /// # Errors
    /// One of them cannot be had, or does not fit its slot, its process's RAM, or the flash.
    pub fn assemble(
        manifest: &Manifest,
        key: Option<&PrivateKey>,
        program: impl Fn(&str) -> Result<Option<Program>>,
        data: impl Fn(&Data) -> Result<Option<Vec<u8>>>,
    ) -> Result<Image> {
        let slots = slots(manifest)?;
        let board = manifest.board.name.clone();
        let name =
            name_bytes(&board).with_context(|| format!("the board's name `{board}` does not fit a flash map"))?;
        let entries: Vec<MapEntry> = slots.iter().map(entry).collect::<Result<_>>()?;
        let header = MapHeader {
            magic: MAP_MAGIC,
            version: MAP_VERSION,
            entries: entries.len() as u32,
            sha256: map_digest(&name, entries.as_bytes()),
            board: name,
        };
        let flash_size = manifest.board.flash_size;
        // Memory is reserved first, so that a size beyond the host's memory is an error with a message.
        let room = usize::try_from(flash_size).ok().filter(|&size| Vec::<u8>::new().try_reserve_exact(size).is_ok());
        let room = room.with_context(|| format!("no memory for a flash of {}", size::show(flash_size)))?;
        let mut bytes = vec![0; room];
        let head = size_of::<MapHeader>();
        bytes[..head].copy_from_slice(header.as_bytes());
        bytes[head..head + size_of_val(&entries[..])].copy_from_slice(entries.as_bytes());
        // Both sectors of the state are whole from the beginning.
        let mut state = FlashState::NEW;
        for _ in 0..2 {
            let (sector, contents) = state.encode(sha256);
            bytes[sector as usize * SECTOR..][..SECTOR].copy_from_slice(&contents);
            state = state.written();
        }
        let mut image = Image { bytes, board, slots };
        for slot in image.slots.clone() {
            if slot.kind == KIND_APP {
                if let Some(program) = program(&slot.name)? {
                    fits_its_processes(manifest, &slot.name, &program)?;
                    is_new_enough(manifest, &slot.name, &program)?;
                    image.put(&slot.name, &program)?;
                }
            } else if let Some(region) = manifest.data.iter().find(|region| region.name == slot.name)
                && let Some(contents) = data(region)?
            {
                image.put_region(&slot.name, &contents)?;
            }
        }
        if let Some(key) = key {
            image.sign(key)?;
        }
        Ok(image)
    }

    /// Reads a flash; its map has to be right, its slots may hold anything.
    ///
    /// # Errors
    /// What is wrong with the map.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Image> {
        ensure!(bytes.len() >= MAP_SECTORS * SECTOR, "{} bytes are too few for a flash map", bytes.len());
        let (header, rest) = MapHeader::read_from_prefix(&bytes).ok().context("no flash map")?;
        ensure!(header.magic == MAP_MAGIC, "no flash map: the magic is missing");
        ensure!(header.version != 1, "flash map of version 1, of one slot for each app; run `flash migrate`");
        ensure!(
            header.version == MAP_VERSION,
            "flash map of version {}, this tool knows {MAP_VERSION}",
            header.version
        );
        let count = header.entries as usize;
        ensure!(count <= MAP_ENTRIES, "flash map of {count} entries; at most {MAP_ENTRIES} fit");
        let entries = &rest[..count * size_of::<MapEntry>()];
        ensure!(map_digest(&header.board, entries) == header.sha256, "the flash map's SHA-256 does not match");
        let board = name_text(&header.board).context("the flash map names no board")?.to_owned();
        let entries: Vec<MapEntry> = entries
            .chunks_exact(size_of::<MapEntry>())
            .map(|entry| MapEntry::read_from_bytes(entry).ok().context("damaged map entry"))
            .collect::<Result<_>>()?;
        let mut first_fault = None;
        check_map(&entries, (bytes.len() / SECTOR) as u64, |index, fault| {
            first_fault.get_or_insert((index, fault));
        });
        if let Some((index, fault)) = first_fault {
            bail!("{}", explain(&entries, index, fault, bytes.len()));
        }
        let slots = entries.iter().map(|entry| Slot {
            // Checked above.
            name: name_text(&entry.name).unwrap_or_default().to_owned(),
            kind: entry.kind,
            start_sector: entry.start_sector,
            sectors: entry.sectors,
            slots: entry.slots,
        });
        let slots = slots.collect();
        Ok(Image { bytes, board, slots })
    }

    /// The flash as it is written to a disk.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name of the board that the flash is for.
    pub fn board(&self) -> &str {
        &self.board
    }

    /// The slots, in the order of the map.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Each slot with what it holds, or what is wrong with it; signatures of these keys are checked.
    pub fn inspect(&self, keys: &[PublicKey]) -> Vec<(&Slot, Result<Contents>)> {
        self.slots.iter().map(|slot| (slot, self.contents(slot, keys))).collect()
    }

    /// The state of each app, and what is wrong with a state sector. Where neither is valid, of each app the higher
    /// version that is whole counts as the confirmed one, as the kernel has it.
    pub fn state(&self) -> (FlashState, Vec<(Half, StateFault)>) {
        let mut faults = Vec::new();
        let at = |sector: u64| self.bytes.get(sector as usize * SECTOR..(sector as usize + 1) * SECTOR);
        let found = FlashState::choose(STATE_SECTORS.map(at), sha256, |slot, fault| faults.push((slot, fault)));
        let state = found.unwrap_or_else(|| {
            let mut state = FlashState::NEW;
            for (entry, app) in self.slots.iter().zip(&mut state.apps).filter(|(entry, _)| entry.kind == KIND_APP) {
                let version = |half| self.record(entry, half).ok().map(|(header, _)| header.app_version);
                let higher = if version(Half::Second) > version(Half::First) { Half::Second } else { Half::First };
                *app = AppState::confirmed_in(higher);
            }
            state
        });
        (state, faults)
    }

    /// The app of this name: its index in the map, and its entry.
    ///
    /// # Errors
    /// There is none.
    pub fn app(&self, name: &str) -> Result<(usize, &Slot)> {
        let apps = || self.slots.iter().enumerate().filter(|(_, slot)| slot.kind == KIND_APP);
        let found = apps().find(|(_, slot)| slot.name == name);
        found.with_context(|| {
            let names: Vec<_> = apps().map(|(_, slot)| slot.name.as_str()).collect();
            let meant = suggest(name, names.iter().copied());
            format!("the flash has no slot for an app `{name}`{meant}; it has slots for {}", names.join(", "))
        })
    }

    /// The record in one of an app's slots.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn record(&self, entry: &Slot, half: Half) -> Result<(AppHeader, Program)> {
        record::decode(&entry.name, &self.board, &self.bytes[entry.range(half)])
    }

    /// Whether nothing was ever written to one of an app's slots.
    pub fn is_empty(&self, entry: &Slot, half: Half) -> bool {
        self.bytes[entry.range(half)].iter().all(|&byte| byte == 0)
    }

    /// The bytes of a data region.
    ///
    /// # Errors
    /// There is no such region.
    pub fn region(&self, name: &str) -> Result<&[u8]> {
        Ok(&self.bytes[self.find_region(name)?.range(Half::First)])
    }

    /// Puts bytes at the beginning of a data region; the rest of it becomes zeros.
    ///
    /// # Errors
    /// There is no such region, or they do not fit it.
    pub fn put_region(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        let region = self.find_region(name)?;
        let (range, size) = (region.range(Half::First), region.size());
        let length = contents.len();
        ensure!(length as u64 <= size, "{length} bytes do not fit the data region `{name}` of {size} bytes");
        let bytes = &mut self.bytes[range];
        bytes[..length].copy_from_slice(contents);
        bytes[length..].fill(0);
        Ok(())
    }

    fn find_region(&self, name: &str) -> Result<&Slot> {
        let regions = || self.slots.iter().filter(|slot| slot.kind == KIND_DATA);
        regions().find(|slot| slot.name == name).with_context(|| {
            let names: Vec<_> = regions().map(|slot| slot.name.as_str()).collect();
            let meant = suggest(name, names.iter().copied());
            format!("the flash has no data region `{name}`{meant}; it has {}", names.join(", "))
        })
    }

    /// What one entry holds; of an app, in the slot of its confirmed version.
    fn contents(&self, slot: &Slot, keys: &[PublicKey]) -> Result<Contents> {
        let index = self.slots.iter().position(|other| other == slot).unwrap_or(0);
        let half = self.state().0.apps[index].confirmed();
        if slot.kind == KIND_DATA {
            return Ok(Contents::Data { sha256: sha256(&self.bytes[slot.range(Half::First)]) });
        }
        let (header, program) = self.record(slot, half)?;
        let signer = sign::signer(&header, keys)?;
        Ok(Contents::App { record_bytes: header.record_bytes, sha256: header.sha256, signer, program })
    }

    /// Checks every slot, and the signatures of these keys.
    ///
    /// # Errors
    /// The first slot that is bad, by name.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<()> {
        for (slot, contents) in self.inspect(keys) {
            contents.with_context(|| format!("slot `{}`", slot.name))?;
        }
        Ok(())
    }

    /// Signs the records of all apps, each in the slot that runs next.
    ///
    /// # Errors
    /// A slot holds no record.
    pub fn sign(&mut self, key: &PrivateKey) -> Result<()> {
        let (state, _) = self.state();
        let apps = self.slots.iter().zip(state.apps).filter(|(slot, _)| slot.kind == KIND_APP);
        let filled = apps.filter(|(slot, app)| !self.is_empty(slot, app.confirmed()));
        let apps: Vec<_> = filled.map(|(slot, _)| slot.name.clone()).collect();
        apps.iter().try_for_each(|app| sign::sign(self.record_mut(app)?, key).with_context(|| format!("slot `{app}`")))
    }

    /// The bytes of the slot of an app that runs next; they begin with its record.
    ///
    /// # Errors
    /// There is no such app.
    pub fn record_mut(&mut self, name: &str) -> Result<&mut [u8]> {
        let (index, entry) = self.app(name)?;
        let app = self.state().0.apps[index];
        let range = entry.range(if app.is_on_trial() { app.spare() } else { app.confirmed() });
        Ok(&mut self.bytes[range])
    }

    /// Puts `program` into the first slot of app `name`.
    ///
    /// # Errors
    /// There is no such app, or the program does not fit.
    fn put(&mut self, name: &str, program: &Program) -> Result<()> {
        let record = record::encode(name, &self.board, program)?;
        let (_, entry) = self.app(name)?;
        self.fits(entry, program, &record)?;
        let range = entry.range(Half::First);
        self.bytes[range][..record.len()].copy_from_slice(&record);
        Ok(())
    }

    /// Whether a program and its record fit an app's slot.
    ///
    /// # Errors
    /// The need and the limit.
    pub fn fits(&self, slot: &Slot, program: &Program, record: &[u8]) -> Result<()> {
        let name = &slot.name;
        // A slot holds the header's sector, in a block of 4,096 bytes, and the RAM of the largest process that runs the
        // app.
        let ram = slot.size().saturating_sub(PAGE);
        ensure!(
            program.span() <= ram,
            "app `{name}` needs {} of RAM ({} bytes); its slot was made for {} ({ram} bytes): give its process more `ram` \
             in the manifest and run ./just build",
            size::show(program.span()),
            program.span(),
            size::show(ram)
        );
        ensure!(
            record.len() as u64 <= slot.size(),
            "app `{name}` needs {} bytes of flash; its slot has {}",
            record.len(),
            slot.size()
        );
        Ok(())
    }
}

/// SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What the head of a map names as its SHA-256.
fn map_digest(board: &[u8], entries: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(board).chain_update(entries).finalize().into()
}

/// What is wrong with an entry of a map, for a person.
fn explain(entries: &[MapEntry], index: usize, fault: EntryFault, flash_bytes: usize) -> String {
    let name = |index: usize| entries.get(index).and_then(|entry| name_text(&entry.name)).unwrap_or("?");
    let slot = name(index);
    match fault {
        EntryFault::NoName => "a map entry has no name".to_owned(),
        EntryFault::Kind(kind) => format!("slot `{slot}` is of unknown kind {kind}"),
        EntryFault::InMap => format!("slot `{slot}` overlaps the map or the state"),
        EntryFault::Slots(slots) => format!("slot `{slot}` has {slots} slots"),
        EntryFault::Unaligned => format!("slot `{slot}` does not begin and end with a block of 4096 bytes"),
        EntryFault::Empty => format!("slot `{slot}` is empty"),
        EntryFault::BeyondEnd => format!("slot `{slot}` goes beyond the flash of {flash_bytes} bytes"),
        EntryFault::SameName(_) => format!("two slots are named `{slot}`"),
        EntryFault::Overlaps(other) => format!("slots `{}` and `{slot}` overlap", name(other)),
    }
}

/// Checks a program against the RAM of every process that runs it.
fn fits_its_processes(manifest: &Manifest, app: &str, program: &Program) -> Result<()> {
    for process in manifest.processes.iter().filter(|process| process.app == app) {
        ensure!(
            program.span() <= process.ram,
            "process `{}`: app `{app}` needs {} of RAM ({} bytes); {}",
            process.name,
            size::show(program.span()),
            program.span(),
            change(process.ram_line, "ram", process.ram, program.span())
        );
    }
    Ok(())
}

/// Checks a program against the oldest version that each process runs.
fn is_new_enough(manifest: &Manifest, app: &str, program: &Program) -> Result<()> {
    let found = program.version_number()?;
    for process in manifest.processes.iter().filter(|process| process.app == app) {
        ensure!(
            found >= process.minimum_version,
            "process `{}`: app `{app}` has version {found}; `minimum_version` asks for {}",
            process.name,
            process.minimum_version
        );
    }
    Ok(())
}

/// Which line of the manifest is too small, and what it has to become.
fn change(line: usize, key: &str, given: u64, needed: u64) -> String {
    let (given, needed) = (size::show(given), size::show(needed));
    format!("change line {line} of the manifest from `{key} = \"{given}\"` to `{key} = \"{needed}\"`")
}

/// The slots of a manifest: each app once, as large as its largest process, then the data regions. Each begins with a
/// block of 4,096 bytes.
///
/// # Errors
/// They do not fit the flash, or its map.
pub fn slots(manifest: &Manifest) -> Result<Vec<Slot>> {
    let block = u64::from(SLOT_ALIGNMENT) * SECTOR as u64;
    let mut sizes: Vec<(&str, u32, u64)> = Vec::new();
    for process in &manifest.processes {
        let bytes = (SECTOR as u64 + process.ram).next_multiple_of(block);
        match sizes.iter_mut().find(|(name, ..)| *name == process.app) {
            Some((_, _, most)) => *most = bytes.max(*most),
            None => sizes.push((&process.app, KIND_APP, bytes)),
        }
    }
    sizes.extend(manifest.data.iter().map(|region| (region.name.as_str(), KIND_DATA, region.size)));
    ensure!(sizes.len() <= MAP_ENTRIES, "{} apps and data regions; a flash map holds {MAP_ENTRIES}", sizes.len());
    let count = |kind| if kind == KIND_APP { APP_SLOTS } else { 1 };
    let need = sizes.iter().fold(SLOTS_BEGIN * SECTOR as u64, |sum, &(_, kind, bytes)| {
        sum.next_multiple_of(block).saturating_add(bytes.saturating_mul(count(kind).into()))
    });
    ensure!(
        need <= manifest.board.flash_size,
        "map, state, two slots for each app, and data need {need} bytes of flash; {}",
        change(manifest.board.flash_size_line, "flash_size", manifest.board.flash_size, need.next_multiple_of(PAGE))
    );
    let mut start_sector = SLOTS_BEGIN as u32;
    let mut slots = Vec::new();
    for (name, kind, bytes) in sizes {
        start_sector = start_sector.next_multiple_of(SLOT_ALIGNMENT);
        // The flash's size was checked to count in 32-bit sectors.
        let sectors = bytes.div_ceil(SECTOR as u64) as u32;
        slots.push(Slot { name: name.to_owned(), kind, start_sector, sectors, slots: count(kind) });
        start_sector += sectors * count(kind);
    }
    Ok(slots)
}

/// The map's entry for a slot.
fn entry(slot: &Slot) -> Result<MapEntry> {
    let Slot { kind, start_sector, sectors, slots, .. } = *slot;
    let name = name_bytes(&slot.name).with_context(|| format!("the name `{}` does not fit a map", slot.name))?;
    Ok(MapEntry { name, kind, start_sector, sectors, slots })
}
