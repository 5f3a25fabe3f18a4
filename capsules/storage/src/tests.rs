//! Calls of several processes against a device that a test plays.

mod search;

use super::*;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{
    FlashState, KIND_APP, KIND_DATA, MAP_MAGIC, MAP_VERSION, MapEntry, MapHeader, STATE_SECTORS, name_bytes,
};
use slopos_kernel::loader::sha256;
use slopos_kernel::loader::{Extent, MAP_BYTES};
use slopos_kernel::objects::{Role, Slots};
use std::vec::Vec;
use zerocopy::IntoBytes;

/// Bytes of a request here.
const CHUNK: usize = 4 * SECTOR;
/// The region of the tests: more than 4 GiB.
const REGION: Extent = Extent { sector: 100, sectors: 1 << 24 };
const REGION_BYTES: u64 = (1 << 24) * SECTOR as u64;
const START: Instant = Instant::from_millis(5);

fn process(index: u8) -> ProcessId {
    ProcessId::new(index)
}

fn fresh() -> Storage<'static> {
    Storage::new(Box::leak(Box::new([Call::NONE; 8])), CHUNK, Sources { disk: true, modules: 0 })
}

fn entry(name: &str, kind: u32, start_sector: u32, sectors: u32) -> MapEntry {
    let slots = if kind == KIND_APP { 2 } else { 1 };
    MapEntry { name: name_bytes(name).unwrap(), kind, start_sector, sectors, slots }
}

fn map() -> Vec<u8> {
    map_of(&[entry("app", KIND_APP, 24, 24), entry("scratch", KIND_DATA, 100, REGION.sectors as u32)])
}

fn map_of(entries: &[MapEntry]) -> Vec<u8> {
    let board = name_bytes("board").unwrap();
    let header = MapHeader {
        magic: MAP_MAGIC,
        version: MAP_VERSION,
        entries: entries.len() as u32,
        sha256: Sha256::new().chain_update(board).chain_update(entries.as_bytes()).finalize().into(),
        board,
    };
    let mut bytes = [header.as_bytes(), entries.as_bytes()].concat();
    bytes.resize(MAP_BYTES, 0);
    bytes
}

/// A flash whose map has been read.
fn storage() -> Storage<'static> {
    let mut storage = fresh();
    let request = storage.next(START).unwrap();
    assert!(matches!(request.owner, Owner::Map(_)));
    storage.settle_map(Some(&map()), 1 << 33, START);
    read_state(&mut storage);
    assert!(storage.is_idle());
    storage
}

/// Both sectors of the state of a new flash are read.
fn read_state(storage: &mut Storage<'_>) {
    for sector in STATE_SECTORS {
        let request = storage.next(START).unwrap();
        let Owner::Map(place) = request.owner else { panic!("{request:?}") };
        assert_eq!((place.sector, place.length, storage.owner(request.ticket)), (sector, SECTOR, Some(request.owner)));
        assert_eq!(storage.next(START), None, "one after the other");
        assert!(!storage.is_idle() && storage.region("scratch").is_none());
        storage.settle_map(Some(&FlashState::NEW.encode(sha256).1), 1 << 33, START);
    }
}

fn ready(storage: &mut Storage<'_>) -> Vec<usize> {
    storage.take_ready().each_from(0).map(ProcessId::index).collect()
}

/// The next request, which must be this process's.
fn next_of(storage: &mut Storage<'_>, index: u8) -> (u32, Purpose) {
    match storage.next(START) {
        Some(Request { ticket, owner: Owner::Process(found, purpose), .. }) => {
            assert_eq!(found, process(index));
            (ticket, purpose)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_is_underway_until_the_device_answers_and_is_told_once() {
    let mut storage = storage();
    let read = |storage: &mut Storage<'_>| storage.read(process(3), 1, 512, SECTOR, START);
    assert_eq!(read(&mut storage), Err(Errno::Again));
    let (ticket, purpose) = next_of(&mut storage, 3);
    assert_eq!(purpose, Purpose::Read { region: 1, position: 512, sector: 101, length: SECTOR });
    assert_eq!(read(&mut storage), Err(Errno::Again));
    assert_eq!(storage.next(START), None, "one request at a time");
    storage.settle(ticket, Ok(SECTOR));
    assert_eq!(ready(&mut storage), [3]);
    assert_eq!(read(&mut storage), Ok(SECTOR));
    assert!(storage.is_idle());
    assert_eq!(read(&mut storage), Err(Errno::Again), "the next one is new");
    let (ticket, _) = next_of(&mut storage, 3);
    storage.settle(ticket, Err(Errno::Io));
    assert_eq!(read(&mut storage), Err(Errno::Io));
}

#[test]
fn a_position_beyond_4_gib_is_where_it_says() {
    let mut storage = storage();
    let gib_4 = 1_u64 << 32;
    for position in [gib_4 - 512, gib_4, gib_4 + 512, REGION_BYTES - 512] {
        assert_eq!(storage.read(process(0), 1, position, SECTOR, START), Err(Errno::Again));
        let (ticket, purpose) = next_of(&mut storage, 0);
        let sector = REGION.sector + position / 512;
        assert_eq!(purpose, Purpose::Read { region: 1, position, sector, length: SECTOR });
        storage.settle(ticket, Ok(SECTOR));
        assert_eq!(storage.read(process(0), 1, position, SECTOR, START), Ok(SECTOR));
    }
    for position in [REGION_BYTES, REGION_BYTES + 512, u64::MAX] {
        assert_eq!(storage.read(process(0), 1, position, SECTOR, START), Ok(0), "at the end");
        assert_eq!(storage.write(process(0), 1, position, SECTOR, START), Err(Errno::Invalid));
    }
    for (position, length) in [(1, 512), (gib_4 + 1, 512), (0, 511), (gib_4, 513)] {
        assert_eq!(storage.read(process(0), 1, position, length, START), Err(Errno::Invalid));
    }
    assert_eq!(storage.read(process(0), 0, 0, SECTOR, START), Err(Errno::Io), "an app's slot is no region");
    assert_eq!(storage.next(START), None, "none of these reached the device");
}

#[test]
fn no_more_is_moved_at_a_time_than_fits_a_request() {
    let mut storage = storage();
    assert_eq!(storage.write(process(0), 1, 0, 10 * CHUNK, START), Err(Errno::Again));
    let (ticket, purpose) = next_of(&mut storage, 0);
    assert_eq!(purpose, Purpose::Write { region: 1, position: 0, sector: 100, length: CHUNK });
    storage.settle(ticket, Ok(CHUNK));
    assert_eq!(storage.write(process(0), 1, 0, 10 * CHUNK, START), Ok(CHUNK));
    // The region's end cuts as well.
    assert_eq!(storage.read(process(0), 1, REGION_BYTES - 512, 10 * CHUNK, START), Err(Errno::Again));
    assert!(matches!(next_of(&mut storage, 0).1, Purpose::Read { length: SECTOR, .. }));
}

#[test]
fn processes_take_turns_however_fast_one_asks() {
    let mut storage = storage();
    let mut served = [0; 4];
    for _ in 0..400 {
        for index in 0..4 {
            let _ = storage.read(process(index), 1, 0, SECTOR, START);
        }
        let Some(Request { ticket, owner: Owner::Process(id, _), .. }) = storage.next(START) else { panic!("none") };
        served[id.index()] += 1;
        storage.settle(ticket, Ok(SECTOR));
    }
    assert_eq!(served, [100; 4]);
}

#[test]
fn a_call_has_one_deadline_whether_the_device_has_it_or_not() {
    let mut storage = storage();
    let read = |storage: &mut Storage<'_>, index, now| storage.read(process(index), 1, 0, SECTOR, now);
    assert_eq!(read(&mut storage, 0, START), Err(Errno::Again));
    assert_eq!(read(&mut storage, 1, START), Err(Errno::Again));
    let (ticket, _) = next_of(&mut storage, 0);
    let end = START + CALL_LIMIT;
    assert_eq!(storage.next_deadline(true), Some(end));
    // Made again in the meantime, it gets no more time.
    let late = Instant::from_micros(end.as_micros() - 1);
    assert_eq!(read(&mut storage, 0, late), Err(Errno::Again));
    storage.expire(late);
    assert_eq!(ready(&mut storage), []);
    storage.expire(end);
    assert_eq!(ready(&mut storage), [0, 1]);
    assert_eq!((read(&mut storage, 0, end), read(&mut storage, 1, end)), (Err(Errno::Io), Err(Errno::Io)));
    // What the device still has is nobody's, and until it is back its process has no other request.
    assert_eq!(storage.owner(ticket), None);
    assert_eq!(read(&mut storage, 0, end), Err(Errno::Again));
    assert_eq!(storage.next(end), None);
    storage.settle(ticket, Ok(SECTOR));
    assert_eq!(ready(&mut storage), []);
    let (again, _) = next_of(&mut storage, 0);
    assert_ne!(again, ticket);
}

#[test]
fn a_process_that_dies_leaves_an_orphan_and_gets_no_second_place_at_the_device() {
    let mut storage = storage();
    assert_eq!(storage.read(process(2), 1, 0, SECTOR, START), Err(Errno::Again));
    let (orphan, _) = next_of(&mut storage, 2);
    for _ in 0..10 {
        storage.abandon(process(2));
        assert!(storage.owner(orphan).is_none() && storage.next_deadline(true).is_none());
        // The next run asks for the very same.
        assert_eq!(storage.read(process(2), 1, 0, SECTOR, START), Err(Errno::Again));
        assert_eq!(storage.next(START), None);
        assert_eq!(storage.owner(orphan), None, "its answer is not the next run's");
    }
    storage.settle(orphan, Ok(SECTOR));
    assert_eq!(storage.read(process(2), 1, 0, SECTOR, START), Err(Errno::Again));
    assert_ne!(next_of(&mut storage, 2).0, orphan);
}

#[test]
fn who_is_loaded_waits_for_the_map_and_is_told_where_its_app_is() {
    let mut storage = fresh();
    assert_eq!(storage.app_slot(process(1), "app", START), AppSlot::Underway);
    assert!(matches!(storage.next(START).map(|request| request.owner), Some(Owner::Map(_))));
    assert_eq!(storage.next(START), None);
    storage.settle_map(Some(&map()), 1 << 33, START);
    assert_eq!(ready(&mut storage), []);
    assert_eq!(storage.app_slot(process(1), "app", START), AppSlot::Underway);
    read_state(&mut storage);
    assert_eq!(ready(&mut storage), [1]);
    let order = [24, 48].map(|sector| Extent { sector, sectors: 24 });
    assert_eq!(storage.app_slot(process(1), "app", START), AppSlot::At(Slots { order, role: Role::Confirmed }));
    assert_eq!(storage.app_slot(process(1), "scratch", START), AppSlot::Unknown);
    assert!(storage.is_idle());
    let fetch = |storage: &mut Storage<'_>, sector| storage.fetch(process(1), sector, CHUNK, START);
    assert_eq!(fetch(&mut storage, 4), Fetch::Underway);
    let (ticket, purpose) = next_of(&mut storage, 1);
    assert_eq!(purpose, Purpose::Fetch { sector: 4, length: CHUNK });
    storage.settle(ticket, Ok(CHUNK));
    assert_eq!(ready(&mut storage), [1]);
    assert_eq!(fetch(&mut storage, 8), Fetch::Underway);
    let (ticket, _) = next_of(&mut storage, 1);
    storage.settle(ticket, Err(Errno::Io));
    assert_eq!(ready(&mut storage), [1]);
    assert_eq!(fetch(&mut storage, 8), Fetch::Failed);
    assert!(storage.is_idle());
}

#[test]
fn a_map_that_cannot_be_read_is_tried_again_ever_later_and_nobody_waits_for_ever() {
    let mut storage = fresh();
    assert_eq!(storage.next_deadline(false), None, "the device comes first");
    assert_eq!(storage.app_slot(process(1), "app", START), AppSlot::Underway);
    let mut now = START;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert!(matches!(storage.next(now).map(|request| request.owner), Some(Owner::Map(_))));
        storage.settle_map(None, 1 << 33, now);
        assert_eq!(storage.next(now), None);
        now += Duration::from_secs(wait);
        if wait < 16 {
            assert_eq!(storage.next_deadline(true), Some(now));
        }
    }
    storage.expire(now);
    assert_eq!(ready(&mut storage), [1]);
    assert_eq!(storage.app_slot(process(1), "app", now), AppSlot::Failed);
    // One that is no map is not looked at again.
    assert!(storage.next(now).is_some());
    storage.settle_map(Some(&[0; MAP_BYTES]), 1 << 33, now);
    assert_eq!(storage.next(now + Duration::from_secs(1_000)), None);
    assert_eq!(storage.app_slot(process(1), "app", now), AppSlot::NoFlash);
    assert_eq!(storage.region("scratch"), None);
}
