//! Serial ports: the 16550, as the National PC16550D data sheet describes it.
//!
//! [`Uart::write`] and [`Uart::read`] never wait. [`Uart::write_all`] waits, within a bound, for the panic path.
//!
//! The serial interrupts are edge-triggered on this board, so a handler must call [`Uart::interrupt`] until it
//! gives `None`: a cause left standing keeps the line high, and there is no second edge.

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

use slopos_registers::{Bus, Hardware, registers};

/// First I/O port of the first serial port.
pub const COM1: u16 = 0x3f8;
/// ISA interrupt of the first serial port.
pub const COM1_ISA_INTERRUPT: u8 = 4;
/// First I/O port of the second serial port.
pub const COM2: u16 = 0x2f8;
/// ISA interrupt of the second serial port.
pub const COM2_ISA_INTERRUPT: u8 = 3;

/// Bytes that the transmit FIFO takes when it is empty (section 8.0, FIFO operation).
pub const FIFO_BYTES: usize = 16;

/// Clock divisor for 115200 baud: 1.8432 MHz / (16 * 115200) (section 8.3, table III).
const DIVISOR_115200: u16 = 1;

/// Most times that [`Uart::write_all`] looks for room before it gives up on the port. A byte takes 87 us at 115200
/// baud and a look at least some 100 ns, so a port that works is never given up.
const WAIT_POLLS: u32 = 1_000_000;

/// Most times that [`Uart::clear_interrupts`] reads the cause: each of the four there is, once.
const SETTLE_READS: u32 = 4;

register_bitfields![u8,
    /// Interrupt enable register (section 8.7).
    InterruptEnable [
        /// Received data available, and the FIFO's time-out.
        RECEIVED OFFSET(0) NUMBITS(1) [],
        /// Transmitter holding register empty.
        TRANSMITTER_EMPTY OFFSET(1) NUMBITS(1) [],
        /// An error or a break on the line.
        LINE_STATUS OFFSET(2) NUMBITS(1) [],
        /// A modem line has changed.
        MODEM_STATUS OFFSET(3) NUMBITS(1) []
    ],
    /// Interrupt identification register (section 8.6).
    InterruptIdentification [
        /// Clear while an interrupt is pending.
        NONE_PENDING OFFSET(0) NUMBITS(1) [],
        /// The cause of highest priority.
        CAUSE OFFSET(1) NUMBITS(3) [
            ModemStatus = 0,
            TransmitterEmpty = 1,
            Received = 2,
            LineStatus = 3,
            ReceiveTimeOut = 6
        ]
    ],
    /// FIFO control register (section 8.5).
    FifoControl [
        /// Both FIFOs on.
        ENABLE OFFSET(0) NUMBITS(1) [],
        /// Empties the receive FIFO.
        CLEAR_RECEIVE OFFSET(1) NUMBITS(1) [],
        /// Empties the transmit FIFO.
        CLEAR_TRANSMIT OFFSET(2) NUMBITS(1) [],
        /// Bytes in the receive FIFO that raise an interrupt.
        TRIGGER OFFSET(6) NUMBITS(2) [One = 0, Four = 1, Eight = 2, Fourteen = 3]
    ],
    /// Line control register (section 8.1).
    LineControl [
        /// Bits in a character.
        WORD_LENGTH OFFSET(0) NUMBITS(2) [Eight = 3],
        /// Offsets 0 and 1 are the divisor while this is set.
        DIVISOR_ACCESS OFFSET(7) NUMBITS(1) []
    ],
    /// Modem control register (section 8.8).
    ModemControl [
        /// Data terminal ready.
        DTR OFFSET(0) NUMBITS(1) [],
        /// Request to send.
        RTS OFFSET(1) NUMBITS(1) [],
        /// On a PC, lets the interrupt line out of the chip.
        OUT2 OFFSET(3) NUMBITS(1) []
    ],
    /// Line status register (section 8.4). Reading it clears the error bits.
    LineStatus [
        /// A received byte waits.
        DATA_READY OFFSET(0) NUMBITS(1) [],
        /// A byte was lost before the one that waits.
        OVERRUN OFFSET(1) NUMBITS(1) [],
        /// The byte that waits has a parity error.
        PARITY OFFSET(2) NUMBITS(1) [],
        /// The byte that waits has no stop bit.
        FRAMING OFFSET(3) NUMBITS(1) [],
        /// The line was held low for a whole character.
        BREAK OFFSET(4) NUMBITS(1) [],
        /// The transmit FIFO is empty: [`FIFO_BYTES`] may be written.
        TRANSMITTER_EMPTY OFFSET(5) NUMBITS(1) [],
        /// The last byte has left as well.
        IDLE OFFSET(6) NUMBITS(1) []
    ]
];

/// There is no 16550 at these ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Absent;

/// A write was given up, because the port took no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Stuck {
    /// Bytes that were written before.
    pub written: usize,
}

/// What was wrong with a received byte. The byte is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum LineError {
    /// Parity or stop bit wrong, or a break: the byte means nothing.
    Garbled,
}

/// One byte from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Received {
    /// The byte, or why there is none.
    pub byte: Result<u8, LineError>,
    /// Bytes before this one were lost, because the FIFO was full.
    pub overrun: bool,
}

/// Why the port interrupts, highest priority first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Interrupt {
    /// An error on the line; [`Uart::read`] reports it with its byte.
    Line,
    /// Bytes wait: call [`Uart::read`] until it gives `None`.
    Received,
    /// The transmit FIFO is empty: call [`Uart::write`], or turn this interrupt off.
    TransmitterEmpty,
    /// A modem line has changed; nothing to do.
    Modem,
}

registers! {
    /// The registers of a 16550 (section 8, table II).
    struct Registers in Port {
        /// Receiver buffer, transmitter holding register; low half of the divisor.
        (0x0 => data: ReadWrite<u8>),
        /// Section 8.7; high half of the divisor.
        (0x1 => interrupt_enable: WriteOnly<u8, InterruptEnable::Register>),
        /// Section 8.6.
        (0x2 => interrupt_identification: ReadOnly<u8, InterruptIdentification::Register>),
        /// Section 8.5.
        (0x2 => fifo_control: WriteOnly<u8, FifoControl::Register>),
        /// Section 8.1.
        (0x3 => line_control: WriteOnly<u8, LineControl::Register>),
        /// Section 8.8.
        (0x4 => modem_control: WriteOnly<u8, ModemControl::Register>),
        /// Section 8.4.
        (0x5 => line_status: ReadOnly<u8, LineStatus::Register>),
        /// Keeps what is written, and does nothing (section 8.10).
        (0x7 => scratch: ReadWrite<u8>),
    }
}

/// Ports of a serial port.
pub const PORTS: u16 = Registers::<Hardware>::LENGTH as u16;

/// A 16550 serial port.
pub struct Uart<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> Uart<B> {
    /// The serial port whose first I/O port is `base`. Touches nothing yet.
    ///
    /// # Safety
    /// Ports `base` to `base + 7` are a 16550's or nobody's, and the caller owns them. A 16550 has no access to
    /// memory.
    pub const unsafe fn new(bus: B, base: u16) -> Self {
        // SAFETY: the eight ports are the caller's, and a 16550 writes no memory.
        Uart { registers: unsafe { Registers::new(bus, base) } }
    }

    /// Sets 115200 baud, eight bits, no parity, one stop bit, FIFOs on and empty, interrupts off.
    ///
    /// # Errors
    /// [`Absent`] where the scratch register does not keep a value.
    pub fn initialise(&self) -> Result<(), Absent> {
        for pattern in [0x5a, 0xa5] {
            self.registers.scratch.set(pattern);
            if self.registers.scratch.get() != pattern {
                return Err(Absent);
            }
        }
        self.interrupts(false, false);
        self.registers.line_control.write(LineControl::DIVISOR_ACCESS::SET);
        let [low, high] = DIVISOR_115200.to_le_bytes();
        self.registers.data.set(low);
        self.registers.interrupt_enable.set(high);
        self.registers.line_control.write(LineControl::WORD_LENGTH::Eight);
        self.registers.fifo_control.write(
            FifoControl::ENABLE::SET
                + FifoControl::CLEAR_RECEIVE::SET
                + FifoControl::CLEAR_TRANSMIT::SET
                + FifoControl::TRIGGER::Eight,
        );
        self.registers.modem_control.write(ModemControl::DTR::SET + ModemControl::RTS::SET + ModemControl::OUT2::SET);
        Ok(())
    }

    /// Writes as many bytes as the port takes now, at most [`FIFO_BYTES`], and says how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        if bytes.is_empty() || !self.registers.line_status.is_set(LineStatus::TRANSMITTER_EMPTY) {
            return 0;
        }
        let taken = bytes.len().min(FIFO_BYTES);
        for byte in &bytes[..taken] {
            self.registers.data.set(*byte);
        }
        taken
    }

    /// Writes everything, waiting for the line. For the panic path: nothing else runs meanwhile.
    ///
    /// # Errors
    /// [`Stuck`] where the port takes nothing for far longer than a byte's time.
    pub fn write_all(&self, bytes: &[u8]) -> Result<(), Stuck> {
        let mut written = 0;
        let mut polls = 0;
        while written < bytes.len() {
            match self.write(&bytes[written..]) {
                0 if polls == WAIT_POLLS => return Err(Stuck { written }),
                0 => {
                    polls += 1;
                    core::hint::spin_loop();
                }
                taken => {
                    written += taken;
                    polls = 0;
                }
            }
        }
        Ok(())
    }

    /// Whether every byte that was written has left the port.
    pub fn is_idle(&self) -> bool {
        self.registers.line_status.is_set(LineStatus::IDLE)
    }

    /// The next received byte, if one waits.
    pub fn read(&self) -> Option<Received> {
        // One read: it clears the error bits.
        let status = self.registers.line_status.extract();
        if !status.is_set(LineStatus::DATA_READY) {
            return None;
        }
        let byte = self.registers.data.get();
        let garbled =
            status.is_set(LineStatus::PARITY) || status.is_set(LineStatus::FRAMING) || status.is_set(LineStatus::BREAK);
        Some(Received {
            byte: if garbled { Err(LineError::Garbled) } else { Ok(byte) },
            overrun: status.is_set(LineStatus::OVERRUN),
        })
    }

    /// Turns the interrupts for received bytes and for an empty transmitter on or off. Turning the second on while
    /// the transmitter is empty interrupts at once.
    pub fn interrupts(&self, received: bool, transmitter_empty: bool) {
        self.registers.interrupt_enable.write(
            InterruptEnable::RECEIVED.val(received.into())
                + InterruptEnable::TRANSMITTER_EMPTY.val(transmitter_empty.into()),
        );
    }

    /// Reads why the port interrupts until it has no more reason, so that its line falls and there can be another edge;
    /// a few times at most, because a line that never falls must not hold the kernel. Says whether there was a reason.
    pub fn clear_interrupts(&self) -> bool {
        (0..SETTLE_READS).take_while(|_| self.interrupt().is_some()).count() > 0
    }

    /// Why the port interrupts; `None` when nothing is pending. Reading clears [`Interrupt::TransmitterEmpty`].
    pub fn interrupt(&self) -> Option<Interrupt> {
        let identification = self.registers.interrupt_identification.extract();
        if identification.is_set(InterruptIdentification::NONE_PENDING) {
            return None;
        }
        use InterruptIdentification::CAUSE::Value;
        Some(match identification.read_as_enum(InterruptIdentification::CAUSE)? {
            Value::ModemStatus => Interrupt::Modem,
            Value::TransmitterEmpty => Interrupt::TransmitterEmpty,
            Value::Received | Value::ReceiveTimeOut => Interrupt::Received,
            Value::LineStatus => Interrupt::Line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn uart(fake: &Fake) -> Uart<&Fake> {
        // SAFETY: the bus is a model in this process's memory.
        unsafe { Uart::new(fake, COM1) }
    }

    #[test]
    fn initialise_sets_speed_format_and_fifo_in_the_data_sheets_order() {
        let fake = Fake::default();
        assert_eq!(uart(&fake).initialise(), Ok(()));
        let expected = [
            (0x3ff, 1, 0x5a),
            (0x3ff, 1, 0xa5),
            (0x3f9, 1, 0x00),
            (0x3fb, 1, 0x80),
            (0x3f8, 1, 0x01),
            (0x3f9, 1, 0x00),
            (0x3fb, 1, 0x03),
            (0x3fa, 1, 0x87),
            (0x3fc, 1, 0x0b),
        ];
        assert_eq!(fake.port_log(), expected);
    }

    #[test]
    fn a_missing_port_is_noticed() {
        let fake = Fake::reacting(Some(|ports, port, _| ports.retain(|number, _| *number != port)), None);
        assert_eq!(uart(&fake).initialise(), Err(Absent));
    }

    #[test]
    fn write_fills_the_fifo_only_when_it_is_empty() {
        let fake = Fake::default();
        fake.set_port(COM1 + 5, 0x00);
        assert_eq!(uart(&fake).write(b"abc"), 0);
        fake.set_port(COM1 + 5, 0x20);
        assert_eq!(uart(&fake).write(&[b'x'; 40]), FIFO_BYTES);
        assert_eq!(fake.port_log().len(), FIFO_BYTES);
        assert_eq!(uart(&fake).write(b""), 0);
    }

    #[test]
    fn write_all_waits_but_not_for_ever() {
        let fake = Fake::default();
        fake.set_port(COM1 + 5, 0x00);
        fake.script(COM1 + 5, &[0, 0, 0x20, 0, 0x20]);
        assert_eq!(uart(&fake).write_all(&[b'x'; 40]), Err(Stuck { written: 32 }));
        fake.set_port(COM1 + 5, 0x20);
        assert_eq!(uart(&fake).write_all(&[b'x'; 40]), Ok(()));
    }

    #[test]
    fn read_drops_a_garbled_byte_and_reports_an_overrun() {
        let fake = Fake::default();
        fake.set_port(COM1, b'k');
        fake.script(COM1 + 5, &[0x60, 0x61, 0x63, 0x69]);
        assert_eq!(uart(&fake).read(), None);
        assert_eq!(uart(&fake).read(), Some(Received { byte: Ok(b'k'), overrun: false }));
        assert_eq!(uart(&fake).read(), Some(Received { byte: Ok(b'k'), overrun: true }));
        assert_eq!(uart(&fake).read(), Some(Received { byte: Err(LineError::Garbled), overrun: false }));
    }

    #[test]
    fn interrupts_are_enabled_and_identified() {
        let fake = Fake::default();
        let uart = uart(&fake);
        uart.interrupts(true, false);
        uart.interrupts(true, true);
        assert_eq!(fake.port_log(), [(0x3f9, 1, 1), (0x3f9, 1, 3)]);
        fake.script(COM1 + 2, &[0xc6, 0xcc, 0xc4, 0xc2, 0xc0, 0xc1]);
        let causes: Vec<_> = core::iter::from_fn(|| uart.interrupt()).collect();
        use Interrupt::*;
        assert_eq!(causes, [Line, Received, Received, TransmitterEmpty, Modem]);
    }

    #[test]
    fn settling_reads_the_cause_until_there_is_none_but_not_for_ever() {
        let fake = Fake::default();
        let uart = uart(&fake);
        fake.script(COM1 + 2, &[0xc2, 0xc1]);
        assert!(uart.clear_interrupts());
        fake.script(COM1 + 2, &[0xc1]);
        assert!(!uart.clear_interrupts());
        fake.set_port(COM1 + 2, 0xc2);
        assert!(uart.clear_interrupts(), "a line that never falls");
    }

    #[test]
    fn the_port_is_idle_when_the_last_byte_has_left() {
        let fake = Fake::default();
        fake.script(COM1 + 5, &[0x20, 0x60]);
        assert_eq!([uart(&fake).is_idle(), uart(&fake).is_idle()], [false, true]);
    }
}
