//! Devices without addresses in a model of configuration space.

use super::*;
use crate::claims::Extent;
use crate::pci::Bar;
use crate::pci::model::{Function, Machine, ecam};

const LOW: Window = Window { first: 0xc000_0000, last: 0xdfff_ffff };
const HIGH: Window = Window { first: 0xc0_0000_0000, last: 0xff_ffff_ffff };

/// A transitional virtio device as it comes out of reset: ports, an MSI-X table, and registers of 64 bits.
fn fresh() -> Function {
    let mut function = Function::new(0x1af4, 0x1000);
    function.bar(0, 1, 0x20).bar(1, 0, 0x1000).bar(4, 0xc, 0x4000);
    function.writable[0x10] = 0xe0;
    function.writable[0x24..0x28].fill(0xff);
    function
}

fn claims() -> Claims {
    let mut claims = Claims::new();
    claims.reserve_memory("RAM", 0, 64 << 20);
    claims.reserve_memory("what the processor cannot address", 1 << 40, u64::MAX);
    claims
}

/// Claims and places each device of a machine; gives where, by slot, and the failures.
fn placed(
    machine: &Machine,
    windows: &[Window],
    claims: &mut Claims,
) -> (std::vec::Vec<(u8, Placed)>, std::vec::Vec<PlaceError>) {
    let (mut all, mut failures) = (vec![], vec![]);
    let visited = ecam(machine).enumerate(|device| {
        claims.claim_device(&device, Extent::All).unwrap();
        if is_needed(&device) {
            let slot = device.address().slot();
            failures.extend(place(&device, windows, claims, |placed| all.push((slot, placed))).err());
        }
    });
    visited.unwrap();
    (all, failures)
}

#[test]
fn wide_registers_lie_above_4_gib_and_the_others_below() {
    let machine = Machine::with([((0, 1, 0), fresh()), ((0, 2, 0), fresh())]);
    let mut claims = claims();
    let (all, failures) = placed(&machine, &[LOW, HIGH], &mut claims);
    assert_eq!(failures, []);
    let at = |slot, bar, address| (slot, Placed { bar, address });
    let expected = [at(1, 1, 0xc000_0000), at(1, 4, 0xc0_0000_0000), at(2, 1, 0xc000_1000), at(2, 4, 0xc0_0000_4000)];
    assert_eq!(all, expected);
    let mut devices = vec![];
    ecam(&machine).enumerate(|device| devices.push(device)).unwrap();
    for device in &devices {
        assert!(claims.holds(device.address()) && !is_needed(device));
        // It answers in memory, and at no port: it has none.
        device.enable_access();
        assert_eq!(device.read::<u16>(4), 2);
    }
    let high = Bar::Memory { address: 0xc0_0000_4000, size: 0x4000, prefetchable: true };
    assert_eq!((devices[1].bar(4), devices[1].bar(0)), (Ok(high), Err(BarError::Unassigned)));
}

#[test]
fn without_room_above_4_gib_a_wide_register_lies_below() {
    // The processor does not reach the second window.
    let beyond = Window { first: 1 << 40, last: (1 << 41) - 1 };
    let (all, failures) = placed(&Machine::with([((0, 1, 0), fresh())]), &[LOW, beyond], &mut claims());
    assert_eq!((all.last().map(|(_, placed)| placed.address), failures), (Some(0xc000_4000), vec![]));
}

#[test]
fn what_anybody_has_is_given_to_nobody() {
    // A window over all there is, and one more over a part of it.
    let lying = [Window { first: 0, last: u64::MAX }, LOW];
    let mut claims = claims();
    claims.reserve_memory("RAM", 0, 4 << 30);
    claims.reserve_memory("RAM", (4 << 30) + 0x1000, 0x1000);
    claims.claim_memory("configuration space", (4 << 30) + 0x5000, 0x1000).unwrap();
    let mut function = fresh();
    function.bar(1, 0xfebd_0000, 0x1000);
    let machine = Machine::with([((0, 1, 0), function)]);
    // The model's device claims the register that it has, in memory that is RAM's: it is not driven, but that is tested
    // elsewhere. The other goes beyond what is taken, at a multiple of its size.
    let mut all = vec![];
    let visited = ecam(&machine).enumerate(|device| {
        let outcome = place(&device, &lying, &mut claims, |placed| all.push(placed));
        assert_eq!(outcome, Ok(()));
    });
    visited.unwrap();
    assert_eq!(all, [Placed { bar: 4, address: (4 << 30) + 0x8000 }]);
}

#[test]
fn absurd_sizes_and_places_behind_bridges_find_no_room() {
    let mut huge = Function::new(0x1af4, 0x1041);
    huge.bar(4, 0xc, 0x10);
    huge.writable[0x20..0x24].fill(0);
    huge.writable[0x24..0x28].copy_from_slice(&0xffff_c000_u32.to_le_bytes());
    let mut behind = Function::new(0x1af4, 0x1041);
    behind.bar(1, 0, 0x1000);
    let machine =
        Machine::with([((0, 1, 0), huge), ((0, 2, 0), Function::bridge(1)), ((1, 0, 0), behind), ((0, 3, 0), fresh())]);
    let (all, failures) = placed(&machine, &[HIGH, LOW], &mut claims());
    let device = |bus, slot| Address::new(bus, slot, 0).unwrap();
    let no_room = PlaceError::NoRoom { device: device(0, 1), bar: 4, size: 1 << 46 };
    assert_eq!(failures, [no_room, PlaceError::BehindBridge { device: device(1, 0) }]);
    assert_eq!(all.len(), 2, "the rest is placed");
    // No windows are known.
    let (all, failures) = placed(&Machine::with([((0, 3, 0), fresh())]), &[], &mut claims());
    assert_eq!((all, failures), (vec![], vec![PlaceError::NoRoom { device: device(0, 3), bar: 1, size: 0x1000 }]));
}

#[test]
fn a_device_with_a_register_that_cannot_be_understood_is_left_alone() {
    let mut odd = fresh();
    // A gap in the address bits of BAR 1.
    odd.writable[0x17] = 0x7f;
    let machine = Machine::with([((0, 1, 0), odd)]);
    let mut claims = claims();
    let visited = ecam(&machine).enumerate(|device| {
        let outcome = place(&device, &[LOW, HIGH], &mut claims, |placed| panic!("{placed:?}"));
        assert_eq!(outcome, Err(PlaceError::Malformed { device: device.address(), bar: 1 }));
    });
    visited.unwrap();
}
