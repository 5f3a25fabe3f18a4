//! The search for the flash on disks with partitions, made by a library that knows nothing of this code, and in modules.

use super::*;
use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use gpt::partition_types::{OperatingSystem, Type};
use slopos_abi::flash::PARTITION_TYPE;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::string::String;
use uuid::Uuid;

/// Bytes of a disk here.
const DISK: usize = 4 << 20;
/// Sectors of the flash here: what [`map`] says, cut to what fits.
const FLASH: u64 = 200;
/// What people call Linux's file systems.
const FOREIGN: Uuid = Uuid::from_u128(0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4);

fn ours() -> Uuid {
    Uuid::from_bytes_le(PARTITION_TYPE)
}

/// A flash of two slots that fits [`FLASH`] sectors.
fn small_map() -> Vec<u8> {
    map_of(&[entry("app", KIND_APP, 24, 24), entry("scratch", KIND_DATA, 100, 100)])
}

/// A disk with these partitions, by type and first and last block, in blocks of one size.
fn disk(blocks: LogicalBlockSize, partitions: &[(Uuid, u64, u64)]) -> Vec<u8> {
    let mut device = Cursor::new(vec![0; DISK]);
    let count = DISK as u64 / blocks.as_u64() - 1;
    gpt::mbr::ProtectiveMBR::with_lb_size(count as u32).overwrite_lba0(&mut device).unwrap();
    let config = gpt::GptConfig::new().writable(true).logical_block_size(blocks);
    let mut table = config.create_from_device(device, Some(Uuid::from_u128(7))).unwrap();
    let entry = |&(guid, first_lba, last_lba): &(Uuid, u64, u64)| Partition {
        part_type_guid: Type { guid, os: OperatingSystem::None },
        part_guid: Uuid::from_u128(u128::from(first_lba) + 1),
        first_lba,
        last_lba,
        flags: 0,
        name: String::new(),
    };
    let all: BTreeMap<u32, Partition> = (1..).zip(partitions.iter().map(entry)).collect();
    table.update_partitions(all).unwrap();
    table.write().unwrap().into_inner()
}

/// The usual disk: something foreign, then the flash from block 2048 on.
fn usual() -> Vec<u8> {
    let mut bytes = disk(LogicalBlockSize::Lb512, &[(FOREIGN, 64, 127), (ours(), 2048, 2048 + FLASH - 1)]);
    put(&mut bytes, 2048, &small_map());
    bytes
}

fn put(disk: &mut [u8], sector: usize, bytes: &[u8]) {
    disk[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
}

/// A flash that is looked for there, by requests that hold a partition table.
fn with(sources: Sources) -> Storage<'static> {
    Storage::new(Box::leak(Box::new([Call::NONE; 8])), 64 * SECTOR, sources)
}

/// Where the flash was found: the medium, and the first sector of the slot `app`. Each read is answered at once.
fn search(disk: Option<&[u8]>, modules: &[Option<&[u8]>]) -> Option<(Medium, u64)> {
    let sources = Sources { disk: disk.is_some(), modules: modules.len() as u8 };
    let mut storage = with(sources);
    let mut reads = 0;
    while let Some(Request { owner: Owner::Map(place), ticket, medium }) = storage.next(START) {
        reads += 1;
        assert!(reads < 20, "the search has an end");
        assert_eq!((medium, storage.owner(ticket)), (place.medium, Some(Owner::Map(place))));
        let medium = match place.medium {
            Medium::Disk => disk,
            Medium::Module(index) => modules[usize::from(index)],
        };
        let start = place.sector as usize * SECTOR;
        let cut = |bytes: &'_ [u8]| start.min(bytes.len())..(start + place.length).min(bytes.len());
        let bytes = medium.map(|bytes| &bytes[cut(bytes)]);
        // A disk reads whole requests or nothing.
        let bytes = bytes.filter(|bytes| place.medium != Medium::Disk || bytes.len() == place.length);
        storage.settle_map(bytes, medium.map_or(0, |bytes| bytes.len() / SECTOR) as u64, START);
    }
    match storage.app_slot(process(1), "app", START) {
        AppSlot::At(slots) => Some((storage.medium(), slots.order[0].sector)),
        AppSlot::NoFlash => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_flash_is_the_partition_of_its_type() {
    assert_eq!(search(Some(&usual()), &[]), Some((Medium::Disk, 2048 + 24)));
    let mut large = disk(LogicalBlockSize::Lb4096, &[(FOREIGN, 16, 31), (ours(), 256, 280)]);
    put(&mut large, 256 * 8, &small_map());
    assert_eq!(search(Some(&large), &[]), Some((Medium::Disk, 256 * 8 + 24)), "blocks of 4,096 bytes");
}

#[test]
fn regions_of_a_partition_lie_within_it() {
    let disk = usual();
    let mut storage = with(Sources { disk: true, modules: 0 });
    while let Some(Request { owner: Owner::Map(place), .. }) = storage.next(START) {
        let start = place.sector as usize * SECTOR;
        storage.settle_map(Some(&disk[start..start + place.length]), (DISK / SECTOR) as u64, START);
    }
    assert_eq!(storage.first_sector("scratch"), Ok(2048 + 100));
    assert_eq!(storage.read(process(1), 1, 512, SECTOR, START), Err(Errno::Again));
    let (_, purpose) = next_of(&mut storage, 1);
    assert_eq!(purpose, Purpose::Read { region: 1, position: 512, sector: 2048 + 101, length: SECTOR });
    assert_eq!(storage.read(process(2), 1, 100 * 512, SECTOR, START), Ok(0), "the region's end");
}

#[test]
fn without_partitions_it_is_the_whole_disk() {
    let mut whole = vec![0; FLASH as usize * SECTOR];
    put(&mut whole, 0, &small_map());
    assert_eq!(search(Some(&whole), &[]), Some((Medium::Disk, 24)));
    assert_eq!(search(Some(&vec![0; DISK]), &[]), None);
    assert_eq!(search(None, &[]), None);
}

#[test]
fn a_table_with_a_wrong_checksum_is_passed_over_for_the_second_one() {
    let whole = usual();
    // The first header, its entries, both of them gone.
    for (sector, length) in [(1, 1), (2, 32), (1, 33)] {
        let mut damaged = whole.clone();
        damaged[sector * SECTOR + 60..][..length * SECTOR - 60].fill(0x55);
        assert_eq!(search(Some(&damaged), &[]), Some((Medium::Disk, 2048 + 24)), "sector {sector}");
        // And the second one as well: there is no flash then, and no other place.
        let last = DISK - SECTOR;
        damaged[last + 60] ^= 1;
        assert_eq!(search(Some(&damaged), &[]), None);
    }
}

#[test]
fn a_disk_that_names_no_flash_or_two_is_passed_over_for_a_module() {
    let module = [small_map(), vec![0; FLASH as usize * SECTOR]].concat();
    let found = Some((Medium::Module(0), 24));
    let tables: [&[(Uuid, u64, u64)]; 6] = [
        &[(FOREIGN, 64, 127)],
        &[(ours(), 64, 127), (ours(), 2048, 2048 + FLASH - 1)],
        // Before the first usable block, beyond the last one, and backwards.
        &[(ours(), 33, 127)],
        &[(ours(), 2048, 8191)],
        &[(ours(), 2048, 2047)],
        &[(ours(), 2048, u64::MAX)],
    ];
    for partitions in tables {
        let mut bytes = disk(LogicalBlockSize::Lb512, partitions);
        put(&mut bytes, 2048, &small_map());
        assert_eq!(search(Some(&bytes), &[Some(&module)]), found, "{partitions:?}");
        assert_eq!(search(Some(&bytes), &[]), None, "{partitions:?}");
    }
    // Of the right type, and with nothing of ours in it.
    let mut empty = usual();
    empty[2048 * SECTOR..][..8].fill(0);
    assert_eq!(search(Some(&empty), &[Some(&module)]), found);
    assert_eq!(search(Some(&vec![0; DISK]), &[Some(&module)]), found);
    assert_eq!(search(None, &[Some(&module)]), found);
    assert_eq!(search(Some(&usual()), &[Some(&module)]), Some((Medium::Disk, 2048 + 24)), "the disk comes first");
}

#[test]
fn a_disk_that_is_too_small_is_given_up_at_once() {
    // No read goes beyond the end of the disk, which would fail again and again: for ever, where there is no module.
    let mut last = disk(LogicalBlockSize::Lb512, &[(ours(), 64, 64), (FOREIGN, 2048, 4096)]);
    put(&mut last, 64, &small_map());
    assert_eq!(search(Some(&last), &[]), None, "a partition without room for the map");
    for sectors in 1..20 {
        // What begins like a disk with partitions, and has no header of them.
        let mut bytes = vec![0; sectors * SECTOR];
        bytes[450] = 0xee;
        bytes[510..SECTOR].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(search(Some(&bytes), &[]), None, "{sectors} sectors");
    }
}

#[test]
fn headers_that_lie_end_the_search_in_time() {
    let whole = usual();
    let header = SECTOR..SECTOR + 92;
    for at in header {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            // The checksum made right, so that each field is looked at; the second table stands in.
            damaged[SECTOR + 16..SECTOR + 20].fill(0);
            let sum = gpt_sum(&damaged[SECTOR..SECTOR + 92]);
            damaged[SECTOR + 16..SECTOR + 20].copy_from_slice(&sum.to_le_bytes());
            assert!(matches!(search(Some(&damaged), &[]), Some((Medium::Disk, 2072)) | None), "byte {at}");
            // A disk that ends early.
            let _ = search(Some(&damaged[..64 * SECTOR]), &[]);
        }
    }
}

/// CRC-32 as the standard says it, a bit at a time.
fn gpt_sum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[test]
fn a_module_that_is_cut_short_is_passed_over_for_the_next() {
    let whole = [small_map(), vec![0; FLASH as usize * SECTOR]].concat();
    let cut = &whole[..150 * SECTOR];
    assert_eq!(search(None, &[Some(cut), Some(&whole)]), Some((Medium::Module(1), 24)));
    assert_eq!(
        search(None, &[Some(&whole[..2047]), None, Some(&[0; 4096]), Some(&whole)]),
        Some((Medium::Module(3), 24))
    );
    // Where there is no other, what is whole of it is used.
    assert_eq!(search(None, &[Some(cut)]), Some((Medium::Module(0), 24)));
    assert_eq!(search(None, &[Some(&whole[..100]), None]), None);
}

#[test]
fn a_disk_that_does_not_answer_or_fails_is_given_up_where_there_is_a_module() {
    let new = || with(Sources { disk: true, modules: 1 });
    let limit = Instant::from_millis(5_000);
    for asked in [false, true] {
        let mut storage = new();
        assert_eq!(storage.next_deadline(false), Some(limit));
        let request = asked.then(|| storage.next(START).unwrap());
        storage.expire(Instant::from_millis(4_999));
        assert_eq!(storage.medium(), Medium::Disk);
        storage.expire(limit);
        assert_eq!(storage.medium(), Medium::Module(0));
        assert!(matches!(storage.next(limit), Some(Request { medium: Medium::Module(0), .. })));
        // What comes late is nobody's.
        assert_eq!(request.and_then(|request| storage.owner(request.ticket)), None);
    }
    let mut storage = new();
    assert!(storage.next(START).is_some());
    storage.settle_map(None, 1 << 33, START);
    assert!(matches!(storage.next(START), Some(Request { medium: Medium::Module(0), .. })));
    assert_eq!(storage.next_deadline(true), None);
}
