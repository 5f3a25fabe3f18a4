//! Configuration space through a model of it.

use super::model::{ECAM, Function, Machine, ecam};
use super::*;
use slopos_registers::Bus;

const TABLE: u64 = 0xfebd_2000;

fn ports(machine: &Machine) -> Configuration<&Machine> {
    // SAFETY: the bus is a model in this process's memory.
    unsafe { Configuration::ports(machine) }
}

fn found<'a>(configuration: &Configuration<&'a Machine>) -> Vec<Device<&'a Machine>> {
    let mut devices = Vec::new();
    assert_eq!(configuration.enumerate(|device| devices.push(device)), Ok(devices.len()));
    devices
}

fn place<B: Bus>(device: &Device<B>) -> (u8, u8, u8) {
    (device.address().bus(), device.address().slot(), device.address().function())
}

/// A q35 with devices on the root bus, behind a root port, and behind a bridge behind a root port.
fn board() -> Machine {
    let mut several = Function::new(0x8086, 0x2922);
    several.put(0x0e, &[0x80]).put(0x3d, &[1]);
    let mut third = Function::new(0x8086, 0x2930);
    third.put(0x3d, &[2]);
    let with_pin = |pin: u8| {
        let mut function = Function::new(0x1af4, 0x1041);
        function.put(0x3d, &[pin]).put(0x08, &[1, 0, 0, 2]);
        function
    };
    Machine::with([
        ((0, 0, 0), Function::new(0x8086, 0x29c0)),
        ((0, 2, 0), with_pin(1)),
        ((0, 3, 0), Function::bridge(1)),
        ((0, 31, 0), several),
        ((0, 31, 3), third),
        ((1, 0, 0), with_pin(1)),
        ((1, 2, 0), Function::bridge(2)),
        ((2, 5, 0), with_pin(2)),
    ])
}

#[test]
fn enumerates_through_bridges_both_ways() {
    let machine = board();
    let expected = [(0, 0, 0), (0, 2, 0), (0, 3, 0), (0, 31, 0), (0, 31, 3), (1, 0, 0), (1, 2, 0), (2, 5, 0)];
    for configuration in [ecam(&machine), ports(&machine)] {
        let devices = found(&configuration);
        assert_eq!(devices.iter().map(place).collect::<Vec<_>>(), expected);
        let network = devices[1];
        assert_eq!((network.vendor(), network.device(), network.revision()), (0x1af4, 0x1041, 1));
        assert_eq!(network.class(), Class { base: 2, sub: 0, interface: 0 });
    }
}

#[test]
fn pins_reach_the_chipsets_lines() {
    let machine = board();
    let lines: Vec<_> = found(&ecam(&machine).with_routing(Routing::Q35)).iter().map(Device::interrupt_gsi).collect();
    // Slot 2 pin A is 22. Slot 31 is the chipset's own: A is 16, B is 17. Bus 1 slot 0 pin A arrives at the port in
    // slot 3: 23. Bus 2 slot 5 pin B is turned by 5, then by 2, then joins slot 3: (3 + 1 + 5 + 2) mod 4 is 3.
    assert_eq!(lines, [None, Some(22), None, Some(16), Some(17), Some(23), None, Some(23)]);
    assert_eq!(
        found(
            &ecam(&Machine::with([((0, 30, 0), {
                let mut function = Function::new(1, 1);
                function.put(0x3d, &[3]);
                function
            })]))
            .with_routing(Routing::Q35)
        )[0]
        .interrupt_gsi(),
        Some(22)
    );
}

/// A device with a pin, on the root bus.
fn with_pin(pin: u8) -> Function {
    let mut function = Function::new(0x1af4, 0x1041);
    function.put(0x3d, &[pin]);
    function
}

/// The lines of a machine's devices, by what is found out of its chipset; ISA interrupt 10 is turned to 22.
fn lines(functions: impl IntoIterator<Item = ((u8, u8, u8), Function)>) -> (Routing, Vec<Option<u32>>) {
    let machine = Machine::with(functions);
    let routing = ecam(&machine).find_routing(|isa| if isa == 10 { 22 } else { isa.into() });
    let devices = found(&ecam(&machine).with_routing(routing));
    (routing, devices.iter().filter(|it| it.vendor() == 0x1af4).map(Device::interrupt_gsi).collect())
}

#[test]
fn the_older_chipset_joins_pins_as_its_isa_bridge_is_set() {
    let mut isa = Function::new(0x8086, 0x7000);
    // PIRQ A to 10, B to 11, C to none; D to 8, which is the clock's.
    isa.put(0x60, &[10, 11, 0x80 | 5, 8]);
    let bridge = ((0, 0, 0), Function::new(0x8086, 0x1237));
    let slots = [1, 2, 3, 4].map(|slot| ((0, slot + 4, 0), with_pin(1)));
    let behind = [((0, 9, 0), Function::bridge(1)), ((1, 1, 0), with_pin(1))];
    let (routing, lines) = lines([bridge, ((0, 1, 0), isa)].into_iter().chain(slots).chain(behind));
    assert_eq!(routing, Routing::I440fx([Some(22), Some(11), None, None]));
    // Slot 5 is PIRQ A. The bridge is slot 9, so B is what pin A of its slot 1 comes to.
    assert_eq!(lines, [Some(22), Some(11), None, None, Some(11)]);
}

#[test]
fn nothing_is_guessed_about_the_pins_of_other_chipsets() {
    for host in [(0x1b36, 0x0008), (0x8086, 0x0d57), (0x8086, 0x1237)] {
        // The last of them has no PIIX3 in slot 1.
        let (routing, lines) = lines([((0, 0, 0), Function::new(host.0, host.1)), ((0, 2, 0), with_pin(1))]);
        assert_eq!((routing, &lines[..]), (Routing::Unknown, &[None][..]));
    }
    let (routing, lines) = lines([((0, 0, 0), Function::new(0x8086, 0x29c0)), ((0, 2, 0), with_pin(1))]);
    assert_eq!((routing, &lines[..]), (Routing::Q35, &[Some(22)][..]));
}

#[test]
fn a_segment_is_reached_by_its_number_alone() {
    let machine = Machine::with([((0, 0, 0), Function::new(0x8086, 0x29c0)), ((0, 2, 0), with_pin(1))]);
    // SAFETY: the bus is a model in this process's memory.
    let second = unsafe { Configuration::ecam(&machine, ECAM, 3, 0, 255) };
    let devices = found(&second);
    assert!(devices.iter().all(|device| device.address().segment() == 3));
    let same = Address::new(0, 2, 0).unwrap();
    assert_eq!((second.read::<u16>(same, 0), second.read::<u16>(same.in_segment(3), 0)), (0xffff, 0x1af4));
    assert_eq!(ports(&machine).read::<u16>(same.in_segment(3), 0), 0xffff);
    // What is known of a chipset holds of its own root bus.
    assert_eq!(second.find_routing(|isa| isa.into()), Routing::Unknown);
}

#[test]
fn ports_that_keep_nothing_are_no_way() {
    let machine = Machine::default();
    assert!(ports(&machine).answers() && ecam(&machine).answers());
    *machine.deaf.borrow_mut() = true;
    assert!(!ports(&machine).answers());
}

#[test]
fn bridges_in_a_cycle_end() {
    let machine = Machine::with([((0, 1, 0), Function::bridge(1)), ((1, 0, 0), Function::bridge(1))]);
    let mut visited = 0;
    let outcome = ecam(&machine).enumerate(|_| visited += 1);
    assert_eq!((outcome, visited), (Err(EnumerateError::BusTwice { bus: 1 }), 2));
}

#[test]
fn every_bus_number_may_be_in_use() {
    let chain = (0..=254).map(|bus| ((bus, 0, 0), Function::bridge(bus + 1)));
    assert_eq!(ecam(&Machine::with(chain)).enumerate(|_| ()), Ok(255));
    let fan = (0..31).flat_map(|slot| (0..8).map(move |function| (slot, function))).map(|(slot, function)| {
        let mut bridge = Function::bridge(slot * 8 + function + 1);
        bridge.put(0x0e, &[0x81]);
        ((0, slot, function), bridge)
    });
    assert_eq!(ecam(&Machine::with(fan)).enumerate(|_| ()), Ok(248));
}

#[test]
fn what_is_not_there_reads_as_ones() {
    let machine = board();
    // SAFETY: the bus is a model in this process's memory.
    let narrow = unsafe { Configuration::ecam(&machine, ECAM, 0, 0, 1) };
    assert_eq!(narrow.read::<u16>(Address::new(2, 5, 0).unwrap(), 0), 0xffff);
    let first = Address::new(0, 0, 0).unwrap();
    assert_eq!(narrow.read::<u32>(first, 0x1000), u32::MAX);
    assert_eq!(narrow.read::<u32>(first, 2), u32::MAX);
    assert_eq!(ports(&machine).read::<u32>(first, 0x100), u32::MAX);
    assert_eq!(Address::new(0, 32, 0), None);
    assert_eq!(Address::new(0, 0, 8), None);
}

fn one(function: Function) -> Machine {
    Machine::with([((0, 4, 0), function)])
}

#[test]
fn bars_of_every_kind_are_measured_and_kept() {
    let mut function = Function::new(0x1af4, 0x1000);
    function.put(4, &[0x07, 0x00]);
    function.bar(0, 0xc041, 0x40).bar(1, 0xfebd_1000, 0x1000).bar(2, 0, 0x1000);
    function.writable[0x10] = 0xc0;
    function.bar(4, 0xfe00_000c, 0x4000).bar(5, 0x8, 0x10);
    function.writable[0x24..0x28].fill(0xff);
    let machine = one(function);
    let device = found(&ecam(&machine))[0];
    assert_eq!(device.bar(0), Ok(Bar::Io { port: 0xc040, size: 0x40 }));
    assert_eq!(device.bar(1), Ok(Bar::Memory { address: 0xfebd_1000, size: 0x1000, prefetchable: false }));
    assert_eq!(device.bar(2), Err(BarError::Unassigned));
    assert_eq!(device.bar(3), Err(BarError::Unused));
    assert_eq!(device.bar(4), Ok(Bar::Memory { address: 0x8_fe00_0000, size: 0x4000, prefetchable: true }));
    assert_eq!(device.bar(6), Err(BarError::NoSuchBar));
    assert_eq!(device.read::<u32>(0x10), 0xc041);
    assert_eq!(device.read::<u16>(4), 0x07);
}

#[test]
fn malformed_bars_are_refused() {
    let mut function = Function::new(0x1af4, 0x1000);
    function.bar(0, 0xfebd_1006, 0x1000).bar(5, 0xfebd_1004, 0x1000).bar(1, 0xfebd_0000, 0x1000);
    function.writable[0x15] = 0x30; // Address bits with a gap: no power of two.
    let machine = one(function);
    let device = found(&ecam(&machine))[0];
    assert_eq!(device.bar(0), Err(BarError::Malformed));
    assert_eq!(device.bar(1), Err(BarError::Malformed));
    assert_eq!(device.bar(5), Err(BarError::Malformed));
}

#[test]
fn the_capability_walk_ends_in_a_loop() {
    let mut function = Function::new(1, 1);
    function.put(6, &[0x10]).put(0x34, &[0x43]).put(0x40, &[9, 0x50]).put(0x50, &[0x11, 0x40]);
    let machine = one(function);
    let device = found(&ecam(&machine))[0];
    assert_eq!(device.capabilities().count(), 48);
    assert_eq!(device.capability(0x11), Some(Capability { id: 0x11, offset: 0x50 }));
    assert_eq!(device.capability(0x05), None);

    let mut function = Function::new(1, 1);
    function.put(0x34, &[0x40]).put(0x40, &[9, 0]);
    let machine = one(function);
    assert_eq!(found(&ecam(&machine))[0].capabilities().count(), 0);
}

#[test]
fn msix_is_found_set_and_enabled() {
    let mut function = Function::new(0x1af4, 0x1041);
    function.put(6, &[0x10]).put(0x34, &[0x98]).bar(1, 0xfebd_0000, 0x4000);
    function.put(0x98, &[0x11, 0, 3, 0]).put(0x9c, &0x2001_u32.to_le_bytes());
    function.writable[0x9b] = 0xc0;
    let machine = one(function);
    let device = found(&ecam(&machine))[0];
    let msix = device.msix().unwrap().unwrap();
    assert_eq!(msix.table(), (TABLE, 64));

    // SAFETY: the bus is a model in this process's memory.
    let table = unsafe { MsixTable::new(&machine, TABLE as *mut u8, &msix) };
    let word = |offset: u64| machine.memory.borrow().get(&((TABLE + offset) as usize)).copied();
    assert!((0..4).all(|vector| word(16 * vector + 12) == Some(1)));
    assert_eq!(table.set(2, Message { address: 0xfee0_1000, data: 0x51 }), Ok(()));
    assert_eq!([word(32), word(36), word(40), word(44)], [Some(0xfee0_1000), Some(0), Some(0x51), Some(0)]);
    assert_eq!(table.set_masked(2, true), Ok(()));
    assert_eq!(word(44), Some(1));
    assert_eq!(table.set(4, Message { address: 0, data: 0 }), Err(NoSuchVector));

    device.set_msix_enabled(&msix, true);
    assert_eq!(device.read::<u16>(0x9a), 0x8003);
    device.set_msix_enabled(&msix, false);
    assert_eq!(device.read::<u16>(0x9a), 0x0003);
}

#[test]
fn an_msix_table_outside_its_bar_is_refused() {
    let mut function = Function::new(0x1af4, 0x1041);
    function.put(6, &[0x10]).put(0x34, &[0x98]).bar(1, 0xfebd_1000, 0x1000);
    function.put(0x98, &[0x11, 0, 3, 0]).put(0x9c, &0x0fd1_u32.to_le_bytes());
    let machine = one(function);
    assert_eq!(found(&ecam(&machine))[0].msix(), Err(BarError::Malformed));
    let machine = board();
    assert_eq!(found(&ecam(&machine))[0].msix(), Ok(None));
}

#[test]
fn the_command_register_changes_by_bit() {
    let mut function = Function::new(1, 1);
    function.bar(0, 0xc041, 0x40).bar(1, 0xfebd_1000, 0x1000);
    let machine = one(function);
    let device = found(&ports(&machine))[0];
    device.enable_access();
    device.set_bus_master(true);
    assert_eq!(device.read::<u16>(4), 0x007);
    device.set_interrupt_pin_enabled(false);
    device.set_bus_master(false);
    assert_eq!(device.read::<u16>(4), 0x403);
    device.set_interrupt_pin_enabled(true);
    assert_eq!(device.read::<u16>(4), 0x003);
}
