//! Why the last boot ended: a note in the real-time clock's memory, and what the watchdog keeps.
//!
//! A boot without such a line in its log follows a power-on, or QEMU's start.

use slopos_q35::rtc::{Found, Note, Rtc};
use slopos_registers::Hardware;

/// Tells it in the log. `watchdog` names the one that has reset the machine.
pub fn report(watchdog: Option<&str>) {
    match (watchdog, clock().take_note()) {
        (Some(name), _) => defmt::warn!("boot: after a reset by the watchdog {=str}", name),
        (None, Found::Note(Note::Panic)) => defmt::warn!("boot: after a panic"),
        (None, Found::Note(Note::Reboot)) => defmt::info!("boot: after the command reboot"),
        (None, Found::Note(Note::Exit)) => defmt::info!("boot: after the command exit or poweroff"),
        (None, Found::Note(Note::Running)) => defmt::warn!("boot: after a reset that the board did not ask for"),
        (None, Found::Nothing) => {}
        (None, Found::NoMemory) => defmt::info!("boot: after what is not known, for there is no clock to keep a note"),
    }
}

/// Leaves a note for the next boot.
pub fn leave_note(note: Note) {
    clock().leave_note(note);
}

fn clock() -> Rtc<Hardware> {
    // SAFETY: nobody else uses the clock's ports between the two accesses of a register: the kernel is not interrupted,
    // and a panic does not return.
    unsafe { Rtc::new(Hardware) }
}
