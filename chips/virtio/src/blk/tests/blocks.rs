//! Devices whose blocks are larger than a sector, and that refuse what is no whole blocks, as QEMU's do; and devices with
//! several queues.

use super::*;

thread_local! {
    /// Sectors of a block of the model.
    static BLOCK: Cell<usize> = const { Cell::new(1) };
    /// Requests that were no whole blocks.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// The model of a disk that carries out whole blocks alone.
fn whole_blocks(state: &mut State, queue: u16) {
    let side = state.side(queue);
    let mut refused = vec![];
    while let Some(chain) = side.take() {
        let bytes = chain.read();
        let kind = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let start = u64::from_le_bytes(bytes[8..16].try_into().unwrap()) as usize;
        let length = if kind == 0 { chain.room() as usize - 1 } else { bytes.len() - 16 };
        let block = BLOCK.get();
        if kind != 4 && (!start.is_multiple_of(block) || !length.is_multiple_of(block * SECTOR_BYTES)) {
            REFUSED.set(REFUSED.get() + 1);
            refused.push(chain);
            continue;
        }
        let answer = DISK.with_borrow_mut(|disk| match kind {
            0 => [&disk[start * SECTOR_BYTES..][..length], &[0]].concat(),
            1 => {
                disk[start * SECTOR_BYTES..][..length].copy_from_slice(&bytes[16..]);
                vec![0]
            }
            _ => vec![0],
        });
        let written = chain.write(&answer);
        side.complete(chain.head.into(), written, false);
    }
    for chain in refused {
        let room = chain.room() as usize;
        let mut answer = vec![0; room];
        answer[room - 1] = 1;
        let written = chain.write(&answer);
        side.complete(chain.head.into(), written, false);
    }
}

/// A driver of a device with blocks of so many sectors.
fn start_with(sectors: usize, modern: bool) -> (Bench, &'static Fake) {
    BLOCK.set(sectors);
    REFUSED.set(0);
    let fake = device(modern, FLUSH);
    fake.state().configuration[20..24].copy_from_slice(&((sectors * SECTOR_BYTES) as u32).to_le_bytes());
    fake.state().on_notify = Some(whole_blocks);
    (Bench::new(fake), fake)
}

fn some(length: usize, seed: usize) -> std::vec::Vec<u8> {
    (0..length).map(|index| (index * 13 + seed * 101 + index / 511) as u8).collect()
}

#[test]
fn any_sectors_are_read_and_written_whatever_the_blocks_are() {
    for (sectors, modern) in [(1, true), (2, true), (4, false), (8, true), (8, false)] {
        let (mut bench, _) = start_with(sectors, modern);
        assert_eq!(bench.block.block_bytes(), sectors * SECTOR_BYTES);
        let mut expected = DISK.with_borrow(std::vec::Vec::clone);
        // The last one is the largest request, with parts of blocks on both sides.
        for (index, (at, count)) in
            [(0, 1), (7, 1), (8, 8), (9, 7), (3, 18), (15, 2), (500, 1), (101, 64)].into_iter().enumerate()
        {
            let bytes = some(count * SECTOR_BYTES, index);
            assert_eq!(bench.write(at as u64, &bytes), Ok(()), "{count} sectors at {at}, blocks of {sectors}");
            expected[at * SECTOR_BYTES..][..bytes.len()].copy_from_slice(&bytes);
            assert!(DISK.with_borrow(|disk| *disk == expected), "{count} sectors at {at}, blocks of {sectors}");
            let mut back = vec![0; bytes.len()];
            assert_eq!(bench.read(at as u64, &mut back), Ok(()));
            assert!(back == bytes);
        }
        assert_eq!(REFUSED.get(), 0, "nothing but whole blocks is asked for");
        assert!(bench.block.is_idle());
    }
}

#[test]
fn writes_to_parts_of_one_block_do_not_undo_each_other() {
    let (mut bench, _) = start_with(8, true);
    let before = sectors(16, 8);
    // All that the device takes at a time, and more: the next is taken when the one before is over.
    let bytes: std::vec::Vec<_> = (0..6).map(|index| some(SECTOR_BYTES, index)).collect();
    let writes: std::vec::Vec<_> =
        (16..).zip(&bytes).map(|(sector, bytes)| Operation::Write { sector, bytes }).collect();
    let read = Operation::Read { sector: 23, length: SECTOR_BYTES };
    let operations = [&[read], &writes[..3], &[read], &writes[3..]].concat();
    let answers = bench.carry_out(&operations).unwrap();
    assert!([&answers[0], &answers[4]].iter().all(|answer| answer[..] == before[7 * SECTOR_BYTES..]));
    assert!(sectors(16, 6) == bytes.concat() && sectors(22, 2) == before[6 * SECTOR_BYTES..]);
}

#[test]
fn a_write_of_parts_waits_for_what_the_device_has_and_nothing_is_taken_meanwhile() {
    let (mut bench, fake) = start_with(8, true);
    fake.state().on_notify = None;
    assert_eq!(bench.submit(1, Operation::Read { sector: 0, length: SECTOR_BYTES }), Ok(()));
    assert_eq!(bench.submit(2, Operation::Write { sector: 3, bytes: &some(SECTOR_BYTES, 1) }), Ok(()));
    assert!(!bench.block.can_submit() && !bench.block.is_idle());
    assert_eq!(bench.submit(3, Operation::Flush), Err(BlockError::NotReady));
    assert_eq!((bench.pass(0).len(), bench.block.in_flight()), (0, 1));
    fake.state().on_notify = Some(whole_blocks);
    whole_blocks(&mut fake.state(), 0);
    let mut answers = vec![];
    for _ in 0..4 {
        answers.extend(bench.pass(1_000).into_iter().map(|(tag, result)| (tag, result.map(|bytes| bytes.len()))));
    }
    assert_eq!(answers, [(1, Ok(SECTOR_BYTES)), (2, Ok(0))]);
    assert!(bench.block.can_submit() && sectors(3, 1) == some(SECTOR_BYTES, 1));
}

#[test]
fn an_error_in_a_write_of_parts_is_told_once_and_the_rest_goes_on() {
    fn failing(state: &mut State, queue: u16) {
        let side = state.side(queue);
        while let Some(chain) = side.take() {
            let room = chain.room() as usize;
            let mut answer = vec![0; room];
            answer[room - 1] = 1;
            let written = chain.write(&answer);
            side.complete(chain.head.into(), written, false);
        }
    }
    let write = Operation::Write { sector: 3, bytes: &[7; SECTOR_BYTES] };
    // While it is read, and while it is written.
    for passes in [1, 2] {
        let (mut bench, fake) = start_with(8, true);
        let before = sectors(0, 8);
        if passes == 1 {
            fake.state().on_notify = Some(failing);
        }
        assert_eq!(bench.submit(5, write), Ok(()));
        if passes == 2 {
            assert_eq!(bench.pass(1), []);
            fake.state().on_notify = Some(failing);
        }
        assert_eq!(bench.pass(1), [(5, Err(BlockError::Medium))]);
        assert!(bench.block.is_idle() && sectors(0, 8) == before);
        fake.state().on_notify = Some(whole_blocks);
        assert_eq!(bench.write(3, &[7; SECTOR_BYTES]), Ok(()));
    }
    // A device that keeps silent is reset, whatever it was at.
    for passes in [0, 1] {
        let (mut bench, fake) = start_with(8, true);
        assert_eq!(bench.submit(5, write), Ok(()));
        for _ in 0..passes {
            assert_eq!(bench.pass(1), []);
        }
        fake.state().on_notify = None;
        assert_eq!(bench.pass(STALL_US), [(5, Err(BlockError::Timeout))]);
        fake.state().on_notify = Some(whole_blocks);
        bench.recover();
        assert_eq!(bench.write(3, &[8; SECTOR_BYTES]), Ok(()));
        assert!(sectors(3, 1)[..] == [8; SECTOR_BYTES]);
    }
}

#[test]
fn sectors_behind_the_last_whole_block_do_not_exist() {
    let (bench, _) = start_with(8, true);
    assert_eq!(bench.block.capacity(), CAPACITY);
    let fake = device(true, 0);
    fake.state().configuration[..8].copy_from_slice(&(CAPACITY + 7).to_le_bytes());
    fake.state().configuration[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    assert_eq!(Bench::new(fake).block.capacity(), CAPACITY);
}

#[test]
fn blocks_that_cannot_be_are_refused() {
    for bytes in [0, 1, 256, 511, 513, 3072, 8192, u32::MAX] {
        let fake = device(true, 0);
        fake.state().configuration[20..24].copy_from_slice(&u32::to_le_bytes(bytes));
        let bench = Bench::new(fake);
        assert!(!bench.block.is_running(), "blocks of {bytes}");
        assert_eq!(fake.state().status & 0x80, 0x80);
    }
    // Where it does not offer to say so, the field means nothing.
    let fake = device(true, 0);
    fake.state().offered &= !BLOCK_SIZE_OFFERED;
    fake.state().configuration[20..24].fill(0xff);
    assert!(Bench::new(fake).block.is_running());
}

#[test]
fn of_several_queues_one_is_used() {
    let fake = device(true, SEVERAL_QUEUES);
    fake.state().configuration[34..36].copy_from_slice(&3_u16.to_le_bytes());
    let mut bench = Bench::new(fake);
    let mut into = vec![0; 100 * SECTOR_BYTES];
    assert_eq!(bench.read(0, &mut into), Ok(()));
    assert!(into == sectors(0, 100));
    let state = fake.state();
    assert_eq!(state.accepted & SEVERAL_QUEUES, 0);
    assert_eq!([0, 1, 2].map(|queue: usize| state.queues[queue].enabled), [true, false, false]);
}
