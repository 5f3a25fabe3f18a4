//! Moves bytes between the console's port and the console capsule. Nothing here waits for the port.
//!
//! Where the log has no port of its own, pieces of it go between the console's text, and text and log take turns.

use crate::interrupts::{Interrupts, LOG_VECTOR, UART_VECTOR};
use crate::log;
#[cfg(not(log_text))]
use slopos_abi::{LOG_PIECE_BEGIN, LOG_PIECE_END};
use slopos_console::Console;
#[cfg(not(log_text))]
use slopos_log::Text;
#[cfg(log_text)]
use slopos_log::lines::MarkedText as Text;
use slopos_q35::acpi::Tables;
use slopos_q35::uart::{COM1, COM1_ISA_INTERRUPT, COM2_ISA_INTERRUPT, FIFO_BYTES, Uart};
use slopos_registers::Hardware;

/// Most bytes that one pass of the loop gives to the port.
const BYTES_PER_PASS: usize = 512;

/// Room for text that was pulled from the console, and for what keeps each byte of it from being taken for the log.
#[cfg(not(log_text))]
const HELD: usize = FIFO_BYTES + FIFO_BYTES / 2 * (LOG_PIECE_BEGIN.len() + LOG_PIECE_END.len());
/// The same where the log is lines: one byte for each that a mark has.
#[cfg(log_text)]
const HELD: usize = FIFO_BYTES + FIFO_BYTES / slopos_abi::LOG_LINE_MARK.len() + 1;

/// The console's port, and the bytes that it has not yet taken.
pub struct Serial {
    port: Uart<Hardware>,
    present: bool,
    /// The log goes over this port too.
    carries_log: bool,
    /// The text that was pulled from the console, where it has to be known.
    text: Text,
    /// The log had its turn, and the text is next.
    text_is_next: bool,
    held: heapless::Vec<u8, HELD>,
    /// The port interrupts when it has room.
    sending: bool,
    /// The port may have room. Remembered, because asking the port costs an exit from the virtual machine.
    has_room: bool,
    /// The port may hold input; remembered for the same reason.
    input_waits: bool,
}

impl Serial {
    /// Sets the port up, and enables its interrupt and that of the log's port. Without a port the board works too, and
    /// its console output is dropped.
    pub fn start(interrupts: &mut Interrupts, tables: &Tables) -> Serial {
        for (line, vector) in [(COM1_ISA_INTERRUPT, UART_VECTOR), (COM2_ISA_INTERRUPT, LOG_VECTOR)] {
            let line = tables.isa(line);
            if let Err(error) = interrupts.route(line.gsi, vector, line.trigger, line.polarity) {
                defmt::warn!("serial: an interrupt cannot be routed, the timer stands in: {}", error);
            }
        }
        // SAFETY: only the panic handler uses COM1 too, and it never returns.
        let port = unsafe { Uart::new(Hardware, COM1) };
        let present = port.initialise().is_ok();
        if present {
            port.interrupts(true, false);
        } else {
            defmt::warn!("console: no serial port");
            log::lose_console();
        }
        Serial {
            port,
            present,
            carries_log: log::is_shared(),
            text: Text::default(),
            text_is_next: false,
            held: heapless::Vec::new(),
            sending: false,
            has_room: true,
            input_waits: present,
        }
    }

    /// Acknowledges the port's interrupt; also called in case an interrupt was lost.
    pub fn acknowledge(&mut self) {
        self.input_waits = self.present;
        self.has_room = true;
        self.port.clear_interrupts();
    }

    /// The next byte that a person typed.
    pub fn read(&mut self) -> Option<u8> {
        if !self.input_waits {
            return None;
        }
        // A byte that the line garbled is skipped, as if it had not been typed.
        while let Some(received) = self.port.read() {
            if let Ok(byte) = received.byte {
                return Some(byte);
            }
        }
        self.input_waits = false;
        None
    }

    /// Gives the port as much as it takes now. The rest goes when the port interrupts.
    pub fn send(&mut self, console: &mut Console<'_>) {
        if self.sending && !self.has_room {
            return;
        }
        self.has_room = false;
        let mut budget = BYTES_PER_PASS;
        loop {
            if self.held.is_empty() && !(self.carries_log && self.is_logs_turn()) {
                self.pull(console);
            }
            if self.held.is_empty() {
                if !self.carries_log || log::waiting_bytes() == 0 {
                    self.set_sending(false);
                    return;
                }
                #[cfg(log_text)]
                if !log::piece_is_open() {
                    // What ends a line fits into the queue, which is empty.
                    let _ = self.held.extend_from_slice(self.text.end_line().as_bytes());
                    if !self.held.is_empty() {
                        continue;
                    }
                }
                let taken = log::send_shared(&self.port, budget);
                self.text_is_next = true;
                budget = budget.saturating_sub(taken);
                if taken == 0 || budget == 0 {
                    self.set_sending(true);
                    return;
                }
                continue;
            }
            if !self.present {
                self.held.clear();
                continue;
            }
            let taken = self.port.write(&self.held);
            self.held.rotate_left(taken);
            self.held.truncate(self.held.len() - taken);
            budget = budget.saturating_sub(taken);
            if !self.held.is_empty() || budget == 0 {
                self.set_sending(true);
                return;
            }
        }
    }

    /// Whether a piece of the log comes before the next text: one that is on its way, or the next where the text admits
    /// it and has had its turn.
    fn is_logs_turn(&mut self) -> bool {
        log::piece_is_open()
            || self.text.admits_piece() && !core::mem::take(&mut self.text_is_next) && log::waiting_bytes() > 0
    }

    /// Takes the next text from the console: as much as the port takes at once, and where the log waits, no more than
    /// up to the place where its turn is.
    fn pull(&mut self, console: &mut Console<'_>) {
        // What is pulled fits into the queue, which is empty.
        if !self.carries_log {
            let mut piece = [0; FIFO_BYTES];
            let count = console.pull(&mut piece);
            let _ = self.held.extend_from_slice(piece.get(..count).unwrap_or_default());
            return;
        }
        let log_waits = log::waiting_bytes() > 0;
        for _ in 0..FIFO_BYTES {
            let Some(byte) = console.pull_byte() else { return };
            for before in self.text.pass(byte) {
                let _ = self.held.extend_from_slice(before.as_bytes());
            }
            let _ = self.held.push(byte);
            if log_waits && self.text.admits_piece() {
                return;
            }
        }
    }

    /// Whether all that was pulled from the console has left the port.
    pub fn is_sent(&self) -> bool {
        !self.present || self.held.is_empty() && self.port.is_idle()
    }

    /// Whether the port interrupts when it has room.
    #[cfg(selftest)]
    pub fn interrupts_for_room(&self) -> bool {
        self.sending
    }

    /// Whether all that was pulled from the console was given to the port.
    #[cfg(selftest)]
    pub fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// Has the port interrupt when it has room, or no longer.
    pub fn set_sending(&mut self, sending: bool) {
        if self.present && self.sending != sending {
            self.sending = sending;
            self.port.interrupts(true, sending);
        }
    }
}

/// Writes the process console's own text: to the port, or into the log where that carries text. It has room of its own
/// in either; text beyond that is lost, and the console counts it.
pub struct Terminal<'a>(pub &'a mut Console<'static>);

impl Terminal<'_> {
    /// How many bytes there is room for now.
    pub fn room(&self) -> usize {
        if self.0.is_separate() { log::console_room() } else { self.0.say_room() }
    }
}

impl core::fmt::Write for Terminal<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        if self.0.is_separate() {
            log::text(self.0.say_apart(text.as_bytes(), log::console_room()));
        } else {
            self.0.say(text.as_bytes());
        }
        Ok(())
    }
}
