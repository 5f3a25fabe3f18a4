//! Starts the drivers of the virtio devices, wherever they were found. What is missing or broken is logged; the rest
//! works.

use crate::interrupts::{ENTROPY_VECTOR, FLASH_VECTOR, NETWORK_CONFIGURATION_VECTOR, NETWORK_VECTOR};
use crate::machine::{Machine, now};
use crate::statics::{self, MAX_FRAME};
use slopos_q35::ioapic::Trigger;
use slopos_q35::pci::Message;
use slopos_q35::watchdog::Watchdog;
use slopos_virtio::blk::{Block, BlockMemory};
use slopos_virtio::net::{Net, NetMemory, Options};
use slopos_virtio::rng::{BYTES, Rng, RngMemory};
use slopos_virtio::transport::{Interrupts, Kind, Messages, Transport};
use slopos_x86_64::paging::physical_address;
use static_cell::ConstStaticCell;

/// Receive buffers: as many as a device's queue usually has entries. So frames that arrive while a process runs find
/// room, and the device seldom runs out of buffers and has to be notified of new ones.
const RECEIVE_BUFFERS: usize = 256;
/// Transmit buffers: enough for twice the full send buffer of one socket.
const TRANSMIT_BUFFERS: usize = 32;
/// Bytes of a frame buffer; the driver wants at least an ordinary frame.
const FRAME: usize = if MAX_FRAME > 1514 { MAX_FRAME as usize } else { 1514 };
// Every MTU that the driver accepts is large enough for the stack.
const _: () = assert!(slopos_virtio::net::MTU_LEAST >= slopos_net::stack::MTU_LEAST);
/// The address for a device that has none of its own: locally administered.
const FALLBACK_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x51, 0x0b, 0x05];

#[unsafe(link_section = ".shared.net")]
static NETWORK: ConstStaticCell<NetMemory<RECEIVE_BUFFERS, TRANSMIT_BUFFERS, FRAME>> =
    ConstStaticCell::new(NetMemory::new());
#[unsafe(link_section = ".owner.flash")]
static BLOCK: ConstStaticCell<BlockMemory> = ConstStaticCell::new(BlockMemory::new());
#[unsafe(link_section = ".owner.kernel")]
static ENTROPY: ConstStaticCell<RngMemory> = ConstStaticCell::new(RngMemory::new());

/// What was found.
#[derive(Default)]
pub struct Devices {
    /// The network device.
    pub network: Option<Net>,
    /// The device of the flash.
    pub block: Option<Block>,
    /// The entropy device.
    pub entropy: Option<Rng>,
    /// The watchdog that the manifest wants.
    pub watchdog: Option<Watchdog>,
}

/// The devices that are used: the first of each kind.
pub(crate) struct Found<P> {
    network: Option<P>,
    block: Option<P>,
    entropy: Option<P>,
}

impl<P> Found<P> {
    /// None yet.
    pub fn new() -> Found<P> {
        Found { network: None, block: None, entropy: None }
    }

    /// Notes a device, found on `bus`, unless there is one of its kind.
    pub fn note(&mut self, bus: &str, kind: Kind, probe: P) {
        let place = match kind {
            Kind::Network => &mut self.network,
            Kind::Block => &mut self.block,
            Kind::Entropy => &mut self.entropy,
        };
        if place.is_some() {
            defmt::warn!("{=str}: more than one {} device, the first is used", bus, kind);
        } else {
            *place = Some(probe);
        }
    }

    /// Starts the drivers. `attach` takes a device over, or says why not.
    pub fn start(self, machine: &mut Machine, mut attach: impl FnMut(P, &mut Machine) -> Option<Transport>) -> Devices {
        // The entropy device comes first, so that it answers while the others are started.
        let entropy = self.entropy.and_then(|probe| attach(probe, machine));
        let entropy = entropy.map(|transport| start_entropy(transport, machine));
        let network = self.network.and_then(|probe| attach(probe, machine)).map(|it| start_network(it, machine));
        let block = self.block.and_then(|probe| attach(probe, machine)).map(|it| start_block(it, machine));
        if network.is_none() {
            defmt::error!("net: no usable network device");
        }
        Devices { network, block, entropy, watchdog: None }
    }
}

fn start_network(transport: Transport, machine: &mut Machine) -> Net {
    let message = |vector| {
        let (address, data) = machine.alarm.message(vector);
        Message { address, data }
    };
    let options = Options {
        messages: Some(Messages {
            configuration: message(NETWORK_CONFIGURATION_VECTOR),
            queues: message(NETWORK_VECTOR),
        }),
        fallback_mac: FALLBACK_MAC,
    };
    let network = Net::start(transport, NETWORK.take(), physical_address, options, now().as_micros());
    attend(network.interrupts(), network.interrupt_gsi(), "virtio-net", machine);
    network
}

/// The device is asked for the kernel's seed at once. It interrupts only where processes use it: for the seed it is
/// looked at often enough.
fn start_entropy(mut transport: Transport, machine: &mut Machine) -> Rng {
    if statics::ENTROPY {
        transport.choose_interrupts(Some(one_message(ENTROPY_VECTOR, machine)));
    }
    let now_us = now().as_micros();
    let mut entropy = Rng::start(transport, ENTROPY.take(), physical_address, now_us);
    entropy.ask(BYTES, now_us);
    if statics::ENTROPY {
        attend(entropy.interrupts(), entropy.interrupt_gsi(), "virtio-rng", machine);
    }
    entropy
}

fn start_block(transport: Transport, machine: &mut Machine) -> Block {
    let messages = Some(one_message(FLASH_VECTOR, machine));
    let block = Block::start(transport, BLOCK.take(), physical_address, messages, now().as_micros());
    attend(block.interrupts(), block.interrupt_gsi(), "virtio-blk", machine);
    block
}

/// Messages with one vector for all that the device interrupts for.
fn one_message(vector: u8, machine: &Machine) -> Messages {
    let (address, data) = machine.alarm.message(vector);
    let message = Message { address, data };
    Messages { configuration: message, queues: message }
}

/// Routes the pin of a device that interrupts by that; one that cannot interrupt at all is polled.
fn attend(interrupts: Interrupts, gsi: Option<u32>, device: &str, machine: &mut Machine) {
    if interrupts == Interrupts::Messages {
        return;
    }
    if let Some(gsi) = gsi {
        return route(gsi, Trigger::Level, device, machine);
    }
    defmt::warn!("{=str}: it has no messages and its pin leads to no known line, so it is polled", device);
    machine.interrupts.poll();
}

/// Routes a device's line, unless it is routed. Where that cannot be, the device is polled.
pub(crate) fn route(gsi: u32, trigger: Trigger, device: &str, machine: &mut Machine) {
    if let Err(error) = machine.interrupts.route_pin(gsi, trigger) {
        defmt::warn!("{=str}: interrupt {=u32} cannot be routed, so it is polled: {}", device, gsi, error);
        machine.interrupts.poll();
    }
}
