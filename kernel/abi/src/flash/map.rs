//! The flash map: what slots there are, and the rules that its entries keep.

use super::{SECTOR, name_text};
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

/// One slot of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapEntry {
    /// The app's or region's name, filled up with NUL.
    pub name: [u8; NAME_MAX],
    /// [`KIND_APP`] or [`KIND_DATA`].
    pub kind: u32,
    /// First sector of the slot.
    pub start_sector: u32,
    /// Sectors of the slot.
    pub sectors: u32,
    /// Zero.
    pub reserved: u32,
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
    /// It begins in the sectors of the map itself.
    InMap,
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
            EntryFault::InMap => "it lies over the map",
            EntryFault::Empty => "it has no sectors",
            EntryFault::BeyondEnd => "it goes beyond the end of the flash",
            EntryFault::SameName(_) => "another entry has its name",
            EntryFault::Overlaps(_) => "it lies over another entry",
        }
    }
}

impl MapEntry {
    /// The sectors of the slot; they may lie beyond the end of any flash.
    pub fn range(&self) -> core::ops::Range<u64> {
        let start = u64::from(self.start_sector);
        start..start + u64::from(self.sectors)
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
    if range.start < MAP_SECTORS as u64 {
        return Err(EntryFault::InMap);
    }
    if range.is_empty() {
        return Err(EntryFault::Empty);
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
        MapEntry { name: name_bytes(name).unwrap(), kind, start_sector, sectors, reserved: 0 }
    }

    fn check(entries: &[MapEntry]) -> (u64, Vec<(usize, EntryFault)>) {
        let mut faults = Vec::new();
        let usable = check_map(entries, 100, |index, fault| faults.push((index, fault)));
        (usable, faults)
    }

    #[test]
    fn entries_that_touch_and_fill_the_flash_are_used() {
        let entries = [entry("a", KIND_APP, 4, 6), entry("b", KIND_DATA, 10, 90)];
        assert_eq!(check(&entries), (0b11, [].into()));
        let turned = [entry("b", KIND_DATA, 10, 90), entry("a", KIND_DATA, 4, 6)];
        assert_eq!(check(&turned), (0b11, [].into()));
    }

    #[test]
    fn a_region_over_an_app_is_refused_wherever_it_stands_in_the_map() {
        for (start, sectors) in [(4, 1), (9, 1), (9, 10), (4, 96), (5, 2)] {
            let [app, region] = [entry("app", KIND_APP, 4, 6), entry("data", KIND_DATA, start, sectors)];
            assert_eq!(check(&[app, region]), (0b01, [(1, EntryFault::Overlaps(0))].into()));
            assert_eq!(check(&[region, app]), (0b10, [(0, EntryFault::Overlaps(1))].into()));
        }
    }

    #[test]
    fn each_entry_that_cannot_be_is_named_and_the_rest_is_used() {
        let cases = [
            (MapEntry { name: [0; NAME_MAX], ..entry("x", KIND_APP, 20, 1) }, EntryFault::NoName),
            (MapEntry { name: [0xff; NAME_MAX], ..entry("x", KIND_DATA, 20, 1) }, EntryFault::NoName),
            (entry("x", 3, 20, 1), EntryFault::Kind(3)),
            (entry("x", KIND_APP, 3, 1), EntryFault::InMap),
            (entry("x", KIND_DATA, 0, 100), EntryFault::InMap),
            (entry("x", KIND_DATA, 20, 0), EntryFault::Empty),
            (entry("x", KIND_APP, 99, 2), EntryFault::BeyondEnd),
            (entry("x", KIND_DATA, u32::MAX, u32::MAX), EntryFault::BeyondEnd),
            (entry("first", KIND_APP, 20, 1), EntryFault::SameName(0)),
            (entry("first", KIND_DATA, 20, 1), EntryFault::SameName(0)),
            (entry("x", KIND_APP, 9, 1), EntryFault::Overlaps(0)),
        ];
        for (bad, fault) in cases {
            let entries = [entry("first", KIND_APP, 4, 6), bad, entry("last", KIND_DATA, 50, 50)];
            assert_eq!(check(&entries), (0b101, [(1, fault)].into()), "{bad:?}");
        }
    }

    #[test]
    fn what_stands_behind_the_end_of_a_name_makes_it_no_other() {
        let mut twin = entry("first", KIND_DATA, 20, 1);
        twin.name[8] = b'!';
        let entries = [entry("first", KIND_DATA, 4, 6), twin];
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
