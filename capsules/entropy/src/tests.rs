//! The capsule with a device that the test plays.

use super::*;
use slopos_host_log::Token;

const SIZES: [Option<usize>; 4] = [Some(16), None, Some(64), Some(16)];
const ONE: ProcessId = ProcessId::new(0);
const BARE: ProcessId = ProcessId::new(1);
const LARGE: ProcessId = ProcessId::new(2);
const THREE: ProcessId = ProcessId::new(3);

fn capsule(has_device: bool) -> Entropy<'static> {
    let regions = SIZES.map(|size| {
        let buffer = vec![0; size?].leak();
        Some(&mut *Box::leak(Box::new(Region::new(buffer))))
    });
    Entropy::new(Grant::new(Box::leak(Box::new(regions))), has_device)
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn set(processes: &[ProcessId]) -> ProcessSet {
    let mut set = ProcessSet::EMPTY;
    processes.iter().for_each(|process| set.insert(*process));
    set
}

/// A device that gives as many of these bytes as there is room for; answers how much room there was.
fn give(entropy: &mut Entropy<'_>, byte: u8, most: usize) -> usize {
    let mut room = 0;
    entropy.supply(|buffer| {
        room = buffer.len();
        let count = room.min(most);
        buffer[..count].fill(byte);
        count
    });
    room
}

fn read(entropy: &mut Entropy<'_>, process: ProcessId, length: usize) -> Result<Vec<u8>, Errno> {
    let mut into = vec![0; length];
    let count = entropy.read(process, &mut into, at(0))?;
    assert!(into[count..].iter().all(|byte| *byte == 0));
    Ok(into[..count].to_vec())
}

#[test]
fn only_a_process_with_a_grant_and_a_board_with_a_device_have_any() {
    let mut entropy = capsule(true);
    assert_eq!((entropy.open(ONE), entropy.open(BARE)), (Ok(()), Err(Errno::Access)));
    assert_eq!(read(&mut entropy, BARE, 1), Err(Errno::Access));
    assert_eq!((entropy.readiness(BARE), entropy.figures(BARE, &Token)), (Readiness::ERROR, None));
    entropy.forget(BARE);
    assert!(entropy.is_idle() && entropy.wanted().is_none());
    assert_eq!(capsule(false).open(ONE), Err(Errno::Io));
}

#[test]
fn a_read_waits_for_the_device_and_takes_what_it_gave_in_pieces() {
    let mut entropy = capsule(true);
    assert_eq!(read(&mut entropy, ONE, 10), Err(Errno::Again));
    assert_eq!((entropy.wanted(), entropy.is_idle()), (Some(16), false));
    assert_eq!(read(&mut entropy, ONE, 10), Err(Errno::Again), "tried again for no reason");
    assert_eq!(give(&mut entropy, 7, 64), 16);
    assert_eq!((entropy.wanted(), entropy.take_ready()), (None, set(&[ONE])));
    assert_eq!(read(&mut entropy, ONE, 10), Ok(vec![7; 10]));
    assert_eq!(read(&mut entropy, ONE, 10), Ok(vec![7; 6]));
    assert_eq!(read(&mut entropy, ONE, 10), Err(Errno::Again));
    assert_eq!(entropy.figures(ONE, &Token), Some(Figures { size: 16, held: 0, delivered: 16, failures: 0 }));
}

#[test]
fn each_byte_is_read_once_and_wiped_where_it_was() {
    let mut entropy = capsule(true);
    let counted = |entropy: &mut Entropy<'_>, first: u8| {
        entropy.supply(|room| {
            room.iter_mut().zip(first..).for_each(|(to, byte)| *to = byte);
            room.len()
        });
    };
    let mut seen = Vec::new();
    for round in 0..3 {
        assert_eq!(read(&mut entropy, ONE, 5), Err(Errno::Again));
        counted(&mut entropy, 1 + round * 16);
        for _ in 0..4 {
            seen.extend(read(&mut entropy, ONE, 5).unwrap());
            let left = entropy.figures(ONE, &Token).unwrap().held;
            let buffer = &entropy.grant.view(ONE).unwrap().contents();
            assert!(buffer[left..].iter().all(|byte| *byte == 0) && !buffer[..left].contains(&0));
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=48).collect::<Vec<_>>());
}

#[test]
fn what_is_thrown_away_is_read_by_nobody_and_a_read_that_waits_goes_on() {
    let mut entropy = capsule(true);
    for process in [ONE, THREE] {
        assert_eq!(read(&mut entropy, process, 16), Err(Errno::Again));
    }
    assert_eq!(give(&mut entropy, 7, 64), 16);
    entropy.discard();
    assert!(entropy.grant.view(ONE).unwrap().contents().iter().all(|byte| *byte == 0));
    // The process that was told of its bytes tries again, and waits.
    assert_eq!(read(&mut entropy, ONE, 16), Err(Errno::Again));
    assert_eq!(give(&mut entropy, 8, 64), 16);
    assert_eq!(read(&mut entropy, THREE, 16), Ok(vec![8; 16]));
    assert_eq!(give(&mut entropy, 9, 64), 16);
    assert_eq!(read(&mut entropy, ONE, 16), Ok(vec![9; 16]));
}

#[test]
fn a_process_that_reads_for_ever_gets_one_buffer_in_each_round() {
    let mut entropy = capsule(true);
    let mut rounds = [0; 4];
    for _ in 0..300 {
        // Each of them reads again as soon as it has read.
        for process in [ONE, LARGE, THREE] {
            assert_eq!(read(&mut entropy, process, 1_000), Err(Errno::Again));
        }
        let room = give(&mut entropy, 1, 1_000);
        let ready: Vec<_> = entropy.take_ready().each().collect();
        let [process] = ready[..] else { panic!("{ready:?}") };
        assert_eq!(read(&mut entropy, process, 1_000).unwrap().len(), room);
        rounds[process.index()] += 1;
    }
    assert_eq!(rounds, [100, 0, 100, 100]);
    let delivered = [ONE, LARGE, THREE].map(|process| entropy.figures(process, &Token).unwrap().delivered);
    assert_eq!(delivered, [1_600, 6_400, 1_600], "the buffer is the share");
}

#[test]
fn a_device_that_gives_nothing_makes_the_read_fail_in_the_end_and_the_next_one_waits_again() {
    let mut entropy = capsule(true);
    assert_eq!(read(&mut entropy, ONE, 1), Err(Errno::Again));
    assert_eq!(give(&mut entropy, 0, 0), 16);
    assert_eq!((entropy.take_ready(), entropy.next_deadline()), (ProcessSet::EMPTY, Some(at(30))));
    // A read that is tried again keeps its deadline.
    assert_eq!(entropy.read(ONE, &mut [0], at(20)), Err(Errno::Again));
    entropy.expire(at(29));
    assert!(!entropy.is_idle() && entropy.take_ready().is_empty());
    entropy.expire(at(30));
    assert_eq!((entropy.take_ready(), entropy.wanted()), (set(&[ONE]), None));
    assert_eq!(entropy.readiness(ONE), Readiness::ERROR);
    assert_eq!(entropy.read(ONE, &mut [0], at(30)), Err(Errno::Io));
    assert_eq!(entropy.figures(ONE, &Token).unwrap().failures, 1);
    assert_eq!(entropy.read(ONE, &mut [0], at(31)), Err(Errno::Again));
    assert_eq!(entropy.next_deadline(), Some(at(61)));
}

#[test]
fn a_process_that_polls_is_woken_when_its_buffer_is_filled() {
    let mut entropy = capsule(true);
    assert_eq!(entropy.readiness(LARGE), Readiness::NONE);
    assert_eq!((entropy.next_deadline(), entropy.wanted()), (None, Some(64)));
    entropy.expire(at(1_000));
    assert_eq!(entropy.readiness(LARGE), Readiness::NONE, "a poll has a deadline of its own");
    // A read after the poll has its deadline.
    assert_eq!(entropy.read(LARGE, &mut [0], at(1_000)), Err(Errno::Again));
    assert_eq!(entropy.next_deadline(), Some(at(1_030)));
    give(&mut entropy, 9, 3);
    assert_eq!((entropy.take_ready(), entropy.readiness(LARGE)), (set(&[LARGE]), Readiness::READABLE));
    assert_eq!(read(&mut entropy, LARGE, 64), Ok(vec![9; 3]));
}

#[test]
fn what_a_process_leaves_behind_is_wiped_and_what_was_on_its_way_goes_to_the_next() {
    let mut entropy = capsule(true);
    for process in [ONE, THREE] {
        assert_eq!(read(&mut entropy, process, 1), Err(Errno::Again));
    }
    give(&mut entropy, 5, 16);
    assert_eq!(entropy.take_ready(), set(&[ONE]));
    entropy.forget(ONE);
    assert!(entropy.grant.view(ONE).unwrap().contents().iter().all(|byte| *byte == 0));
    assert_eq!(entropy.figures(ONE, &Token).unwrap().held, 0);
    assert_eq!(read(&mut entropy, ONE, 1), Err(Errno::Again), "a new run starts with an empty buffer");
    entropy.forget(THREE);
    entropy.forget(ONE);
    assert!(entropy.is_idle() && entropy.next_deadline().is_none());
    assert_eq!(give(&mut entropy, 5, 16), 0, "nobody is there any more");
    assert!(entropy.take_ready().is_empty());
}

#[test]
fn a_device_that_claims_more_than_it_had_room_for_is_not_believed() {
    let mut entropy = capsule(true);
    assert_eq!(read(&mut entropy, ONE, 100), Err(Errno::Again));
    entropy.supply(|_| usize::MAX);
    assert_eq!(read(&mut entropy, ONE, 100).map(|bytes| bytes.len()), Ok(16));
}
