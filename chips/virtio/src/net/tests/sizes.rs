//! Traffic over queues of every size, on every kind of device, with guards around the driver's memory.

use core::ops::Range;

use super::*;
use crate::fake::{Chain, Side, Way, virtual_address};

const RX: usize = 64;
const TX: usize = 16;
const GUARD: u8 = 0xa5;

/// Every size that a queue can have.
pub const SIZES: [u16; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// How the device is reached, and the features that it offers.
pub const KINDS: [(Way, u64); 7] = [
    (Way::Modern, 0),
    (Way::Modern, EVENT_IDX),
    (Way::Legacy, ANY_LAYOUT),
    (Way::Legacy, ANY_LAYOUT | EVENT_IDX),
    (Way::Legacy, 0),
    (Way::Window, 0),
    (Way::Window, EVENT_IDX),
];

/// The driver's memory with something of somebody else's on both sides.
#[repr(C)]
struct Guarded {
    before: [u8; 4096],
    memory: NetMemory<RX, TX, 1514>,
    after: [u8; 4096],
}

/// A driver and its device, with queues of one size.
pub struct Bench {
    pub net: Net<&'static Fake>,
    pub fake: &'static Fake,
    /// Length of the virtio header.
    pub header: usize,
    pub event_index: bool,
    /// All that the device may be told of.
    memory: Range<usize>,
    guards: [&'static [u8]; 2],
    serial: u32,
    /// Bytes of the longest frame to exchange.
    pub longest: usize,
}

impl Bench {
    /// A device that has come up; `None` where the queue is too small for a frame, and then the driver says so.
    pub fn new(size: u16, (way, features): (Way, u64)) -> Option<Self> {
        let fake = device(way, features);
        fake.state().queues[0].max = size;
        fake.state().queues[1].max = size;
        let guarded = Guarded { before: [GUARD; 4096], memory: NetMemory::new(), after: [GUARD; 4096] };
        let Guarded { before, memory, after } = Box::leak(Box::new(guarded));
        let start = core::ptr::from_ref(memory).addr();
        let extent = start..start + size_of_val(memory);
        let net = outcome(Net::start(fake.transport(), memory, physical, options(), 0));
        if !way.is_modern() && features & ANY_LAYOUT == 0 && size < 2 {
            assert_eq!(net.err(), Some(StartError::QueueTooSmall { queue: 0, size }));
            return None;
        }
        let bench = Bench {
            net: net.unwrap(),
            fake,
            header: if way.is_modern() { 12 } else { 10 },
            event_index: features & EVENT_IDX != 0,
            memory: extent,
            guards: [before, after],
            serial: 0,
            longest: 1514,
        };
        bench.check();
        Some(bench)
    }

    /// Descriptors that the driver uses.
    pub fn usable(&self) -> u16 {
        self.fake.state().queues[0].side.size.min(DESCRIPTORS_MAX as u16)
    }

    /// Nothing outside the driver's memory was written, and the queues lie inside.
    pub fn check(&self) {
        assert!(self.guards.iter().all(|guard| guard.iter().all(|byte| *byte == GUARD)), "written outside");
        // A device that was reset has no queues.
        for queue in self.fake.state().queues[..2].iter().filter(|queue| queue.enabled) {
            let Side { size, descriptors, used, .. } = queue.side;
            self.check_inside(descriptors, 16 * u32::from(size));
            self.check_inside(used, 6 + 8 * u32::from(size));
        }
    }

    fn check_inside(&self, address: u64, length: u32) {
        let start = virtual_address(address);
        let inside = self.memory.start <= start && start + length as usize <= self.memory.end;
        assert!(inside, "{length} bytes at {start:#x} are not the driver's, {:#x?}", self.memory);
    }

    /// The next chain of a queue, all of it in the driver's memory.
    pub fn take(&self, queue: u16) -> Option<Chain> {
        let chain = self.fake.state().side(queue).take()?;
        for &(address, length) in chain.readable.iter().chain(&chain.writable) {
            self.check_inside(address, length);
        }
        Some(chain)
    }

    /// The device uses a chain; true where it would interrupt.
    pub fn complete(&self, queue: u16, id: u32, length: u32) -> bool {
        self.fake.state().side(queue).complete(id, length, self.event_index)
    }

    /// A frame that is different each time.
    pub fn frame(&mut self) -> Vec<u8> {
        self.serial += 1;
        let mut bytes = frame(14 + self.serial as usize % (self.longest - 13), 0);
        bytes[..4].copy_from_slice(&self.serial.to_le_bytes());
        bytes
    }

    /// The device receives a frame.
    pub fn deliver(&mut self, header: &[u8], bytes: &[u8]) {
        let chain = self.take(0).expect("a receive buffer");
        let length = chain.write(&[header, bytes].concat());
        self.complete(0, chain.head.into(), length);
    }

    /// The device sends all that it has been given.
    pub fn carry(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(chain) = self.take(1) {
            let bytes = chain.read();
            assert!(bytes[..self.header].iter().all(|byte| *byte == 0), "the header says nothing");
            frames.push(bytes[self.header..].to_vec());
            self.complete(1, chain.head.into(), 0);
        }
        frames
    }

    /// Frames in both directions, `batch` at a time and no more than there is room for; each arrives as it was sent.
    pub fn exchange(&mut self, batch: usize) {
        let posted = usize::from(self.net.receive.queue.in_flight());
        let coming: Vec<_> = (0..batch.min(posted)).map(|_| self.frame()).collect();
        for bytes in &coming {
            self.deliver(&vec![0; self.header], bytes);
        }
        let mut next = coming.iter();
        while self.net.receive(|bytes| assert!(Some(bytes) == next.next().map(|frame| &frame[..]))) {}
        assert_eq!(next.len(), 0, "a frame did not arrive");

        let mut going = Vec::new();
        while going.len() < batch {
            let bytes = self.frame();
            let put = |buffer: &mut [u8]| {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Some(bytes.len())
            };
            if !self.net.transmit_with(put) {
                break;
            }
            going.push(bytes);
        }
        assert!(!going.is_empty(), "no frame can be sent");
        self.net.flush();
        assert!(self.carry() == going);
        assert_eq!(self.net.is_broken(), None);
    }
}

/// All kinds with all sizes.
pub fn each(mut work: impl FnMut(u16, (Way, u64), Bench)) {
    for kind in KINDS {
        for size in SIZES {
            if let Some(bench) = Bench::new(size, kind) {
                work(size, kind, bench);
            }
        }
    }
}

#[test]
fn traffic_flows_over_queues_of_every_size() {
    each(|size, kind, mut bench| {
        let frames = 3 * u64::from(size) + 5;
        for batch in (1..10).cycle() {
            bench.exchange(batch);
            if bench.net.counters().received.min(bench.net.counters().transmitted) > frames {
                break;
            }
        }
        bench.check();
        let Counters { faults, received_short, received_offloaded, .. } = *bench.net.counters();
        assert_eq!((faults, received_short, received_offloaded), (0, 0, 0), "{size} {kind:?}");
    });
}

#[test]
fn queues_of_the_least_and_the_largest_size_go_through_the_wrap_at_65536() {
    for kind in [(Way::Modern, EVENT_IDX), (Way::Legacy, ANY_LAYOUT), (Way::Legacy, 0)] {
        for size in [if kind == (Way::Legacy, 0) { 2 } else { 1 }, 1024] {
            let mut bench = Bench::new(size, kind).unwrap();
            bench.longest = 40;
            let batch = usize::from(size).min(TX);
            while bench.net.counters().received < 66_000 || bench.net.counters().transmitted < 66_000 {
                bench.exchange(batch);
            }
            bench.check();
        }
    }
}

#[test]
fn all_buffers_are_used_as_far_as_the_queue_has_room() {
    each(|_, (way, features), mut bench| {
        let each = if way.is_modern() || features & ANY_LAYOUT != 0 { 1 } else { 2 };
        let room = usize::from(bench.usable()) / each;
        assert_eq!(std::iter::from_fn(|| bench.take(0)).count(), room.min(RX));
        let mut sent = 0;
        while bench.net.transmit_with(|_| Some(60)) {
            sent += 1;
        }
        assert_eq!(sent, room.min(TX));
    });
}
