//! The entropy device (section 5.4): random bytes, a few at a time, for a kernel that never waits.
//!
//! [`Rng::ask`] gives the device a request, [`Rng::poll`] takes its answer and looks after the device. A device that keeps
//! a request for [`ANSWER_US`], breaks the rules of the queue or answers with nothing is reset and started again, after a
//! pause that grows ([`crate::recovery`]).
//!
//! The device writes into the driver's own buffer, because it may still answer a request that was given up. What it
//! wrote is moved to where it is wanted, and nothing is left in the buffer.

use core::ptr::NonNull;

use bitfield::bitfield;
use slopos_registers::{Bus, Hardware};

use crate::Physical;
use crate::queue::{AddError, Queue, QueueFault, QueueMemory, Segment};
use crate::recovery::Recovery;
use crate::transport::{Cause, Doorbell, Interrupts, Recovered, Transport, TransportError};

/// Most bytes that the device is asked for at a time: two seeds of the kernel.
pub const BYTES: usize = 64;
/// How long the device may keep a request, in microseconds. A host that gives out its entropy slowly takes its time.
pub const ANSWER_US: u64 = 10_000_000;
/// The only queue.
const QUEUE: u16 = 0;
/// The driver's name for its only request.
const REQUEST: u8 = 0;

bitfield! {
    /// Feature bits of an entropy device (section 6); it has none of its own.
    #[derive(Clone, Copy)]
    struct Features(u64);
    /// VIRTIO_F_VERSION_1.
    version_1, set_version_1: 32;
}

/// The static memory of an entropy device. All zeros is a valid start.
#[repr(C)]
pub struct RngMemory {
    queue: QueueMemory,
    bytes: [u8; BYTES],
}

impl RngMemory {
    /// Memory for an entropy device, all zeros.
    pub const fn new() -> Self {
        RngMemory { queue: QueueMemory::new(), bytes: [0; BYTES] }
    }
}

impl Default for RngMemory {
    fn default() -> Self {
        RngMemory::new()
    }
}

/// Why the device gave no bytes. It is reset, and tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum RngError {
    /// The transport failed.
    Transport(TransportError),
    /// A modern device that does not offer VIRTIO_F_VERSION_1: it contradicts itself.
    NotVersion1,
    /// The request could not be queued.
    NotQueued(AddError),
    /// The device broke the rules of the queue.
    Fault(QueueFault),
    /// The device says that it has answered, and gave nothing.
    Nothing,
    /// It did not answer within [`ANSWER_US`].
    Timeout,
}

impl From<TransportError> for RngError {
    fn from(error: TransportError) -> Self {
        RngError::Transport(error)
    }
}

impl From<QueueFault> for RngError {
    fn from(fault: QueueFault) -> Self {
        RngError::Fault(fault)
    }
}

/// What [`Rng::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// Nothing yet.
    Pending,
    /// So many bytes, at least one, unless there was no room for any.
    Bytes(usize),
    /// There will be no answer to what was asked. Told once for each failure.
    Failed(RngError),
}

/// An entropy device.
pub struct Rng<B: Bus = Hardware> {
    transport: Transport<B>,
    queue: Queue,
    doorbell: Option<Doorbell<B>>,
    bytes: NonNull<[u8; BYTES]>,
    physical: u64,
    /// Since when the device has a request, in microseconds.
    asked_us: Option<u64>,
    recovery: Recovery,
    /// The last line in the log about a device that is broken.
    logged: Option<RngError>,
}

// SAFETY: the bytes are static memory reached through this value alone; any thread may hold it.
unsafe impl<B: Bus + Send> Send for Rng<B> {}

impl<B: Bus> Rng<B> {
    /// Takes an entropy device over and begins to start it. It interrupts as its transport has been told to. `now_us` is
    /// any clock that does not go back.
    pub fn start(transport: Transport<B>, memory: &'static mut RngMemory, physical: Physical, now_us: u64) -> Self {
        let RngMemory { queue, bytes } = memory;
        let bytes = NonNull::from(bytes);
        // Devices reach the memory by its address.
        bytes.as_ptr().expose_provenance();
        let physical_bytes = physical(bytes.as_ptr().cast_const().cast());
        let queue = Queue::new(queue, physical);
        let recovery = Recovery::new(now_us, 0);
        let mut rng = Rng {
            transport,
            queue,
            doorbell: None,
            bytes,
            physical: physical_bytes,
            asked_us: None,
            recovery,
            logged: None,
        };
        // Should it fail, the first poll has the next try; the log has the reason.
        let _: Drawn = rng.recover(now_us);
        rng
    }

    /// Whether it runs and has no request: [`Rng::ask`] would take one, and [`Rng::poll`] does nothing.
    pub fn can_ask(&self) -> bool {
        self.recovery.is_working() && self.asked_us.is_none()
    }

    /// Asks the device for so many bytes, [`BYTES`] at most (section 5.4.6). Nothing happens if it takes no request now.
    pub fn ask(&mut self, length: usize, now_us: u64) {
        if !self.can_ask() || length == 0 {
            return;
        }
        let length = length.min(BYTES) as u32;
        if let Err(error) = self.queue.add(REQUEST, &[Segment { address: self.physical, length, writable: true }]) {
            self.break_down(RngError::NotQueued(error), now_us);
            return;
        }
        self.asked_us = Some(now_us);
        if self.queue.publish() {
            self.doorbell.iter().for_each(Doorbell::ring);
        }
    }

    /// Moves the answer, if it has come, to the start of `into`; what finds no room there is wiped. Also gives up a
    /// device that does not answer, and brings a broken one back.
    pub fn poll(&mut self, into: &mut [u8], now_us: u64) -> Drawn {
        let Some(asked_us) = self.asked_us else { return self.recover(now_us) };
        let answer = match self.queue.pop() {
            Some(Ok(used)) if used.token != REQUEST => Err(QueueFault::UnknownToken { token: used.token }.into()),
            Some(Ok(used)) if used.length == 0 => Err(RngError::Nothing),
            Some(Ok(used)) => Ok(used.length as usize),
            Some(Err(fault)) => Err(fault.into()),
            None if now_us.saturating_sub(asked_us) >= ANSWER_US => Err(RngError::Timeout),
            None => return Drawn::Pending,
        };
        match answer {
            Ok(length) => {
                self.asked_us = None;
                self.recovery.made_progress_at(now_us);
                Drawn::Bytes(self.take(length, into))
            }
            Err(error) => {
                self.break_down(error, now_us);
                Drawn::Failed(error)
            }
        }
    }

    /// When [`Rng::poll`] has something to do even if nothing happens.
    pub fn due_us(&self) -> Option<u64> {
        self.asked_us.map(|asked_us| asked_us.saturating_add(ANSWER_US)).or(self.recovery.due_us())
    }

    /// How the device interrupts.
    pub fn interrupts(&self) -> Interrupts {
        self.transport.interrupts()
    }

    /// The global system interrupt of the device's pin, level-triggered and shared, where it interrupts by that.
    pub fn interrupt_gsi(&self) -> Option<u32> {
        self.transport.interrupt_gsi()
    }

    /// Why the device interrupted by its pin, which is lowered by this; by message it always says "queues".
    pub fn acknowledge_interrupt(&self) -> Cause {
        self.transport.acknowledge_interrupt()
    }

    /// Switches the device off for good, and tells it to forget the memory.
    pub fn switch_off(self) {
        self.transport.cut_off();
        self.transport.start_reset();
    }

    /// The steps of section 3.1.1 after the reset.
    fn set_up(&mut self) -> Result<(), RngError> {
        self.transport.announce_driver()?;
        let offered = Features(self.transport.offered());
        let mut features = Features(0);
        if self.transport.is_modern() {
            if !offered.version_1() {
                return Err(RngError::NotVersion1);
            }
            features.set_version_1(true);
        }
        self.transport.accept(features.0)?;
        let size = self.transport.queue_size(QUEUE)?;
        self.queue.set_up(size, false).map_err(|_| TransportError::BadQueueSize { queue: QUEUE, size })?;
        if self.transport.interrupts() != Interrupts::Off {
            // Nothing is with the device yet, so nothing can have been missed.
            let _: bool = self.queue.enable_interrupts(1);
        }
        self.doorbell = Some(self.transport.set_queue(QUEUE, size, self.queue.addresses())?);
        self.transport.run();
        Ok(())
    }

    /// Brings a broken device back, as far as it is time for that.
    fn recover(&mut self, now_us: u64) -> Drawn {
        loop {
            let started = match self.transport.recover(&mut self.recovery, now_us) {
                Recovered::Rest => return Drawn::Pending,
                Recovered::Reset if !self.recovery.may_start(now_us) => continue,
                Recovered::Reset => self.set_up(),
                Recovered::Timeout => Err(TransportError::ResetTimeout.into()),
                Recovered::Gone => Err(TransportError::Gone.into()),
            };
            match started {
                Ok(()) => {
                    self.logged = None;
                    self.recovery.works(now_us);
                }
                Err(error) => {
                    // What it may still do, it does without the memory.
                    self.transport.cut_off();
                    self.log_once(error);
                    self.recovery.failed(now_us);
                    return Drawn::Failed(error);
                }
            }
        }
    }

    /// Takes the device out of service: it is told to reset itself at once, so that it no longer has the buffer.
    fn break_down(&mut self, error: RngError, now_us: u64) {
        self.asked_us = None;
        self.log_once(error);
        self.transport.start_reset();
        self.recovery.reset_now(now_us);
    }

    fn log_once(&mut self, error: RngError) {
        if self.logged != Some(error) {
            self.logged = Some(error);
            defmt::error!("virtio-rng: {}", error);
        }
    }

    /// Moves the first `length` bytes of the buffer to `into`, as many as fit, and leaves nothing in the buffer.
    fn take(&mut self, length: usize, into: &mut [u8]) -> usize {
        let first = self.bytes.as_ptr().cast::<u8>();
        let count = length.min(into.len()).min(BYTES);
        for index in 0..BYTES {
            // SAFETY: the index is within the static buffer, and the request has come back from the used ring, so the
            // device does not have it; volatile, because the device may write all the same.
            let byte = unsafe {
                let at = first.add(index);
                let byte = at.read_volatile();
                at.write_volatile(0);
                byte
            };
            if let Some(to) = into.get_mut(index).filter(|_| index < count) {
                *to = byte;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests;
