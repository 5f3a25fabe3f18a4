//! The entropy device (section 5.4): a handful of random bytes, once, at boot.
//!
//! Nothing waits: [`Rng::start`] begins, [`Rng::poll`] is asked until it has the bytes or says that there will be none.
//! How long that may take is for the caller to say; [`Rng::give_up`] ends it. Afterwards the device is off.

use core::ptr::NonNull;

use bitfield::bitfield;
use slopos_registers::{Bus, Hardware};

use crate::Physical;
use crate::queue::{AddError, Queue, QueueFault, QueueMemory, Segment, Used};
use crate::transport::{Doorbell, ResetProgress, Transport, TransportError};

/// Bytes that the device is asked for: two seeds.
pub const BYTES: usize = 64;
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

/// Why there will be no bytes. The device is off.
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
    /// It was given up.
    GivenUp,
}

impl From<TransportError> for RngError {
    fn from(error: TransportError) -> Self {
        RngError::Transport(error)
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Resetting,
    Asked,
    Over,
}

/// What [`Rng::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// Nothing yet.
    Pending,
    /// The bytes that were asked for, or the first so many of them; the rest are zeros.
    Bytes([u8; BYTES], usize),
    /// There will be none.
    Failed(RngError),
}

/// An entropy device.
pub struct Rng<B: Bus = Hardware> {
    transport: Transport<B>,
    queue: Queue,
    doorbell: Option<Doorbell<B>>,
    bytes: NonNull<[u8; BYTES]>,
    physical: u64,
    stage: Stage,
}

// SAFETY: the bytes are static memory reached through this value alone; any thread may hold it.
unsafe impl<B: Bus + Send> Send for Rng<B> {}

impl<B: Bus> Rng<B> {
    /// Begins to ask a device, which does not interrupt.
    pub fn start(transport: Transport<B>, memory: &'static mut RngMemory, physical: Physical) -> Self {
        let RngMemory { queue, bytes } = memory;
        let bytes = NonNull::from(bytes);
        // Devices reach the memory by its address.
        bytes.as_ptr().expose_provenance();
        let physical_bytes = physical(bytes.as_ptr().cast_const().cast());
        let queue = Queue::new(queue, physical);
        transport.start_reset();
        Rng { transport, queue, doorbell: None, bytes, physical: physical_bytes, stage: Stage::Resetting }
    }

    /// Looks once. After [`Drawn::Bytes`] or [`Drawn::Failed`] it is over.
    pub fn poll(&mut self) -> Drawn {
        match self.step() {
            Ok(None) => Drawn::Pending,
            Ok(Some(Used { length, .. })) => {
                let bytes = self.take();
                self.end();
                let length = (length as usize).min(BYTES);
                match length {
                    0 => Drawn::Failed(RngError::Nothing),
                    _ => Drawn::Bytes(bytes, length),
                }
            }
            Err(error) => {
                self.end();
                Drawn::Failed(error)
            }
        }
    }

    /// The caller waits no longer: the device is switched off.
    pub fn give_up(&mut self) {
        self.end();
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn step(&mut self) -> Result<Option<Used>, RngError> {
        match self.stage {
            Stage::Over => Err(RngError::GivenUp),
            Stage::Resetting => {
                match self.transport.reset_progress() {
                    ResetProgress::Done => {
                        self.ask()?;
                        self.stage = Stage::Asked;
                    }
                    ResetProgress::Pending => {}
                    ResetProgress::Gone => return Err(TransportError::Gone.into()),
                }
                Ok(None)
            }
            Stage::Asked => self.queue.pop().transpose().map_err(RngError::Fault),
        }
    }

    /// The steps of section 3.1.1 after the reset, and the request (section 5.4.6).
    fn ask(&mut self) -> Result<(), RngError> {
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
        self.doorbell = Some(self.transport.set_queue(QUEUE, size, self.queue.addresses())?);
        self.queue.disable_interrupts();
        let segment = Segment { address: self.physical, length: BYTES as u32, writable: true };
        self.queue.add(REQUEST, &[segment]).map_err(RngError::NotQueued)?;
        let notify = self.queue.publish();
        self.transport.run();
        if let Some(doorbell) = self.doorbell.as_ref().filter(|_| notify) {
            doorbell.ring();
        }
        Ok(())
    }

    /// The bytes, of which nothing is left here.
    fn take(&mut self) -> [u8; BYTES] {
        // SAFETY: the memory is static and the request has come back from the used ring, which gives it back once, so
        // the device does not have it; volatile, because the device may write all the same.
        unsafe {
            let bytes = self.bytes.as_ptr().read_volatile();
            self.bytes.as_ptr().write_volatile([0; BYTES]);
            bytes
        }
    }

    /// Switches the device off, and asks it to forget the memory.
    fn end(&mut self) {
        if self.stage != Stage::Over {
            self.stage = Stage::Over;
            self.transport.cut_off();
            self.transport.start_reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, LIES, Subject, VERSION_1, physical};
    use crate::transport::Kind;

    fn device(modern: bool) -> &'static Fake {
        let fake = if modern { Fake::new(0x1044, true, false) } else { Fake::new(0x1005, false, true) };
        fake.state().offered = if modern { VERSION_1 | 0xf } else { 0xf };
        fake
    }

    fn start(fake: &'static Fake) -> Rng<&'static Fake> {
        Rng::start(fake.transport(), Box::leak(Box::new(RngMemory::new())), physical)
    }

    /// The device answers with these bytes, and claims so many.
    fn answer(fake: &Fake, bytes: &[u8], claim: u32) {
        let mut state = fake.state();
        let side = state.side(0);
        let chain = side.take().expect("a request");
        assert_eq!(chain.room(), BYTES as u32);
        chain.write(bytes);
        side.complete(chain.head.into(), claim, false);
    }

    fn chance() -> [u8; BYTES] {
        core::array::from_fn(|index| (index * 7 + 3) as u8)
    }

    #[test]
    fn either_kind_of_device_is_found_and_asked_once() {
        for modern in [true, false] {
            let fake = device(modern);
            assert_eq!(fake.probe().unwrap().unwrap().kind(), Kind::Entropy);
            let mut rng = start(fake);
            assert_eq!(rng.poll(), Drawn::Pending);
            assert_eq!(fake.state().accepted, if modern { VERSION_1 } else { 0 });
            assert_eq!(fake.state().notifications(0), 1);
            assert_eq!([rng.poll(), rng.poll()], [Drawn::Pending; 2]);
            answer(fake, &chance(), 64);
            assert_eq!(rng.poll(), Drawn::Bytes(chance(), 64));
            assert_eq!((rng.poll(), rng.is_over()), (Drawn::Failed(RngError::GivenUp), true));
            let state = fake.state();
            assert_eq!((state.command() & 4, state.status), (0, 0), "it is off");
        }
    }

    #[test]
    fn a_device_that_gives_less_than_it_was_asked_for_gives_that() {
        for (claim, drawn) in [
            (0, Drawn::Failed(RngError::Nothing)),
            (1, Drawn::Bytes(core::array::from_fn(|index| if index == 0 { 3 } else { 0 }), 1)),
        ] {
            let fake = device(true);
            let mut rng = start(fake);
            assert_eq!(rng.poll(), Drawn::Pending);
            answer(fake, &chance()[..claim], claim as u32);
            assert_eq!(rng.poll(), drawn);
        }
    }

    #[test]
    fn a_device_without_a_configuration_of_its_own_is_driven() {
        let fake = device(true);
        // The capability of the device's configuration is another's: an entropy device has no such configuration.
        fake.state().put(crate::fake::capability(4) + 3, &[5]);
        let mut rng = start(fake);
        assert_eq!(rng.poll(), Drawn::Pending);
        answer(fake, &chance(), 64);
        assert_eq!(rng.poll(), Drawn::Bytes(chance(), 64));
    }

    #[test]
    fn a_device_that_hangs_is_gone_or_lies_gives_nothing() {
        let fake = device(true);
        fake.state().stuck = true;
        let mut rng = start(fake);
        for _ in 0..1_000 {
            let before = fake.state().status_reads;
            assert_eq!(rng.poll(), Drawn::Pending);
            assert_eq!(fake.state().status_reads, before + 1, "one look, no more");
        }
        rng.give_up();
        assert_eq!((rng.poll(), fake.state().command() & 4), (Drawn::Failed(RngError::GivenUp), 0));

        let fake = device(true);
        let mut rng = start(fake);
        fake.state().gone = true;
        assert_eq!(rng.poll(), Drawn::Failed(RngError::Transport(TransportError::Gone)));

        let fake = device(true);
        fake.state().offered = 0;
        let mut rng = start(fake);
        assert_eq!(rng.poll(), Drawn::Failed(RngError::NotVersion1));

        for lie in LIES {
            let fake = device(true);
            let mut rng = start(fake);
            assert_eq!(rng.poll(), Drawn::Pending);
            let mut state = fake.state();
            let side = state.side(0);
            let chain = side.take().unwrap();
            lie.tell(side, &Subject { chain: &chain, honest: 64, other: 1, outstanding: 1 });
            drop(state);
            assert!(matches!(rng.poll(), Drawn::Failed(RngError::Fault(fault)) if lie.is_found_as(fault)), "{lie:?}");
        }
    }
}
