//! The flash can be written and read back through the shared virtqueue, and the network device carries frames.

use super::Tally;
use super::interrupts::work_until;
use crate::board::Board;
use crate::machine::now;
use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;

/// Sectors in a transfer: more than one request of the block driver.
const SECTORS: usize = 24;

pub fn run(tally: &mut Tally, board: &mut Board) {
    flash(tally, board);
    if board.network.is_some() {
        network(tally, board);
    }
}

// Apart, so that its buffers leave the stack before processes run.
#[inline(never)]
fn flash(tally: &mut Tally, board: &mut Board) {
    let Some(flash) = &mut board.capsules.flash else {
        return tally.check("there is a flash", false);
    };
    let Some(region) = flash.region("scratch") else {
        return tally.check("the flash has a region to test with", false);
    };
    let mut saved = [0; SECTORS * SECTOR];
    let mut work = [0; SECTORS * SECTOR];
    tally.check("a long read is whole", flash.read(region, 0, &mut saved) == Ok(saved.len()));
    work.iter_mut().enumerate().for_each(|(index, byte)| *byte = pattern(index));
    tally.check("a long write is whole", flash.write(region, 0, &work) == Ok(work.len()));
    work.fill(0);
    let read = flash.read(region, 0, &mut work);
    let same = work.iter().enumerate().all(|(index, byte)| *byte == pattern(index));
    tally.check("it can be read back", read == Ok(work.len()) && same);
    let mut sector = [0; SECTOR];
    let middle = 5 * SECTOR;
    let read = flash.read(region, middle as u32, &mut sector);
    let same = sector.iter().enumerate().all(|(index, byte)| *byte == pattern(middle + index));
    tally.check("a sector in the middle is the right one", read == Ok(SECTOR) && same);
    tally.check("what was there comes back", flash.write(region, 0, &saved) == Ok(saved.len()));
    tally.check("parts of sectors are refused", flash.read(region, 1, &mut sector) == Err(Errno::Invalid));
    tally.check("the end of a region is its end", flash.read(region, u32::MAX / 512 * 512, &mut sector) == Ok(0));
}

/// A byte that tells its place, in its sector and among the sectors.
fn pattern(index: usize) -> u8 {
    (index * 7 + index / SECTOR) as u8
}

fn network(tally: &mut Tally, board: &mut Board) {
    tally.check("the network is up", work_until(board, |board| board.capsules.stack.is_up()));
    let info = board.capsules.stack.info(now());
    tally.check("frames were received", info.receive_frames > 0 && info.receive_bytes > 0);
    tally.check("frames were sent", info.transmit_frames > 0 && info.transmit_bytes > 0);
    tally.check("there is an address", info.address != [0; 4] && info.lease_seconds > 0);
    let broken = board.network.as_ref().and_then(|device| device.is_broken());
    tally.check("the device keeps to the protocol", broken.is_none());
}
