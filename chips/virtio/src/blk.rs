//! The block device (section 5.2), for a kernel that never waits: requests are submitted, and come back later.
//!
//! Data passes through the driver's own buffers. A request that is given up may be carried out late; then the device
//! reads and writes there and not in memory that its owner already uses otherwise, and the buffer is not used again
//! before the device has been reset.
//!
//! A device that answers nothing for [`STALL_US`], keeps one request for [`REQUEST_LIMIT_US`] or breaks the rules of
//! the queue is reset and started again ([`Block::tend`]); what it had comes back as an error.

mod request;
mod tend;

use core::ptr::NonNull;

use bitfield::bitfield;
use slopos_registers::{Bus, Hardware};

use crate::Physical;
use crate::queue::{Queue, QueueFault, QueueMemory, Segment, Used};
use crate::recovery::Recovery;
use crate::transport::{Cause, Doorbell, Interrupts, Messages, Transport, TransportError};
pub use request::{BlockError, REQUEST_BYTES, REQUESTS, SECTOR_BYTES};
use request::{Request, RequestId, Requests, kind, status};

/// How long the device may answer nothing while it has requests, in microseconds.
pub const STALL_US: u64 = 10_000_000;
/// How long it may keep one request, though others come back, in microseconds.
pub const REQUEST_LIMIT_US: u64 = 30_000_000;

/// Descriptors of a request: header, data, status (section 5.2.6.4, the framing of a legacy device).
const REQUEST_DESCRIPTORS: u16 = 3;
/// The only queue.
const QUEUE: u16 = 0;

bitfield! {
    /// Feature bits of a block device (sections 5.2.3 and 6).
    #[derive(Clone, Copy)]
    struct Features(u64);
    /// VIRTIO_BLK_F_RO: it cannot be written.
    read_only, set_read_only: 5;
    /// VIRTIO_BLK_F_FLUSH: it has a cache, and a request to write it out.
    flush, set_flush: 9;
    /// VIRTIO_F_VERSION_1.
    version_1, set_version_1: 32;
}

/// All the static memory of a block device. All zeros is a valid start.
#[repr(C)]
pub struct BlockMemory {
    queue: QueueMemory,
    requests: Requests,
}

impl BlockMemory {
    /// Memory for a block device, all zeros.
    pub const fn new() -> Self {
        BlockMemory { queue: QueueMemory::new(), requests: Requests::new() }
    }
}

impl Default for BlockMemory {
    fn default() -> Self {
        BlockMemory::new()
    }
}

/// Why the device did not start. It is marked as failed, and tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartError {
    /// The transport failed; its error says what to do.
    Transport(TransportError),
    /// A modern device that does not offer VIRTIO_F_VERSION_1: it contradicts itself.
    NotVersion1,
    /// The queue is too small for even one request.
    QueueTooSmall {
        /// Its size.
        size: u16,
    },
}

impl From<TransportError> for StartError {
    fn from(error: TransportError) -> Self {
        StartError::Transport(error)
    }
}

/// Why the device does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// It kept a request for too long, or broke the rules of the queue.
    Request(BlockError),
    /// It was reset, and could not be started.
    NotStarted(StartError),
    /// It did not finish its reset in time.
    ResetTimeout,
    /// Nothing answers where it was.
    Gone,
}

/// What the device is asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Read so many bytes from a sector on.
    Read {
        /// The first sector.
        sector: u64,
        /// How many bytes: whole sectors, at most [`REQUEST_BYTES`].
        length: usize,
    },
    /// Write these bytes, whole sectors and at most [`REQUEST_BYTES`], from a sector on. They may stay in the device's
    /// cache: see [`Block::has_cache`].
    Write {
        /// The first sector.
        sector: u64,
        /// What to write.
        bytes: &'a [u8],
    },
    /// Put on the medium what was written. For a device that [has a cache](Block::has_cache).
    Flush,
}

/// A block device.
pub struct Block<B: Bus = Hardware> {
    transport: Transport<B>,
    queue: Queue,
    doorbell: Option<Doorbell<B>>,
    memory: NonNull<Requests>,
    physical: u64,
    requests: [Request; REQUESTS],
    capacity: u64,
    features: Features,
    recovery: Recovery,
    /// The last line in the log about a device that is broken.
    logged: Option<Broken>,
    /// Since when the device has answered nothing; means something only while it has requests.
    silent_since_us: u64,
}

// SAFETY: the requests are static memory reached through this value alone; any thread may hold it.
unsafe impl<B: Bus + Send> Send for Block<B> {}

impl<B: Bus> Block<B> {
    /// Takes a block device over and begins to start it. `messages` is what it writes to interrupt, where it can.
    /// [`Block::tend`] has to be called from time to time from now on, and says in the log how the device gets on.
    pub fn start(
        mut transport: Transport<B>,
        memory: &'static mut BlockMemory,
        physical: Physical,
        messages: Option<Messages>,
        now_us: u64,
    ) -> Self {
        let BlockMemory { queue, requests } = memory;
        transport.choose_interrupts(messages);
        let memory = NonNull::from(requests);
        // Devices reach the memory by its address.
        memory.as_ptr().expose_provenance();
        let mut block = Block {
            transport,
            queue: Queue::new(queue, physical),
            doorbell: None,
            physical: physical(memory.as_ptr().cast_const().cast()),
            memory,
            requests: [Request::Free; REQUESTS],
            capacity: 0,
            features: Features(0),
            recovery: Recovery::new(now_us, 0),
            logged: None,
            silent_since_us: 0,
        };
        block.tend(now_us);
        block
    }

    /// Negotiates with a device that has just been reset, and lets it run.
    fn set_up(&mut self) -> Result<(), StartError> {
        self.transport.announce_driver()?;
        let offered = Features(self.transport.offered());
        let mut features = Features(0);
        if self.transport.is_modern() {
            if !offered.version_1() {
                return Err(StartError::NotVersion1);
            }
            features.set_version_1(true);
        }
        features.set_read_only(offered.read_only());
        features.set_flush(offered.flush());
        self.transport.accept(features.0)?;
        self.features = features;

        let size = self.transport.queue_size(QUEUE)?;
        if size < REQUEST_DESCRIPTORS {
            return Err(StartError::QueueTooSmall { size });
        }
        self.queue.set_up(size, false).map_err(|_| TransportError::BadQueueSize { queue: QUEUE, size })?;
        // Nothing is with the device yet, so nothing can have been missed.
        let _: bool = self.queue.enable_interrupts(1);
        self.doorbell = Some(self.transport.set_queue(QUEUE, size, self.queue.addresses())?);
        // Section 5.2.4: the capacity, the first field, is 64 bits wide and so read in halves.
        self.capacity = self.transport.read_stable(|transport| {
            Ok(u64::from(transport.configuration::<u32>(0)?) | u64::from(transport.configuration::<u32>(4)?) << 32)
        })?;
        self.transport.run();
        defmt::info!(
            "virtio-blk: ready sectors={=u64} transport={=str} queue={=u16} read-only={=bool} interrupts={}",
            self.capacity,
            self.transport.name(),
            size,
            features.read_only(),
            self.transport.interrupts()
        );
        Ok(())
    }

    /// How many sectors the device has; 0 before it has run.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.features.read_only()
    }

    /// Whether what was written is durable only after [`Operation::Flush`]. A device that does not offer
    /// VIRTIO_BLK_F_FLUSH writes through (section 5.2.6.2).
    pub fn has_cache(&self) -> bool {
        self.features.flush()
    }

    /// Whether it takes requests at all at present, though perhaps no more of them.
    pub fn is_running(&self) -> bool {
        self.recovery.is_working()
    }

    /// Whether it runs and has nothing to do, nor anybody to tell: [`Block::tend`] and [`Block::complete`] do nothing
    /// then.
    pub fn is_idle(&self) -> bool {
        self.is_running() && self.requests.iter().all(|request| matches!(request, Request::Free))
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

    /// Requests that the device has.
    pub fn in_flight(&self) -> usize {
        self.requests.iter().filter(|request| matches!(request, Request::Sent { .. })).count()
    }

    /// Whether [`Block::submit`] would take a request now.
    pub fn can_submit(&self) -> bool {
        self.is_running() && self.free().is_some() && self.queue.free() >= REQUEST_DESCRIPTORS
    }

    fn free(&self) -> Option<RequestId> {
        RequestId::all().find(|id| matches!(self.requests[id.index()], Request::Free))
    }

    /// Takes a request in, under a name of its owner; the device sees it after [`Block::publish`]. It comes back under
    /// that name by [`Block::complete`], whatever becomes of it.
    ///
    /// # Errors
    /// As [`BlockError`] says; then the request does not exist.
    pub fn submit(&mut self, tag: u32, operation: Operation<'_>, now_us: u64) -> Result<(), BlockError> {
        if !self.can_submit() {
            return Err(BlockError::NotReady);
        }
        let Some(id) = self.free() else { return Err(BlockError::NotReady) };
        let (kind, sector, length) = match operation {
            Operation::Read { sector, length } => (kind::IN, sector, length),
            Operation::Write { .. } if self.is_read_only() => return Err(BlockError::ReadOnly),
            Operation::Write { sector, bytes } => (kind::OUT, sector, bytes.len()),
            Operation::Flush => (kind::FLUSH, 0, 0),
        };
        if kind != kind::FLUSH {
            self.check_range(sector, length)?;
        }
        // SAFETY: the request is free, so the device does not have its memory.
        let (head, data) = unsafe { self.memory_of(id) };
        head.header[..4].copy_from_slice(&kind.to_le_bytes());
        head.header[4..8].fill(0);
        head.header[8..].copy_from_slice(&sector.to_le_bytes());
        head.status = status::NONE;
        if let Operation::Write { bytes, .. } = operation {
            data.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        let offsets = Requests::offsets(id);
        let at = |offset: usize, length: usize, writable| Segment {
            address: self.physical + offset as u64,
            length: length as u32,
            writable,
        };
        let header = at(offsets.header, head.header.len(), false);
        let body = at(offsets.data, length, kind == kind::IN);
        let status = at(offsets.status, 1, true);
        let added = if kind == kind::FLUSH {
            self.queue.add(id.token(), &[header, status])
        } else {
            self.queue.add(id.token(), &[header, body, status])
        };
        added.map_err(BlockError::NotQueued)?;
        if self.in_flight() == 0 {
            self.silent_since_us = now_us;
        }
        let read = if kind == kind::IN { length } else { 0 };
        self.requests[id.index()] = Request::Sent { tag, read, since_us: now_us };
        Ok(())
    }

    fn check_range(&self, sector: u64, length: usize) -> Result<(), BlockError> {
        if length == 0 || length > REQUEST_BYTES || !length.is_multiple_of(SECTOR_BYTES) {
            return Err(BlockError::BadLength);
        }
        let end = sector.checked_add((length / SECTOR_BYTES) as u64);
        if end.is_none_or(|end| end > self.capacity) {
            return Err(BlockError::BeyondEnd { capacity: self.capacity });
        }
        Ok(())
    }

    /// Shows the device what was submitted.
    pub fn publish(&mut self) {
        if self.queue.publish() {
            self.doorbell.iter().for_each(Doorbell::ring);
        }
    }

    /// Hands the next request that came back to `take`, by its owner's name for it: what was read, nothing for a write
    /// or a flush, or what went wrong. `None` where none did.
    pub fn complete<R>(&mut self, now_us: u64, take: impl FnOnce(u32, Result<&[u8], BlockError>) -> R) -> Option<R> {
        if self.is_running() {
            match self.queue.pop() {
                Some(Ok(used)) => match self.take_back(used) {
                    Ok((id, tag, read)) => {
                        self.silent_since_us = now_us;
                        self.recovery.made_progress_at(now_us);
                        let result = self.answer(id, used.length, read);
                        return Some(take(tag, result));
                    }
                    Err(fault) => self.break_down(BlockError::Fault(fault), now_us),
                },
                Some(Err(fault)) => self.break_down(BlockError::Fault(fault), now_us),
                None => {}
            }
        }
        let (tag, error) = self.requests.iter_mut().find_map(Request::report)?;
        Some(take(tag, Err(error)))
    }

    /// The request that came back is free again; gives its name and how many bytes it was to read.
    fn take_back(&mut self, Used { token, .. }: Used) -> Result<(RequestId, u32, usize), QueueFault> {
        let id = RequestId::named(token).ok_or(QueueFault::UnknownToken { token })?;
        match core::mem::replace(&mut self.requests[id.index()], Request::Free) {
            Request::Sent { tag, read, .. } => Ok((id, tag, read)),
            other => {
                self.requests[id.index()] = other;
                Err(QueueFault::UnknownToken { token })
            }
        }
    }

    /// Checks what the device says of a request that came back, and gives what it read.
    fn answer(&mut self, id: RequestId, written: u32, read: usize) -> Result<&[u8], BlockError> {
        let strict = self.features.version_1();
        // SAFETY: the request came back from the used ring, which gives each back once, so the device no longer has it.
        let (head, data) = unsafe { self.memory_of(id) };
        match head.status {
            status::OK => {}
            status::IO_ERROR => return Err(BlockError::Medium),
            status::UNSUPPORTED => return Err(BlockError::Unsupported),
            _ => return Err(BlockError::BadAnswer),
        }
        // Many legacy devices tell the length wrongly (section 2.7.8.1), so it is no sign there.
        if strict && read > 0 && (written as usize) < read + 1 {
            return Err(BlockError::BadAnswer);
        }
        data.get(..read).ok_or(BlockError::BadAnswer)
    }

    /// A request's memory.
    ///
    /// # Safety
    /// The device does not have the request, and no other reference to its memory lives.
    unsafe fn memory_of<'a>(&mut self, id: RequestId) -> (&'a mut request::Head, &'a mut [u8; REQUEST_BYTES]) {
        // SAFETY: the memory is static, and the index is within both arrays; the caller holds this part alone.
        unsafe { Requests::split(self.memory, id) }
    }
}

#[cfg(test)]
mod tests;
