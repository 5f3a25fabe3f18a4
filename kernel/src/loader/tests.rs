//! The flash map. How programs are loaded is shown in `kernel/tests/loading.rs`.

use super::*;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{self, KIND_APP, KIND_DATA, MapEntry, MapHeader};
use zerocopy::IntoBytes;

fn entry(name: &str, kind: u32, start_sector: u32, sectors: u32) -> MapEntry {
    let slots = if kind == KIND_APP { 2 } else { 1 };
    MapEntry { name: flash::name_bytes(name).unwrap(), kind, start_sector, sectors, slots }
}

/// The slots of an app whose entry says 24 and 16.
const SLOTS: [Extent; 2] = [Extent { sector: 24, sectors: 16 }, Extent { sector: 40, sectors: 16 }];

fn map(entries: &[MapEntry]) -> std::vec::Vec<u8> {
    let table: std::vec::Vec<u8> = entries.iter().flat_map(|entry| entry.as_bytes().to_vec()).collect();
    let board = flash::name_bytes("board").unwrap();
    let header = MapHeader {
        magic: flash::MAP_MAGIC,
        version: flash::MAP_VERSION,
        entries: entries.len() as u32,
        sha256: Sha256::new().chain_update(board).chain_update(&table).finalize().into(),
        board,
    };
    let mut bytes = [header.as_bytes(), &table].concat();
    bytes.resize(MAP_BYTES, 0);
    bytes
}

#[test]
fn the_map_finds_apps_and_regions_by_name_and_kind() {
    let entries = [entry("scratch", KIND_DATA, 64, u32::MAX), entry("app", KIND_APP, 24, 16)];
    let map = FlashMap::parse(&map(&entries), u64::MAX).unwrap();
    assert_eq!(map.app("app"), Some((1, SLOTS)));
    assert_eq!((map.app("scratch"), map.data("app")), (None, None));
    assert_eq!(map.data("scratch"), Some(0));
    assert_eq!(map.region(0), Some(Extent { sector: 64, sectors: u32::MAX.into() }));
    assert_eq!((map.region(1), map.region(2), map.region(usize::MAX)), (None, None, None));
    let moved = map.moved_to(1000);
    assert_eq!(moved.app("app"), Some((1, SLOTS.map(|slot| Extent { sector: slot.sector + 1000, ..slot }))));
}

#[test]
fn a_damaged_map_is_rejected_with_the_reason() {
    let good = map(&[entry("app", KIND_APP, 24, 16)]);
    let parse = |bytes: &[u8]| FlashMap::parse(bytes, 100).map(|_| ());
    for (position, expected) in
        [(0, MapError::Magic), (8, MapError::Version(3)), (48, MapError::Digest), (70, MapError::Digest)]
    {
        let mut bad = good.clone();
        bad[position] ^= 1;
        assert_eq!(parse(&bad), Err(expected));
    }
    for entries in [63, 64, u32::MAX / 32 + 2, u32::MAX] {
        let mut bad = good.clone();
        bad[12..16].copy_from_slice(&entries.to_le_bytes());
        assert_eq!(parse(&bad), Err(MapError::Entries(entries)));
    }
    assert_eq!(parse(&good[..60]), Err(MapError::Magic));
}

#[test]
fn an_entry_that_cannot_be_is_refused_and_the_rest_is_used() {
    let entries = [
        entry("over", KIND_DATA, 40, 4),
        entry("app", KIND_APP, 24, 16),
        entry("beyond", KIND_DATA, 90, 11),
        entry("app", KIND_APP, 64, 8),
        entry("scratch", KIND_DATA, 56, 6),
        entry("map", KIND_APP, 16, 8),
    ];
    let map = FlashMap::parse(&map(&entries), 100).unwrap();
    assert_eq!(map.app("app"), Some((1, SLOTS)), "the first of its name");
    assert_eq!((map.data("over"), map.data("beyond"), map.app("map")), (None, None, None));
    assert_eq!((map.region(0), map.region(2)), (None, None), "nor by their number");
    assert_eq!(map.data("scratch"), Some(4));
}

#[test]
fn a_map_may_be_full() {
    let names: std::vec::Vec<_> = (0..62).map(|index| std::format!("app {index}")).collect();
    let sectors = (24..).step_by(16);
    let entries: std::vec::Vec<_> =
        sectors.clone().zip(&names).map(|(sector, name)| entry(name, KIND_APP, sector, 8)).collect();
    let bytes = map(&entries);
    assert_eq!(bytes.len(), 4 * 512);
    let map = FlashMap::parse(&bytes, 24 + 62 * 16).unwrap();
    for (index, (sector, name)) in sectors.zip(&names).enumerate() {
        let first = Extent { sector: sector.into(), sectors: 8 };
        assert_eq!(map.app(name), Some((index, [first, Extent { sector: first.sector + 8, ..first }])));
    }
}
