//! The block driver against a model of a disk, on both transports.

mod hostile;

use std::cell::Cell;

use super::*;
use crate::fake::{Fake, State, VERSION_1, physical};

const READ_ONLY: u64 = 1 << 5;
const FLUSH: u64 = 1 << 9;
const CAPACITY: u64 = 1000;

thread_local! {
    /// The model's medium: each test has a thread of its own.
    static DISK: std::cell::RefCell<std::vec::Vec<u8>> = std::cell::RefCell::new(
        (0..CAPACITY as usize * SECTOR_BYTES).map(|index| (index / SECTOR_BYTES * 7 + index) as u8).collect()
    );
    static FLUSHES: Cell<u32> = const { Cell::new(0) };
    /// Most chains that were waiting at once.
    static DEEPEST: Cell<usize> = const { Cell::new(0) };
}

/// Carries requests out as section 5.2.6 has it, the last first.
fn disk(state: &mut State, queue: u16) {
    let side = state.side(queue);
    let mut chains: std::vec::Vec<_> = std::iter::from_fn(|| side.take()).collect();
    DEEPEST.set(DEEPEST.get().max(chains.len()));
    chains.reverse();
    for chain in chains {
        let bytes = chain.read();
        let kind = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let start = u64::from_le_bytes(bytes[8..16].try_into().unwrap()) as usize * SECTOR_BYTES;
        let room = chain.room();
        let answer = DISK.with_borrow_mut(|disk| match kind {
            0 => [&disk[start..start + room as usize - 1], &[0]].concat(),
            1 => {
                disk[start..start + bytes.len() - 16].copy_from_slice(&bytes[16..]);
                vec![0]
            }
            4 => {
                FLUSHES.set(FLUSHES.get() + 1);
                vec![0]
            }
            _ => panic!("request type {kind}"),
        });
        let length = chain.write(&answer);
        side.complete(chain.head.into(), length, false);
    }
}

fn device(modern: bool, features: u64) -> &'static Fake {
    let fake = if modern { Fake::new(0x1042, true, false) } else { Fake::new(0x1001, false, true) };
    let mut state = fake.state();
    state.offered = features | 0x1ff & !READ_ONLY | 1 << 29 | if modern { VERSION_1 } else { 0 };
    state.configuration[..8].copy_from_slice(&CAPACITY.to_le_bytes());
    state.on_notify = Some(disk);
    drop(state);
    fake
}

fn try_start(fake: &'static Fake) -> Result<Block<&'static Fake>, StartError> {
    Block::start(fake.transport(), Box::leak(Box::new(BlockMemory::new())), physical)
}

fn start(modern: bool, features: u64) -> (Block<&'static Fake>, &'static Fake) {
    let fake = device(modern, features);
    (try_start(fake).unwrap(), fake)
}

/// A clock that runs a millisecond with each look.
fn clock() -> impl FnMut() -> u64 {
    let mut now = 0;
    move || {
        now += 1_000;
        now
    }
}

fn sectors(from: usize, count: usize) -> std::vec::Vec<u8> {
    DISK.with_borrow(|disk| disk[from * SECTOR_BYTES..][..count * SECTOR_BYTES].to_vec())
}

#[test]
fn only_what_the_driver_can_do_is_accepted() {
    let (block, fake) = start(true, FLUSH);
    assert_eq!(fake.state().accepted, VERSION_1 | FLUSH);
    assert_eq!((block.capacity(), block.is_read_only()), (CAPACITY, false));
    let (block, fake) = start(false, READ_ONLY);
    assert_eq!((fake.state().accepted, block.is_read_only()), (READ_ONLY, true));
}

#[test]
fn long_reads_keep_several_requests_in_flight() {
    for modern in [true, false] {
        let (mut block, fake) = start(modern, 0);
        for (from, count) in [(0, 1), (3, 8), (5, 9), (100, 200), (999, 1), (0, 0)] {
            let mut into = vec![0; count * SECTOR_BYTES];
            assert_eq!(block.read(from as u64, &mut into, clock()), Ok(()));
            assert!(into == sectors(from, count), "{count} sectors from {from}");
        }
        assert_eq!(DEEPEST.get(), REQUESTS);
        // 25 requests for the long read, and one notification for each batch.
        assert!(fake.state().notifications(0) < 30);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for modern in [true, false] {
        let (mut block, _) = start(modern, FLUSH);
        let bytes: std::vec::Vec<u8> = (0..20 * SECTOR_BYTES).map(|index| (index * 31 / 7) as u8).collect();
        assert_eq!(block.write(50, &bytes, clock()), Ok(()));
        assert!(sectors(50, 20) == bytes);
        let before = FLUSHES.get();
        assert_eq!(block.flush(clock()), Ok(()));
        assert_eq!(FLUSHES.get(), before + 1);
        let mut into = vec![0; bytes.len()];
        assert_eq!(block.read(50, &mut into, clock()), Ok(()));
        assert!(into == bytes);
    }
    let (mut block, fake) = start(true, 0);
    let notified = fake.state().notifications(0);
    assert_eq!(block.flush(clock()), Ok(()));
    assert_eq!(fake.state().notifications(0), notified, "without a cache there is nothing to do");
}

#[test]
fn transfers_that_cannot_be_do_not_reach_the_device() {
    let (mut block, fake) = start(true, READ_ONLY);
    let mut into = [0; 2 * SECTOR_BYTES];
    let beyond = Err(BlockError::BeyondEnd { capacity: CAPACITY });
    assert_eq!(block.read(0, &mut into[..100], clock()), Err(BlockError::BadLength));
    assert_eq!(block.read(CAPACITY - 1, &mut into, clock()), beyond);
    assert_eq!(block.read(u64::MAX, &mut into, clock()), beyond);
    assert_eq!(block.write(0, &into, clock()), Err(BlockError::ReadOnly));
    assert_eq!(fake.state().notifications(0), 0);
}

#[test]
fn errors_of_the_device_are_named() {
    fn answering(status: u8) -> fn(&mut State, u16) {
        fn answer(state: &mut State, queue: u16, status: u8) {
            let side = state.side(queue);
            while let Some(chain) = side.take() {
                let room = chain.room();
                let mut bytes = vec![0; room as usize];
                bytes[room as usize - 1] = status;
                let length = chain.write(&bytes);
                side.complete(chain.head.into(), length, false);
            }
        }
        match status {
            1 => |state, queue| answer(state, queue, 1),
            2 => |state, queue| answer(state, queue, 2),
            _ => |state, queue| answer(state, queue, 9),
        }
    }
    for (status, error) in [(1, BlockError::Medium), (2, BlockError::Unsupported), (9, BlockError::BadAnswer)] {
        let (mut block, fake) = start(true, 0);
        fake.state().on_notify = Some(answering(status));
        // Longer than the requests that are in flight: the rest is not asked for.
        let mut into = vec![0; 2 * REQUESTS * REQUEST_BYTES];
        assert_eq!(block.read(0, &mut into, clock()), Err(error));
        assert!(!block.is_broken(), "an error of the medium is not one of the device");
        fake.state().on_notify = Some(disk);
        assert_eq!(block.read(0, &mut into, clock()), Ok(()));
    }
}

#[test]
fn less_data_than_was_asked_for_is_no_success() {
    fn short(state: &mut State, queue: u16) {
        let side = state.side(queue);
        while let Some(chain) = side.take() {
            let room = chain.room();
            chain.write(&vec![0; room as usize]);
            side.complete(chain.head.into(), room - 1, false);
        }
    }
    let mut into = [0; SECTOR_BYTES];
    let (mut block, fake) = start(true, 0);
    fake.state().on_notify = Some(short);
    assert_eq!(block.read(0, &mut into, clock()), Err(BlockError::BadAnswer));
    // A legacy device's length means nothing.
    let (mut block, fake) = start(false, 0);
    fake.state().on_notify = Some(short);
    assert_eq!(block.read(0, &mut into, clock()), Ok(()));
}

#[test]
fn a_silent_device_is_reset_after_the_timeout() {
    let (mut block, fake) = start(true, 0);
    fake.state().on_notify = None;
    let looks = Cell::new(0);
    let mut counted = clock();
    let outcome = block.read(0, &mut [0; SECTOR_BYTES], || {
        looks.set(looks.get() + 1);
        counted()
    });
    assert_eq!(outcome, Err(BlockError::Timeout));
    assert_eq!(looks.get(), TIMEOUT_US / 1_000 + 2);
    assert!(block.is_broken());
    assert_eq!(fake.state().status, 0, "the device no longer has the buffers");
    assert_eq!(block.read(0, &mut [0; SECTOR_BYTES], clock()), Err(BlockError::Broken));

    fake.state().on_notify = Some(disk);
    assert_eq!(block.recover(), Ok(()));
    let mut into = [0; SECTOR_BYTES];
    assert_eq!(block.read(7, &mut into, clock()), Ok(()));
    assert!(into[..] == sectors(7, 1));
}

#[test]
fn a_lying_device_is_reset() {
    let (mut block, fake) = start(true, 0);
    fake.state().on_notify = Some(|state, queue| {
        state.side(queue).complete(200, 1, false);
    });
    let fault = QueueFault::NotOutstanding { id: 200 };
    assert_eq!(block.read(0, &mut [0; SECTOR_BYTES], clock()), Err(BlockError::Fault(fault)));
    assert!(block.is_broken());
    assert_eq!(fake.state().status, 0);
}

#[test]
fn small_queues_work_or_are_refused() {
    for size in [1, 2] {
        let fake = device(true, 0);
        fake.state().queues[0].max = size;
        assert_eq!(try_start(fake).err(), Some(StartError::QueueTooSmall { size }));
        assert_eq!(fake.state().status & 0x80, 0x80);
    }
    let fake = device(false, 0);
    fake.state().queues[0].max = 4;
    let mut block = try_start(fake).unwrap();
    let mut into = vec![0; 64 * SECTOR_BYTES];
    assert_eq!(block.read(0, &mut into, clock()), Ok(()));
    assert!(into == sectors(0, 64));
    assert_eq!(DEEPEST.get(), 1);
}

#[test]
fn a_modern_device_must_say_so() {
    let fake = device(true, 0);
    fake.state().offered &= !VERSION_1;
    assert_eq!(try_start(fake).err(), Some(StartError::NotVersion1));
}
