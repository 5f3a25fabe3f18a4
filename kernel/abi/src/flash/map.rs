//! The flash map: what slots there are, and the rules that its entries keep.

use super::{SECTOR, SLOTS_BEGIN, Slot, name_text};
use crate::limits::NAME_MAX;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Sectors of the flash map.
pub const MAP_SECTORS: usize = 4;
/// Most entries of a flash map.
pub const MAP_ENTRIES: usize = 62;
/// First bytes of a flash map.
pub const MAP_MAGIC: [u8; 8] = *b"SLOPFLSH";
/// The version of the layout of a map.
pub const MAP_VERSION: u32 = 2;
/// Slots of an app.
pub const APP_SLOTS: u32 = 2;
/// Slots begin at multiples of this, in sectors, and an app's have a multiple of it: a device whose blocks are larger
/// than a sector writes whole blocks of at most 4,096 bytes, and a power cut may tear one.
pub const SLOT_ALIGNMENT: u32 = 8;

/// Slot kind: holds an app.
pub const KIND_APP: u32 = 1;
/// Slot kind: holds plain data that a process may open by name.
pub const KIND_DATA: u32 = 2;

/// The head of the flash map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapHeader {
    /// [`MAP_MAGIC`].
    pub magic: [u8; 8],
    /// [`MAP_VERSION`].
    pub version: u32,
    /// How many entries follow, at most [`MAP_ENTRIES`].
    pub entries: u32,
    /// SHA-256 of the board's name and of the `entries` entries that follow.
    pub sha256: [u8; 32],
    /// The name of the board whose flash it is, filled up with NUL.
    pub board: [u8; NAME_MAX],
}

/// An app or a data region of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapEntry {
    /// The app's or region's name, filled up with NUL.
    pub name: [u8; NAME_MAX],
    /// [`KIND_APP`] or [`KIND_DATA`].
    pub kind: u32,
    /// First sector of the first slot.
    pub start_sector: u32,
    /// Sectors of one slot.
    pub sectors: u32,
    /// How many slots follow each other: [`APP_SLOTS`] for an app, 1 for a data region.
    pub slots: u32,
}

const _: () = assert!(size_of::<MapHeader>() == 64);
const _: () = assert!(size_of::<MapEntry>() == 32);
const _: () = assert!(size_of::<MapHeader>() + MAP_ENTRIES * size_of::<MapEntry>() == MAP_SECTORS * SECTOR);

/// Why an entry of a flash map cannot be used. The `flash` tool and the kernel go by the same rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFault {
    /// It has no name, or one that is not UTF-8.
    NoName,
    /// It is neither an app's slot nor a data region; the kind.
    Kind(u32),
    /// It begins in the sectors of the map or of the state.
    InMap,
    /// It has another number of slots than its kind; how many.
    Slots(u32),
    /// An app's slot does not begin or end with a block of 4,096 bytes.
    Unaligned,
    /// It has no sectors.
    Empty,
    /// It ends behind the last sector of the flash.
    BeyondEnd,
    /// Another entry that is used has its name; the index of that.
    SameName(usize),
    /// It shares a sector with another entry that is used; the index of that.
    Overlaps(usize),
}

impl EntryFault {
    /// The fault in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            EntryFault::NoName => "it has no name",
            EntryFault::Kind(_) => "it is of no known kind",
            EntryFault::InMap => "it lies over the map or the state",
            EntryFault::Slots(_) => "it has another number of slots than its kind",
            EntryFault::Unaligned => "it does not begin and end with a block of 4,096 bytes",
            EntryFault::Empty => "it has no sectors",
            EntryFault::BeyondEnd => "it goes beyond the end of the flash",
            EntryFault::SameName(_) => "another entry has its name",
            EntryFault::Overlaps(_) => "it lies over another entry",
        }
    }
}

impl MapEntry {
    /// The sectors of all its slots; they may lie beyond the end of any flash.
    pub fn range(&self) -> core::ops::Range<u64> {
        let start = u64::from(self.start_sector);
        start..start.saturating_add(u64::from(self.sectors).saturating_mul(self.slots.into()))
    }

    /// The sectors of one slot of an app; those of a data region are its first slot.
    pub fn slot(&self, slot: Slot) -> core::ops::Range<u64> {
        let sectors = u64::from(self.sectors);
        let start = u64::from(self.start_sector) + sectors * slot.index() as u64;
        start..start + sectors
    }

    /// Whether two names are one. What stands behind the first NUL does not count.
    fn is_named_like(&self, other: &MapEntry) -> bool {
        name_text(&self.name) == name_text(&other.name)
    }
}

/// Checks the entries of a map against each other and against a flash of so many sectors, and tells of each that cannot
/// be used. Answers which can, a bit for each; an entry behind the first [`MAP_ENTRIES`] never can.
///
/// Where two do not go together the one is used that comes first, and an app's slot comes before every data region: a
/// region that lies over a program would let one process write what another runs.
pub fn check_map(entries: &[MapEntry], flash_sectors: u64, mut tell: impl FnMut(usize, EntryFault)) -> u64 {
    let mut usable = 0_u64;
    for data in [false, true] {
        for (index, entry) in entries.iter().enumerate().take(MAP_ENTRIES) {
            // An entry without a kind comes with the data, so that it is told of once.
            if (entry.kind != KIND_APP) != data {
                continue;
            }
            let others = entries.iter().enumerate().filter(|(other, _)| usable >> (other & 63) & 1 != 0);
            match check_entry(entry, others.take(MAP_ENTRIES), flash_sectors) {
                Ok(()) => usable |= 1 << index,
                Err(fault) => tell(index, fault),
            }
        }
    }
    usable
}

fn check_entry<'a>(
    entry: &MapEntry,
    mut others: impl Iterator<Item = (usize, &'a MapEntry)>,
    flash_sectors: u64,
) -> Result<(), EntryFault> {
    let range = entry.range();
    name_text(&entry.name).ok_or(EntryFault::NoName)?;
    if !matches!(entry.kind, KIND_APP | KIND_DATA) {
        return Err(EntryFault::Kind(entry.kind));
    }
    if range.start < SLOTS_BEGIN {
        return Err(EntryFault::InMap);
    }
    if entry.slots != if entry.kind == KIND_APP { APP_SLOTS } else { 1 } {
        return Err(EntryFault::Slots(entry.slots));
    }
    if range.is_empty() {
        return Err(EntryFault::Empty);
    }
    let unaligned = |sector: u32| !sector.is_multiple_of(SLOT_ALIGNMENT);
    if entry.kind == KIND_APP && (unaligned(entry.start_sector) || unaligned(entry.sectors)) {
        return Err(EntryFault::Unaligned);
    }
    if range.end > flash_sectors {
        return Err(EntryFault::BeyondEnd);
    }
    let meets = |other: &MapEntry| range.start < other.range().end && other.range().start < range.end;
    others.try_for_each(|(index, other)| {
        if entry.is_named_like(other) {
            return Err(EntryFault::SameName(index));
        }
        if meets(other) { Err(EntryFault::Overlaps(index)) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::name_bytes;

    fn entry(name: &str, kind: u32, start_sector: u32, sectors: u32) -> MapEntry {
        let slots = if kind == KIND_APP { APP_SLOTS } else { 1 };
        MapEntry { name: name_bytes(name).unwrap(), kind, start_sector, sectors, slots }
    }

    fn check(entries: &[MapEntry]) -> (u64, Vec<(usize, EntryFault)>) {
        let mut faults = Vec::new();
        let usable = check_map(entries, 100, |index, fault| faults.push((index, fault)));
        (usable, faults)
    }

    #[test]
    fn entries_that_touch_and_fill_the_flash_are_used() {
        let entries = [entry("a", KIND_APP, 24, 8), entry("b", KIND_DATA, 40, 60)];
        assert_eq!(check(&entries), (0b11, [].into()));
        let turned = [entry("b", KIND_DATA, 40, 60), entry("a", KIND_DATA, 24, 16)];
        assert_eq!(check(&turned), (0b11, [].into()));
    }

    #[test]
    fn an_apps_slots_follow_each_other() {
        let app = entry("a", KIND_APP, 24, 16);
        assert_eq!((app.slot(Slot::First), app.slot(Slot::Second), app.range()), (24..40, 40..56, 24..56));
    }

    #[test]
    fn a_region_over_either_slot_of_an_app_is_refused_wherever_it_stands_in_the_map() {
        for (start, sectors) in [(24, 1), (31, 1), (32, 1), (39, 1), (39, 10), (24, 76), (25, 2)] {
            let [app, region] = [entry("app", KIND_APP, 24, 8), entry("data", KIND_DATA, start, sectors)];
            assert_eq!(check(&[app, region]), (0b01, [(1, EntryFault::Overlaps(0))].into()));
            assert_eq!(check(&[region, app]), (0b10, [(0, EntryFault::Overlaps(1))].into()));
        }
    }

    #[test]
    fn each_entry_that_cannot_be_is_named_and_the_rest_is_used() {
        let slots = |kind, slots| MapEntry { slots, ..entry("x", kind, 40, 8) };
        let cases = [
            (MapEntry { name: [0; NAME_MAX], ..entry("x", KIND_APP, 40, 8) }, EntryFault::NoName),
            (MapEntry { name: [0xff; NAME_MAX], ..entry("x", KIND_DATA, 40, 1) }, EntryFault::NoName),
            (entry("x", 3, 40, 1), EntryFault::Kind(3)),
            (entry("x", KIND_APP, 16, 8), EntryFault::InMap),
            (entry("x", KIND_DATA, 23, 1), EntryFault::InMap),
            (entry("x", KIND_DATA, 0, 100), EntryFault::InMap),
            (slots(KIND_APP, 1), EntryFault::Slots(1)),
            (slots(KIND_APP, u32::MAX), EntryFault::Slots(u32::MAX)),
            (slots(KIND_DATA, 2), EntryFault::Slots(2)),
            (slots(KIND_DATA, 0), EntryFault::Slots(0)),
            (entry("x", KIND_DATA, 40, 0), EntryFault::Empty),
            (entry("x", KIND_APP, 41, 8), EntryFault::Unaligned),
            (entry("x", KIND_APP, 40, 4), EntryFault::Unaligned),
            (entry("x", KIND_APP, 88, 8), EntryFault::BeyondEnd),
            (entry("x", KIND_DATA, u32::MAX, u32::MAX), EntryFault::BeyondEnd),
            (entry("first", KIND_APP, 40, 8), EntryFault::SameName(0)),
            (entry("first", KIND_DATA, 40, 1), EntryFault::SameName(0)),
            (entry("x", KIND_APP, 32, 8), EntryFault::Overlaps(0)),
        ];
        for (bad, fault) in cases {
            let entries = [entry("first", KIND_APP, 24, 8), bad, entry("last", KIND_DATA, 60, 40)];
            assert_eq!(check(&entries), (0b101, [(1, fault)].into()), "{bad:?}");
        }
    }

    #[test]
    fn what_stands_behind_the_end_of_a_name_makes_it_no_other() {
        let mut twin = entry("first", KIND_DATA, 40, 1);
        twin.name[8] = b'!';
        let entries = [entry("first", KIND_DATA, 24, 6), twin];
        assert_eq!(check(&entries), (0b01, [(1, EntryFault::SameName(0))].into()));
    }

    #[test]
    fn a_name_fills_its_field_at_most_and_is_read_as_it_was_written() {
        for text in ["x", "sixteen letters!"] {
            assert_eq!(name_text(&name_bytes::<NAME_MAX>(text).unwrap()), Some(text));
        }
        for text in ["", "seventeen letters"] {
            assert_eq!(name_bytes::<NAME_MAX>(text), None);
        }
    }

    #[test]
    fn each_fault_of_an_entry_is_told_in_words_of_its_own() {
        let faults = [
            EntryFault::NoName,
            EntryFault::Kind(3),
            EntryFault::InMap,
            EntryFault::Slots(3),
            EntryFault::Unaligned,
            EntryFault::Empty,
            EntryFault::BeyondEnd,
            EntryFault::SameName(0),
            EntryFault::Overlaps(0),
        ];
        let texts: std::collections::BTreeSet<_> = faults.iter().map(|fault| fault.text()).collect();
        assert_eq!(texts.len(), faults.len());
        assert!(texts.iter().all(|text| text.starts_with("it ") || text.starts_with("another ")), "{texts:?}");
    }
}
