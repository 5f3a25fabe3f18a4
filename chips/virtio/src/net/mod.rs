//! The network device (section 5.1): frames in and out of static buffers, without a copy.
//!
//! One pass of the board's loop: [`Net::receive`] until it says false or enough is enough, [`Net::transmit_with`]
//! likewise, then [`Net::flush`]. When there is nothing to do, [`Net::enable_interrupts`]; if that says true, work came
//! in between and the pass is repeated. Each pass ends with [`Net::tend`], which looks after the device: whether it
//! still sends, whether it is there, and when one that [`Net::is_broken`] is reset and started again. Nothing here
//! waits.

mod buffers;
mod features;
mod report;
mod tend;

use heapless::Vec;
use slopos_registers::{Bus, Hardware};

use buffers::{Buffer, Buffers, Framing};
pub use buffers::{FRAME_MIN, FrameBuffer, NetMemory};
pub use features::MTU_LEAST;
use features::{Agreed, ETHERNET_HEADER, Features};
pub use report::{Broken, Condition, Counters, StartError};
pub use tend::{STALL_US, Tended};

use crate::Physical;
use crate::queue::{AddError, DESCRIPTORS_MAX, Queue, QueueFault, Used};
use crate::recovery::{PAUSE_MIN_US, Recovery};
use crate::transport::{Cause, Doorbell, Health, Interrupts, Messages, Transport, TransportError};
use tend::Waiting;

/// Queue numbers (section 5.1.2).
const RECEIVE_QUEUE: u16 = 0;
const TRANSMIT_QUEUE: u16 = 1;

/// What the board decides.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the device writes to interrupt, where it can; `None` makes it use its pin.
    pub messages: Option<Messages>,
    /// Hardware address for a device that has none: one of the locally administered, unicast.
    pub fallback_mac: [u8; 6],
}

/// One direction: a queue, its doorbell and its buffers.
struct Direction<B: Bus> {
    queue: Queue,
    doorbell: Option<Doorbell<B>>,
    buffers: Buffers,
}

impl<B: Bus> Direction<B> {
    /// Shows the device what was added; true where it was notified.
    fn publish(&mut self) -> bool {
        match &self.doorbell {
            Some(doorbell) if self.queue.publish() => {
                doorbell.ring();
                true
            }
            _ => false,
        }
    }
}

/// A network device.
pub struct Net<B: Bus = Hardware> {
    transport: Transport<B>,
    receive: Direction<B>,
    transmit: Direction<B>,
    /// Transmit buffers that the device does not have.
    transmit_free: Vec<u8, DESCRIPTORS_MAX>,
    fallback_mac: [u8; 6],
    features: Features,
    framing: Framing,
    mac: [u8; 6],
    mtu: u16,
    link_up: bool,
    /// Where the device has frames to send.
    waiting: Option<Waiting>,
    /// When the device's status was looked at last, in microseconds.
    looked_us: u64,
    broken: Option<Broken>,
    /// The last line in the log about a device that is of no use.
    logged: Option<Broken>,
    recovery: Recovery,
    /// Whether it has ever worked.
    proven: bool,
    counters: Counters,
}

impl<B: Bus> Net<B> {
    /// Takes a network device, and begins to start it at `now_us`; most devices work when this returns. One that does
    /// not is tried again as any that breaks down: see [`Net::tend`].
    pub fn start<const RX: usize, const TX: usize, const FRAME: usize>(
        mut transport: Transport<B>,
        memory: &'static mut NetMemory<RX, TX, FRAME>,
        physical: Physical,
        options: Options,
        now_us: u64,
    ) -> Self {
        let NetMemory { receive_queue, transmit_queue, receive, transmit } = memory;
        transport.choose_interrupts(options.messages);
        let direction = |queue, buffers| Direction { queue: Queue::new(queue, physical), doorbell: None, buffers };
        let mut net = Net {
            transport,
            receive: direction(receive_queue, Buffers::new(receive, physical)),
            transmit: direction(transmit_queue, Buffers::new(transmit, physical)),
            transmit_free: Vec::new(),
            fallback_mac: options.fallback_mac,
            features: Features::default(),
            framing: Framing::Modern,
            mac: [0; 6],
            mtu: 0,
            link_up: false,
            waiting: None,
            looked_us: now_us,
            broken: Some(Broken::New),
            logged: None,
            recovery: Recovery::new(now_us, PAUSE_MIN_US),
            proven: false,
            counters: Counters::default(),
        };
        // The caller asks the value how the device is.
        let _ = net.tend(false, now_us);
        net
    }

    fn set_up(&mut self) -> Result<(), StartError> {
        let frame = self.receive.buffers.frame_size();
        let Agreed { features, mac, mtu, framing } = features::agree(&self.transport, frame, self.fallback_mac)?;
        self.features = features;
        self.mac = mac;
        self.mtu = mtu;
        self.framing = framing;
        let receive_size = self.set_queue(RECEIVE_QUEUE)?;
        let transmit_size = self.set_queue(TRANSMIT_QUEUE)?;

        self.transmit_free.clear();
        for (token, _) in self.transmit.buffers.all().rev() {
            self.transmit_free.push(token).map_err(|_| StartError::NotPosted(AddError::Full))?;
        }
        // Before the device runs, so that it drops no frame for want of a buffer.
        for (token, buffer) in self.receive.buffers.all() {
            if self.receive.queue.free() < framing.descriptors() {
                break;
            }
            self.post(token, buffer).map_err(StartError::NotPosted)?;
        }
        // Shown before DRIVER_OK and announced after it: section 3.1.1 forbids a notification before.
        let notify = self.receive.queue.publish();
        self.transport.run();
        if let Some(doorbell) = self.receive.doorbell.as_ref().filter(|_| notify) {
            doorbell.ring();
            self.counters.notifications += 1;
        }
        self.link_up = features::link_up(&self.transport, features)?;
        let interrupts = match self.transport.interrupts() {
            Interrupts::Off => "none",
            Interrupts::Pin => "intx",
            Interrupts::Messages => "msix",
        };
        defmt::info!(
            "virtio-net: ready mac={=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x} transport={=str} \
             queues={=u16}/{=u16} mtu={=u16} interrupts={=str}",
            mac[0],
            mac[1],
            mac[2],
            mac[3],
            mac[4],
            mac[5],
            self.transport.name(),
            receive_size,
            transmit_size,
            mtu,
            interrupts
        );
        Ok(())
    }

    /// Sets a queue up and tells the device where it is; gives its size.
    fn set_queue(&mut self, number: u16) -> Result<u16, StartError> {
        let size = self.transport.queue_size(number)?;
        if size < self.framing.descriptors() {
            return Err(StartError::QueueTooSmall { queue: number, size });
        }
        let direction = if number == RECEIVE_QUEUE { &mut self.receive } else { &mut self.transmit };
        direction
            .queue
            .set_up(size, self.features.ring_event_idx())
            .map_err(|_| TransportError::BadQueueSize { queue: number, size })?;
        direction.doorbell = Some(self.transport.set_queue(number, size, direction.queue.addresses())?);
        Ok(size)
    }

    /// Gives a receive buffer to the device, at the next [`Net::flush`].
    fn post(&mut self, token: u8, buffer: Buffer) -> Result<(), AddError> {
        let direction = &mut self.receive;
        let segments = direction.buffers.segments(buffer, self.framing, direction.buffers.frame_size(), true);
        direction.queue.add(token, segments.as_slice())
    }

    /// Hardware address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Largest payload of an Ethernet frame, in bytes.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Whether the link is up, as of the last [`Net::service_configuration`]; that of a device of no use is not.
    pub fn link_up(&self) -> bool {
        self.link_up && self.broken.is_none()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How the device interrupts.
    pub fn interrupts(&self) -> Interrupts {
        self.transport.interrupts()
    }

    /// The global system interrupt of the device's pin, level-triggered and shared, where it interrupts by that.
    pub fn interrupt_gsi(&self) -> Option<u32> {
        self.transport.interrupt_gsi()
    }

    /// Why the device is of no use at present, if it is.
    pub fn is_broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Takes one frame from the device, hands it to `work` without copying it, and gives the buffer back at the next
    /// [`Net::flush`]. False where there is none, or the device is broken. A frame that is dropped counts as one, so
    /// that a bounded number of calls is a bounded amount of work.
    pub fn receive(&mut self, work: impl FnOnce(&[u8])) -> bool {
        let Some((Used { token, length }, buffer)) = self.next_received() else {
            return false;
        };
        // SAFETY: it is one of the receive buffers. Its token came back from the used ring, which gives each back
        // once, and the buffer is posted again only below: the device does not have it while this slice lives.
        let filled = unsafe { self.receive.buffers.filled(buffer, self.framing) };
        let Some(written) = filled.get(..length as usize) else {
            // The queue holds the length against the same room, so this is found there.
            let fault = QueueFault::TooLong { claimed: length, writable: filled.len() as u32 };
            self.break_down(Broken::Receive(fault));
            return false;
        };
        match written.split_at_checked(self.framing.header()) {
            // VIRTIO_NET_HDR_GSO_NONE is 0. Anything else is a packet to be cut up, or with a checksum left out.
            Some(([_flags, gso_type, ..], frame)) if frame.len() >= ETHERNET_HEADER => {
                if *gso_type == 0 {
                    self.recovery.made_progress();
                    self.counters.received += 1;
                    self.counters.received_bytes += frame.len() as u64;
                    work(frame);
                } else {
                    self.counters.received_offloaded += 1;
                }
            }
            _ => self.counters.received_short += 1,
        }
        if let Err(error) = self.post(token, buffer) {
            self.break_down(Broken::NotPosted(error));
        }
        true
    }

    /// The next buffer that the device has filled.
    fn next_received(&mut self) -> Option<(Used, Buffer)> {
        if self.broken.is_some() {
            return None;
        }
        let fault = match self.receive.queue.pop()? {
            Ok(used) => match self.receive.buffers.get(used.token) {
                Some(buffer) => return Some((used, buffer)),
                None => QueueFault::UnknownToken { token: used.token },
            },
            Err(fault) => fault,
        };
        self.break_down(Broken::Receive(fault));
        None
    }

    /// When a transmit buffer is free, calls `build` with it (longer than a frame may be; see [`Net::mtu`]), and gives
    /// the frame of the length that `build` returns to the device at the next [`Net::flush`]. False where no buffer is
    /// free, `build` has nothing to send, or the device is broken.
    pub fn transmit_with(&mut self, build: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if !self.can_transmit() {
            return false;
        }
        let Some(&token) = self.transmit_free.last() else {
            return false;
        };
        let Some(buffer) = self.transmit.buffers.get(token) else {
            self.break_down(Broken::Transmit(QueueFault::UnknownToken { token }));
            return false;
        };
        // SAFETY: it is one of the transmit buffers, and on the free list: its token came back from the used
        // ring, which gives each back once, or it was never given to the device since the last reset.
        let frame = unsafe { self.transmit.buffers.frame(buffer) };
        match build(frame) {
            Some(length) => self.send(token, buffer, length),
            None => false,
        }
    }

    /// Whether a frame could be given to the device now; reclaims buffers where that is needed.
    pub fn can_transmit(&mut self) -> bool {
        let room = |net: &Self| !net.transmit_free.is_empty() && net.transmit.queue.free() >= net.framing.descriptors();
        if !room(self) {
            self.reclaim();
        }
        self.broken.is_none() && room(self)
    }

    fn send(&mut self, token: u8, buffer: Buffer, length: usize) -> bool {
        let lengths = ETHERNET_HEADER..=usize::from(self.mtu) + ETHERNET_HEADER;
        let Some(length) = u16::try_from(length).ok().filter(|length| lengths.contains(&usize::from(*length))) else {
            self.counters.transmit_refused += 1;
            return false;
        };
        // SAFETY: as in `transmit_with`; the buffer is still on the free list, and what `build` got is gone.
        unsafe { self.transmit.buffers.clear_header(buffer) };
        let segments = self.transmit.buffers.segments(buffer, self.framing, length, false);
        match self.transmit.queue.add(token, segments.as_slice()) {
            Ok(()) => {
                self.transmit_free.pop();
                self.counters.transmitted += 1;
                self.counters.transmitted_bytes += u64::from(length);
                true
            }
            Err(error) => {
                self.break_down(Broken::NotPosted(error));
                false
            }
        }
    }

    /// Buffers that the device has to receive frames into.
    pub fn receiving(&self) -> u16 {
        self.receive.queue.in_flight()
    }

    /// Frames that were given to the device and are not known to be sent; see [`Net::reclaim`].
    pub fn transmitting(&self) -> u16 {
        self.transmit.queue.in_flight()
    }

    /// Takes back the transmit buffers whose frames have been sent.
    pub fn reclaim(&mut self) {
        while self.broken.is_none() {
            match self.transmit.queue.pop() {
                None => break,
                Some(Ok(used)) => {
                    self.recovery.made_progress();
                    // Each token is on the list or with the device, so there is room for it.
                    if let Err(token) = self.transmit_free.push(used.token) {
                        self.break_down(Broken::Transmit(QueueFault::UnknownToken { token }));
                    }
                }
                Some(Err(fault)) => self.break_down(Broken::Transmit(fault)),
            }
        }
    }

    /// Shows the device the frames to send and the buffers to fill, with one notification for each direction at most,
    /// and none where the device looks by itself.
    pub fn flush(&mut self) {
        if self.broken.is_some() {
            return;
        }
        self.counters.notifications += u64::from(self.transmit.publish());
        self.counters.notifications += u64::from(self.receive.publish());
    }

    /// Asks for an interrupt when a frame arrives and, where no transmit buffer is free, when half of them have been
    /// sent. True where there is work already, for which none may come.
    #[must_use = "what is waiting already may never interrupt"]
    pub fn enable_interrupts(&mut self) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let received = self.receive.queue.enable_interrupts(1);
        let room = !self.transmit_free.is_empty() && self.transmit.queue.free() >= self.framing.descriptors();
        let sent = if room {
            self.transmit.queue.disable_interrupts();
            false
        } else {
            let half = self.transmit.queue.in_flight().div_ceil(2);
            self.transmit.queue.enable_interrupts(half)
        };
        received || sent
    }

    /// Asks for no interrupts. One may still come: this is advice to the device.
    pub fn disable_interrupts(&mut self) {
        if self.broken.is_none() {
            self.receive.queue.disable_interrupts();
            self.transmit.queue.disable_interrupts();
        }
    }

    /// To be called for each interrupt of the device: lowers its pin and says why. With messages see
    /// [`Transport::acknowledge_interrupt`].
    pub fn acknowledge_interrupt(&mut self) -> Cause {
        self.transport.acknowledge_interrupt()
    }

    /// Looks at the device's configuration after it says that it has changed. True where the link went up or down.
    pub fn service_configuration(&mut self) -> bool {
        if self.broken.is_some() {
            return false;
        }
        if !self.is_healthy() {
            return false;
        }
        match features::link_up(&self.transport, self.features) {
            Ok(link_up) => {
                let changed = link_up != self.link_up;
                self.link_up = link_up;
                if changed {
                    defmt::info!("virtio-net: link up={=bool}", link_up);
                }
                changed
            }
            Err(error) => {
                self.break_down(Broken::Configuration(error));
                false
            }
        }
    }

    /// The device is of no use from now on. It is kept from memory at once; [`Net::tend`] sees to the rest.
    fn break_down(&mut self, broken: Broken) {
        self.waiting = None;
        self.broken = Some(broken);
        self.counters.faults += 1;
        self.transport.cut_off();
    }

    /// Whether the device runs; where it does not, it is broken from now on.
    fn is_healthy(&mut self) -> bool {
        let broken = match self.transport.health() {
            Health::Running => return true,
            Health::NeedsReset => Broken::NeedsReset,
            Health::Stopped => Broken::Stopped,
            Health::Gone => Broken::Gone,
        };
        self.break_down(broken);
        false
    }
}

#[cfg(test)]
mod tests;
