//! What the DSDT says of PCI's host bridge, found without running its AML: where configuration space is (`_CBA`, PCI
//! Firmware 3.3, section 4.1.3), for firmware without an MCFG table, and the windows of addresses that the bridge passes
//! on (its `_CRS`, ACPI 6.5, section 6.4.3.5), for devices that the firmware has not placed.
//!
//! Firmware writes both as constants. They are looked for by their first bytes, and count only where all that follows is
//! as it has to be. What is found is a hint: the caller claims what it names, and nothing that belongs to another.

use heapless::Vec;

use super::Ecam;
use super::table::{HEADER_BYTES, check_sum, u32_at, u64_at};

/// Most windows that are kept.
pub const WINDOWS_MAX: usize = 4;

/// A range of addresses that the host bridge passes on to its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First physical address.
    pub first: u64,
    /// Last physical address.
    pub last: u64,
}

/// What is known of the host bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostBridge {
    /// Its memory-mapped configuration space.
    pub ecam: Option<Ecam>,
    /// Its windows in memory, in the table's order. Some of them may be other parts of the platform.
    pub windows: Vec<Window, WINDOWS_MAX>,
}

/// The name of the object with the configuration space's address.
const NAME: &[u8; 4] = b"_CBA";
/// AML's name and method of an object to come, the return of a value, and constants of 32 and 64 bits (section 20.2).
const NAME_OP: u8 = 0x08;
const METHOD_OP: u8 = 0x14;
const RETURN_OP: u8 = 0xa4;
const DWORD_PREFIX: u8 = 0x0c;
const QWORD_PREFIX: u8 = 0x0e;
/// The beginnings of address space descriptors with fields of 16, 32 and 64 bits: tag, length, type of the resource, and
/// that the bridge passes it on, with both ends fixed (sections 6.4.3.5.1 to 6.4.3.5.3).
const BUS_NUMBERS: [u8; 5] = [0x88, 0x0d, 0, 2, 0x0c];
const MEMORY_32: [u8; 5] = [0x87, 0x17, 0, 0, 0x0c];
const MEMORY_64: [u8; 5] = [0x8a, 0x2b, 0, 0, 0x0c];
/// Bytes of them before the first of five fields: granularity, first, last, translation, length.
const FIELDS: usize = 6;
/// Configuration space begins at a multiple of this, a bus's share.
const BUS_BYTES: u64 = 1 << 20;

/// What a whole DSDT says; nothing, where its checksum is wrong.
pub fn host_bridge(dsdt: &[u8]) -> HostBridge {
    let whole = dsdt.starts_with(b"DSDT") && check_sum(dsdt, *b"DSDT").is_ok();
    if !whole && !dsdt.is_empty() {
        defmt::warn!("acpi: the DSDT is damaged, so nothing is known of PCI's host bridge");
    }
    let aml = dsdt.get(HEADER_BYTES..).filter(|_| whole).unwrap_or_default();
    let mut found = HostBridge::default();
    let mut buses = None;
    let mut base = None;
    for at in 0..aml.len() {
        let rest = &aml[at..];
        let room = !found.windows.is_full();
        match rest[0] {
            // One too many is none: others suffice.
            0x87 => {
                found.windows.extend(window::<4>(rest, MEMORY_32, |bytes| u32_at(bytes, 0).into()).filter(|_| room))
            }
            0x8a => found.windows.extend(window::<8>(rest, MEMORY_64, |bytes| u64_at(bytes, 0)).filter(|_| room)),
            0x88 if buses.is_none() => {
                buses = window::<2>(rest, BUS_NUMBERS, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]).into());
            }
            b'_' if base.is_none() && rest.starts_with(NAME) => base = named(&aml[..at], &rest[NAME.len()..]),
            _ => {}
        }
    }
    // Without a word about buses there is at least the first.
    let buses = buses.unwrap_or(Window { first: 0, last: 0 });
    found.ecam = base
        .zip(u8::try_from(buses.first).ok().zip(u8::try_from(buses.last).ok()))
        .map(|(base, (first_bus, last_bus))| Ecam { base, segment: 0, first_bus, last_bus });
    found
}

/// The value of an object or a method whose name lies between these bytes.
fn named(before: &[u8], after: &[u8]) -> Option<u64> {
    let constant = match after {
        // A method: its flags, and a return; before its name is its length, of one byte.
        [0, RETURN_OP, constant @ ..] if before.iter().rev().nth(1) == Some(&METHOD_OP) => constant,
        constant if before.ends_with(&[NAME_OP]) => constant,
        _ => return None,
    };
    let value = match constant {
        [DWORD_PREFIX, value @ ..] => u32_at(value.get(..4)?, 0).into(),
        [QWORD_PREFIX, value @ ..] => u64_at(value.get(..8)?, 0),
        _ => return None,
    };
    (value != 0 && value % BUS_BYTES == 0).then_some(value)
}

/// The range that an address space descriptor names: not translated, and as long as it says.
fn window<const WIDTH: usize>(bytes: &[u8], begins: [u8; 5], value: impl Fn(&[u8]) -> u64) -> Option<Window> {
    let fields = bytes.get(FIELDS..FIELDS + 5 * WIDTH).filter(|_| bytes.starts_with(&begins))?;
    let field = |index: usize| value(&fields[index * WIDTH..]);
    let (first, last, translation, length) = (field(1), field(2), field(3), field(4));
    let agrees = translation == 0 && last.checked_sub(first)?.checked_add(1) == Some(length);
    agrees.then_some(Window { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::sleep::dsdt_with;

    /// As QEMU's microvm writes them: the method, bus numbers, a window below 4 GiB and one at 768 GiB.
    const MICROVM: &[u8] = b"\x14\x0c_CBA\x00\xa4\x0c\x00\x00\x00\xe0\x08_CRS\x11\x4e\x05\x0a\x5a\
        \x88\x0d\x00\x02\x0c\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00\x01\
        \x87\x17\x00\x00\x0c\x01\x00\x00\x00\x00\x00\x00\x00\xc0\xff\xff\xff\xdf\x00\x00\x00\x00\x00\x00\x00\x20\
        \x8a\x2b\x00\x00\x0c\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\
        \xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x79\x00";

    /// Where the first window is in it.
    const WINDOW: core::ops::Range<usize> = 39..65;

    #[test]
    fn configuration_space_and_windows_are_found_as_qemus_microvm_writes_them() {
        let found = host_bridge(&dsdt_with(MICROVM));
        assert_eq!(found.ecam, Some(Ecam { base: 0xe000_0000, segment: 0, first_bus: 0, last_bus: 255 }));
        let low = Window { first: 0xc000_0000, last: 0xdfff_ffff };
        assert_eq!(found.windows, [low, Window { first: 0xc0_0000_0000, last: 0xff_ffff_ffff }]);
    }

    #[test]
    fn an_object_counts_as_a_method_does_and_without_bus_numbers_there_is_one_bus() {
        let found = host_bridge(&dsdt_with(b"\x08_CBA\x0e\x00\x00\x00\x00\x40\x00\x00\x00"));
        assert_eq!(found.ecam, Some(Ecam { base: 0x40_0000_0000, segment: 0, first_bus: 0, last_bus: 0 }));
        assert!(found.windows.is_empty());
    }

    #[test]
    fn what_is_no_place_for_it_is_passed_over() {
        for aml in [
            &b"_CBA\x0c\x00\x00\x00\xe0"[..],
            b"\x08_CBA\x0c\x00\x00\x00\x00",
            b"\x08_CBA\x0c\x00\x10\x00\xe0",
            b"\x08_CBA\x0b\x00\xe0",
            b"\x14\x0c_CBA\x01\xa4\x0c\x00\x00\x00\xe0",
        ] {
            assert_eq!(host_bridge(&dsdt_with(aml)), HostBridge::default(), "{aml:x?}");
        }
        // Backwards, of another length than it says, and translated.
        assert_eq!(host_bridge(&dsdt_with(&MICROVM[WINDOW])).windows.len(), 1);
        for (at, value) in [(17, 0), (22, 1), (18, 1)] {
            let mut window = MICROVM[WINDOW].to_vec();
            window[at] = value;
            assert!(host_bridge(&dsdt_with(&window)).windows.is_empty(), "{at}");
        }
        // More buses than there are.
        let mut aml = MICROVM.to_vec();
        aml[34] = 1;
        assert_eq!(host_bridge(&dsdt_with(&aml)).ecam.map(|ecam| ecam.last_bus), Some(0));
    }

    #[test]
    fn more_windows_than_are_kept_and_every_cut_are_borne() {
        assert_eq!(host_bridge(&dsdt_with(&MICROVM[WINDOW].repeat(9))).windows.len(), WINDOWS_MAX);
        for end in 0..MICROVM.len() {
            host_bridge(&dsdt_with(&MICROVM[..end]));
        }
        let mut damaged = dsdt_with(MICROVM);
        damaged[40] ^= 1;
        assert_eq!(host_bridge(&damaged), HostBridge::default());
    }
}
