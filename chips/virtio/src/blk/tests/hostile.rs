//! Queues of every size, and each lie that a device can tell about a request: it ends in a fault and a reset, and after
//! a recovery the disk is read as it is. Nothing outside the driver's memory is ever touched.

use core::ops::Range;

use super::*;
use crate::fake::{LIES, Lie, Subject, virtual_address};

const GUARD: u8 = 0x5a;

/// Every size that a request fits into.
const SIZES: [u16; 9] = [4, 8, 16, 32, 64, 128, 256, 512, 1024];

thread_local! {
    /// What the device says next of the chain that it carries out, once.
    static LIE: Cell<Option<Lie>> = const { Cell::new(None) };
    /// All that the device may be told of.
    static MEMORY: std::cell::RefCell<Range<usize>> = const { std::cell::RefCell::new(0..0) };
}

fn check_inside(address: u64, length: u32) {
    let start = virtual_address(address);
    MEMORY.with_borrow(|memory| {
        let inside = memory.start <= start && start + length as usize <= memory.end;
        assert!(inside, "{length} bytes at {start:#x} are not the driver's, {memory:#x?}");
    });
}

/// A disk that looks where it is sent, and lies when it is told to.
fn liar(state: &mut State, queue: u16) {
    // A copy: what it learns so is not yet taken.
    let mut looking = *state.side(queue);
    let chains: std::vec::Vec<_> = std::iter::from_fn(|| looking.take()).collect();
    for chain in &chains {
        chain.readable.iter().chain(&chain.writable).for_each(|&(address, length)| check_inside(address, length));
    }
    let (Some(lie), Some(first)) = (LIE.take(), chains.first()) else { return disk(state, queue) };
    let side = state.side(queue);
    let other = side.descriptor(first.head).3;
    lie.tell(side, &Subject { chain: first, honest: first.room(), other, outstanding: chains.len() as u16 });
}

/// The driver's memory with something of somebody else's on both sides.
#[repr(C)]
struct Guarded {
    before: [u8; 4096],
    memory: BlockMemory,
    after: [u8; 4096],
}

struct Guard {
    bench: Bench,
    fake: &'static Fake,
    guards: [&'static [u8]; 2],
}

impl Guard {
    fn new(way: Way, size: u16) -> Self {
        let fake = device(way, FLUSH);
        fake.state().queues[0].max = size;
        fake.state().on_notify = Some(liar);
        let guarded = Guarded { before: [GUARD; 4096], memory: BlockMemory::new(), after: [GUARD; 4096] };
        let Guarded { before, memory, after } = Box::leak(Box::new(guarded));
        let start = core::ptr::from_ref(memory).addr();
        MEMORY.set(start..start + size_of_val(memory));
        Guard { bench: Bench::with_memory(fake, memory), fake, guards: [before, after] }
    }

    /// The disk is read as it is, in one request and in more than there are at a time.
    fn read(&mut self) -> Result<(), BlockError> {
        for (from, count) in [(7, 1), (100, 400)] {
            let mut into = vec![0; count * SECTOR_BYTES];
            self.bench.read(from as u64, &mut into)?;
            assert!(into == sectors(from, count), "{count} sectors from {from}");
        }
        self.check();
        Ok(())
    }

    fn check(&self) {
        assert!(self.guards.iter().all(|guard| guard.iter().all(|byte| *byte == GUARD)), "written outside");
        let side = self.fake.state().queues[0].side;
        if side.size != 0 {
            check_inside(side.descriptors, 16 * u32::from(side.size));
            check_inside(side.used, 6 + 8 * u32::from(side.size));
        }
    }
}

fn each(mut work: impl FnMut(Way, u16, Guard)) {
    for way in Way::ALL {
        for size in SIZES {
            work(way, size, Guard::new(way, size));
        }
    }
}

#[test]
fn the_disk_is_read_over_queues_of_every_size() {
    each(|_, size, mut guard| {
        DEEPEST.set(0);
        assert_eq!(guard.read(), Ok(()));
        assert_eq!(DEEPEST.get(), REQUESTS.min(usize::from(size / REQUEST_DESCRIPTORS)));
        let bytes = vec![size as u8; 9 * SECTOR_BYTES];
        assert_eq!(guard.bench.write(300, &bytes), Ok(()));
        assert!(sectors(300, 9) == bytes);
        assert_eq!(guard.bench.flush(), Ok(()));
    });
}

#[test]
fn queues_of_the_least_and_the_largest_size_go_through_the_wrap_at_65536() {
    for (way, size) in Way::ALL.into_iter().flat_map(|way| [(way, 4), (way, 1024)]) {
        let mut guard = Guard::new(way, size);
        for _ in 0..66_000 {
            assert_eq!(guard.bench.flush(), Ok(()));
        }
        assert_eq!(guard.fake.state().side(0).used_index, 66_000_u32 as u16, "through the wrap");
        assert_eq!(guard.read(), Ok(()));
    }
}

#[test]
fn each_lie_about_a_request_is_a_fault_and_the_device_comes_back() {
    each(|way, size, mut guard| {
        assert_eq!(guard.read(), Ok(()));
        // The last is a device that says nothing at all.
        for lie in LIES.map(Some).into_iter().chain([None]) {
            LIE.set(lie);
            guard.fake.state().on_notify = lie.map(|_| liar as _);
            let outcome = guard.read();
            let is_found = match (lie, outcome) {
                (Some(lie), Err(BlockError::Fault(fault))) => lie.is_found_as(fault),
                (None, outcome) => outcome == Err(BlockError::Timeout),
                _ => false,
            };
            assert!(is_found, "{lie:?} with {size}, {way:?}: {outcome:?}");
            assert!(!guard.bench.block.is_running());
            assert_eq!(guard.fake.state().status, 0, "the device no longer has the buffers");
            assert_eq!(guard.read(), Err(BlockError::NotReady));
            guard.check();
            guard.fake.state().on_notify = Some(liar);
            guard.bench.recover();
            assert_eq!(guard.read(), Ok(()), "after {lie:?} with {size}, {way:?}");
        }
    });
}

#[test]
fn an_answer_that_is_none_harms_nobody() {
    // The chain's own device, which writes what it should not into the status, and tells lengths that are too small.
    fn careless(state: &mut State, queue: u16) {
        let side = state.side(queue);
        while let Some(chain) = side.take() {
            let room = chain.room();
            chain.write(&vec![0xee; room as usize]);
            side.complete(chain.head.into(), room % 7, false);
        }
    }
    each(|_, _, mut guard| {
        guard.fake.state().on_notify = Some(careless);
        assert_eq!(guard.read(), Err(BlockError::BadAnswer));
        assert!(guard.bench.block.is_running(), "the queue's rules were kept");
        guard.fake.state().on_notify = Some(liar);
        assert_eq!(guard.read(), Ok(()));
    });
}
