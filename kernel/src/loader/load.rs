//! Loads one process, step by step.
//!
//! Sectors are read straight to their place in the process's RAM, which is not mapped meanwhile, and hashed there; the
//! time is charged to the process. A checked program stays in RAM, because the process cannot change code and
//! constants: the next run needs only fresh data. The data is read again and compared with a digest that was taken when
//! the whole record was checked. If the record's header has changed since then, or the data's digest differs,
//! everything is read again, so two versions never mix.
//!
//! The header is checked first, then its signature, in a step of its own, then the contents by the digest that the
//! header names. So a forged record costs one read and one signature at most.

use super::record::{self, AppError, Wanted};
use super::{Extent, Image};
use crate::objects::{AppSlot, Counted, Fetch, Objects, Role, Slots};
use crate::process::ProcessId;
use crate::time::Instant;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{self, AppHeader, SECTOR, Segment, Slot, WRITE};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The most bytes of one request to the flash.
pub const READ_BYTES: usize = 64 * SECTOR;
/// Bytes that are hashed in one step.
pub const HASH_BYTES: usize = 4096;
/// Bytes that are wiped in one step.
pub const WIPE_BYTES: usize = 64 * 1024;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next step can follow at once.
    Continues,
    /// The flash is reading; the next step has to wait.
    Waits,
    /// The program is loaded: the process can be mapped and started.
    Done,
    /// A record was rejected, of a version that is this to the app; the one in the other slot is tried next.
    Rejected(AppError, Role),
}

/// The phase of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The slot is looked up in the flash map.
    Locate,
    /// The headers of both slots are read, to find the higher version: this one's is next, and that of the first is
    /// this.
    Weigh { slot: Slot, first: Option<u32> },
    /// A start of the version on trial is counted; the program is in RAM and checked.
    Count,
    /// All RAM is wiped; the first byte that is not wiped yet.
    WipeAll { next: usize },
    /// The header's signature is checked; so many bytes of the record have arrived.
    Verify { arrived: u64 },
    /// The whole record is read; the bytes that have arrived are hashed.
    Read { arrived: u64, hashed: u64 },
    /// The pages of the writable segments are wiped, from this byte of this segment on.
    WipeData { segment: usize, next: usize },
    /// The header is read again, to compare it with the one that was checked.
    Compare,
    /// The writable segments' bytes are read again, from this byte of the record on.
    Restore { segment: usize, next: u64 },
    /// The writable segments are hashed.
    HashData { segment: usize, next: u64 },
}

/// A part of the record that was requested from the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    offset: u64,
    length: usize,
}

/// The state of one process's program: what is in RAM, and how far loading has come.
pub struct Loader {
    stage: Stage,
    /// Where the app's versions are, the one to run first.
    slots: Slots,
    /// The slot that is loaded from.
    slot: Extent,
    /// The record in the first slot was rejected.
    turned: bool,
    /// The start of the version on trial is counted.
    counted: bool,
    /// The header of the record that is loaded or being loaded, and the program that it describes.
    header: AppHeader,
    image: Image,
    asked: Option<Asked>,
    /// Why the bytes that arrived were rejected.
    fault: Option<AppError>,
    /// The whole program is in RAM and was checked; `header` and `data_digest` are its own.
    checked: bool,
    /// Nobody has signed the program, and the board runs it all the same.
    unsigned: bool,
    /// The digest of the writable segments' bytes, one segment after the other.
    data_digest: [u8; 32],
    digest: Sha256,
}

impl Loader {
    /// Nothing is loaded.
    pub fn new() -> Loader {
        Loader {
            stage: Stage::Locate,
            slots: Slots::default(),
            slot: Extent::default(),
            turned: false,
            counted: false,
            header: AppHeader::new_zeroed(),
            image: Image::default(),
            asked: None,
            fault: None,
            checked: false,
            unsigned: false,
            data_digest: [0; 32],
            digest: Sha256::new(),
        }
    }

    /// Begins to load: the whole program, or only the data if the program was checked before.
    pub fn begin(&mut self) {
        self.stage = Stage::Locate;
        self.counted = false;
        self.asked = None;
        self.fault = None;
        self.digest.reset();
    }

    /// What the version is that is loaded or being loaded.
    pub fn role(&self) -> Role {
        if self.turned { Role::Confirmed } else { self.slots.role }
    }

    /// The text of the version that was checked and is in RAM.
    pub fn version(&self) -> Option<&str> {
        flash::name_text(&self.header.version_text).filter(|_| self.checked)
    }

    /// Whether it is the version in the other slot, because that in the first was rejected.
    pub fn has_turned(&self) -> bool {
        self.turned
    }

    /// Before a loaded program runs: begins to count its start, if it is on trial. Answers whether that has to come
    /// first; [`Progress::Done`] comes again when it is done.
    pub fn begin_count(&mut self) -> bool {
        let counts = self.role() == Role::Trial && !core::mem::take(&mut self.counted);
        if counts {
            self.stage = Stage::Count;
        }
        counts
    }

    /// The loaded program, after [`Progress::Done`].
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether a program that nobody has signed was loaded, once for each time.
    pub fn take_unsigned(&mut self) -> bool {
        core::mem::take(&mut self.unsigned)
    }

    /// Makes one step: at most [`WIPE_BYTES`] are wiped, [`HASH_BYTES`] hashed, or one signature checked.
    ///
    /// # Errors
    /// Why the app cannot be loaded.
    pub fn step(
        &mut self,
        id: ProcessId,
        wanted: &Wanted<'_>,
        ram: &mut [u8],
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        let role = self.role();
        match self.make_step(id, wanted, ram, objects, now) {
            Err(error) if self.turn_to_other(error) => Ok(Progress::Rejected(error, role)),
            progress => progress,
        }
    }

    /// Turns to the other slot, if there is one that was not tried yet.
    fn turn_to_other(&mut self, error: AppError) -> bool {
        let [_, other] = self.slots.order;
        // Where it is not known yet which slot it is, there is no other.
        if self.turned
            || self.stage == Stage::Locate
            || other.sectors == 0
            || matches!(error, AppError::NoFlash | AppError::NoSlot)
        {
            return false;
        }
        (self.turned, self.slot, self.asked) = (true, other, None);
        self.load_all();
        true
    }

    fn make_step(
        &mut self,
        id: ProcessId,
        wanted: &Wanted<'_>,
        ram: &mut [u8],
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        match self.stage {
            Stage::Locate => self.locate(id, wanted.app, objects, now),
            Stage::Weigh { slot, first } => Ok(self.weigh(slot, first, id, objects, now)),
            Stage::Count => Ok(match objects.begin_trial(id, wanted.app, now) {
                Counted::Underway => Progress::Waits,
                Counted::Yes => {
                    self.counted = true;
                    self.stage = Stage::Locate;
                    Progress::Done
                }
                // It is not this version that runs: which one does is looked up anew.
                Counted::No => {
                    self.stage = Stage::Locate;
                    Progress::Continues
                }
            }),
            Stage::WipeAll { next } => {
                self.stage = match wipe(ram, next..ram.len()) {
                    Some(next) => Stage::WipeAll { next },
                    None => Stage::Read { arrived: 0, hashed: 0 },
                };
                Ok(Progress::Continues)
            }
            Stage::Verify { arrived } => self.verify(arrived, wanted),
            Stage::Read { arrived, hashed } => self.read(arrived, hashed, id, ram, objects, now),
            Stage::WipeData { segment, next } => {
                self.stage = self.wipe_data(segment, next, ram);
                Ok(Progress::Continues)
            }
            Stage::Compare => self.ask(Asked { offset: 0, length: SECTOR }, id, objects, now),
            Stage::Restore { segment, next } => self.restore(segment, next, id, objects, now),
            Stage::HashData { segment, next } => Ok(self.hash_data(segment, next, ram)),
        }
    }

    /// Takes in sectors that were read for this process, and checks everything but the digest.
    pub fn take_in(&mut self, bytes: &[u8], wanted: &Wanted<'_>, ram: &mut [u8]) {
        let Some(Asked { offset, length }) = self.asked.take() else { return };
        let Some(part) = bytes.get(..length) else {
            self.fault = Some(AppError::Device);
            return;
        };
        match self.stage {
            Stage::Weigh { slot, first } => self.weighed(slot, first, record::version_of(part, wanted)),
            Stage::Read { arrived: 0, .. } => {
                if let Err(error) = self.take_first(part, wanted, ram) {
                    self.fault = Some(error);
                }
            }
            Stage::Read { hashed, .. } => {
                self.place(offset, part, ram);
                self.stage = Stage::Read { arrived: offset + length as u64, hashed };
            }
            Stage::Compare => {
                if part == self.header.as_bytes() {
                    self.stage = Stage::Restore { segment: 0, next: 0 };
                } else {
                    self.load_all();
                }
            }
            Stage::Restore { segment, .. } => {
                if let Some(segment) = self.image.segments.get(segment) {
                    record::copy_overlap(segment, offset, part, ram);
                }
                self.stage = Stage::Restore { segment, next: offset + length as u64 };
            }
            _ => {}
        }
    }

    /// Asks for the header of this slot. One that cannot be read is of no version.
    fn weigh(
        &mut self,
        slot: Slot,
        first: Option<u32>,
        id: ProcessId,
        objects: &mut impl Objects,
        now: Instant,
    ) -> Progress {
        self.slot = self.slots.order[slot.index()];
        self.ask(Asked { offset: 0, length: SECTOR }, id, objects, now).unwrap_or_else(|_| {
            self.weighed(slot, first, None);
            Progress::Continues
        })
    }

    /// The version in this slot is this one. When both are known, the higher comes first.
    fn weighed(&mut self, slot: Slot, first: Option<u32>, version: Option<u32>) {
        match slot {
            Slot::First => self.stage = Stage::Weigh { slot: Slot::Second, first: version },
            Slot::Second => {
                if version > first {
                    self.slots.order.reverse();
                }
                self.begin_slot();
            }
        }
    }

    /// Begins with the first slot.
    fn begin_slot(&mut self) {
        self.slot = self.slots.order[0];
        if self.checked {
            self.stage = Stage::WipeData { segment: 0, next: 0 };
        } else {
            self.load_all();
        }
    }

    fn load_all(&mut self) {
        self.checked = false;
        self.digest.reset();
        self.stage = Stage::WipeAll { next: 0 };
    }

    fn locate(
        &mut self,
        id: ProcessId,
        app: &str,
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        self.slots = match objects.app_slot(id, app, now) {
            AppSlot::At(slots) => slots,
            AppSlot::Underway => return Ok(Progress::Waits),
            AppSlot::Unknown => return Err(AppError::NoSlot),
            AppSlot::NoFlash => return Err(AppError::NoFlash),
            AppSlot::Failed => return Err(AppError::Device),
        };
        (self.turned, self.counted) = (false, false);
        match self.slots.role {
            Role::Unknown => self.stage = Stage::Weigh { slot: Slot::First, first: None },
            Role::Confirmed | Role::Trial => self.begin_slot(),
        }
        Ok(Progress::Continues)
    }

    /// Requests a part of the record from the flash, once.
    fn ask(
        &mut self,
        asked: Asked,
        id: ProcessId,
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        let asked = *self.asked.get_or_insert(asked);
        match objects.fetch(id, self.slot.sector + asked.offset / SECTOR as u64, asked.length, now) {
            Fetch::Underway => Ok(Progress::Waits),
            Fetch::Failed => {
                self.asked = None;
                Err(AppError::Device)
            }
        }
    }

    fn read(
        &mut self,
        arrived: u64,
        hashed: u64,
        id: ProcessId,
        ram: &mut [u8],
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        // The first part says how long the record is; no record is longer than its slot.
        let end = if arrived == 0 { self.slot.sectors.saturating_mul(SECTOR as u64) } else { self.header.record_bytes };
        let mut progress = Progress::Continues;
        if arrived < end {
            let length = (end - arrived).min(READ_BYTES as u64) as usize;
            progress = self.ask(Asked { offset: arrived, length }, id, objects, now)?;
        }
        if hashed < arrived {
            let piece = hashed..arrived.min(hashed + HASH_BYTES as u64);
            self.hash(piece.clone(), ram);
            self.stage = Stage::Read { arrived, hashed: piece.end };
            return Ok(Progress::Continues);
        }
        if arrived < end {
            return Ok(progress);
        }
        if self.digest.finalize_reset().as_slice() != self.header.sha256 {
            return Err(AppError::Digest);
        }
        self.stage = Stage::HashData { segment: 0, next: 0 };
        Ok(Progress::Continues)
    }

    /// The beginning of the record: the header, and the bytes after it.
    // A function of its own, so that the header is in no frame of the board's loop.
    #[inline(never)]
    fn take_first(&mut self, part: &[u8], wanted: &Wanted<'_>, ram: &mut [u8]) -> Result<(), AppError> {
        let (header, rest) = AppHeader::read_from_prefix(part).map_err(|_| AppError::Magic)?;
        self.image = record::check_header(&header, wanted, self.slot, ram.len() as u64)?;
        self.header = header;
        self.digest.reset();
        let arrived = header.record_bytes.min(part.len() as u64);
        let body = rest.get(..arrived as usize - SECTOR).ok_or(AppError::Length)?;
        self.place(SECTOR as u64, body, ram);
        self.stage = Stage::Verify { arrived };
        Ok(())
    }

    fn verify(&mut self, arrived: u64, wanted: &Wanted<'_>) -> Result<Progress, AppError> {
        match record::signer(&self.header, wanted.trust)? {
            Some(key) if !record::is_genuine(&self.header, key) => return Err(AppError::Signature),
            signer => self.unsigned = signer.is_none(),
        }
        self.stage = Stage::Read { arrived, hashed: SECTOR as u64 };
        Ok(Progress::Continues)
    }

    /// Puts a part of the record in its place in RAM. Bytes without a place have to be zeros, and are hashed as zeros.
    fn place(&mut self, offset: u64, part: &[u8], ram: &mut [u8]) {
        let image = &self.image;
        image.segments.iter().for_each(|segment| record::copy_overlap(segment, offset, part, ram));
        if record::fills_gaps(image, offset, part) {
            self.fault = Some(AppError::Digest);
        }
    }

    /// Hashes a part of the record after its header, from RAM.
    fn hash(&mut self, stretch: core::ops::Range<u64>, ram: &[u8]) {
        let mut at = stretch.start;
        while at < stretch.end {
            let segments = self.image.segments.iter().map(|segment| (segment, record::file_range(segment)));
            // Segments are in order; the first that does not end before here contains this byte or comes next.
            let next = segments.clone().find(|(_, file)| file.end > at.max(file.start));
            let inside = next.as_ref().filter(|(_, file)| file.start <= at);
            let end = match (inside, &next) {
                (Some((_, file)), _) => file.end,
                (None, Some((_, file))) => file.start,
                (None, None) => stretch.end,
            }
            .min(stretch.end);
            let length = (end - at) as usize;
            match inside {
                Some((segment, _)) => {
                    let place = record::place(segment, at);
                    self.digest.update(ram.get(place..place + length).unwrap_or_default());
                }
                None => hash_zeros(&mut self.digest, length),
            }
            at = end;
        }
    }

    /// Wipes a piece of the writable segments' pages.
    fn wipe_data(&self, segment: usize, next: usize, ram: &mut [u8]) -> Stage {
        let Some(entry) = self.image.segments.get(segment) else { return Stage::Compare };
        let start = record::place(entry, entry.offset.into());
        let end = start + (entry.memory_bytes as usize).next_multiple_of(record::PAGE as usize);
        if entry.flags & WRITE == 0 {
            return Stage::WipeData { segment: segment + 1, next: 0 };
        }
        match wipe(ram, start + next..end.min(ram.len())) {
            Some(next) => Stage::WipeData { segment, next: next - start },
            None => Stage::WipeData { segment: segment + 1, next: 0 },
        }
    }

    fn restore(
        &mut self,
        segment: usize,
        next: u64,
        id: ProcessId,
        objects: &mut impl Objects,
        now: Instant,
    ) -> Result<Progress, AppError> {
        let Some(entry) = self.image.segments.get(segment) else {
            self.stage = Stage::HashData { segment: 0, next: 0 };
            return Ok(Progress::Continues);
        };
        let file = data_range(entry);
        // Whole sectors are read; bytes that are not the segment's are skipped.
        let sector = SECTOR as u64;
        let start = next.max(file.start / sector * sector);
        if file.is_empty() || start >= file.end {
            self.stage = Stage::Restore { segment: segment + 1, next: 0 };
            return Ok(Progress::Continues);
        }
        let length = (file.end.next_multiple_of(sector) - start).min(READ_BYTES as u64) as usize;
        self.ask(Asked { offset: start, length }, id, objects, now)
    }

    /// Hashes a piece of the data. At the end the digest is kept, or compared with the one that was kept.
    fn hash_data(&mut self, segment: usize, next: u64, ram: &[u8]) -> Progress {
        if let Some(entry) = self.image.segments.get(segment) {
            let file = data_range(entry);
            let at = next.max(file.start);
            let end = file.end.min(at + HASH_BYTES as u64);
            if at >= end {
                self.stage = Stage::HashData { segment: segment + 1, next: 0 };
                return Progress::Continues;
            }
            let place = record::place(entry, at);
            self.digest.update(ram.get(place..place + (end - at) as usize).unwrap_or_default());
            self.stage = Stage::HashData { segment, next: end };
            return Progress::Continues;
        }
        let found = self.digest.finalize_reset().into();
        if !self.checked {
            self.checked = true;
            self.data_digest = found;
        } else if found != self.data_digest {
            self.load_all();
            return Progress::Continues;
        }
        self.stage = Stage::Locate;
        Progress::Done
    }
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

/// A writable segment's bytes in the record; an empty range for any other segment.
fn data_range(segment: &Segment) -> core::ops::Range<u64> {
    if segment.flags & WRITE == 0 { 0..0 } else { record::file_range(segment) }
}

/// Wipes the beginning of a range; returns where the next step goes on.
fn wipe(ram: &mut [u8], range: core::ops::Range<usize>) -> Option<usize> {
    let end = range.end.min(range.start.saturating_add(WIPE_BYTES));
    if let Some(part) = ram.get_mut(range.start..end) {
        part.fill(0);
    }
    (end < range.end).then_some(end)
}

fn hash_zeros(digest: &mut Sha256, length: usize) {
    const ZEROS: [u8; 64] = [0; 64];
    let mut rest = length;
    while rest > 0 {
        let piece = rest.min(ZEROS.len());
        digest.update(ZEROS.get(..piece).unwrap_or_default());
        rest -= piece;
    }
}
