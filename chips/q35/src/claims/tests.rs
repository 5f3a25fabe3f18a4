//! Claims of devices in a model of configuration space, against a board with RAM, an image and two controllers.

use super::*;
use crate::pci::model::{Function, Machine, ecam};

const NETWORK: (u8, u8, u8) = (0, 2, 0);
const BLOCK: (u8, u8, u8) = (0, 3, 0);

/// The ranges of a small board.
fn board() -> Claims {
    let mut claims = Claims::new();
    claims.reserve_memory("the first MiB", 0, 0x10_0000);
    claims.reserve_memory("the kernel's image", 0x10_0000, 0x50_0000);
    claims.reserve_memory("RAM", 0x10_0000, 0xfe0_0000);
    claims.reserve_memory("RAM", 1 << 32, 1 << 30);
    claims.reserve_for_platform("reserved memory", 0xb000_0000, 0x1000_0000);
    claims.reserve_for_platform("the chipset", 0xfec0_0000, 0x140_0000);
    claims.reserve_memory("beyond the processor's addresses", 1 << 40, u64::MAX);
    claims.claim_memory("configuration space", 0xb000_0000, 0x1000_0000).unwrap();
    claims.claim_memory("the local APIC", 0xfee0_0000, 0x1000).unwrap();
    claims.claim_memory("the I/O APIC", 0xfec0_0000, 0x1000).unwrap();
    claims.reserve_ports("the interval timer", 0x40, 4);
    claims.reserve_ports_for_platform("the chipset's ports", 0, 0x1000);
    claims
}

/// A device with 16 KiB of registers at a 64-bit address, and with them enabled.
fn wide(address: u64) -> Function {
    let mut function = Function::new(0x1af4, 0x1041);
    function.put(4, &[7, 0]).bar(4, address as u32 | 4, 0x4000).put(0x24, &((address >> 32) as u32).to_le_bytes());
    function.writable[0x24..0x28].fill(0xff);
    function
}

fn place((bus, slot, function): (u8, u8, u8)) -> Address {
    Address::new(bus, slot, function).unwrap()
}

/// Claims for each device of a machine; gives the failures.
fn claim(claims: &mut Claims, machine: &Machine, extent: Extent) -> std::vec::Vec<ClaimError> {
    let mut failures = std::vec::Vec::new();
    ecam(machine).enumerate(|device| failures.extend(claims.claim_device(&device, extent).err())).unwrap();
    failures
}

/// Whose range a device at this address overlaps.
fn overlapped(address: u64) -> Option<Owner> {
    let machine = Machine::with([(NETWORK, wide(address)), (BLOCK, wide(0xfeb0_0000))]);
    let mut claims = board();
    let failures = claim(&mut claims, &machine, Extent::All);
    assert_eq!(claims.holds(place(NETWORK)), failures.is_empty(), "{address:#x}");
    match failures[..] {
        [] => None,
        [ClaimError::Taken { owner, .. }] => Some(owner),
        _ => panic!("{address:#x}: {failures:?}"),
    }
}

#[test]
fn a_register_over_anything_that_is_not_the_devices_is_refused() {
    let platform = |name| Some(Owner::Platform(name));
    for (address, owner) in [
        (0xfebf_8000, None),
        (0x8_0000_0000, None),
        (0x1000_0000, None),
        (0x4000, platform("the first MiB")),
        (0xa_0000, platform("the first MiB")),
        (0x10_0000, platform("the kernel's image")),
        (0x5f_c000, platform("the kernel's image")),
        (0x60_0000, platform("RAM")),
        (0xfef_c000, platform("RAM")),
        (1 << 32, platform("RAM")),
        ((1 << 32) + (1 << 30) - 0x4000, platform("RAM")),
        (0xb000_0000, platform("reserved memory")),
        (0xbfff_c000, platform("reserved memory")),
        (0xfec0_0000, platform("the chipset")),
        (0xfed0_0000, platform("the chipset")),
        (0xfee0_0000, platform("the chipset")),
        (0xffff_c000, platform("the chipset")),
        (1 << 40, platform("beyond the processor's addresses")),
        (1 << 52 | 0x10_0000, platform("beyond the processor's addresses")),
        (0x7fff_ffff_ffff_c000, platform("beyond the processor's addresses")),
        (0xffff_ffff_ffff_c000, platform("beyond the processor's addresses")),
    ] {
        assert_eq!(overlapped(address), owner, "{address:#x}");
    }
}

#[test]
fn of_two_devices_at_one_place_neither_is_driven() {
    for (first, second) in [(0xfeb0_0000, 0xfeb0_0000), (0xfeb0_4000, 0xfeb0_0000), (0xfeb0_0000, 0xfeb0_4000)] {
        let machine = Machine::with([(NETWORK, wide(first)), (BLOCK, wide(second))]);
        let mut claims = board();
        let failures = claim(&mut claims, &machine, Extent::All);
        let apart = first != second;
        assert_eq!(failures.is_empty(), apart);
        if let [ClaimError::Taken { claimant, owner, .. }] = failures[..] {
            assert_eq!(claimant, Owner::Device { address: place(BLOCK), bar: 4 });
            assert_eq!(owner, Owner::Device { address: place(NETWORK), bar: 4 });
        }
        assert_eq!((claims.holds(place(NETWORK)), claims.holds(place(BLOCK))), (apart, apart));
    }
}

#[test]
fn one_register_that_is_anothers_costs_a_device_all_of_them() {
    let mut function = wide(0xfeb0_0000);
    function.bar(1, 0xfee0_0000, 0x1000);
    let mut claims = board();
    let failures = claim(&mut claims, &Machine::with([(NETWORK, function)]), Extent::All);
    assert_eq!(failures.len(), 1);
    assert!(!claims.holds(place(NETWORK)));

    // A device with two registers at the same place as well.
    let mut function = wide(0xfeb0_0000);
    function.bar(1, 0xfeb0_1000, 0x1000);
    let mut claims = board();
    assert_eq!(claim(&mut claims, &Machine::with([(NETWORK, function)]), Extent::All).len(), 1);
    assert!(!claims.holds(place(NETWORK)));
}

#[test]
fn ports_of_the_platform_are_no_devices() {
    for (port, free) in [(0xc040, true), (0xcc0, false), (0x40, false), (0x3c0, false), (0xfc0, false), (0x1000, true)]
    {
        let mut function = Function::new(0x1af4, 0x1000);
        function.bar(0, port | 1, 0x40);
        function.writable[0x10] = 0xc0;
        let mut claims = board();
        let failures = claim(&mut claims, &Machine::with([(NETWORK, function)]), Extent::All);
        assert_eq!(failures.is_empty(), free, "{port:#x}: {failures:?}");
        assert_eq!(claims.holds(place(NETWORK)), free, "{port:#x}");
    }
}

#[test]
fn a_chip_that_the_firmware_put_among_the_platforms_ports_is_no_fault_but_keeps_others_out() {
    let chip = |port: u32| {
        let mut function = Function::new(0x8086, 0x2930);
        function.put(4, &[3, 0]).bar(4, port | 1, 0x40);
        function.writable[0x20] = 0xc0;
        function
    };
    let mut claims = board();
    assert_eq!(claim(&mut claims, &Machine::with([((0, 31, 0), chip(0x700))]), Extent::Enabled), []);
    assert_eq!(claim(&mut claims, &Machine::with([(NETWORK, chip(0x700))]), Extent::All).len(), 1);
    let failures = claim(&mut board(), &Machine::with([((0, 31, 0), chip(0x40))]), Extent::Enabled);
    assert!(matches!(failures[..], [ClaimError::Taken { owner: Owner::Platform("the interval timer"), .. }]));
}

#[test]
fn a_register_that_cannot_be_understood_costs_the_device_that_would_be_driven() {
    let mut function = wide(0xfeb0_0000);
    function.bar(1, 0xfebd_0006, 0x1000);
    let machine = Machine::with([(NETWORK, function)]);
    let mut claims = board();
    let claimant = Owner::Device { address: place(NETWORK), bar: 1 };
    assert_eq!(claim(&mut claims, &machine, Extent::All), [ClaimError::NoRange { claimant }]);
    assert!(!claims.holds(place(NETWORK)));
    assert_eq!(claim(&mut board(), &machine, Extent::Enabled), []);
}

#[test]
fn a_device_that_does_not_answer_claims_nothing_unless_it_will() {
    let mut silent = wide(0xfeb0_0000);
    silent.put(4, &[0, 0]);
    let machine = Machine::with([(BLOCK, silent)]);
    let mut claims = board();
    assert_eq!(claim(&mut claims, &machine, Extent::Enabled), []);
    assert!(!claims.holds(place(BLOCK)));
    let mut claims = board();
    assert_eq!(claim(&mut claims, &machine, Extent::All), []);
    assert!(claims.holds(place(BLOCK)));
}

#[test]
fn a_bridges_own_registers_count() {
    let mut bridge = Function::bridge(1);
    bridge.put(4, &[7, 0]).bar(0, 0xfeb0_0000, 0x1000);
    let machine = Machine::with([(NETWORK, wide(0xfeb0_0000)), ((0, 4, 0), bridge)]);
    let mut claims = board();
    assert_eq!(claim(&mut claims, &machine, Extent::Enabled).len(), 1);
    assert!(!claims.holds(place(NETWORK)));
}

#[test]
fn what_the_platform_claims_twice_is_refused_with_both_names() {
    let mut claims = board();
    assert_eq!(
        claims.claim_memory("HPET", 0xfee0_0400, 0x400),
        Err(ClaimError::Taken {
            claimant: Owner::Platform("HPET"),
            start: 0xfee0_0400,
            last: 0xfee0_07ff,
            owner: Owner::Platform("the local APIC"),
        })
    );
    assert!(claims.claim_memory("HPET", 0x20_0000, 0x400).is_err(), "RAM is nobody's registers");
    assert_eq!(claims.claim_memory("HPET", 0xfed0_0000, 0x400), Ok(()));
    for (start, length) in [(0xfed0_0000, 0), (u64::MAX, 2), (1, u64::MAX)] {
        let outcome = claims.claim_memory("HPET", start, length);
        if length != u64::MAX {
            assert_eq!(outcome, Err(ClaimError::NoRange { claimant: Owner::Platform("HPET") }));
        }
        assert!(outcome.is_err());
    }
}

#[test]
fn with_more_ranges_than_are_noted_no_device_is_driven() {
    let mut claims = board();
    for index in 0..RANGES_MAX as u64 {
        claims.reserve_memory("RAM", (1 << 33) + (index << 20), 0x1000);
    }
    let machine = Machine::with([(NETWORK, wide(0xfeb0_0000))]);
    let full = ClaimError::Full { claimant: Owner::Device { address: place(NETWORK), bar: 4 } };
    assert_eq!(claim(&mut claims, &machine, Extent::All), [full]);
    assert!(!claims.holds(place(NETWORK)));
}
