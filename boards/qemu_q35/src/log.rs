//! The kernel's log: `defmt` frames on COM2.

use core::cell::UnsafeCell;
use slopos_q35::register::Hardware;
use slopos_q35::uart::Uart;

/// Base port of COM2.
const COM2: u16 = 0x2f8;

#[defmt::global_logger]
struct Log;

/// The encoder, whether a frame is open, and whether the port takes nothing. Only the logger touches it.
struct Sink(UnsafeCell<State>);

struct State {
    encoder: defmt::Encoder,
    open: bool,
    stuck: bool,
}

// SAFETY: one processor, and the kernel runs with interrupts off. What logs from an exception in the kernel does so
// on its way to a panic and takes the sink over, see `acquire`.
unsafe impl Sync for Sink {}

#[unsafe(link_section = ".owner.log")]
static SINK: Sink = Sink(UnsafeCell::new(State { encoder: defmt::Encoder::new(), open: false, stuck: false }));

fn port() -> Uart<Hardware> {
    // SAFETY: nothing but the logger uses COM2.
    unsafe { Uart::new(Hardware, COM2) }
}

/// Sets the port up. Without one, or before this is called, log lines are dropped by the hardware.
pub fn initialise() -> bool {
    port().initialise().is_ok()
}

/// Writes to the line, and waits for it, but only once: a line that nobody reads must not slow the kernel down for
/// ever. While it takes nothing, frames are lost; the decoder finds the next whole one.
fn emit(bytes: &[u8], stuck: &mut bool) {
    let port = port();
    let taken = if *stuck { port.write(bytes) } else { 0 };
    if *stuck && taken == 0 {
        return;
    }
    *stuck = port.write_all(bytes.get(taken..).unwrap_or_default()).is_err();
}

impl State {
    fn start(&mut self) {
        if core::mem::replace(&mut self.open, true) {
            // A panic while a line was being written: end that frame first.
            self.encoder.end_frame(|bytes| emit(bytes, &mut self.stuck));
        }
        self.encoder.start_frame(|bytes| emit(bytes, &mut self.stuck));
    }

    fn write(&mut self, bytes: &[u8]) {
        self.encoder.write(bytes, |bytes| emit(bytes, &mut self.stuck));
    }

    fn end(&mut self) {
        self.encoder.end_frame(|bytes| emit(bytes, &mut self.stuck));
        self.open = false;
    }
}

// SAFETY: `acquire` and `release` are called in pairs by defmt, and nothing can interrupt the kernel in between but
// an exception, which never returns to the frame that it broke.
unsafe impl defmt::Logger for Log {
    fn acquire() {
        // SAFETY: see `Sink`.
        unsafe { &mut *SINK.0.get() }.start();
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: see `Sink`.
        unsafe { &mut *SINK.0.get() }.end();
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: see `Sink`.
        unsafe { &mut *SINK.0.get() }.write(bytes);
    }
}

defmt::timestamp!("{=u64:us}", slopos_x86_64::clock::now_micros());
