//! Devices whose base address registers point where they must not: moved between the firmware and the kernel.

use slopos_e2e::qtest::{Function, Qtest};
use slopos_e2e::{Report, board, run_changed};
use slopos_run::{Builder, Transport};

/// Offset of base address register 0.
const BAR0: u8 = 0x10;
/// The register of a modern device's configuration, 64 bits wide, and that of its MSI-X table.
const REGISTERS: u8 = 4;
const MESSAGES: u8 = 1;
/// The devices' identities, transitional and modern.
const NETWORK: [u16; 2] = [0x1000, 0x1041];
const BLOCK: [u16; 2] = [0x1001, 0x1042];

fn set_bar(board: &mut Qtest, device: Function, bar: u8, address: u64, wide: bool) -> anyhow::Result<()> {
    board.set_configuration(device, BAR0 + 4 * bar, address as u32)?;
    if wide { board.set_configuration(device, BAR0 + 4 * bar + 4, (address >> 32) as u32) } else { Ok(()) }
}

/// Where a register may point, for a board of 16 MiB whose memory-mapped configuration space is at 0xb0000000.
const PLACES: [u64; 17] = [
    0x0000_8000,           // the first MiB
    0x000e_c000,           // the firmware
    0x0010_0000,           // the kernel's text
    0x0040_0000,           // its data
    0x00a0_0000,           // RAM that nobody uses
    0x00ff_c000,           // the firmware's tables at its end
    0xb000_0000,           // configuration space
    0xb001_0000,           // that of the network device
    0xfec0_0000,           // the I/O APIC
    0xfed0_0000,           // the timers
    0xfee0_0000,           // the local APIC
    0xffff_c000,           // the firmware's flash
    1 << 40,               // beyond the processor's addresses
    1 << 52 | 0x10_0000,   // beyond an entry of a page table, where cut off the kernel's text
    0xffff_8000_0010_0000, // the upper half
    0xffff_ffff_ffff_c000, // the last addresses
    0x7fff_ffff_8000_0000, // no canonical address
];

/// Boots a board whose device with one of these identities has this register elsewhere, and says how the network is.
fn net_with(board: Builder, identities: [u16; 2], bar: u8, place: u64, wide: bool) -> Report {
    let change = |board: &mut Qtest| {
        let device = board.find(0x1af4, &identities)?;
        set_bar(board, device, bar, place, wide)
    };
    run_changed(board.append("net; exit"), change, |_, ()| Ok(()))
}

#[test]
fn a_network_device_whose_registers_point_anywhere_is_left_alone_and_the_rest_boots() {
    for place in PLACES {
        let report = net_with(board(), NETWORK, REGISTERS, place, true);
        report.exits(0).shows("no device").logs("pci: BAR 4 of device ").logs("virtio-blk: ready ");
    }
}

#[test]
fn a_flash_whose_registers_point_anywhere_is_left_alone_and_the_network_works() {
    for place in PLACES {
        let report = net_with(board(), BLOCK, REGISTERS, place, true);
        report.exits(0).shows("10.0.2.15").logs("pci: BAR 4 of device ").logs("flash: no usable flash");
    }
}

#[test]
fn a_table_of_messages_over_memory_or_controllers_is_left_alone() {
    for place in PLACES.into_iter().filter(|place| *place < 1 << 32) {
        let report = net_with(board(), NETWORK, MESSAGES, place, false);
        report.exits(0).shows("no device").logs("pci: BAR 1 of device ").logs("virtio-blk: ready ");
    }
}

#[test]
fn registers_from_256_gib_on_are_used() {
    // Firecracker begins to place devices at 256 GiB. The last 12 GiB of this processor's addresses are reserved.
    for place in [1 << 38, 0xfc_ffff_c000] {
        for device in [NETWORK, BLOCK] {
            let report = net_with(board(), device, REGISTERS, place, true);
            report.exits(0).shows("10.0.2.15").logs("virtio-net: ready ").logs("virtio-blk: ready ");
        }
    }
}

/// Where a register of 32 ports may point: timers, keyboard, 8259, way out, COM1, PCI, power management.
const PORTS: [u64; 8] = [0x20, 0x40, 0x60, 0xa0, 0xe0, 0x3e0, 0xce0, 0x600];

#[test]
fn a_legacy_device_at_ports_of_the_platform_is_left_alone() {
    for port in PORTS {
        let report = net_with(board().network(Transport::Legacy), NETWORK, 0, port | 1, false);
        report.exits(0).shows("no device").logs("pci: BAR 0 of device ").logs("virtio-blk: ready ");
    }
}

#[test]
fn two_devices_at_one_place_are_both_left_alone() {
    let report = run_changed(
        board().append("net; exit"),
        |board| {
            let (network, block) = (board.find(0x1af4, &NETWORK)?, board.find(0x1af4, &BLOCK)?);
            let low = board.configuration(block, BAR0 + 4 * REGISTERS)? & !0xf;
            set_bar(board, network, REGISTERS, low.into(), true)
        },
        |_, ()| Ok(()),
    );
    let line = report.outcome.log.iter().find(|line| line.starts_with("pci: BAR 4 of device "));
    assert!(line.is_some_and(|line| line.matches("BAR 4 of device").count() == 2), "{}", report.all());
    report.exits(0).shows("no device").logs("flash: no usable flash");
}

#[test]
fn a_register_that_points_into_ram_has_nothing_written_there() {
    // What is there when the kernel begins and stays as it is: text, and RAM behind the image.
    for place in [0x10_c000, 0x13_c000, 0xa0_0000] {
        const BYTES: usize = 0x4000;
        let report = run_changed(
            board().append("net; sleep 2; exit"),
            |board| {
                let device = board.find(0x1af4, &NETWORK)?;
                set_bar(board, device, REGISTERS, place, true)?;
                board.memory(place, BYTES)
            },
            |board, before| {
                std::thread::sleep(std::time::Duration::from_millis(1500));
                anyhow::ensure!(board.memory(place, BYTES)? == before, "the memory at {place:#x} was written");
                Ok(())
            },
        );
        report.exits(0);
    }
}
