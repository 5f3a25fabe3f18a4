//! Firmware's tables that are damaged between the firmware and the kernel: each costs what it says and nothing more.

use anyhow::{Context, Result};
use slopos_e2e::qtest::Qtest;
use slopos_e2e::{Report, board, run_changed};
use slopos_lab::servers::{Answer, answering, response};

/// Where SeaBIOS puts its tables on a board of 16 MiB: at the end of the memory.
const TABLES: std::ops::Range<u64> = 0xfc_0000..0x100_0000;
/// Where it puts the root pointer.
const FIRMWARE: std::ops::Range<u64> = 0xe_0000..0x10_0000;

/// Changes the byte at `offset` of what begins with this signature, by one bit.
fn damage(board: &mut Qtest, places: std::ops::Range<u64>, signature: &[u8], offset: u64) -> Result<()> {
    let bytes = board.memory(places.start, (places.end - places.start) as usize)?;
    let found = bytes.windows(signature.len()).position(|window| window == signature);
    let at = places.start + found.with_context(|| format!("no {}", signature.escape_ascii()))? as u64 + offset;
    let word = board.word(at & !3)?;
    board.set_word(at & !3, word ^ 1 << (8 * (at & 3)))
}

/// A board that fetches a page, with a table damaged.
fn fetching(places: std::ops::Range<u64>, signature: &[u8], offset: u64) -> Report {
    let page = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let board = board().append(format!("webget {page}; exit"));
    run_changed(board, |board| damage(board, places, signature, offset), |_, ()| Ok(()))
}

/// What the log says of tables, without their addresses.
fn told(report: &Report) -> Vec<String> {
    let lines = report.outcome.log.iter().filter_map(|line| line.strip_prefix("boot: the ACPI table at 0x"));
    lines.map(|line| line.split_once(' ').expect("an address").1.to_owned()).collect()
}

#[test]
fn each_damaged_table_is_told_and_the_board_does_without_it() {
    // Byte 12 is of the maker's name: only the sum tells. The name HPET is in the DSDT as well, without a length.
    for signature in [&b"APIC"[..], b"MCFG", b"FACP", b"HPET\x38\0\0\0"] {
        let reason = format!("is passed over: the sum of b\"{}\" is wrong", signature[..4].escape_ascii());
        let report = fetching(TABLES, signature, 12);
        report.exits(0).shows("a page to be seen");
        assert_eq!(told(&report), [reason], "{}", report.all());
    }
}

#[test]
fn without_the_table_of_interrupt_controllers_they_are_where_every_pc_has_them() {
    fetching(TABLES, b"APIC", 12).exits(0).logs("boot: no table of interrupt controllers");
}

#[test]
fn without_the_table_of_configuration_space_the_ports_are_used() {
    // The DSDT of QEMU's q35 names no configuration space.
    fetching(TABLES, b"MCFG", 12).exits(0).logs("pci: no memory-mapped configuration space, using the ports");
}

#[test]
fn a_dsdt_of_an_absurd_length_is_told() {
    let report = fetching(TABLES, b"DSDT", 7);
    report.exits(0).shows("a page to be seen");
    assert_eq!(told(&report), ["is passed over: a length in b\"DSDT\" cannot be"], "{}", report.all());
}

#[test]
fn a_damaged_root_pointer_leaves_a_board_without_tables() {
    let report = fetching(FIRMWARE, b"RSD PTR ", 9);
    report.exits(0).shows("a page to be seen").logs("boot: no ACPI tables");
}
