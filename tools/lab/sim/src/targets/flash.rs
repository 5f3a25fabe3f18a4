//! The flash's map and state: what is accepted lies where it may, and survives being written and read again.
//!
//! Bytes are tried as they are, and once more with their digest made right, or no mutation would get behind it.

use slopos_abi::flash::{
    APP_SLOTS, AppState, FlashState, KIND_APP, KIND_DATA, MAP_ENTRIES, MAP_MAGIC, MAP_VERSION, MapEntry, MapHeader,
    NextStart, Reason, SECTOR, SLOTS_BEGIN, STATE_MAGIC, STATE_VERSION, Slot, TRIAL_STARTS, Trial, name_text,
};
use slopos_kernel::loader::{Extent, FlashMap, sha256};
use zerocopy::IntoBytes;

/// Sectors of the flash whose map it is.
const FLASH: u64 = 4096;
/// The entries and the digest of a map.
const ENTRIES: usize = size_of::<MapHeader>();
const MAP_DIGEST: std::ops::Range<usize> = 16..48;
/// What the digest of a state sector covers, and where it is.
const STATE_COVERED: usize = 272;
const STATE_DIGEST: usize = SECTOR - 32;

/// A flash map.
pub fn map(data: &[u8]) {
    map_as_it_is(data);
    let mut bytes = data.to_vec();
    if let Some(head) = bytes.get_mut(..ENTRIES) {
        head[..8].copy_from_slice(&MAP_MAGIC);
        head[8..12].copy_from_slice(&MAP_VERSION.to_le_bytes());
        let entries = usize::from(head[12]) % (MAP_ENTRIES + 2);
        head[12..16].copy_from_slice(&(entries as u32).to_le_bytes());
        let table = bytes.get(MAP_DIGEST.end..ENTRIES + entries * size_of::<MapEntry>());
        if let Some(digest) = table.map(sha256) {
            bytes[MAP_DIGEST].copy_from_slice(&digest);
        }
    }
    map_as_it_is(&bytes);
}

fn map_as_it_is(bytes: &[u8]) {
    let Ok(map) = FlashMap::parse(bytes, FLASH) else { return };
    let names = bytes[ENTRIES..].chunks_exact(size_of::<MapEntry>()).take(MAP_ENTRIES);
    let mut taken: Vec<std::ops::Range<u64>> = Vec::new();
    let mut seen = Vec::new();
    for name in names.filter_map(|entry| entry.first_chunk::<16>()) {
        let Some(name) = name_text(name).filter(|name| !seen.contains(name)) else { continue };
        seen.push(name);
        let app = map.app(name).map(|(_, slots)| slots);
        let region = map.data(name).and_then(|index| map.region(index));
        assert!(app.is_none() || region.is_none(), "one name is one thing");
        for Extent { sector, sectors } in app.into_iter().flatten().chain(region) {
            let range = sector..sector + sectors;
            assert!(range.start >= SLOTS_BEGIN && range.end <= FLASH && !range.is_empty(), "{range:?}");
            let apart = |other: &std::ops::Range<u64>| range.end <= other.start || other.end <= range.start;
            assert!(taken.iter().all(apart), "two slots overlap");
            taken.push(range);
        }
    }
}

/// A state sector.
pub fn state(data: &[u8]) {
    state_as_it_is(data);
    let mut bytes = data.to_vec();
    bytes.resize(SECTOR, 0);
    bytes[..8].copy_from_slice(&STATE_MAGIC);
    bytes[8..12].copy_from_slice(&STATE_VERSION.to_le_bytes());
    let digest = sha256(&bytes[..STATE_COVERED]);
    bytes[STATE_DIGEST..].copy_from_slice(&digest);
    state_as_it_is(&bytes);
}

fn state_as_it_is(bytes: &[u8]) {
    for slot in Slot::ALL {
        let Ok(state) = FlashState::parse(Some(bytes), slot, sha256) else { continue };
        let written = state.encode(sha256).1;
        let read = FlashState::parse(Some(&written), slot.other(), sha256);
        assert_eq!(read, Ok(state.written()));
        state.apps.into_iter().for_each(steps);
    }
}

/// Every step from a state is a state, and a trial has an end.
fn steps(app: AppState) {
    let mut next = app.activate();
    for start in 0..=TRIAL_STARTS {
        assert_eq!(AppState::from_word(next.word()), Some(next));
        assert_eq!(next.confirmed(), app.confirmed());
        match next.next_start() {
            NextStart::Trial(begun) => {
                assert!(start < TRIAL_STARTS);
                assert_eq!(begun.confirm(), AppState::confirmed_in(app.spare()));
                next = begun;
            }
            NextStart::UsedUp(over) => assert_eq!((start, over.reverted()), (TRIAL_STARTS, Some(Reason::Unconfirmed))),
            NextStart::Confirmed => panic!("a trial is forgotten"),
        }
    }
    assert_eq!(app.revert(Reason::Fault).trial(), Trial::None);
}

/// A map of an app and a region, and a state of that app on trial: what the fuzzer begins with.
pub fn seeds() -> [Vec<u8>; 2] {
    let entry = |name: &str, kind, start_sector, sectors, slots| MapEntry {
        name: slopos_abi::flash::name_bytes(name).unwrap_or_default(),
        kind,
        start_sector,
        sectors,
        slots,
    };
    let entries = [entry("app", KIND_APP, 24, 16, APP_SLOTS), entry("data", KIND_DATA, 56, 3, 1)];
    let board = slopos_abi::flash::name_bytes("board").unwrap_or_default();
    let sha256 = sha256(&[board.as_slice(), entries.as_bytes()].concat());
    let header = MapHeader { magic: MAP_MAGIC, version: MAP_VERSION, entries: 2, sha256, board };
    let mut state = FlashState::NEW;
    state.apps[0] = state.apps[0].activate();
    [[header.as_bytes(), entries.as_bytes()].concat(), state.encode(slopos_kernel::loader::sha256).1.to_vec()]
}
