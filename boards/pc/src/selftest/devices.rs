//! The flash is there and interrupts, and the network device carries frames.

use super::interrupts::work_until;
use super::tally::Tally;
use crate::board::Board;
use crate::interrupts::{FLASH_VECTOR, PIN_VECTOR};
use crate::machine::now;
use slopos_x86_64::trap::interrupts_of;

pub fn run(tally: &mut Tally, board: &mut Board) {
    flash(tally, board);
    if board.network.is_some() {
        network(tally, board);
    }
}

/// The program `syscalls` tests reading and writing, because the kernel itself never waits for a sector.
fn flash(tally: &mut Tally, board: &mut Board) {
    let known = work_until(board, |board| board.capsules.flash.storage.region("scratch").is_some());
    tally.check("the flash's map is read, and has a region to test with", known);
    tally.check("the flash's interrupts have arrived", interrupts_of(FLASH_VECTOR) + interrupts_of(PIN_VECTOR) > 0);
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
