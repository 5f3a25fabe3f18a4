//! The kernel's log: `defmt` frames on COM2.

use core::cell::UnsafeCell;
use slopos_q35::register::Hardware;
use slopos_q35::uart::Uart;

/// Base port of COM2.
const COM2: u16 = 0x2f8;

#[defmt::global_logger]
struct Log;

/// The encoder and the port. Only the logger touches it.
struct Sink(UnsafeCell<(defmt::Encoder, bool)>);
// SAFETY: one processor, and the kernel runs with interrupts off. What logs from an exception in the kernel does so
// on its way to a panic and takes the sink over, see `acquire`.
unsafe impl Sync for Sink {}

#[unsafe(link_section = ".owner.log")]
static SINK: Sink = Sink(UnsafeCell::new((defmt::Encoder::new(), false)));

fn port() -> Uart<Hardware> {
    // SAFETY: nothing but the logger uses COM2.
    unsafe { Uart::new(Hardware, COM2) }
}

/// Sets the port up. Without one, or before this is called, log lines are dropped by the hardware.
pub fn initialise() -> bool {
    port().initialise().is_ok()
}

fn emit(bytes: &[u8]) {
    // A line that is stuck cannot be reported anywhere but on itself: what does not fit is lost.
    let _ = port().write_all(bytes);
}

// SAFETY: `acquire` and `release` are called in pairs by defmt, and nothing can interrupt the kernel in between but
// an exception, which never returns to the frame that it broke.
unsafe impl defmt::Logger for Log {
    fn acquire() {
        // SAFETY: see `Sink`.
        let (encoder, open) = unsafe { &mut *SINK.0.get() };
        if core::mem::replace(open, true) {
            // A panic while a line was being written: end that frame first.
            encoder.end_frame(emit);
        }
        encoder.start_frame(emit);
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: see `Sink`.
        let (encoder, open) = unsafe { &mut *SINK.0.get() };
        encoder.end_frame(emit);
        *open = false;
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: see `Sink`.
        let (encoder, _) = unsafe { &mut *SINK.0.get() };
        encoder.write(bytes, emit);
    }
}

defmt::timestamp!("{=u64:us}", slopos_x86_64::clock::now_micros());
