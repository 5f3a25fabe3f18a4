//! A virtio device for the host tests: its PCI configuration space, its registers on each transport, and the
//! device's side of its rings. It does what the specification says unless a test tells it to misbehave.

mod lie;
mod side;
mod window;

use std::cell::{RefCell, RefMut};

use slopos_q35::pci::Configuration;
use slopos_registers::{Bus, Width};

pub use lie::{LIES, Lie, Subject};
pub use side::{Chain, Side, physical, virtual_address};
use window::WINDOW;

use crate::transport::{Kind, Probe, Transport};

const ECAM: usize = 0xb000_0000_0000;
const SLOT: usize = 4;
/// First port of a legacy device.
pub const PORTS: u16 = 0xc040;
const MSIX: usize = 0xfebd_1000;
const COMMON: usize = 0xfe00_0000;
const ISR: usize = COMMON + 0x1000;
const DEVICE: usize = COMMON + 0x2000;
pub const NOTIFY: usize = COMMON + 0x3000;

/// Offset of the virtio capability of each type, 1 to 4.
pub const fn capability(cfg_type: usize) -> usize {
    0x40 + 0x20 * (cfg_type - 1)
}

/// Feature bit VIRTIO_F_VERSION_1 (section 6).
pub const VERSION_1: u64 = 1 << 32;

/// By which registers a device is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those of version 1 on PCI.
    Modern,
    /// Those from before it, in ports.
    Legacy,
    /// Those of version 1 in a window of memory.
    Window,
}

impl Way {
    /// Each of them.
    pub const ALL: [Way; 3] = [Way::Modern, Way::Legacy, Way::Window];

    /// Whether the device follows version 1 of the specification.
    pub fn is_modern(self) -> bool {
        self != Way::Legacy
    }
}

impl From<bool> for Way {
    fn from(modern: bool) -> Way {
        if modern { Way::Modern } else { Way::Legacy }
    }
}

/// What the driver did, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Reset,
    Status(u8),
    /// A queue was given, with the available index at that time.
    Queue(u16),
    Notified(u16),
}

/// One queue's registers.
#[derive(Clone, Copy)]
pub struct QueueRegisters {
    pub max: u16,
    pub vector: u16,
    pub enabled: bool,
    pub side: Side,
}

/// The device.
pub struct State {
    space: [u8; 256],
    writable: [u8; 256],
    pub offered: u64,
    pub accepted: u64,
    selects: [u32; 2],
    pub status: u8,
    pub queues: [QueueRegisters; 3],
    selected: u16,
    pub isr: u8,
    pub generation: u8,
    pub configuration: Vec<u8>,
    pub configuration_vector: u16,
    pub messages: [u32; 16],
    pub events: Vec<Event>,
    /// Widths and offsets of reads of the configuration.
    pub configuration_reads: Vec<(usize, usize)>,
    /// Refuses the features that the driver accepts.
    pub refuses_features: bool,
    /// Refuses MSI-X vectors.
    pub refuses_vectors: bool,
    /// How often its status was read.
    pub status_reads: usize,
    /// Never finishes a reset.
    pub stuck: bool,
    /// Has been pulled out: nothing answers in any of its spaces.
    pub gone: bool,
    /// Its registers do not answer, its configuration space does.
    pub silent: bool,
    /// Changes its configuration at each of the next so many looks at the generation.
    pub restless: u32,
    /// What it does when notified of a queue.
    pub on_notify: Option<fn(&mut State, u16)>,
    /// What a window says of itself: magic word, version, device type.
    pub window: Option<[u32; 3]>,
}

pub struct Fake(RefCell<State>);

impl Fake {
    /// A device with registers in memory, in ports, or both; it lives as long as the process.
    pub fn new(device: u16, modern: bool, legacy: bool) -> &'static Fake {
        let queue = QueueRegisters { max: 256, vector: 0xffff, enabled: false, side: Side::default() };
        let mut state = State {
            space: [0; 256],
            writable: [0; 256],
            offered: 0,
            accepted: 0,
            selects: [0; 2],
            status: 0xf,
            queues: [queue; 3],
            selected: 0,
            isr: 0,
            generation: 0,
            configuration: vec![0; 64],
            configuration_vector: 0xffff,
            messages: [0; 16],
            events: Vec::new(),
            configuration_reads: Vec::new(),
            refuses_features: false,
            refuses_vectors: false,
            status_reads: 0,
            stuck: false,
            gone: false,
            silent: false,
            restless: 0,
            on_notify: None,
            window: None,
        };
        state.put(0, &[0xf4, 0x1a]);
        state.put(2, &device.to_le_bytes());
        state.writable[4..6].fill(0xff);
        state.put(4, &4_u16.to_le_bytes()); // The firmware has left it able to reach memory.
        state.put(0x3d, &[1]);
        state.put(6, &[0x10]);
        state.put(0x34, &[0xe0]);
        // MSI-X: four vectors, table at the start of BAR 1.
        state.put(0xe0, &[0x11, if modern { capability(1) as u8 } else { 0 }, 3, 0, 1, 0, 0, 0]);
        state.writable[0xe3] = 0xc0;
        state.bar(1, MSIX as u32, 0x1000);
        if legacy {
            state.bar(0, u32::from(PORTS) | 1, 0x40);
            state.writable[0x10] = 0xc0;
        }
        if modern {
            state.bar(4, COMMON as u32, 0x4000);
            for (index, cfg_type) in (1..=4_usize).enumerate() {
                let next = if cfg_type == 4 { 0 } else { capability(cfg_type + 1) as u8 };
                let place = capability(cfg_type);
                let offset = [COMMON, NOTIFY, ISR, DEVICE][index] - COMMON;
                state.put(place, &[9, next, 16, cfg_type as u8, 4, 0, 0, 0]);
                state.put(place + 8, &(offset as u32).to_le_bytes());
                state.put(place + 12, &0x1000_u32.to_le_bytes());
                state.put(place + 16, &4_u32.to_le_bytes());
            }
        }
        Box::leak(Box::new(Fake(RefCell::new(state))))
    }

    /// A device of this kind that is reached this way.
    pub fn of(kind: Kind, way: Way) -> &'static Fake {
        let (modern, transitional, number) = match kind {
            Kind::Network => (0x1041, 0x1000, 1),
            Kind::Block => (0x1042, 0x1001, 2),
            Kind::Entropy => (0x1044, 0x1005, 4),
        };
        match way {
            Way::Modern => Fake::new(modern, true, false),
            Way::Legacy => Fake::new(transitional, false, true),
            Way::Window => Fake::window(number),
        }
    }

    pub fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// What a driver finds in the device's PCI function.
    pub fn probe(&'static self) -> Result<Option<Probe<&'static Fake>>, crate::transport::ProbeError> {
        // SAFETY: the bus is a model in this process's memory.
        let configuration = unsafe { Configuration::ecam(self, ECAM, 0, 0) };
        let mut found = None;
        assert_eq!(configuration.enumerate(|device| found = Some(device)), Ok(1));
        Probe::new(&found.unwrap())
    }

    /// The device, probed and attached.
    pub fn transport(&'static self) -> Transport<&'static Fake> {
        if self.state().window.is_some() {
            return self.probe_window().unwrap().unwrap().attach();
        }
        let probe = self.probe().unwrap().unwrap();
        // SAFETY: the bus is a model in this process's memory, whose addresses are physical ones.
        unsafe { probe.attach(|address, _| Some(address as usize as *mut u8)) }.unwrap()
    }
}

impl State {
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.space[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn bar(&mut self, index: usize, value: u32, size: u32) {
        self.put(0x10 + 4 * index, &value.to_le_bytes());
        self.writable[0x10 + 4 * index..][..4].copy_from_slice(&(!(size - 1) & !0xf).to_le_bytes());
    }

    /// The base address registers.
    pub fn bars(&self) -> [u8; 24] {
        self.space[0x10..0x28].try_into().unwrap()
    }

    /// All registers are as they were before the firmware saw the device.
    pub fn power_on(&mut self) {
        if self.window.is_some() {
            self.reset();
            self.status = 0;
            return self.events.clear();
        }
        self.put(4, &[0, 0]);
        for offset in 0x10..0x28 {
            self.space[offset] &= !self.writable[offset];
        }
        self.space[0xe3] &= 0x3f;
        self.messages = [0; 16];
        self.messages.iter_mut().skip(3).step_by(4).for_each(|control| *control = 1);
        self.reset();
        self.status = 0;
        self.events.clear();
    }

    /// Whether registers in memory (`true`) or in ports answer.
    fn answers(&self, memory: bool) -> bool {
        !self.gone && !self.silent && (self.window.is_some() || self.command() & if memory { 2 } else { 1 } != 0)
    }

    /// The command register.
    pub fn command(&self) -> u16 {
        u16::from_le_bytes([self.space[4], self.space[5]])
    }

    /// Whether MSI-X is on.
    pub fn msix_enabled(&self) -> bool {
        self.space[0xe3] & 0x80 != 0
    }

    pub fn side(&mut self, queue: u16) -> &mut Side {
        &mut self.queues[usize::from(queue)].side
    }

    /// Notifications so far.
    pub fn notifications(&self, queue: u16) -> usize {
        self.events.iter().filter(|event| **event == Event::Notified(queue)).count()
    }

    fn reset(&mut self) {
        self.events.push(Event::Reset);
        self.accepted = 0;
        self.isr = 0;
        self.configuration_vector = 0xffff;
        for queue in &mut self.queues {
            *queue = QueueRegisters { max: queue.max, vector: 0xffff, enabled: false, side: Side::default() };
        }
        if !self.stuck {
            self.status = 0;
        }
    }

    fn set_status(&mut self, status: u8) {
        if status == 0 {
            return self.reset();
        }
        self.status = if self.refuses_features { status & !8 } else { status };
        self.events.push(Event::Status(status));
    }

    fn vector(&self, wanted: u32) -> u16 {
        if self.refuses_vectors { 0xffff } else { wanted as u16 }
    }

    fn notified(&mut self, queue: u16) {
        self.events.push(Event::Notified(queue));
        if let Some(answer) = self.on_notify {
            answer(self, queue);
        }
    }

    fn read_configuration(&mut self, offset: usize, width: usize) -> u32 {
        self.configuration_reads.push((offset, width));
        (0..width).map(|index| u32::from(self.configuration[offset + index]) << (8 * index)).sum()
    }

    /// The selected queue.
    fn queue(&self) -> Option<QueueRegisters> {
        self.queues.get(usize::from(self.selected)).copied()
    }

    fn read_status(&mut self) -> u32 {
        self.status_reads += 1;
        self.status.into()
    }

    fn read_generation(&mut self) -> u32 {
        if self.restless > 0 {
            self.restless -= 1;
            self.generation = self.generation.wrapping_add(1);
        }
        self.generation.into()
    }

    fn read_common(&mut self, offset: usize) -> u32 {
        let queue = self.queue();
        match offset {
            0x04 => (self.offered >> (32 * self.selects[0])) as u32,
            0x10 => self.configuration_vector.into(),
            0x12 => self.queues.len() as u32,
            0x14 => self.read_status(),
            0x15 => self.read_generation(),
            0x18 => queue.map_or(0, |queue| queue.max.into()),
            0x1a => queue.map_or(0, |queue| queue.vector.into()),
            0x1e => self.selected.into(),
            _ => panic!("read of common configuration at {offset:#x}"),
        }
    }

    fn write_common(&mut self, offset: usize, value: u32) {
        let selected = self.selected;
        let vector = self.vector(value);
        let queue = &mut self.queues[usize::from(selected).min(2)];
        let side = &mut queue.side;
        let (low, high) = (u64::from(value), u64::from(value) << 32);
        match offset {
            0x00 => self.selects[0] = value,
            0x08 => self.selects[1] = value,
            0x0c => self.accepted |= low << (32 * self.selects[1]),
            0x10 => self.configuration_vector = vector,
            0x14 => self.set_status(value as u8),
            0x16 => self.selected = value as u16,
            0x18 => side.size = value as u16,
            0x1a => queue.vector = vector,
            0x1c => {
                assert_eq!(value, 1);
                queue.enabled = true;
                self.events.push(Event::Queue(selected));
            }
            0x20 => side.descriptors = low,
            0x24 => side.descriptors |= high,
            0x28 => side.available = low,
            0x2c => side.available |= high,
            0x30 => side.used = low,
            0x34 => side.used |= high,
            _ => panic!("write of common configuration at {offset:#x}"),
        }
    }

    fn read_port(&mut self, offset: usize, width: usize) -> u32 {
        let queue = self.queue();
        let vectors = self.msix_enabled();
        match offset {
            0x00 => self.offered as u32,
            0x0c => queue.map_or(0, |queue| queue.max.into()),
            0x12 => self.read_status(),
            0x13 => std::mem::take(&mut self.isr).into(),
            0x14 if vectors => self.configuration_vector.into(),
            0x16 if vectors => queue.map_or(0, |queue| queue.vector.into()),
            0x14.. if !vectors => self.read_configuration(offset - 0x14, width),
            0x18.. => self.read_configuration(offset - 0x18, width),
            _ => panic!("read of port {offset:#x}"),
        }
    }

    fn write_port(&mut self, offset: usize, value: u32) {
        let selected = usize::from(self.selected).min(2);
        match offset {
            0x04 => self.accepted = value.into(),
            0x08 => {
                let queue = &mut self.queues[selected];
                let (size, base) = (u64::from(queue.max), u64::from(value) * 4096);
                // Section 2.7.2, as a legacy device computes it.
                let available = base + 16 * size;
                let used = (available + 4 + 2 * size + 2).next_multiple_of(4096);
                queue.side = Side { size: queue.max, descriptors: base, available, used, ..Side::default() };
                queue.enabled = true;
                self.events.push(Event::Queue(selected as u16));
            }
            0x0e => self.selected = value as u16,
            0x10 => self.notified(value as u16),
            0x12 => self.set_status(value as u8),
            0x14 => self.configuration_vector = self.vector(value),
            0x16 => self.queues[selected].vector = self.vector(value),
            _ => panic!("write of port {offset:#x}"),
        }
    }
}

impl Bus for &'static Fake {
    unsafe fn port_read<T: Width>(self, port: u16) -> T {
        if !self.state().answers(false) {
            return T::ONES;
        }
        T::from_u32(self.state().read_port(usize::from(port - PORTS), T::BYTES))
    }

    unsafe fn port_write<T: Width>(self, port: u16, value: T) {
        if !self.state().answers(false) {
            return;
        }
        self.state().write_port(usize::from(port - PORTS), value.into());
    }

    unsafe fn memory_read<T: Width>(self, address: usize) -> T {
        let mut state = self.state();
        if state.gone || address < ECAM && !state.answers(true) {
            return T::ONES;
        }
        T::from_u32(match address {
            ECAM.. => {
                let (slot, offset) = ((address - ECAM) >> 12, address & 0xfff);
                if slot != SLOT << 3 {
                    return T::ONES;
                }
                (0..T::BYTES).map(|index| u32::from(state.space[offset + index]) << (8 * index)).sum()
            }
            MSIX..0xfebd_2000 => state.messages[(address - MSIX) / 4],
            WINDOW.. => state.read_window(address - WINDOW, T::BYTES),
            NOTIFY.. => panic!("read of the notification region"),
            DEVICE.. => state.read_configuration(address - DEVICE, T::BYTES),
            ISR => std::mem::take(&mut state.isr).into(),
            COMMON..ISR => state.read_common(address - COMMON),
            _ => panic!("read of {address:#x}"),
        })
    }

    unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
        let mut state = self.state();
        if state.gone || address < ECAM && !state.answers(true) {
            return;
        }
        let value: u32 = value.into();
        match address {
            ECAM.. => {
                assert_eq!((address - ECAM) >> 12, SLOT << 3);
                for (index, byte) in value.to_le_bytes().into_iter().enumerate().take(T::BYTES) {
                    let offset = (address & 0xfff) + index;
                    let writable = state.writable[offset];
                    state.space[offset] = state.space[offset] & !writable | byte & writable;
                }
            }
            MSIX..0xfebd_2000 => state.messages[(address - MSIX) / 4] = value,
            WINDOW.. => state.write_window(address - WINDOW, T::BYTES, value),
            NOTIFY.. => {
                assert_eq!((address - NOTIFY) / 4, value as usize, "notification at another queue's register");
                state.notified(value as u16);
            }
            COMMON..ISR => state.write_common(address - COMMON, value),
            _ => panic!("write of {address:#x}"),
        }
    }
}
