//! Tables as q35's firmware writes them, and as a hostile one might.

use super::fadt::{NO_FIXED_BUTTON, RESET_SUPPORTED};
use super::*;

/// Physical memory with tables in it.
struct Memory {
    bytes: Vec<u8>,
}

type Vec<T> = std::vec::Vec<T>;

/// Odd multiples of two: tables are aligned no better.
const RSDP: u64 = 0x102;
const ROOT: u64 = 0x202;
const MADT: u64 = 0x302;
const MCFG: u64 = 0x402;
const OTHER: u64 = 0x502;
const HPET: u64 = 0x702;
const SSDT: u64 = 0x802;

fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] = 0;
    bytes[at] = 0_u8.wrapping_sub(bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    bytes
}

fn table_of(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..4].copy_from_slice(signature);
    bytes.extend(body);
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    sealed(bytes, 9)
}

fn rsdp(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut bytes = b"RSD PTR ".to_vec();
    bytes.extend([0; 7]);
    bytes.push(revision);
    bytes.extend(rsdt.to_le_bytes());
    let mut bytes = sealed(bytes, 8);
    if revision >= 2 {
        bytes.extend(36_u32.to_le_bytes());
        bytes.extend(xsdt.to_le_bytes());
        bytes.extend([0; 4]);
        bytes = sealed(bytes, 32);
    }
    bytes
}

fn madt_body() -> Vec<u8> {
    let mut body = 0xfee0_0000_u32.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]);
    body.extend([0, 8, 0, 0, 1, 0, 0, 0]); // A processor's local APIC.
    body.extend([1, 12, 0, 0]);
    body.extend(0xfec0_0000_u32.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]); // Interrupt 0 arrives on 2.
    body.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0]); // Interrupt 9: level, active low.
    body
}

fn mcfg_body(first: u8, last: u8) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(0xb000_0000_u64.to_le_bytes());
    body.extend([0, 0, first, last, 0, 0, 0, 0]);
    body
}

fn xsdt_of(tables: &[u64]) -> Vec<u8> {
    table_of(b"XSDT", &tables.iter().flat_map(|address| address.to_le_bytes()).collect::<Vec<u8>>())
}

impl Memory {
    fn of(parts: &[(u64, Vec<u8>)]) -> Self {
        let mut bytes = vec![0; 0x1000];
        for (address, part) in parts {
            bytes[*address as usize..][..part.len()].copy_from_slice(part);
        }
        Memory { bytes }
    }

    fn usual() -> Self {
        Memory::of(&[
            (RSDP, rsdp(2, 0, ROOT)),
            (ROOT, xsdt_of(&[OTHER, MADT, MCFG])),
            (MADT, table_of(b"APIC", &madt_body())),
            (MCFG, table_of(b"MCFG", &mcfg_body(0, 255))),
            (OTHER, table_of(b"FACP", &[0; 100])),
        ])
    }

    /// What is found, and what is told of tables that do not count.
    fn look(&self) -> (Result<Tables, AcpiError>, Vec<(u64, AcpiError)>) {
        let mut lost = Vec::new();
        let reach = |address: u64, length: usize| {
            let start = usize::try_from(address).ok()?;
            self.bytes.get(start..start.checked_add(length)?)
        };
        let found = discover(RSDP, reach, |address, error| lost.push((address, error)));
        (found, lost)
    }

    /// What is found where nothing is damaged.
    fn discover(&self) -> Result<Tables, AcpiError> {
        let (found, lost) = self.look();
        assert_eq!(lost, []);
        found
    }
}

#[test]
fn the_boards_tables_are_read() {
    let tables = Memory::usual().discover().unwrap();
    let [ecam] = tables.ecams[..] else { panic!("{:?}", tables.ecams) };
    assert_eq!(ecam, Ecam { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 });
    assert_eq!((ecam.physical(), ecam.length()), (0xb000_0000, 256 << 20));
    assert_eq!(tables.local_apic, Some(0xfee0_0000));
    assert_eq!(tables.io_apics, [IoApicEntry { address: 0xfec0_0000, first_gsi: 0 }]);
    assert_eq!(tables.isa(0).gsi, 2);
    assert_eq!(tables.isa(4).gsi, 4);
    assert_eq!(tables.isa(4).trigger, Trigger::Edge);
    assert_eq!((tables.isa(9).trigger, tables.isa(9).polarity), (Trigger::Level, Polarity::ActiveLow));
}

#[test]
fn an_acpi_1_rsdp_leads_through_the_rsdt() {
    let entries: Vec<u8> = [MADT as u32].iter().flat_map(|address| address.to_le_bytes()).collect();
    let memory = Memory::of(&[
        (RSDP, rsdp(0, ROOT as u32, 0)),
        (ROOT, table_of(b"RSDT", &entries)),
        (MADT, table_of(b"APIC", &madt_body())),
    ]);
    let tables = memory.discover().unwrap();
    assert!(tables.ecams.is_empty());
    assert_eq!(tables.io_apics.len(), 1);
}

#[test]
fn a_local_apic_override_counts() {
    let mut body = madt_body();
    body.extend([5, 12, 0, 0]);
    body.extend(0x1_2345_0000_u64.to_le_bytes());
    let memory = Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", &body))]);
    assert_eq!(memory.discover().unwrap().local_apic, Some(0x1_2345_0000));
}

/// The board's tables with one of each other kind that is read.
fn all_kinds() -> Memory {
    let fadt = fadt_with(116, &[(76, &0x608_u32.to_le_bytes())]);
    let mut hpet = vec![0; 20];
    hpet[8..16].copy_from_slice(&0xfed0_0000_u64.to_le_bytes());
    let generation =
        table_of(b"SSDT", b"\x08_CID\x0dVM_Gen_Counter\0\x08ADDR\x12\x0c\x02\x0c\xf0\xff\x00\x80\x0c\x01\0\0\0");
    Memory::of(&[
        (RSDP, rsdp(2, 0, ROOT)),
        (ROOT, xsdt_of(&[OTHER, MADT, MCFG, HPET, SSDT])),
        (MADT, table_of(b"APIC", &madt_body())),
        (MCFG, table_of(b"MCFG", &mcfg_body(0, 255))),
        (OTHER, fadt),
        (HPET, table_of(b"HPET", &hpet)),
        (SSDT, generation),
    ])
}

#[test]
fn every_changed_byte_of_the_root_is_noticed() {
    for (start, length) in [(RSDP, 36), (ROOT, 60)] {
        for offset in start as usize..start as usize + length {
            let mut memory = Memory::usual();
            memory.bytes[offset] ^= 0x40;
            assert!(memory.discover().is_err(), "byte {offset:#x}");
        }
    }
}

#[test]
fn a_damaged_table_takes_nothing_but_what_it_says_away() {
    let whole = all_kinds().discover().unwrap();
    assert_eq!(
        (whole.power.timer, whole.hpet, whole.generation),
        (Some(0x608), Some(0xfed0_0000), Some(0x1_8000_fff0))
    );
    let without = |change: fn(&mut Tables)| {
        let mut tables = whole.clone();
        change(&mut tables);
        assert_ne!(tables, whole);
        tables
    };
    let lost = [
        (MADT, without(|it| it.take_madt(Madt::default()))),
        (MCFG, without(|it| it.ecams.clear())),
        (OTHER, without(|it| it.power = Fadt::default())),
        (HPET, without(|it| it.hpet = None)),
        (SSDT, without(|it| it.generation = None)),
    ];
    for (table, mut expected) in lost {
        if table == MADT {
            expected.local_apic = None;
        }
        let memory = all_kinds();
        let length = memory.bytes[table as usize + 4];
        for offset in 0..usize::from(length) {
            let mut memory = all_kinds();
            memory.bytes[table as usize + offset] ^= 0x40;
            let (found, told) = memory.look();
            assert_eq!(found.as_ref(), Ok(&expected), "byte {offset} of {table:#x}");
            // A table of another name is one that is not known.
            let places: Vec<u64> = told.iter().map(|(place, _)| *place).collect();
            assert_eq!(places, if offset < 4 { vec![] } else { vec![table] }, "byte {offset} of {table:#x}");
        }
    }
}

#[test]
fn the_first_sound_table_of_a_kind_counts() {
    let mut damaged = table_of(b"APIC", &[0; 8]);
    damaged[36] = 1;
    let parts = [(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[OTHER, MADT, MCFG])), (OTHER, damaged)];
    let sound = [(MADT, table_of(b"APIC", &madt_body())), (MCFG, table_of(b"APIC", &[0; 8]))];
    let (found, told) = Memory::of(&[&parts[..], &sound].concat()).look();
    assert_eq!(found.unwrap().local_apic, Some(0xfee0_0000));
    assert_eq!(told, [(OTHER, AcpiError::Checksum { signature: *b"APIC" })]);
}

#[test]
fn where_the_newer_root_table_is_damaged_the_older_one_counts() {
    let older = table_of(b"RSDT", &(MADT as u32).to_le_bytes());
    let mut newer = xsdt_of(&[MCFG]);
    let madt = table_of(b"APIC", &madt_body());
    let memory = |newer: &Vec<u8>| {
        let parts = [(RSDP, rsdp(2, OTHER as u32, ROOT)), (ROOT, newer.clone()), (OTHER, older.clone())];
        Memory::of(&[&parts[..], &[(MADT, madt.clone()), (MCFG, table_of(b"MCFG", &mcfg_body(0, 0)))]].concat())
    };
    assert_eq!(memory(&newer).discover().unwrap().ecams.len(), 1);
    newer[40] ^= 1;
    let (found, told) = memory(&newer).look();
    assert_eq!(found.unwrap().io_apics.len(), 1);
    assert_eq!(told, [(ROOT, AcpiError::Checksum { signature: *b"XSDT" })]);
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let refused = vec![(MADT, AcpiError::Length { signature: *b"APIC" })];
    let with_madt = |body: &[u8]| {
        let parts = [(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", body))];
        let (found, told) = Memory::of(&parts).look();
        assert_eq!(found, Ok(Tables::default()));
        told
    };
    assert_eq!(with_madt(&[0; 7]), refused);
    // An entry of no length would never end; one longer than the table would leave it; one too short for its kind. What
    // comes before it does not count either.
    assert_eq!(with_madt(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0]), refused);
    assert_eq!(with_madt(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 3]), refused);
    assert_eq!(with_madt(&[madt_body(), vec![9, 0]].concat()), refused);
    for kind in [1, 2, 5] {
        assert_eq!(with_madt(&[0, 0, 0, 0, 0, 0, 0, 0, kind, 4, 0, 0]), refused);
    }

    for length in [u32::MAX, 8] {
        let mut memory = Memory::usual();
        memory.bytes[MADT as usize + 4..][..4].copy_from_slice(&length.to_le_bytes());
        let (found, told) = memory.look();
        assert_eq!((found.unwrap().ecams.len(), told), (1, refused.clone()));
    }

    let backwards =
        Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MCFG])), (MCFG, table_of(b"MCFG", &mcfg_body(9, 3)))]);
    assert_eq!(backwards.discover(), Ok(Tables::default()), "passed over");
}

#[test]
fn every_range_of_configuration_space_is_kept_up_to_a_bound() {
    // As Cloud Hypervisor writes them: a bus for each segment.
    let range = |segment: u8, last: u8| {
        let mut bytes = (0xe800_0000 + (u64::from(segment) << 20)).to_le_bytes().to_vec();
        bytes.extend([segment, 0, 0, last, 0, 0, 0, 0]);
        bytes
    };
    let found = |ranges: &[Vec<u8>]| {
        let body = [vec![0; 8], ranges.concat()].concat();
        let memory =
            Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MCFG])), (MCFG, table_of(b"MCFG", &body))]);
        memory.discover().unwrap().ecams
    };
    let ecams = found(&[range(0, 0), range(1, 0)]);
    assert_eq!(
        ecams.iter().map(|it| (it.physical(), it.length(), it.segment)).collect::<Vec<_>>(),
        [(0xe800_0000, 1 << 20, 0), (0xe810_0000, 1 << 20, 1)]
    );
    assert_eq!(found(&(0..20).map(|segment| range(segment, 0)).collect::<Vec<_>>()).len(), ECAMS_MAX);
}

#[test]
fn processors_that_may_be_used_are_counted() {
    let mut body = madt_body();
    let before = Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", &body))]);
    let before = before.discover().unwrap().processors;
    body.extend([0, 8, 1, 1, 1, 0, 0, 0]); // Enabled.
    body.extend([0, 8, 2, 2, 0, 0, 0, 0]); // Not there yet.
    body.extend([9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]); // An x2APIC.
    let memory = Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", &body))]);
    assert_eq!(memory.discover().unwrap().processors, before + 2);
}

#[test]
fn what_cannot_be_reached_is_passed_over_and_the_root_is_an_error() {
    let madt = (MADT, table_of(b"APIC", &madt_body()));
    let memory = Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[u64::MAX, MADT])), madt]);
    let (found, told) = memory.look();
    assert_eq!(found.unwrap().io_apics.len(), 1);
    assert_eq!(told, [(u64::MAX, AcpiError::Unreachable { address: u64::MAX, length: 4 })]);
    let memory = Memory::of(&[(RSDP, rsdp(2, 0, u64::MAX))]);
    let length = HEADER_BYTES;
    assert_eq!(memory.discover(), Err(AcpiError::Unreachable { address: u64::MAX, length }));
    let memory = Memory::of(&[]);
    assert_eq!(memory.discover(), Err(AcpiError::Signature { expected: *b"RSD " }));
}

#[test]
fn of_more_io_apics_than_are_kept_the_first_ones_count() {
    let mut body = vec![0; 8];
    for index in 0..=IO_APICS_MAX as u8 {
        body.extend([1, 12, 0, 0, 0, 0, 0, 0, index, 0, 0, 0]);
    }
    for isa in 0..=OVERRIDES_MAX as u8 {
        body.extend([2, 10, 0, isa, isa, 0, 0, 0, 0, 0]);
    }
    let memory = Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", &body))]);
    let found = memory.discover().unwrap();
    assert_eq!(found.io_apics.iter().map(|it| it.first_gsi).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((found.overrides.len(), found.isa(15).gsi), (OVERRIDES_MAX, 15));
}

#[test]
fn power_management_ports_and_timers_are_found_to_be_kept_clear_of() {
    let mut fadt = vec![0; 116 - HEADER_BYTES];
    let mut put = |at: usize, port: u32| fadt[at - HEADER_BYTES..][..4].copy_from_slice(&port.to_le_bytes());
    put(56, 0x600);
    put(64, 0x604);
    put(76, 0x608);
    put(80, 0x12_0000); // No port.
    for (at, length) in [(88, 4), (89, 2), (91, 4), (92, 16)] {
        fadt[at - HEADER_BYTES] = length;
    }
    let mut hpet = vec![0; 20];
    hpet[8..16].copy_from_slice(&0xfed0_0000_u64.to_le_bytes());
    let memory = Memory::of(&[
        (RSDP, rsdp(2, 0, ROOT)),
        (ROOT, xsdt_of(&[OTHER, MADT])),
        (OTHER, table_of(b"FACP", &fadt)),
        (MADT, table_of(b"HPET", &hpet)),
    ]);
    let tables = memory.discover().unwrap();
    assert_eq!(tables.power.ports, [(0x600, 4), (0x604, 2), (0x608, 4)]);
    assert_eq!(tables.hpet, Some(0xfed0_0000));

    // Where they are short there is nothing to be kept clear of.
    let memory = Memory::of(&[
        (RSDP, rsdp(2, 0, ROOT)),
        (ROOT, xsdt_of(&[OTHER, MADT])),
        (OTHER, table_of(b"FACP", &fadt[..30])),
        (MADT, table_of(b"HPET", &hpet[..10])),
    ]);
    assert_eq!(memory.look(), (Ok(Tables::default()), vec![(MADT, AcpiError::Length { signature: *b"HPET" })]));
}

/// A FADT with these bytes at these offsets.
fn fadt_with(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; length - HEADER_BYTES];
    for (at, bytes) in fields {
        body[at - HEADER_BYTES..][..bytes.len()].copy_from_slice(bytes);
    }
    table_of(b"FACP", &body)
}

/// A generic address structure.
fn generic(space: u8, address: u64) -> Vec<u8> {
    let mut bytes = vec![space, 8, 0, 1];
    bytes.extend(address.to_le_bytes());
    bytes
}

fn power(fadt: Vec<u8>) -> Fadt {
    // The DSDT that it names is not there.
    Memory::of(&[(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[OTHER])), (OTHER, fadt)]).look().0.unwrap().power
}

#[test]
fn the_ways_to_switch_off_are_found_on_a_pc() {
    let fadt = fadt_with(
        148,
        &[
            (40, &0x7f_0000_u32.to_le_bytes()),
            (48, &0xb2_u32.to_le_bytes()),
            (52, &[2]),
            (64, &0x604_u32.to_le_bytes()),
            (76, &0x608_u32.to_le_bytes()),
            (112, &RESET_SUPPORTED.to_le_bytes()),
            (116, &generic(1, 0xcf9)),
            (128, &[0x0f]),
        ],
    );
    let found = power(fadt);
    assert_eq!((found.timer, found.control), (Some(0x608), [Some(0x604), None]));
    assert_eq!((found.enable, found.sleep), (Some((0xb2, 2)), None));
    assert_eq!((found.reset, found.dsdt), (Some((Address::Port(0xcf9), 0x0f)), Some(0x7f_0000)));
}

#[test]
fn the_ways_to_switch_off_are_found_where_the_hardware_is_reduced() {
    let fadt = fadt_with(
        276,
        &[
            (112, &RESET_SUPPORTED.to_le_bytes()),
            (116, &generic(0, 0xfe00_0202)),
            (128, &[0x42]),
            (140, &0x1_0000_0000_u64.to_le_bytes()),
            (208, &generic(1, 0x608)),
            (244, &generic(0, 0xfe00_0200)),
        ],
    );
    let found = power(fadt);
    assert_eq!((found.timer, found.control), (Some(0x608), [None, None]));
    assert_eq!(found.sleep, Some(Address::Memory(0xfe00_0200)));
    assert_eq!(found.reset, Some((Address::Memory(0xfe00_0202), 0x42)));
    assert_eq!(found.dsdt, Some(0x1_0000_0000));

    // A register in PCI configuration space, and a port that is none, count as absent; without its flag, a reset
    // register does too.
    let fadt = fadt_with(276, &[(116, &generic(1, 0xcf9)), (208, &generic(1, 0x1_0608)), (244, &generic(2, 0x608))]);
    assert_eq!(power(fadt), Fadt::default());
    // So does what a short table does not have.
    for length in HEADER_BYTES..276 {
        power(fadt_with(length, &[]));
    }
}

#[test]
fn the_power_button_is_where_the_event_blocks_are() {
    let pc: [(usize, &[u8]); 2] = [(56, &0x600_u32.to_le_bytes()), (88, &[4])];
    let block = |port, length| Some(EventBlock { port, length });
    assert_eq!(power(fadt_with(116, &pc)).events, [block(0x600, 4), None]);
    let generic = [(148, generic(1, 0x700)), (160, generic(1, 0x710)), (88, vec![8])];
    let generic = generic.each_ref().map(|(at, bytes)| (*at, &bytes[..]));
    assert_eq!(power(fadt_with(276, &generic)).events, [block(0x700, 8), block(0x710, 8)]);
    assert_eq!(block(0x700, 8).map(|block| (block.status(), block.enable())), Some((0x700, 0x704)));
}

#[test]
fn a_button_that_only_the_firmwares_code_knows_is_none() {
    let fields = |flags: u32| [(56, 0x600_u32.to_le_bytes()), (88, 4_u32.to_le_bytes()), (112, flags.to_le_bytes())];
    for (flags, there) in [(0, true), (RESET_SUPPORTED, true), (NO_FIXED_BUTTON, false)] {
        let fields = fields(flags);
        let found = power(fadt_with(116, &fields.each_ref().map(|(at, bytes)| (*at, &bytes[..])))).events;
        assert_eq!(found[0].is_some(), there, "{flags:#x}");
    }
    // A block too short for two registers has none either, nor has a table too short for the flags.
    assert_eq!(power(fadt_with(116, &[(56, &0x600_u32.to_le_bytes()), (88, &[3])])).events, [None, None]);
    assert_eq!(power(fadt_with(112, &[(56, &0x600_u32.to_le_bytes()), (88, &[4])])).events, [None, None]);
}

/// Conventional memory up to 1 MiB with parts in it.
fn low_memory(parts: &[(u64, Vec<u8>)]) -> Memory {
    let mut bytes = vec![0; 0x10_0000];
    for (address, part) in parts {
        bytes[*address as usize..][..part.len()].copy_from_slice(part);
    }
    Memory { bytes }
}

/// What a search finds in it, and which pointers it passes over.
fn searched(memory: &Memory, given: u64) -> (Option<Tables>, Vec<u64>) {
    let mut passed = Vec::new();
    let reach = |address: u64, length: usize| memory.bytes.get(usize::try_from(address).ok()?..)?.get(..length);
    let tables = search(given, reach, |lost, address, _| {
        assert_eq!(lost, Lost::Root);
        passed.push(address);
    });
    (tables, passed)
}

#[test]
fn a_root_pointer_is_found_in_the_firmwares_memory() {
    let tables = [(ROOT, xsdt_of(&[MADT])), (MADT, table_of(b"APIC", &madt_body()))];
    let with = |more: &[(u64, Vec<u8>)]| low_memory(&[&tables[..], more].concat());
    let found = |memory: &Memory, given| {
        let (tables, passed) = searched(memory, given);
        (tables.is_some_and(|tables| tables.io_apics.len() == 1), passed)
    };
    // In Firecracker's place, without a word from the loader.
    assert_eq!(found(&with(&[(0xe_0000, rsdp(2, 0, ROOT))]), 0), (true, vec![]));
    // In the last place there is, and in the extended area.
    assert_eq!(found(&with(&[(0xf_ffd0, rsdp(2, 0, ROOT))]), 0), (true, vec![]));
    let extended = with(&[(0x40e, vec![0xc0, 0x9f]), (0x9_fff0, rsdp(2, 0, ROOT))]);
    assert_eq!(found(&extended, 0), (true, vec![]));
    // One that lies is passed over, with its reason, and the next one counts.
    let broken = vec![0x52; 36];
    let mut lying = rsdp(2, 0, ROOT);
    lying[33] ^= 1;
    let memory = with(&[(0x8_0000, broken), (0xe_1000, lying), (0xe_2000, rsdp(2, 0, ROOT))]);
    assert_eq!(found(&memory, 0x8_0000), (true, vec![0x8_0000, 0xe_1000]));
    // Nothing is there, or not where it can be read.
    assert_eq!(found(&with(&[]), 0), (false, vec![]));
    assert_eq!(found(&with(&[]), u64::MAX), (false, vec![u64::MAX]));
    // An odd place does not count.
    assert_eq!(found(&with(&[(0xe_0008, rsdp(2, 0, ROOT))]), 0), (false, vec![]));
}

#[test]
fn a_dsdts_length_is_believed_within_bounds() {
    let of = |bytes: &[u8]| {
        dsdt_length(0x100, |address, length| bytes.get(usize::try_from(address - 0x100).ok()?..)?.get(..length))
    };
    let mut dsdt = dsdt_with(b"AML");
    let wrong = Err(AcpiError::Length { signature: *b"DSDT" });
    for (length, expected) in [(39_u32, Ok(39)), (35, wrong), (256 << 10, Ok(256 << 10)), ((256 << 10) + 1, wrong)] {
        dsdt[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(of(&dsdt), expected);
    }
    assert_eq!(of(&dsdt[..20]), Err(AcpiError::Unreachable { address: 0x100, length: HEADER_BYTES }));
    assert_eq!(of(&table_of(b"SSDT", &[])), Err(AcpiError::Signature { expected: *b"DSDT" }));
}

#[test]
fn a_dsdt_that_cannot_be_is_told_and_the_tables_count() {
    let with = |dsdt: Vec<u8>| {
        let fadt = fadt_with(116, &[(40, &(SSDT as u32).to_le_bytes()), (76, &0x608_u32.to_le_bytes())]);
        let parts = [(RSDP, rsdp(2, 0, ROOT)), (ROOT, xsdt_of(&[OTHER])), (OTHER, fadt), (SSDT, dsdt)];
        let (found, told) = Memory::of(&parts).look();
        assert_eq!(found.unwrap().power.timer, Some(0x608));
        told
    };
    let mut dsdt = table_of(b"DSDT", b"\x0dVM_Gen_Counter\0");
    assert_eq!(with(dsdt.clone()), []);
    dsdt[40] ^= 0x40;
    assert_eq!(with(dsdt.clone()), [], "its contents are verified when they are read");
    dsdt[40] ^= 0x40;
    dsdt[12] ^= 1;
    assert_eq!(with(dsdt.clone()), [(SSDT, AcpiError::Checksum { signature: *b"DSDT" })], "and here they are");
    dsdt[4] = 1;
    assert_eq!(with(dsdt.clone()), [(SSDT, AcpiError::Length { signature: *b"DSDT" })]);
    // It begins within the memory that can be reached, and does not end there.
    dsdt[4..8].copy_from_slice(&0x1000_u32.to_le_bytes());
    assert_eq!(with(dsdt.clone()), [(SSDT, AcpiError::Unreachable { address: SSDT, length: 0x1000 })]);
    assert_eq!(with(vec![0]), [(SSDT, AcpiError::Signature { expected: *b"DSDT" })]);
}
