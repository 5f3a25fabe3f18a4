//! The kernel's log: `defmt` frames on COM2, or on COM1, between the console's text, where there is no other port.
//!
//! Writing a line puts its frame into a ring and never waits. The board's loop moves frames from the ring to the port
//! when the port interrupts because it has room. Only a panic waits for the port. Lines below the level that the
//! console has set are dropped.
//!
//! On COM1 the log goes in pieces that a terminal leaves out ([`Piece`]), and `serial.rs` says when.
//!
//! Where the manifest says `log = "text"`, a frame is made a line when it ends, and all that is said of frames here holds for
//! lines ([`lines`]).
//!
//! Where the kernel's command line asks for it, text of processes and of the process console travels in frames of its
//! own, which the host tells apart by their format. It takes no more than a half of the ring, so the kernel's lines
//! always find room, and a process whose text does not fit waits.

#[cfg(not(log_text))]
mod frames;
#[cfg(log_text)]
mod lines;

use core::cell::UnsafeCell;
use core::ops::Range;
#[cfg(not(log_text))]
use frames::{Encoder, Piece, announce};
#[cfg(log_text)]
use lines::{Encoder, Piece, announce};
use slopos_kernel::log_level::LogLevel;
use slopos_log::LogRing;
use slopos_q35::uart::{COM1, COM2, Uart};
use slopos_registers::Hardware;

/// Bytes of frames that wait for the port: at 115,200 baud it takes most of a second to send them.
const RING: usize = 8192;
/// Room that processes' text leaves for the kernel's lines and for the process console.
const RESERVE: usize = RING / 2;
/// Room that the process console's text leaves for the kernel's lines.
const CONSOLE_RESERVE: usize = RING / 4;
/// Most bytes that one pass of the loop gives to the port.
const BYTES_PER_PASS: usize = 256;

#[defmt::global_logger]
struct Log;

/// Only the logger and the functions of this module touch it.
struct Sink(UnsafeCell<State>);

/// The level at the start: all that is compiled in. All zeros, for the section starts so.
const LEVEL: LogLevel = LogLevel::Trace;

struct State {
    /// Lines below it are dropped.
    level: LogLevel,
    /// What the next bytes of the frame are.
    part: Part,
    encoder: Encoder,
    ring: LogRing<RING>,
    /// A frame is being written.
    open: bool,
    way: Way,
    /// On its way over the console's port.
    piece: Piece,
    /// The port interrupts when it has room.
    sending: bool,
    /// The port may have room. Remembered, because asking the port costs an exit from the virtual machine.
    has_room: bool,
    /// A panic has begun: frames go to the port at once.
    waits: bool,
    /// Text travels here too.
    carries_text: bool,
}

/// Where the log goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nowhere: there is no port.
    Nowhere,
    /// To a port of its own, COM2.
    Own,
    /// To COM1, which the console has too.
    Shared,
}

/// How far a frame has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing is written; its index comes first.
    Index,
    /// The index is written.
    Rest,
    /// It is below the level.
    Dropped,
}

// SAFETY: one processor, and the kernel runs with interrupts off. An exception in the kernel logs only on its way to a
// panic and never returns to the code that it interrupted; an NMI does not log.
unsafe impl Sync for Sink {}

#[unsafe(link_section = ".owner.log")]
static SINK: Sink = Sink(UnsafeCell::new(State {
    level: LEVEL,
    part: Part::Index,
    encoder: Encoder::new(),
    ring: LogRing::new(),
    open: false,
    way: Way::Nowhere,
    piece: Piece::new(),
    sending: false,
    has_room: false,
    waits: false,
    carries_text: false,
}));

/// Runs `work` with the state of the log.
///
/// `work` must not log.
fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    // SAFETY: see `Sink`; `work` does not come back here, for it does not log.
    work(unsafe { &mut *SINK.0.get() })
}

fn port() -> Uart<Hardware> {
    // SAFETY: nothing but the logger uses COM2.
    unsafe { Uart::new(Hardware, COM2) }
}

/// Sets the log's own port up, and begins the log with the kernel's build id. Returns whether there is such a port;
/// without it, the log waits for the console's, which is set up later.
pub fn initialise() -> bool {
    let present = port().initialise().is_ok();
    with(|state| {
        state.way = if present { Way::Own } else { Way::Shared };
        announce(&mut state.ring, crate::image::build_id());
    });
    present
}

/// There is no port for the console: lines of a log that would go there are dropped.
pub fn lose_console() {
    with(|state| {
        if state.way == Way::Shared {
            state.way = Way::Nowhere;
            state.ring = LogRing::new();
        }
    });
}

/// Whether the log goes over the console's port.
pub fn is_shared() -> bool {
    with(|state| state.way == Way::Shared)
}

/// Whether a piece of the log is on its way over the console's port. Nothing else may go there until it is sent.
pub fn piece_is_open() -> bool {
    with(|state| !state.piece.is_sent())
}

/// Gives the console's port the next bytes of the log, at most `most`; returns how many it took.
pub fn send_shared(port: &Uart<Hardware>, most: usize) -> usize {
    with(|state| {
        state.piece.begin(&mut state.ring);
        let rest = state.piece.rest();
        let taken = port.write(rest.get(..most).unwrap_or(rest));
        state.piece.remove(taken);
        taken
    })
}

/// Acknowledges what the port interrupted for; also called where its interrupt may have been lost.
pub fn acknowledge() {
    with(|state| {
        state.has_room = true;
        if state.way == Way::Own {
            port().clear_interrupts();
        }
    });
}

/// Gives the port as much as it takes now, and logs how many lines were lost because the ring was full. The rest goes
/// when the port interrupts.
#[inline]
pub fn send() {
    // In most passes nothing was logged.
    if with(|state| state.ring.is_quiet() && !state.sending) {
        return;
    }
    send_waiting();
}

#[inline(never)]
fn send_waiting() {
    if let Some(lost) = with(|state| state.ring.begin_loss_report()) {
        defmt::warn!("log: {=u32} lines were lost, for the port is slow", lost);
        with(|state| state.ring.loss_reported(lost));
    }
    with(|state| {
        if state.way != Way::Own {
            return;
        }
        if state.ring.is_empty() && !state.sending || state.sending && !core::mem::take(&mut state.has_room) {
            return;
        }
        let mut budget = BYTES_PER_PASS;
        while !state.ring.is_empty() && budget > 0 {
            let front = state.ring.front();
            let piece = front.get(..budget).unwrap_or(front);
            let taken = port().write(piece);
            if taken == 0 {
                break;
            }
            budget -= taken;
            state.ring.remove(taken);
        }
        let sending = !state.ring.is_empty();
        if state.sending != sending {
            state.sending = sending;
            port().interrupts(false, sending);
        }
    });
}

/// The level of the log: lines below it are dropped.
pub fn level() -> LogLevel {
    with(|state| state.level)
}

/// Sets the level of the log. Lines that are dropped do not count as lost.
pub fn set_level(level: LogLevel) {
    with(|state| state.level = level);
}

/// The least grave level of which the image has any line: what `DEFMT_LOG` has left in it.
pub fn least_level() -> LogLevel {
    LogLevel::ALL.into_iter().find(|&level| !indices(level).is_empty()).unwrap_or(LogLevel::Error)
}

/// The indices of the lines of a level. `defmt` has the linker sort them by their level and mark each level's.
fn indices(level: LogLevel) -> Range<usize> {
    unsafe extern "C" {
        static __DEFMT_MARKER_TRACE_START: u8;
        static __DEFMT_MARKER_TRACE_END: u8;
        static __DEFMT_MARKER_DEBUG_START: u8;
        static __DEFMT_MARKER_DEBUG_END: u8;
        static __DEFMT_MARKER_INFO_START: u8;
        static __DEFMT_MARKER_INFO_END: u8;
        static __DEFMT_MARKER_WARN_START: u8;
        static __DEFMT_MARKER_WARN_END: u8;
        static __DEFMT_MARKER_ERROR_START: u8;
        static __DEFMT_MARKER_ERROR_END: u8;
    }
    // The address of a mark is an index; nothing lies there.
    let [start, end] = match level {
        LogLevel::Trace => [&raw const __DEFMT_MARKER_TRACE_START, &raw const __DEFMT_MARKER_TRACE_END],
        LogLevel::Debug => [&raw const __DEFMT_MARKER_DEBUG_START, &raw const __DEFMT_MARKER_DEBUG_END],
        LogLevel::Info => [&raw const __DEFMT_MARKER_INFO_START, &raw const __DEFMT_MARKER_INFO_END],
        LogLevel::Warn => [&raw const __DEFMT_MARKER_WARN_START, &raw const __DEFMT_MARKER_WARN_END],
        LogLevel::Error => [&raw const __DEFMT_MARKER_ERROR_START, &raw const __DEFMT_MARKER_ERROR_END],
    };
    start.addr()..end.addr()
}

/// Whether the line of this index has a level, and one below `least`.
#[inline(never)]
fn is_below(index: usize, least: LogLevel) -> bool {
    LogLevel::ALL.into_iter().take_while(|level| *level < least).any(|level| indices(level).contains(&index))
}

/// Has text travel here from now on, if the log has a port of its own and is frames. Answers whether it does: where not,
/// nobody could tell that text from the log without our tools.
pub fn carry_text() -> bool {
    with(|state| {
        state.carries_text = state.way == Way::Own && cfg!(not(log_text));
        state.carries_text
    })
}

/// Whether text travels here.
pub fn carries_text() -> bool {
    with(|state| state.carries_text)
}

/// How many bytes of processes' text there is room for now.
pub fn text_room() -> usize {
    with(|state| state.ring.room()).saturating_sub(RESERVE)
}

/// How many bytes of the process console's text there is room for now.
pub fn console_room() -> usize {
    with(|state| state.ring.room()).saturating_sub(CONSOLE_RESERVE)
}

/// Logs text, for which there is room, as it is. What a frame adds to it fits into the reserve.
pub fn text(bytes: &[u8]) {
    if !bytes.is_empty() {
        // `tools/run` knows the frame by these words.
        defmt::println!("process text {=[u8]:02x}", bytes);
    }
}

/// Bytes that wait for the port.
pub fn waiting_bytes() -> usize {
    with(|state| state.ring.len() + state.piece.rest().len())
}

/// Whether the port has sent all that it was given. The console's knows that itself.
pub fn is_sent() -> bool {
    with(|state| match state.way {
        Way::Nowhere => true,
        Way::Own => state.ring.is_empty() && port().is_idle(),
        Way::Shared => state.ring.is_empty() && state.piece.is_sent(),
    })
}

/// To be called in a panic, before anything else goes to the console's port: ends the piece of the log that is on its
/// way there.
pub fn end_piece() {
    with(State::end_piece);
}

/// To be called in a panic: lines that wait, and all that follow, go to the port at once.
pub fn write_through() {
    with(|state| {
        state.waits = true;
        state.drain();
    });
}

impl State {
    fn start(&mut self) {
        let State { encoder, ring, .. } = self;
        if core::mem::replace(&mut self.open, true) {
            // The panic came while a line was being written: that frame is dropped and the encoder finished.
            encoder.end_frame(|_| ());
        }
        ring.begin();
        self.part = Part::Index;
        encoder.start_frame(|bytes| ring.push(bytes));
    }

    fn write(&mut self, bytes: &[u8]) {
        match (self.part, bytes) {
            (Part::Dropped, _) => return,
            // The index of a frame is written first, in one piece.
            (Part::Index, &[low, high]) if is_below(u16::from_le_bytes([low, high]).into(), self.level) => {
                self.part = Part::Dropped;
                return;
            }
            _ => self.part = Part::Rest,
        }
        let State { encoder, ring, .. } = self;
        encoder.write(bytes, |bytes| ring.push(bytes));
    }

    fn end(&mut self) {
        let State { encoder, ring, .. } = self;
        encoder.end_frame(|bytes| ring.push(bytes));
        self.open = false;
        if self.way == Way::Nowhere || self.part == Part::Dropped {
            ring.discard();
            return;
        }
        ring.end();
        if self.waits {
            self.drain();
        }
    }

    /// Waits for the port, but not for ever: see [`Uart::write_all`].
    fn drain(&mut self) {
        while !self.ring.is_empty() {
            if self.way == Way::Shared {
                self.piece.begin(&mut self.ring);
                if !self.end_piece() {
                    return;
                }
                continue;
            }
            let count = self.ring.front().len();
            if port().write_all(self.ring.front()).is_err() {
                return;
            }
            self.ring.remove(count);
        }
    }

    /// Waits for the console's port to take the rest of the piece. Returns whether it did.
    fn end_piece(&mut self) -> bool {
        let rest = self.piece.rest();
        if rest.is_empty() {
            return true;
        }
        // SAFETY: in a panic, the console's driver never runs again.
        let taken = unsafe { Uart::new(Hardware, COM1) }.write_all(rest).is_ok();
        if taken {
            self.piece.remove(rest.len());
        }
        taken
    }
}

// SAFETY: `acquire` and `release` are called in pairs by defmt, and nothing can interrupt the kernel in between except
// an exception, which never returns to the code that it interrupted.
unsafe impl defmt::Logger for Log {
    fn acquire() {
        with(State::start);
    }

    unsafe fn flush() {}

    unsafe fn release() {
        with(State::end);
    }

    unsafe fn write(bytes: &[u8]) {
        with(|state| state.write(bytes));
    }
}

defmt::timestamp!("{=u64:us}", slopos_x86_64::clock::now_micros());
