//! What the audit finds in an image, and that it fails where image and manifest differ.

use crate::kernel;
use slopos_audit::{Audit, account};
use slopos_e2e::built;
use std::process::Command;

/// The audit of a built board.
fn audit(name: &str) -> Audit {
    let (image, manifest) = kernel(name);
    account::audit(&image, &manifest)
}

/// The audit of the board's kernel with one text of its manifest replaced by another of the same length.
fn tampered(old: &str, new: &str) -> Audit {
    assert_eq!(old.len(), new.len(), "the file must keep its layout");
    let mut elf = std::fs::read(built("qemu_q35.elf")).expect("a kernel");
    let at = elf.windows(old.len()).position(|window| window == old.as_bytes()).expect("the manifest has it");
    elf[at..at + new.len()].copy_from_slice(new.as_bytes());
    let (image, manifest) = slopos_audit::parse(&elf).unwrap_or_else(|why| panic!("{why:#}"));
    account::audit(&image, &manifest)
}

/// The sum of the sizes that `readelf -SW` prints for the sections whose names begin so.
fn readelf(name: &str, start: &str) -> u64 {
    let output = Command::new("readelf").arg("-SW").arg(built(&format!("{name}.elf"))).output().expect("readelf");
    let text = String::from_utf8(output.stdout).expect("text");
    let sizes = text.lines().filter_map(|line| {
        // `[17] .grant.webget.net NOBITS 0000... 0403... 051319 ...`: name, type, address, offset, size.
        let (_, columns) = line.split_once(']')?;
        let columns: Vec<&str> = columns.split_whitespace().collect();
        let is_wanted = columns.first()?.starts_with(start);
        is_wanted.then(|| u64::from_str_radix(columns[4], 16).expect("a size"))
    });
    sizes.sum()
}

#[test]
fn every_board_passes_and_its_sums_are_those_of_readelf() {
    for name in ["qemu_q35", "qemu_q35-test", "qemu_q35-attack"] {
        let audit = audit(name);
        assert_eq!(audit.problems, Vec::<String>::new(), "{name}");
        assert_eq!(audit.unaccounted_bytes, 0, "{name}");
        assert!(audit.grant_bytes > 0, "{name}");
        let grants: u64 = audit.processes.iter().map(|process| process.grant_bytes()).sum();
        assert_eq!(grants, readelf(name, ".grant."), "{name}");
        assert_eq!(audit.shared_bytes, readelf(name, ".shared."), "{name}");
        let processes: u64 = audit.processes.iter().map(|process| process.network_bytes()).sum();
        assert_eq!(processes, audit.grant_bytes, "{name}");
        let shared: u64 = audit.shared.iter().map(|row| row.bytes).sum();
        assert_eq!(shared, audit.shared_bytes, "{name}");
        let owners: u64 = audit.owners.iter().map(|owner| owner.bytes).sum();
        let own: u64 = audit.processes.iter().map(|process| process.memory_bytes()).sum();
        assert_eq!(grants + audit.shared_bytes + owners + own, audit.writable_bytes, "{name}");
        assert_eq!(readelf(name, ".data") + readelf(name, ".bss"), 0, "{name}: every static has an owner's section");
    }
}

#[test]
fn a_process_without_network_has_no_grant() {
    let audit = audit("qemu_q35-test");
    let process = |name: &str| audit.processes.iter().find(|process| process.name == name).expect("a process");
    assert!(process("faults").grants.is_empty());
    assert_eq!(process("webget").grants.len(), 1);
}

#[test]
fn one_byte_of_disagreement_fails() {
    let audit = tampered("\"each\":1048576,\"bytes\":4194304", "\"each\":1048576,\"bytes\":4194303");
    let told = &audit.problems[0];
    assert!(told.contains("is 4194303 in the manifest and 4194304 in the ELF"), "{told}");
    assert!(told.contains("board.toml:"), "{told}");
    for (old, new) in [
        ("\"sockets\":{\"value\":4", "\"sockets\":{\"value\":5"),
        ("\"ram\":{\"value\":163840", "\"ram\":{\"value\":163841"),
        ("\"stack\":{\"value\":32768", "\"stack\":{\"value\":32767"),
        ("0.0.0.0/0:1-65535", "0.0.0.0/0:1-65534"),
        ("\"priority\":3", "\"priority\":4"),
        ("\"name\":\"webget\"", "\"name\":\"webgot\""),
    ] {
        assert!(!tampered(old, new).passes(), "{new} was believed");
    }
}

#[test]
fn a_budget_that_is_too_small_fails() {
    let audit = tampered("\"network_budget\":{\"value\":6291456", "\"network_budget\":{\"value\":      1");
    let told = &audit.problems[0];
    assert!(told.contains("network memory needs") && told.contains("`network_budget` allows 1 B"), "{told}");
}
