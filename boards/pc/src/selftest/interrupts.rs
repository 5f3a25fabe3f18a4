//! Interrupts arrive: the timer's when it was asked for, the console's and the network's when they have work.

use super::tally::Tally;
use crate::board::Board;
use crate::interrupts::{NETWORK_VECTOR, PIN_VECTOR, UART_VECTOR};
use crate::machine::now;
use slopos_kernel::time::{Duration, Instant};
use slopos_virtio::transport::Interrupts;
use slopos_x86_64::control::{let_interrupts_in, wait_for_interrupt};
use slopos_x86_64::trap::{SPURIOUS_VECTOR, TIMER_VECTOR, interrupts_of, unexpected};

/// How long to wait for an interrupt that must come: generous, for an emulator on a busy host.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Lets the board work until the condition holds or [`TIMEOUT`] has passed.
pub fn work_until(board: &mut Board, mut holds: impl FnMut(&mut Board) -> bool) -> bool {
    let end = now() + TIMEOUT;
    while now() < end {
        if holds(board) {
            return true;
        }
        if !board.pass() {
            board.alarm.set(Some(now() + Duration::from_millis(5)), now());
            wait_for_interrupt();
        }
    }
    false
}

pub fn run(tally: &mut Tally, board: &mut Board) {
    timer(tally, board);
    let before = interrupts_of(UART_VECTOR);
    board.serial.set_sending(true);
    let interrupted = wait_for(UART_VECTOR, before).is_some();
    board.serial.acknowledge();
    board.serial.set_sending(false);
    tally.check("the console's port interrupts when it has room", interrupted);

    every_vector(tally, board);

    let Some(device) = &board.network else { return };
    let mode = device.interrupts();
    tally.check("the network device interrupts", mode != Interrupts::Off);
    tally.check("the network's interrupts have arrived", interrupts_of(NETWORK_VECTOR) + interrupts_of(PIN_VECTOR) > 0);
}

/// Every vector of an interrupt is handled, expected or not, and none blocks the others.
fn every_vector(tally: &mut Tally, board: &mut Board) {
    let before = unexpected().interrupts;
    for vector in 16..=u8::MAX {
        board.alarm.apic().send_to_self(vector);
        board.alarm.fired();
        // Messages with an exception's vector never arrive, so the timer ends the wait.
        board.alarm.set(Some(now() + Duration::from_micros(200)), now());
        wait_for_interrupt();
        board.pass();
    }
    let taken = unexpected().interrupts - before;
    // All except the exceptions' vectors and the few that were given out.
    tally.check("vectors that nobody expects are counted", (200..=224).contains(&taken));
    let timer = interrupts_of(TIMER_VECTOR);
    board.alarm.fired();
    board.alarm.set(Some(now()), now());
    tally.check("the timer still interrupts", wait_for(TIMER_VECTOR, timer).is_some());
    let spurious = unexpected().interrupts;
    board.alarm.apic().send_to_self(SPURIOUS_VECTOR);
    let ended = wait_for_unexpected(spurious);
    tally.check("the spurious vector by message is ended like any other", ended);
}

/// Waits for an interrupt that nobody expects.
fn wait_for_unexpected(before: u64) -> bool {
    let end = now() + TIMEOUT;
    while now() < end {
        wait_for_interrupt();
        if unexpected().interrupts > before {
            return true;
        }
    }
    false
}

fn timer(tally: &mut Tally, board: &mut Board) {
    // The loop's own alarm may be due at this very moment: it is put off, and what it has set pending is taken first.
    board.alarm.fired();
    board.alarm.set(None, now());
    let_interrupts_in();
    let before = interrupts_of(TIMER_VECTOR);
    let start = now();
    let deadline = start + Duration::from_millis(5);
    board.alarm.fired();
    board.alarm.set(Some(deadline), start);
    let fired = wait_for(TIMER_VECTOR, before);
    tally.check("the timer interrupts", fired.is_some());
    tally
        .check("the timer does not interrupt early", fired.is_some_and(|at| at + Duration::from_millis(1) >= deadline));
    let count = interrupts_of(TIMER_VECTOR);
    let start = now();
    while now() < start + Duration::from_millis(20) {}
    board.pass();
    tally.check("the timer interrupts once", interrupts_of(TIMER_VECTOR) <= count + 1);
    let mut last = Instant::BOOT;
    let monotonic = (0..10_000).all(|_| {
        let time = now();
        let forwards = time >= last;
        last = time;
        forwards
    });
    tally.check("the clock never runs backwards", monotonic);
}

/// Waits for one more interrupt by this vector; returns when it had arrived.
fn wait_for(vector: u8, before: u64) -> Option<Instant> {
    let end = now() + TIMEOUT;
    while now() < end {
        wait_for_interrupt();
        if interrupts_of(vector) > before {
            return Some(now());
        }
    }
    None
}
