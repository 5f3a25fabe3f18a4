//! A kernel panic: its message in the log and as plain text on COM1, then out of the machine.
//!
//! Where descriptor 2 travels in the log, COM1 is for descriptor 1 alone, and gets no message.

use crate::power;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use slopos_q35::pvpanic::PvPanic;
use slopos_q35::uart::{COM1, Uart};
use slopos_registers::Hardware;

#[unsafe(link_section = ".owner.kernel")]
static PANICKING: AtomicBool = AtomicBool::new(false);

struct Com1;

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // SAFETY: the console driver never runs again.
        let port = unsafe { Uart::new(Hardware, COM1) };
        port.write_all(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}

/// Writes the message to COM1.
fn tell(info: &PanicInfo<'_>) -> core::fmt::Result {
    write!(Com1, "\r\npanic: ")?;
    match info.location() {
        Some(place) => writeln!(Com1, "{} ({}:{})\r", info.message(), place.file(), place.line()),
        None => writeln!(Com1, "{}\r", info.message()),
    }
}

#[cfg_attr(target_os = "none", panic_handler)]
fn panic(info: &PanicInfo) -> ! {
    if !PANICKING.swap(true, Relaxed) {
        crate::log::end_piece();
        // If the line is stuck, there is nowhere else to report it; the kernel leaves QEMU next in any case.
        let _ = if crate::log::carries_text() { Ok(()) } else { tell(info) };
        crate::log::write_through();
        defmt::error!("panic: {}", defmt::Display2Format(&info.message()));
        // SAFETY: the port is the panic device's and nobody else's.
        unsafe { PvPanic::new(Hardware) }.report();
    }
    power::leave_panicking()
}

/// Lints build the board as a program for the host, which uses the standard library's handler.
#[cfg(not(target_os = "none"))]
const _: fn(&PanicInfo<'_>) -> ! = panic;
