//! What the processor must refuse: privileged and switched-off instructions, interrupts, memory that belongs to the
//! kernel, to a neighbour or to a grant, and addresses that are none.

use crate::board::{Attack, Count, SECRET, carry_out, contained, killed};
use object::{Object, ObjectSection};
use slopos_e2e::own;

/// Instructions that end otherwise than with a general protection fault or as invalid.
const OTHERWISE: [(&str, &[&str]); 10] = [
    ("int1", &["#DB", "#UD"]),
    ("divide", &["#DE"]),
    ("fld1", &["#NM"]),
    ("fninit", &["#NM"]),
    ("fwait", &["#NM"]),
    ("fxsave", &["#NM", "#UD"]),
    ("fxrstor", &["#NM", "#UD"]),
    ("ldmxcsr", &["#UD", "#NM"]),
    ("stmxcsr", &["#UD", "#NM"]),
    ("mmx", &["#UD", "#NM"]),
];

/// What the kernel is made of, by its sections: code, constants, data, what its parts own, the network that all share,
/// two grants, the memory of a neighbour and the processor's tables.
const SECTIONS: [&str; 9] = [
    ".text",
    ".rodata",
    ".owner.log",
    ".owner.kernel",
    ".shared.net",
    ".grant.webget.net",
    ".grant.hostile.net",
    ".process.guard",
    ".cpu",
];

/// Addresses outside the process that are not in any section: null, the image at its physical address, around the
/// process, the kernel's window for devices, and the last bytes of all.
const PLACES: [u64; 8] =
    [0, 0x10_0000, 0x3f_fff8, 0x5f_f000, 0x60_0000, 0xfee0_0000, 0xffff_8000_0000_0000, 0xffff_ffff_ffff_fff8];

/// Addresses without a canonical form.
const NO_ADDRESSES: [&str; 3] = ["0x800000000010", "0x8000000000000000", "0xffff7fffffffff00"];

/// `iretq` reads its frame with the process's rights; an emulator may do so with the kernel's, and SMAP stops it.
const RETURN: &[&str] = &["#GP", "#PF"];

/// Where a section of the attack board's kernel begins.
fn section(kernel: &object::File<'_>, name: &str) -> u64 {
    let section = kernel.section_by_name(name).unwrap_or_else(|| panic!("the kernel has no section {name}"));
    assert!(section.size() > 0, "{name} is empty");
    section.address()
}

fn instructions() -> impl Iterator<Item = Attack> {
    hazard::INSTRUCTIONS.iter().map(|(name, _)| {
        let otherwise = OTHERWISE.iter().find(|(other, _)| other == name);
        killed(format!("instruction {name}"), otherwise.map_or(&["#GP", "#UD"], |(_, by)| by))
    })
}

fn interrupts() -> impl Iterator<Item = Attack> {
    (0..=255).map(|vector| killed(format!("interrupt {vector}"), if vector == 3 { &["#BP"] } else { &["#GP"] }))
}

fn memory(kernel: &object::File<'_>) -> impl Iterator<Item = Attack> {
    let places = SECTIONS.map(|name| section(kernel, name)).into_iter().chain(PLACES);
    let everywhere = places.flat_map(|place| {
        let fault = |what| killed(format!("{what} {place:#x}"), &["#PF"]);
        [fault("read"), fault("write"), fault("execute"), contained(format!("pass {place:#x}"))]
    });
    let own = ["write code", "write constants", "execute data", "execute constants", "execute stack"];
    everywhere.chain(own.map(|own| killed(own, &["#PF"])))
}

fn addresses() -> impl Iterator<Item = Attack> {
    let nowhere = NO_ADDRESSES.into_iter().flat_map(|place| {
        [
            killed(format!("read {place}"), &["#GP"]),
            killed(format!("write {place}"), &["#GP"]),
            killed(format!("jump {place}"), &["#GP"]),
            killed(format!("return {place}"), &["#GP"]),
            killed(format!("interrupt-return {place}"), RETURN),
            killed(format!("push {place}"), &["#SS", "#GP"]),
            killed(format!("trap-with-stack {place}"), &["#UD"]),
            contained(format!("pass {place}")),
        ]
    });
    let others = [
        killed("jump 0xffffffff80110000", &["#PF"]),
        killed("return 0xffffffff80110000", &["#PF"]),
        killed("interrupt-return 0xffffffff80110000", &["#PF"]),
        killed("push 0xffffffff80110000", &["#PF"]),
        killed("trap-with-stack 0xffffffff80110000", &["#UD"]),
        killed("kernel-return", RETURN),
        killed("nested-return", RETURN),
        killed("far-return 0x08", &["#GP", "#PF"]),
        killed("far-return 0x10", &["#GP", "#PF"]),
        killed("far-jump 0x08", &["#GP"]),
        killed("far-jump 0x28", &["#GP"]),
        killed("end-of-code", &["#PF"]),
        killed("overflow", &["#PF"]),
        killed("single-step call", &["#DB"]),
        killed("single-step spin", &["#DB"]),
        killed("single-step segment", &["#DB"]),
        killed("ports-by-privilege popf", &["#GP"]),
        killed("ports-by-privilege iret", RETURN),
        contained("flags"),
        contained("stacks"),
        contained(format!("search {SECRET}")),
    ];
    nowhere.chain(others)
}

/// Carries all of them out.
pub fn attacks() -> Count {
    let elf = std::fs::read(own("-attack.elf")).expect("the kernel");
    let kernel = object::File::parse(&*elf).expect("an ELF file");
    let attacks: Vec<Attack> = instructions().chain(interrupts()).chain(memory(&kernel)).chain(addresses()).collect();
    let (count, report) = carry_out(&attacks);
    report.lacks("survived").lacks("hostile: read ");
    // The searcher looked where the guard's secret is, in its own memory.
    let place = |text: &str| {
        let (_, behind) = report.outcome.console.split_once(text)?;
        behind.split_whitespace().next().map(str::to_owned)
    };
    let (guard, search) = (place("the secret is at "), place("the secret would be at "));
    assert!(guard.is_some() && guard == search, "{guard:?} {search:?}");
    count
}
