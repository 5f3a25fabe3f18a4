//! Joins the entropy device and the capsule that gives its bytes to processes.
//!
//! At boot the device is asked for the seed of the kernel's own secrets; where the manifest gives no process random
//! bytes, it is switched off afterwards, and nothing of this costs anything.

use crate::flash::Answered;
use crate::interrupts::{ENTROPY_VECTOR, PIN_VECTOR};
use crate::statics::{self, ENTROPY};
use slopos_abi::limits::ENTROPY_BUFFER;
use slopos_kernel::grant::Grant;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::time::Instant;
use slopos_virtio::rng::{BYTES, Drawn, Rng};
use slopos_x86_64::trap::pending_bit;

// A process's buffer is filled by one request.
const _: () = assert!(*ENTROPY_BUFFER.end() <= BYTES);
/// Interrupts that can be the device's.
const INTERRUPTS: u32 = pending_bit(ENTROPY_VECTOR) | pending_bit(PIN_VECTOR);

/// The entropy capsule and the device behind it.
pub struct Entropy {
    /// The buffers of the processes.
    pub capsule: slopos_entropy::Entropy<'static>,
    device: Option<Rng>,
    /// Whether the device is still needed for the kernel's seed. Processes wait until then.
    seeding: bool,
}

impl Entropy {
    /// The capsule on this device, if there is one. To be called once.
    pub fn new(device: Option<Rng>) -> Entropy {
        let capsule = slopos_entropy::Entropy::new(Grant::new(statics::entropy_grants()), device.is_some());
        Entropy { capsule, seeding: device.is_some(), device }
    }

    /// Whether there is a device.
    pub fn has_device(&self) -> bool {
        self.device.is_some()
    }

    /// Moves the device's answer for the kernel's seed to `into` once it has come; asks again if the device was not
    /// ready.
    pub fn draw_for_seed(&mut self, into: &mut [u8; BYTES], now: Instant) -> Drawn {
        let Some(device) = &mut self.device else { return Drawn::Pending };
        let drawn = device.poll(into, now.as_micros());
        if drawn == Drawn::Pending {
            device.ask(BYTES, now.as_micros());
        }
        drawn
    }

    /// The kernel has its seed, or waits no longer for it: from now on the device is the processes'.
    pub fn end_of_seed(&mut self) {
        self.seeding = false;
        if !ENTROPY && let Some(device) = self.device.take() {
            device.switch_off();
        }
    }

    /// Whether nobody waits and the device works.
    pub fn is_idle(&self) -> bool {
        !ENTROPY || self.capsule.is_idle() && self.device.as_ref().is_none_or(Rng::can_ask)
    }

    /// When there is work even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let device = self.device.as_ref().filter(|_| !self.is_idle())?;
        let looks = device.due_us().map(Instant::from_micros);
        [looks, self.capsule.next_deadline()].into_iter().flatten().min()
    }

    /// Moves what the device gave to the process whose turn it is, asks for more where somebody waits, and ends reads
    /// that take too long.
    pub fn step(&mut self, arrived: u32, pending: u32, kernel: &mut Kernel, now: Instant) -> Answered {
        if !ENTROPY || pending & INTERRUPTS == 0 && self.is_idle() {
            return Answered::default();
        }
        self.work(arrived, pending, kernel, now)
    }

    // A function of its own, so that it costs nothing when there is nothing to do.
    // book: the board's step
    #[inline(never)]
    fn work(&mut self, arrived: u32, pending: u32, kernel: &mut Kernel, now: Instant) -> Answered {
        let Entropy { capsule, device: Some(device), seeding } = self else { return Answered::default() };
        let mut answered = Answered::default();
        if pending & INTERRUPTS != 0 && device.interrupt_gsi().is_some() {
            let cause = device.acknowledge_interrupt();
            answered.line = cause.queues || cause.configuration;
        }
        if *seeding {
            return answered;
        }
        let mut drawn = Drawn::Pending;
        capsule.supply(|room| {
            drawn = device.poll(room, now.as_micros());
            if let Drawn::Bytes(count) = drawn { count } else { 0 }
        });
        capsule.expire(now);
        if let Some(count) = capsule.wanted() {
            device.ask(count, now.as_micros());
        }
        kernel.wake(capsule.take_ready());
        answered.idle_message = arrived & pending_bit(ENTROPY_VECTOR) != 0 && !matches!(drawn, Drawn::Bytes(_));
        answered
    }
    // book: end
}
