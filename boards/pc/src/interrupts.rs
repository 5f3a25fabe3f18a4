//! Which vectors are given out, and what is done about interrupts that nobody expects.
//!
//! A device can send a message with any vector, and a device without a driver may hold a line. The trap code counts
//! interrupts by vectors that were not given out; this module logs them, and raises the task priority against them if
//! they do not end. If the devices' own interrupts come without end and without work, they are cut off: a pin's line is
//! masked, messages wait behind the task priority. Meanwhile the board polls the devices by the clock.

use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::storm::Storm;
use slopos_kernel::time::{Duration, Instant};
use slopos_q35::acpi::IO_APICS_MAX;
use slopos_q35::ioapic::{IoApic, NoSuchInput, Polarity, Route, Trigger};
use slopos_registers::Hardware;
use slopos_x86_64::apic::{Admission, EVERYBODY, LocalApic};
use slopos_x86_64::trap::{self, DEVICE_BITS, DEVICE_CLASS, Unexpected, pending_bit};

/// Vector of the console's port.
pub const UART_VECTOR: u8 = DEVICE_CLASS + 1;
/// Vector of the log's port.
pub const LOG_VECTOR: u8 = DEVICE_CLASS + 2;
/// Vector of all devices that interrupt by pin: lines are shared.
pub const PIN_VECTOR: u8 = DEVICE_CLASS + 3;
/// Vector of the network device's queues, by message.
pub const NETWORK_VECTOR: u8 = DEVICE_CLASS + 8;
/// Vector of the network device's configuration changes, by message.
pub const NETWORK_CONFIGURATION_VECTOR: u8 = DEVICE_CLASS + 9;
/// Vector of the block device, by message.
pub const FLASH_VECTOR: u8 = DEVICE_CLASS + 10;
/// Vector of the entropy device, by message.
pub const ENTROPY_VECTOR: u8 = DEVICE_CLASS + 11;

/// How often devices are polled that do not interrupt, or whose interrupts are cut off.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Lines that pins can use: the sixteen devices of the root bus share at most eight.
const PINS_MAX: usize = 8;

/// The I/O APICs: each has lines of its own.
pub type IoApics = heapless::Vec<IoApic<Hardware>, IO_APICS_MAX>;

/// The I/O APICs, and the counts of interrupts that had no reason.
pub struct Interrupts {
    io_apics: IoApics,
    destination: u8,
    /// Lines on which devices interrupt.
    pins: heapless::Vec<u32, PINS_MAX>,
    /// The unexpected interrupts that have been reported.
    reported: Unexpected,
    strangers: Storm,
    messages: Storm,
    lines: Storm,
    /// A device does not interrupt.
    polled: bool,
    /// When the devices that do not interrupt are polled next.
    next_poll: Instant,
    /// Lines were masked, and what happened on them meanwhile has to be looked for.
    look_again: bool,
    log: LogBudget,
    nmi_log: LogBudget,
}

impl Interrupts {
    /// No line is routed yet. `destination` is what devices name the processor by; where they cannot, what they send goes
    /// to all processors, and because that need not arrive, they are polled.
    pub fn new(io_apics: IoApics, destination: Option<u8>) -> Interrupts {
        Interrupts {
            io_apics,
            destination: destination.unwrap_or(EVERYBODY),
            pins: heapless::Vec::new(),
            reported: Unexpected::default(),
            strangers: Storm::new(),
            messages: Storm::new(),
            lines: Storm::new(),
            polled: destination.is_none(),
            next_poll: Instant::BOOT,
            look_again: false,
            log: LogBudget::new(),
            nmi_log: LogBudget::new(),
        }
    }

    /// Routes the line of an ISA device to a vector, and expects interrupts by that vector from now on.
    ///
    /// # Errors
    /// No I/O APIC has such a line.
    pub fn route(&self, gsi: u32, vector: u8, trigger: Trigger, polarity: Polarity) -> Result<(), NoSuchInput> {
        trap::expect(vector);
        let route = Route { vector, destination: self.destination, trigger, polarity, masked: false };
        self.io_apics.iter().find_map(|io_apic| io_apic.route(gsi, route).ok()).ok_or(NoSuchInput { gsi })
    }

    /// Routes the line of a device's pin to [`PIN_VECTOR`].
    ///
    /// # Errors
    /// As [`Interrupts::route`].
    pub fn route_pin(&mut self, gsi: u32, trigger: Trigger) -> Result<(), NoSuchInput> {
        if self.pins.contains(&gsi) {
            return Ok(());
        }
        self.route(gsi, PIN_VECTOR, trigger, Polarity::ActiveHigh)?;
        self.pins.push(gsi).map_err(|gsi| NoSuchInput { gsi })
    }

    /// Polls the devices by the clock from now on, because one of them does not interrupt.
    pub fn poll(&mut self) {
        self.polled = true;
    }

    /// Devices to poll because they do not interrupt, or their interrupts are cut off, in the bits of [`pending_bit`].
    pub fn due_for_polling(&mut self, now: Instant) -> u32 {
        let cut = self.cut();
        if cut == 0 {
            return if core::mem::take(&mut self.look_again) { pending_bit(PIN_VECTOR) } else { 0 };
        }
        if now < self.next_poll {
            return 0;
        }
        self.next_poll = now + POLL_INTERVAL;
        cut
    }

    /// When to call [`Interrupts::due_for_polling`] even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let ends =
            [&self.strangers, &self.messages, &self.lines].into_iter().filter_map(|storm| storm.cut_until()).min();
        if self.cut() == 0 { ends } else { Some(self.next_poll) }
    }

    /// Whether nothing is cut off.
    pub fn is_calm(&self) -> bool {
        self.strangers.cut_until().is_none() && self.cut() == 0
    }

    fn cut(&self) -> u32 {
        if self.polled || self.messages.cut_until().is_some() {
            DEVICE_BITS
        } else if self.lines.cut_until().is_some() {
            pending_bit(PIN_VECTOR)
        } else {
            0
        }
    }

    /// Counts device interrupts that brought no work and interrupts that nobody expected; cuts a source off in a storm,
    /// and lets it through again when its pause is over.
    pub fn guard(&mut self, idle_messages: u32, idle_lines: u32, apic: &LocalApic, now: Instant) {
        let found = trap::unexpected();
        if found != self.reported {
            self.report(found, apic, now);
        }
        if self.messages.note(idle_messages, now) {
            apic.admit(self.admission());
            defmt::warn!(
                "interrupt: devices interrupt without end, looked at by the clock for {=u64} ms",
                self.messages.pause().as_millis()
            );
        }
        if self.lines.note(idle_lines, now) {
            self.mask_lines(true);
            defmt::warn!(
                "interrupt: nobody claims a line that is held, masked for {=u64} ms",
                self.lines.pause().as_millis()
            );
        }
        if self.strangers.pause_ends(now) | self.messages.pause_ends(now) {
            apic.admit(self.admission());
        }
        if self.lines.pause_ends(now) {
            self.mask_lines(false);
            // An I/O APIC forgets the edges of a line that is masked.
            self.look_again = true;
        }
    }

    fn report(&mut self, found: Unexpected, apic: &LocalApic, now: Instant) {
        let more = found.interrupts.wrapping_sub(self.reported.interrupts);
        if more > 0 && self.log.admit("interrupt", now) {
            defmt::warn!(
                "interrupt: nobody expected vector {=u8:#x}, {=u64} such interrupts so far",
                found.last_vector,
                found.interrupts
            );
        }
        if found.nmis != self.reported.nmis && self.nmi_log.admit("nmi", now) {
            defmt::warn!("nmi: ignored, {=u64} so far", found.nmis);
        }
        self.reported = found;
        if self.strangers.note(u32::try_from(more).unwrap_or(u32::MAX), now) {
            apic.admit(self.admission());
            defmt::warn!(
                "interrupt: unexpected vectors are kept out for {=u64} ms",
                self.strangers.pause().as_millis()
            );
        }
    }

    fn admission(&self) -> Admission {
        if self.messages.cut_until().is_some() {
            Admission::Timer
        } else if self.strangers.cut_until().is_some() {
            Admission::Expected
        } else {
            Admission::All
        }
    }

    fn mask_lines(&self, masked: bool) {
        for &gsi in &self.pins {
            if !self.io_apics.iter().any(|io_apic| io_apic.set_masked(gsi, masked).is_ok()) {
                defmt::error!("interrupt: line {=u32}, which was routed, is gone", gsi);
            }
        }
    }
}
