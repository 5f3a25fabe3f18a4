//! The block driver against a model of a disk, on both transports.

mod blocks;
mod hostile;

use std::cell::Cell;

use super::*;
use crate::fake::{Event, Fake, State, VERSION_1, Way, physical};
use crate::recovery::{PAUSE_MIN_US, PROBATION_US, RESET_US};
use crate::transport::Kind;

const READ_ONLY: u64 = 1 << 5;
const BLOCK_SIZE_OFFERED: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const SEVERAL_QUEUES: u64 = 1 << 12;
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

/// A device that is reached this way, by `true` a modern one on PCI.
fn device(way: impl Into<Way>, features: u64) -> &'static Fake {
    let way = way.into();
    let fake = Fake::of(Kind::Block, way);
    let mut state = fake.state();
    state.offered = features | 0x1ff & !READ_ONLY | 1 << 29 | if way.is_modern() { VERSION_1 } else { 0 };
    state.configuration[..8].copy_from_slice(&CAPACITY.to_le_bytes());
    state.configuration[20..24].copy_from_slice(&(SECTOR_BYTES as u32).to_le_bytes());
    state.on_notify = Some(disk);
    drop(state);
    fake
}

/// A driver whose user waits: for tests that are about what the device does, not about when.
struct Bench {
    block: Block<&'static Fake>,
    now_us: u64,
}

/// What came back: the owner's name, and the result with the bytes copied out.
type Answer = (u32, Result<std::vec::Vec<u8>, BlockError>);

impl Bench {
    fn new(fake: &'static Fake) -> Bench {
        Bench::with_memory(fake, Box::leak(Box::new(BlockMemory::new())))
    }

    fn with_memory(fake: &'static Fake, memory: &'static mut BlockMemory) -> Bench {
        Bench { block: Block::start(fake.transport(), memory, physical, None, 0), now_us: 0 }
    }

    fn submit(&mut self, tag: u32, operation: Operation<'_>) -> Result<(), BlockError> {
        self.block.submit(tag, operation, self.now_us)
    }

    /// Lets time pass, and takes the answers that there are then.
    fn pass(&mut self, us: u64) -> std::vec::Vec<Answer> {
        self.now_us += us;
        self.block.publish();
        self.block.tend(self.now_us);
        let mut answers = vec![];
        while let Some(answer) = self.block.complete(self.now_us, |tag, result| (tag, result.map(<[u8]>::to_vec))) {
            answers.push(answer);
        }
        answers
    }

    /// Carries out these operations, as many at a time as the device takes; the first error ends it. Answers come by
    /// the place of their operation.
    fn carry_out(&mut self, operations: &[Operation<'_>]) -> Result<std::vec::Vec<std::vec::Vec<u8>>, BlockError> {
        let mut answers = vec![vec![]; operations.len()];
        let mut outcome = Ok(());
        let (mut next, mut out) = (0, 0);
        loop {
            while outcome.is_ok() && next < operations.len() && (out == 0 || self.block.can_submit()) {
                outcome = self.submit(next as u32, operations[next]);
                (next, out) = (next + 1, out + usize::from(outcome.is_ok()));
            }
            if out == 0 {
                return outcome.map(|()| answers);
            }
            for (tag, result) in self.pass(1_000) {
                out -= 1;
                match result {
                    Ok(bytes) => answers[tag as usize] = bytes,
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
        }
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        let reads: std::vec::Vec<_> = into
            .chunks(REQUEST_BYTES)
            .enumerate()
            .map(|(index, piece)| Operation::Read {
                sector: sector + (index * REQUEST_BYTES / SECTOR_BYTES) as u64,
                length: piece.len(),
            })
            .collect();
        let bytes = self.carry_out(&reads)?.concat();
        into.copy_from_slice(&bytes);
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let writes: std::vec::Vec<_> = from
            .chunks(REQUEST_BYTES)
            .enumerate()
            .map(|(index, bytes)| Operation::Write {
                sector: sector + (index * REQUEST_BYTES / SECTOR_BYTES) as u64,
                bytes,
            })
            .collect();
        self.carry_out(&writes).map(|_| ())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.carry_out(&[Operation::Flush]).map(|_| ())
    }

    /// Lets time pass until the device runs again.
    fn recover(&mut self) {
        for _ in 0..100_000 {
            if self.block.is_running() {
                return;
            }
            self.pass(1_000);
        }
        panic!("it does not come back");
    }
}

fn start(way: impl Into<Way>, features: u64) -> (Bench, &'static Fake) {
    let fake = device(way, features);
    let bench = Bench::new(fake);
    assert!(bench.block.is_running());
    (bench, fake)
}

fn sectors(from: usize, count: usize) -> std::vec::Vec<u8> {
    DISK.with_borrow(|disk| disk[from * SECTOR_BYTES..][..count * SECTOR_BYTES].to_vec())
}

#[test]
fn only_what_the_driver_can_do_is_accepted() {
    let (bench, fake) = start(true, FLUSH);
    assert_eq!(fake.state().accepted, VERSION_1 | FLUSH | BLOCK_SIZE_OFFERED);
    assert_eq!((bench.block.capacity(), bench.block.is_read_only(), bench.block.has_cache()), (CAPACITY, false, true));
    let (bench, fake) = start(false, READ_ONLY);
    assert_eq!(
        (fake.state().accepted, bench.block.is_read_only(), bench.block.has_cache()),
        (READ_ONLY | BLOCK_SIZE_OFFERED, true, false)
    );
}

#[test]
fn long_reads_keep_several_requests_in_flight() {
    for way in Way::ALL {
        let (mut bench, fake) = start(way, 0);
        for (from, count) in [(0, 1), (3, 64), (5, 65), (100, 800), (999, 1), (0, 0)] {
            let mut into = vec![0; count * SECTOR_BYTES];
            assert_eq!(bench.read(from as u64, &mut into), Ok(()));
            assert!(into == sectors(from, count), "{count} sectors from {from}");
        }
        assert_eq!(DEEPEST.get(), REQUESTS);
        // 13 requests for the long read, and one notification for each batch.
        assert!(fake.state().notifications(0) < 18, "{}", fake.state().notifications(0));
    }
}

#[test]
fn what_is_written_is_read_back() {
    for way in Way::ALL {
        let (mut bench, _) = start(way, FLUSH);
        let bytes: std::vec::Vec<u8> = (0..200 * SECTOR_BYTES).map(|index| (index * 31 / 7) as u8).collect();
        assert_eq!(bench.write(50, &bytes), Ok(()));
        assert!(sectors(50, 200) == bytes);
        let before = FLUSHES.get();
        assert_eq!(bench.flush(), Ok(()));
        assert_eq!(FLUSHES.get(), before + 1);
        let mut into = vec![0; bytes.len()];
        assert_eq!(bench.read(50, &mut into), Ok(()));
        assert!(into == bytes);
    }
}

#[test]
fn transfers_that_cannot_be_do_not_reach_the_device() {
    let (mut bench, fake) = start(true, READ_ONLY);
    let beyond = Err(BlockError::BeyondEnd { capacity: CAPACITY });
    let read = |sector, length| Operation::Read { sector, length };
    for (length, expected) in [(100, Err(BlockError::BadLength)), (0, Err(BlockError::BadLength))] {
        assert_eq!(bench.submit(0, read(0, length)), expected);
    }
    assert_eq!(bench.submit(0, read(0, REQUEST_BYTES + SECTOR_BYTES)), Err(BlockError::BadLength));
    for sector in [CAPACITY - 1, CAPACITY, u64::MAX - 1, u64::MAX, 1 << 32, 1 << 55] {
        assert_eq!(bench.submit(0, read(sector, 2 * SECTOR_BYTES)), beyond, "sector {sector}");
    }
    let write = Operation::Write { sector: 0, bytes: &[0; SECTOR_BYTES] };
    assert_eq!(bench.submit(0, write), Err(BlockError::ReadOnly));
    bench.block.publish();
    assert_eq!((fake.state().notifications(0), bench.block.in_flight()), (0, 0));
}

#[test]
fn a_sector_beyond_4_gib_is_the_one_that_was_asked_for() {
    thread_local! { static ASKED: Cell<u64> = const { Cell::new(0) }; }
    let fake = device(true, 0);
    fake.state().configuration[..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    fake.state().on_notify = Some(|state, queue| {
        let side = state.side(queue);
        while let Some(chain) = side.take() {
            ASKED.set(u64::from_le_bytes(chain.read()[8..16].try_into().unwrap()));
            let length = chain.write(&[0; SECTOR_BYTES + 1]);
            side.complete(chain.head.into(), length, false);
        }
    });
    let mut bench = Bench::new(fake);
    for sector in [(1 << 23) + 1, u64::from(u32::MAX) + 7, (1 << 40) - 1] {
        assert_eq!(bench.read(sector, &mut [0; SECTOR_BYTES]), Ok(()));
        assert_eq!(ASKED.get(), sector);
    }
}

#[test]
fn nothing_waits_for_a_device_that_is_slow() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    for tag in 0..REQUESTS as u32 {
        assert_eq!(bench.submit(tag, Operation::Read { sector: tag.into(), length: SECTOR_BYTES }), Ok(()));
    }
    assert!(!bench.block.can_submit());
    assert_eq!(bench.submit(9, Operation::Flush), Err(BlockError::NotReady));
    // One a second, as a throttled device does; each answer counts as a sign of life.
    let mut answered = vec![];
    for _ in 0..REQUESTS {
        assert_eq!(bench.pass(999_000), []);
        one(&mut fake.state());
        answered.extend(bench.pass(1_000).into_iter().map(|(tag, result)| (tag, result.is_ok())));
        assert!(bench.block.can_submit());
    }
    assert_eq!(answered, (0..REQUESTS as u32).map(|tag| (tag, true)).collect::<std::vec::Vec<_>>());
    assert!(bench.block.is_running());
}

/// Carries out the first request that waits, and no other.
fn one(state: &mut State) {
    let side = state.side(0);
    let chain = side.take().expect("a request");
    let start = u64::from_le_bytes(chain.read()[8..16].try_into().unwrap()) as usize;
    let answer = [&sectors(start, 1)[..], &[0]].concat();
    let length = chain.write(&answer);
    side.complete(chain.head.into(), length, false);
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
        let (mut bench, fake) = start(true, 0);
        fake.state().on_notify = Some(answering(status));
        // Longer than the requests that are in flight: the rest is not asked for.
        let mut into = vec![0; 2 * REQUESTS * REQUEST_BYTES];
        assert_eq!(bench.read(0, &mut into), Err(error));
        assert!(bench.block.is_running(), "an error of the medium is not one of the device");
        fake.state().on_notify = Some(disk);
        assert_eq!(bench.read(0, &mut into[..SECTOR_BYTES]), Ok(()));
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
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = Some(short);
    assert_eq!(bench.read(0, &mut into), Err(BlockError::BadAnswer));
    // A legacy device's length means nothing.
    let (mut bench, fake) = start(false, 0);
    fake.state().on_notify = Some(short);
    assert_eq!(bench.read(0, &mut into), Ok(()));
}

#[test]
fn a_silent_device_is_reset_after_its_time_and_its_buffers_are_not_used_before() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    assert_eq!(bench.submit(7, Operation::Read { sector: 0, length: SECTOR_BYTES }), Ok(()));
    let resets = |fake: &Fake| fake.state().events.iter().filter(|event| **event == Event::Reset).count();
    let before = resets(fake);
    assert_eq!(bench.pass(STALL_US - 1), []);
    assert_eq!(resets(fake), before);
    // It stays with the device until that has been reset, because it might still be carried out.
    fake.state().stuck = true;
    assert_eq!(bench.pass(1), [(7, Err(BlockError::Timeout))]);
    assert_eq!(resets(fake), before + 1);
    assert!(!bench.block.can_submit());
    assert_eq!(bench.submit(8, Operation::Flush), Err(BlockError::NotReady));
    assert_eq!(bench.pass(10_000), []);
    assert!(!bench.block.can_submit());
    fake.state().stuck = false;
    fake.state().status = 0;
    fake.state().on_notify = Some(disk);
    bench.recover();
    let mut into = [0; SECTOR_BYTES];
    assert_eq!(bench.read(7, &mut into), Ok(()));
    assert!(into[..] == sectors(7, 1));
}

#[test]
fn one_request_that_is_kept_is_given_up_though_others_come_back() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    assert_eq!(bench.submit(0, Operation::Read { sector: 0, length: SECTOR_BYTES }), Ok(()));
    bench.block.publish();
    let kept = fake.state().side(0).take();
    assert!(kept.is_some());
    let mut waited = 0;
    while waited + 1_000_000 < REQUEST_LIMIT_US {
        waited += 1_000_000;
        assert_eq!(bench.submit(1, Operation::Read { sector: 1, length: SECTOR_BYTES }), Ok(()));
        bench.block.publish();
        one(&mut fake.state());
        assert_eq!(bench.pass(1_000_000).len(), 1);
    }
    assert!(bench.block.is_running());
    assert_eq!(bench.pass(1_000_000), [(0, Err(BlockError::Timeout))]);
}

#[test]
fn a_device_that_stays_away_is_tried_ever_more_rarely() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    assert_eq!(bench.submit(0, Operation::Flush), Ok(()));
    // Gone: each register reads as ones.
    fake.state().stuck = true;
    fake.state().status = 0xff;
    assert_eq!(bench.pass(STALL_US).len(), 1);
    let tries = |fake: &Fake| fake.state().events.iter().filter(|event| **event == Event::Reset).count();
    let mut gaps = vec![];
    let (mut last, mut seen) = (bench.now_us, tries(fake));
    while gaps.len() < 14 {
        bench.pass(50_000);
        if tries(fake) > seen {
            gaps.push(bench.now_us - last);
            (last, seen) = (bench.now_us, tries(fake));
        }
        assert!(bench.block.due_us().is_some_and(|look| look > bench.now_us), "never a busy wait");
    }
    assert!(gaps.is_sorted(), "{gaps:?}");
    assert_eq!((gaps[0], gaps[1], gaps[13]), (100_000, 200_000, 60_000_000));
    // It returns.
    fake.state().stuck = false;
    fake.state().status = 0;
    fake.state().on_notify = Some(disk);
    bench.recover();
    assert_eq!(bench.read(0, &mut [0; SECTOR_BYTES]), Ok(()));
}

#[test]
fn a_device_that_answers_once_and_fails_each_time_is_paused_longer_each_time() {
    let (mut bench, fake) = start(true, 0);
    let mut pauses = vec![];
    for _ in 0..12 {
        fake.state().on_notify = Some(disk);
        assert_eq!(bench.flush(), Ok(()));
        fake.state().on_notify = None;
        assert_eq!(bench.submit(0, Operation::Flush), Ok(()));
        assert_eq!(bench.pass(STALL_US).len(), 1);
        let from = bench.now_us;
        bench.recover();
        pauses.push(bench.now_us - from);
    }
    assert!(pauses.is_sorted() && pauses[11] >= 60_000_000, "one answer is no proof: {pauses:?}");
}

#[test]
fn a_device_that_starts_and_never_answers_is_paused_longer_each_time() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    let mut pauses = vec![];
    for _ in 0..12 {
        assert_eq!(bench.submit(0, Operation::Flush), Ok(()));
        assert_eq!(bench.pass(STALL_US).len(), 1);
        let from = bench.now_us;
        bench.recover();
        pauses.push(bench.now_us - from);
    }
    assert!(pauses.is_sorted() && pauses[11] >= 60_000_000, "{pauses:?}");
    // Once it has answered for a while it is trusted again.
    fake.state().on_notify = Some(disk);
    bench.pass(PROBATION_US);
    assert_eq!(bench.flush(), Ok(()));
    fake.state().on_notify = None;
    assert_eq!(bench.submit(0, Operation::Flush), Ok(()));
    assert_eq!(bench.pass(STALL_US).len(), 1);
    assert_eq!(bench.pass(1_000), []);
    assert!(bench.block.is_running());
}

#[test]
fn a_device_that_hangs_in_its_reset_is_cut_off_and_tried_again_after_a_pause() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = None;
    fake.state().stuck = true;
    assert_eq!(bench.submit(0, Operation::Flush), Ok(()));
    assert_eq!(bench.pass(STALL_US).len(), 1);
    assert_eq!(bench.pass(RESET_US - 1), []);
    assert_eq!(fake.state().command() & 4, 4, "it has time left");
    assert_eq!(bench.pass(1), []);
    assert_eq!(fake.state().command() & 4, 0, "it is kept from memory");
    assert_eq!(bench.block.due_us(), Some(bench.now_us + PAUSE_MIN_US));
    fake.state().stuck = false;
    fake.state().status = 0;
    fake.state().on_notify = Some(disk);
    bench.recover();
    assert_eq!(bench.flush(), Ok(()));
}

#[test]
fn a_lying_device_is_reset() {
    let (mut bench, fake) = start(true, 0);
    fake.state().on_notify = Some(|state, queue| {
        state.side(queue).complete(200, 1, false);
    });
    let fault = QueueFault::NotOutstanding { id: 200 };
    assert_eq!(bench.read(0, &mut [0; SECTOR_BYTES]), Err(BlockError::Fault(fault)));
    assert!(!bench.block.is_running());
    assert_eq!(fake.state().status, 0);
}

#[test]
fn small_queues_work_or_are_refused() {
    for size in [1, 2] {
        let fake = device(true, 0);
        fake.state().queues[0].max = size;
        let mut bench = Bench::new(fake);
        assert!(!bench.block.is_running(), "a queue of {size}");
        assert_eq!(fake.state().status & 0x80, 0x80);
        assert_eq!(bench.read(0, &mut [0; SECTOR_BYTES]), Err(BlockError::NotReady));
    }
    let fake = device(false, 0);
    fake.state().queues[0].max = 4;
    let mut bench = Bench::new(fake);
    let mut into = vec![0; 200 * SECTOR_BYTES];
    assert_eq!(bench.read(0, &mut into), Ok(()));
    assert!(into == sectors(0, 200));
    assert_eq!(DEEPEST.get(), 1);
}

#[test]
fn a_modern_device_must_say_so() {
    let fake = device(true, 0);
    fake.state().offered &= !VERSION_1;
    let mut bench = Bench::new(fake);
    assert!(!bench.block.is_running());
    fake.state().offered |= VERSION_1;
    bench.recover();
}
