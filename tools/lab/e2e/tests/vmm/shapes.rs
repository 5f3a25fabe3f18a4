//! What the board's code makes of the memory that each engine prepares: start info, memory map, command line, modules, and
//! the tables of ACPI, each where the engine puts it.
//!
//! Addresses are those of the engines' sources: arch/src/x86_64/layout.rs of Cloud Hypervisor,
//! src/vmm/src/arch/x86_64/layout.rs and src/vmm/src/acpi of Firecracker.

use crate::{HIGH_MEMORY, contents, memory, reach};
use acpi_tables::aml::{AmlStr, Device, Name, Package};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::{GenericAddress, Sdt};
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink as _};
use linux_loader::configurator::pvh::PvhBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use linux_loader::loader::{Cmdline, load_cmdline};
use slopos_process_console::{leave_out, left_out};
use slopos_q35::acpi::{self, Address, Ecam, IoApicEntry, Tables, off_types};
use slopos_virtio::transport::Window;
use slopos_x86_64::modules::{ModuleError, check};
use slopos_x86_64::start_info::{CommandLine, MemoryKind, MemoryRange, Module, StartInfo, StartInfoError};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Both engines' addresses of the start info, the list of modules, the memory map and the command line.
const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6040;
const MEMORY_MAP: u64 = 0x7000;
const COMMAND_LINE: u64 = 0x2_0000;
/// Longest command lines.
const CLOUD_HYPERVISOR_LINE: usize = 0x1_0000;
const FIRECRACKER_LINE: usize = 2048;
/// Where Cloud Hypervisor's root pointer is, and its tables behind it.
const CLOUD_HYPERVISOR_RSDP: u64 = 0xa_0000;
/// Where Firecracker's tables begin, and its root pointer.
const FIRECRACKER_SYSTEM: u64 = 0x9_fc00;
const FIRECRACKER_RSDP: u64 = 0xe_0000;
/// The BIOS's word with the segment of its extended data area.
const EXTENDED_AREA_SEGMENT: u64 = 0x40e;
/// Both engines' interrupt controllers.
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;

const RAM: u32 = 1;
const RESERVED: u32 = 2;
const OEM: ([u8; 6], [u8; 8]) = (*b"ENGINE", *b"MACHINE ");

/// Writes tables one behind the other, and remembers where each is.
struct Writer<'a> {
    memory: &'a GuestMemoryMmap,
    at: u64,
}

impl Writer<'_> {
    fn write(&mut self, table: &dyn Aml) -> u64 {
        let mut bytes = Vec::new();
        table.to_aml_bytes(&mut bytes);
        self.write_bytes(&bytes)
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> u64 {
        self.memory.write_slice(bytes, GuestAddress(self.at)).expect("room for a table");
        let address = self.at;
        self.at += bytes.len() as u64;
        address
    }
}

fn dsdt(objects: &[&dyn Aml]) -> Vec<u8> {
    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM.0, OEM.1, 1);
    let mut aml = Vec::new();
    objects.iter().for_each(|object| object.to_aml_bytes(&mut aml));
    table.vec(&aml);
    table.as_slice().to_vec()
}

/// A FADT as both make it: of ACPI 6.5, its hardware reduced, without fixed buttons.
fn fadt(dsdt: u64, more_flags: u32) -> Sdt {
    let mut table = Sdt::new(*b"FACP", 276, 6, OEM.0, OEM.1, 1);
    table.write_u32(112, 1 << 20 | 1 << 5 | 1 << 4 | more_flags);
    table.write_u64(140, dsdt);
    table
}

fn madt() -> MADT {
    let mut madt = MADT::new(OEM.0, OEM.1, 1, LocalInterruptController::Address(LOCAL_APIC));
    madt.add_structure(ProcessorLocalApic::new(0, 0, EnabledStatus::Enabled));
    madt.add_structure(IoApic::new(0, IO_APIC, 0));
    madt
}

fn xsdt(tables: &[u64]) -> XSDT {
    let mut xsdt = XSDT::new(OEM.0, OEM.1, 1);
    tables.iter().for_each(|table| xsdt.add_entry(*table));
    xsdt
}

/// Cloud Hypervisor's tables: a timer, ways to switch off and to reset, and configuration space of one PCI segment.
fn write_cloud_hypervisor_tables(memory: &GuestMemoryMmap) {
    let mut writer = Writer { memory, at: CLOUD_HYPERVISOR_RSDP + Rsdp::len() as u64 };
    let off = Package::new(vec![&5_u8]);
    let dsdt = writer.write_bytes(&dsdt(&[&Name::new("_S5_".into(), &off)]));
    let mut facp = fadt(dsdt, 1 << 10 | 1 << 8);
    facp.write(116, GenericAddress::io_port_address::<u8>(0x3c0));
    facp.write_u8(128, 1);
    facp.write(208, GenericAddress::io_port_address::<u32>(0x608));
    facp.write(244, GenericAddress::io_port_address::<u8>(0x600));
    let mut mcfg = MCFG::new(OEM.0, OEM.1, 1);
    mcfg.add_ecam(0xe800_0000, 0, 0, 0);
    facp.update_checksum();
    let tables = [writer.write_bytes(facp.as_slice()), writer.write(&madt()), writer.write(&mcfg)];
    let root = writer.write(&xsdt(&tables));
    Writer { memory, at: CLOUD_HYPERVISOR_RSDP }.write(&Rsdp::new(OEM.0, root));
}

/// Firecracker's tables: nothing to switch off with, and the identifier of the machine's generation. Its root pointer is
/// where `rsdp` says.
fn write_firecracker_tables(memory: &GuestMemoryMmap, rsdp: u64, generation: u64) {
    // Its table for MP machines comes first.
    let mut writer = Writer { memory, at: FIRECRACKER_SYSTEM + 304 };
    let (kind, low, high) = (AmlStr::from("VM_Gen_Counter"), generation & 0xffff_ffff, generation >> 32);
    let address = Package::new(vec![&low, &high]);
    let hid = AmlStr::from("FCVMGID");
    let names = [("_HID", &hid as &dyn Aml), ("_CID", &kind), ("_DDN", &kind), ("ADDR", &address)];
    let names = names.map(|(name, value)| Name::new(name.into(), value));
    let device = Device::new("_SB_.VGEN".into(), names.iter().map(|name| name as &dyn Aml).collect());
    let dsdt = writer.write_bytes(&dsdt(&[&device]));
    let mut facp = fadt(dsdt, 0);
    facp.update_checksum();
    let tables = [writer.write_bytes(facp.as_slice()), writer.write(&madt())];
    let root = writer.write(&xsdt(&tables));
    Writer { memory, at: rsdp }.write(&Rsdp::new(OEM.0, root));
}

/// Writes a start info as both do, and the parts that it names.
fn write_start_info(memory: &GuestMemoryMmap, map: &[(u64, u64, u32)], line: &Cmdline, rsdp: u64, modules: &[Module]) {
    load_cmdline(memory, GuestAddress(COMMAND_LINE), line).expect("room for the command line");
    let entry = |&(addr, size, type_): &(u64, u64, u32)| hvm_memmap_table_entry { addr, size, type_, reserved: 0 };
    let map: Vec<_> = map.iter().map(entry).collect();
    let module = |it: &Module| hvm_modlist_entry { paddr: it.start, size: it.length, ..Default::default() };
    let list: Vec<_> = modules.iter().map(module).collect();
    let info = hvm_start_info {
        magic: 0x336e_c578,
        version: 1,
        nr_modules: list.len() as u32,
        modlist_paddr: if list.is_empty() { 0 } else { MODULES },
        cmdline_paddr: COMMAND_LINE,
        rsdp_paddr: rsdp,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    let mut parameters = BootParams::new(&info, GuestAddress(START_INFO));
    parameters.set_sections(&map, GuestAddress(MEMORY_MAP));
    parameters.set_modules(&list, GuestAddress(MODULES));
    PvhBootConfigurator::write_bootparams(&parameters, memory).expect("room for the start info");
}

/// A command line of at most so many bytes, its end included.
fn line(text: &str, most: usize) -> Cmdline {
    let mut line = Cmdline::new(most).expect("a length");
    line.insert_str(text).expect("a command line");
    line
}

/// What the board's code makes of it.
fn read(bytes: &[u8]) -> Result<(StartInfo, Box<CommandLine>), StartInfoError> {
    let mut line = Box::<CommandLine>::default();
    let info = StartInfo::read_pvh(START_INFO, &mut line, |address, length| {
        reach(bytes, address, usize::try_from(length).ok()?)
    })?;
    Ok((info, line))
}

fn tables(bytes: &[u8], rsdp: u64) -> Option<Tables> {
    acpi::search(
        rsdp,
        |address, length| reach(bytes, address, length),
        |lost, address, error| panic!("{lost:?} at {address:#x} is passed over: {error:?}"),
    )
}

fn range((start, length, kind): (u64, u64, u32)) -> MemoryRange {
    let kind = if kind == RESERVED { MemoryKind::Reserved } else { MemoryKind::Ram };
    MemoryRange { start, length, kind }
}

#[test]
fn cloud_hypervisors_start_info_and_tables_are_read() {
    let memory = memory(64 << 20);
    let map = [(0, 0xa_0000, RAM), (HIGH_MEMORY, (64 << 20) - HIGH_MEMORY, RAM), (0xe800_0000, 0x1000_0000, RESERVED)];
    let commands = "webget http://192.168.249.1:8000/; exit";
    write_start_info(&memory, &map, &line(commands, CLOUD_HYPERVISOR_LINE), CLOUD_HYPERVISOR_RSDP, &[]);
    write_cloud_hypervisor_tables(&memory);

    let bytes = contents(&memory);
    let (info, line) = read(&bytes).expect("a start info");
    assert_eq!((line.as_str(), info.command_line_broken), (commands, false));
    assert_eq!((info.rsdp, info.memory_end), (CLOUD_HYPERVISOR_RSDP, 64 << 20));
    assert_eq!(info.memory, map.map(range));
    assert!(info.modules.is_empty());

    let tables = tables(&bytes, info.rsdp).expect("tables");
    assert_eq!((tables.processors, tables.local_apic), (1, Some(LOCAL_APIC.into())));
    assert_eq!(tables.io_apics, [IoApicEntry { address: IO_APIC.into(), first_gsi: 0 }]);
    assert_eq!(tables.ecams, [Ecam { base: 0xe800_0000, segment: 0, first_bus: 0, last_bus: 0 }]);
    let power = &tables.power;
    assert_eq!((power.timer, power.sleep), (Some(0x608), Some(Address::Port(0x600))));
    assert_eq!((power.reset, power.events), (Some((Address::Port(0x3c0), 1)), [None, None]));
    let dsdt = power.dsdt.expect("a DSDT");
    let length = acpi::dsdt_length(dsdt, |address, length| reach(&bytes, address, length)).expect("its length");
    assert_eq!(reach(&bytes, dsdt, length).and_then(off_types), Some([5, 5]));
}

#[test]
fn firecrackers_start_info_is_read_and_its_tables_are_found_without_a_word_from_it() {
    let bytes = 32 << 20;
    let memory = memory(bytes);
    let map = [
        (0, FIRECRACKER_SYSTEM, RAM),
        (FIRECRACKER_SYSTEM, HIGH_MEMORY - FIRECRACKER_SYSTEM, RESERVED),
        (0xeec0_0000, 0x1000_0000, RESERVED),
        (HIGH_MEMORY, bytes as u64 - HIGH_MEMORY, RAM),
    ];
    let commands = "webget http://172.16.0.1:8000/; exit";
    let mut line = line(commands, FIRECRACKER_LINE);
    let windows = [(0xc000_1000, 5), (0xc000_2000, 6), (0xc000_3000, 7)];
    for (address, interrupt) in windows {
        line.add_virtio_mmio_device(4096, GuestAddress(address), interrupt, None).expect("room for a window");
    }
    let generation = 0x9_fff0;
    write_start_info(&memory, &map, &line, 0, &[]);
    write_firecracker_tables(&memory, FIRECRACKER_RSDP, generation);

    let found = contents(&memory);
    let (info, line) = read(&found).expect("a start info");
    assert_eq!((info.rsdp, info.memory_end), (0, 32 << 20));
    assert_eq!(info.memory, map.map(range));
    assert_eq!(leave_out(&line), (commands, windows.len()));
    let words = left_out(&line).map(|word| word.strip_prefix("virtio_mmio.device=").expect("a window"));
    let parsed: Vec<_> = words.map(|word| Window::parse(word).expect("a window")).collect();
    let wanted = windows.map(|(address, gsi)| Window { address, length: 4096, gsi });
    assert_eq!(parsed, wanted);

    let tables = tables(&found, info.rsdp).expect("tables");
    assert_eq!((tables.processors, tables.io_apics.len()), (1, 1));
    assert_eq!(tables.generation, Some(generation));
    // Nothing of ACPI switches it off: the keyboard controller does.
    let power = &tables.power;
    assert!(power.sleep.is_none() && power.reset.is_none() && power.timer.is_none() && power.control == [None, None]);
}

#[test]
fn a_root_pointer_in_the_bioss_area_or_nowhere_is_found_or_not() {
    let memory = memory(4 << 20);
    write_start_info(&memory, &[(0, 4 << 20, RAM)], &line("exit", FIRECRACKER_LINE), 0, &[]);
    assert!(tables(&contents(&memory), 0).is_none());
    // The last place in the area that counts: one KiB from its beginning.
    let area = 0x9_f000_u64;
    memory.write_obj((area >> 4) as u16, GuestAddress(EXTENDED_AREA_SEGMENT)).expect("a word");
    write_firecracker_tables(&memory, area + 1024 - 48, 0);
    assert_eq!(tables(&contents(&memory), 0).map(|tables| tables.io_apics.len()), Some(1));
    // A root pointer that the loader names and that is none is passed over, and told.
    let mut told = Vec::new();
    let bytes = contents(&memory);
    let found = acpi::search(
        CLOUD_HYPERVISOR_RSDP + 0x1_0000,
        |address, length| reach(&bytes, address, length),
        |_, address, _| told.push(address),
    );
    assert!(found.is_some() && told == [CLOUD_HYPERVISOR_RSDP + 0x1_0000]);
}

#[test]
fn a_flash_as_the_initial_ram_disk_of_either_engine_is_a_module_that_can_be_used() {
    // Both put it at the end of the memory, at the beginning of a page.
    let size = 64_u64 << 20;
    let length = 0x10_2345;
    let flash = Module { start: (size - length) & !0xfff, length };
    let memory = memory(size as usize);
    let map = [(0, 0xa_0000, RAM), (HIGH_MEMORY, size - HIGH_MEMORY, RAM)];
    write_start_info(&memory, &map, &line("exit", CLOUD_HYPERVISOR_LINE), 0, &[flash]);
    let (info, _) = read(&contents(&memory)).expect("a start info");
    assert_eq!(info.modules, [flash]);
    assert_eq!(check(&flash, &info.memory, HIGH_MEMORY..8 << 20), Ok(()));
    assert_eq!(check(&flash, &info.memory, HIGH_MEMORY..size), Err(ModuleError::OverlapsImage));
}

#[test]
fn a_start_info_that_points_beyond_the_memory_is_refused() {
    let memory = memory(4 << 20);
    write_start_info(&memory, &[(0, 4 << 20, RAM)], &line("exit", FIRECRACKER_LINE), 0, &[]);
    let whole = contents(&memory);
    assert!(read(&whole).is_ok());
    let with = |offset: u64, value: u64| {
        let mut bytes = whole.clone();
        bytes[(START_INFO + offset) as usize..][..8].copy_from_slice(&value.to_le_bytes());
        read(&bytes).err()
    };
    assert_eq!(with(0, 0x336e_c579), Some(StartInfoError::Magic));
    for offset in [24, 40] {
        assert_eq!(with(offset, u64::MAX - 8), Some(StartInfoError::Unreachable), "{offset}");
    }
    // A list of modules that is not there.
    let mut bytes = whole.clone();
    bytes[(START_INFO + 12) as usize] = 1;
    bytes[(START_INFO + 16) as usize..][..8].copy_from_slice(&(5_u64 << 20).to_le_bytes());
    assert_eq!(read(&bytes).err(), Some(StartInfoError::Unreachable));
}
