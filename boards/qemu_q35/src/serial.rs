//! Moves bytes between the console's port and the console capsule.

use crate::panic::COM1;
use slopos_console::Console;
use slopos_q35::register::Hardware;
use slopos_q35::uart::Uart;

/// Bytes that the port takes at once.
const FIFO: usize = 16;

/// The console's port, and what it has not yet taken.
pub struct Serial {
    port: Uart<Hardware>,
    present: bool,
    held: heapless::Vec<u8, FIFO>,
    sending: bool,
    /// Whether the port may hold input: asking costs an exit from the virtual machine.
    input_waits: bool,
}

impl Serial {
    /// Sets the port up. A board without one works on, and its console output is dropped.
    pub fn start() -> Serial {
        // SAFETY: only the panic handler uses COM1 too, and it never returns.
        let port = unsafe { Uart::new(Hardware, COM1) };
        let present = port.initialise().is_ok();
        if present {
            port.interrupts(true, false);
        } else {
            defmt::warn!("console: no serial port");
        }
        Serial { port, present, held: heapless::Vec::new(), sending: false, input_waits: present }
    }

    /// Acknowledges what the port interrupted for.
    pub fn acknowledge(&mut self) {
        self.input_waits = self.present;
        // Each reason is read at most a few times: a line that never falls must not hold the kernel.
        for _ in 0..4 {
            if self.port.interrupt().is_none() {
                return;
            }
        }
    }

    /// The next byte that a person typed.
    pub fn read(&mut self) -> Option<u8> {
        if !self.input_waits {
            return None;
        }
        // A byte that the line garbled is passed over, as if it had not been typed.
        while let Some(received) = self.port.read() {
            if let Ok(byte) = received.byte {
                return Some(byte);
            }
        }
        self.input_waits = false;
        None
    }

    /// Gives the port what it takes now. The rest goes when the port interrupts.
    pub fn send(&mut self, console: &mut Console<'_>) {
        loop {
            if self.held.is_empty() {
                let mut piece = [0; FIFO];
                let count = console.pull(&mut piece);
                // The piece has just the capacity of the queue.
                let _ = self.held.extend_from_slice(piece.get(..count).unwrap_or_default());
            }
            if self.held.is_empty() {
                self.set_sending(false);
                return;
            }
            if !self.present {
                self.held.clear();
                continue;
            }
            let taken = self.port.write(&self.held);
            self.held.rotate_left(taken);
            self.held.truncate(self.held.len() - taken);
            if !self.held.is_empty() {
                self.set_sending(true);
                return;
            }
        }
    }

    /// Sends everything, waiting for the line: before the board is left. Answers whether the line took it all.
    pub fn flush(&mut self, console: &mut Console<'_>) -> bool {
        loop {
            if self.present && self.port.write_all(&self.held).is_err() {
                return false;
            }
            self.held.clear();
            self.send(console);
            if self.held.is_empty() && !console.has_output() {
                return true;
            }
        }
    }

    /// Has the port interrupt when it has room, or no longer.
    pub fn set_sending(&mut self, sending: bool) {
        if self.present && self.sending != sending {
            self.sending = sending;
            self.port.interrupts(true, sending);
        }
    }
}

/// Writes text to the console, and waits for the line where the queue is full: for the monitor's own lines, which
/// are short.
pub struct Terminal<'a> {
    /// The queue.
    pub console: &'a mut Console<'static>,
    /// The port that empties it.
    pub serial: &'a mut Serial,
}

impl core::fmt::Write for Terminal<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let taken = self.console.write(rest);
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 && !self.serial.flush(self.console) {
                // Nobody reads the line; what was to be written is lost.
                return Err(core::fmt::Error);
            }
        }
        Ok(())
    }
}
