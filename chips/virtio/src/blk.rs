//! The block device (section 5.2), for a kernel that never waits: requests are submitted, and come back later.
//!
//! Data passes through the driver's own buffers. A request that is given up may be carried out late; then the device
//! reads and writes there and not in memory that its owner already uses otherwise, and the buffer is not used again
//! before the device has been reset.
//!
//! A device may have blocks larger than a sector (VIRTIO_BLK_F_BLK_SIZE) and refuse whatever is no whole
//! blocks. What is asked for is widened then: a read brings more than is handed on, and a write that is not whole blocks is
//! made so by what stands around it, which is read first, while the device has nothing else to do (`blk/partial.rs`).
//!
//! A device that answers nothing for [`STALL_US`], keeps one request for [`REQUEST_LIMIT_US`] or breaks the rules of
//! the queue is reset and started again ([`Block::tend`]); what it had comes back as an error.

mod partial;
mod request;
mod tend;

use core::ptr::NonNull;

use bitfield::bitfield;
use slopos_registers::{Bus, Hardware};

use crate::Physical;
use crate::queue::{Queue, QueueFault, QueueMemory, Segment, Used};
use crate::recovery::Recovery;
use crate::transport::{Cause, Doorbell, Interrupts, Messages, Transport, TransportError};
pub use request::{BLOCK_BYTES_MAX, BlockError, REQUEST_BYTES, REQUESTS, SECTOR_BYTES};
use request::{BUFFER_BYTES, Back, Bytes, Partial, Request, RequestId, Requests, Write, kind, status};

/// How long the device may answer nothing while it has requests, in microseconds.
pub const STALL_US: u64 = 10_000_000;
/// How long it may keep one request, though others come back, in microseconds.
pub const REQUEST_LIMIT_US: u64 = 30_000_000;

/// Descriptors of a request: header, data, status (section 5.2.6.4, the framing of a legacy device).
const REQUEST_DESCRIPTORS: u16 = 3;
/// The only queue that is used, however many there are.
const QUEUE: u16 = 0;
/// Where the block's size and the number of queues stand in the device's configuration (section 5.2.4).
const BLOCK_SIZE: usize = 20;
const QUEUES: usize = 34;

bitfield! {
    /// Feature bits of a block device (sections 5.2.3 and 6).
    #[derive(Clone, Copy)]
    struct Features(u64);
    /// VIRTIO_BLK_F_RO: it cannot be written.
    read_only, set_read_only: 5;
    /// VIRTIO_BLK_F_BLK_SIZE: it says how large its blocks are.
    block_size, set_block_size: 6;
    /// VIRTIO_BLK_F_FLUSH: it has a cache, and a request to write it out.
    flush, set_flush: 9;
    /// VIRTIO_BLK_F_MQ: it has several queues. Not accepted: there is one processor.
    queues, _: 12;
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
    /// Its blocks are not 512, 1024, 2048 or 4096 bytes.
    BlockSize {
        /// How many it says.
        bytes: u32,
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
    /// Sectors of a block, less one: the bits of a sector's number that say where it is in its block.
    block_mask: u8,
    /// A write of parts of blocks.
    partial: Partial,
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
            block_mask: 0,
            partial: Partial::None,
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
        features.set_block_size(offered.block_size());
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
        let bytes = match features.block_size() {
            true => self.transport.read_stable(|transport| transport.configuration::<u32>(BLOCK_SIZE))?,
            false => SECTOR_BYTES as u32,
        };
        if !bytes.is_power_of_two() || !(SECTOR_BYTES..=BLOCK_BYTES_MAX).contains(&(bytes as usize)) {
            return Err(StartError::BlockSize { bytes });
        }
        // At most seven.
        self.block_mask = (bytes / SECTOR_BYTES as u32 - 1) as u8;
        // What is not a whole block cannot be reached.
        self.capacity &= !u64::from(self.block_mask);
        if bytes as usize != SECTOR_BYTES {
            defmt::info!("virtio-blk: blocks of {=u32} bytes", bytes);
        }
        if offered.queues() {
            let queues = self.transport.read_stable(|transport| transport.configuration::<u16>(QUEUES))?;
            defmt::info!("virtio-blk: one of {=u16} queues is used", queues);
        }
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

    /// Bytes of a block: what the device reads and writes at least.
    pub fn block_bytes(&self) -> usize {
        (usize::from(self.block_mask) + 1) * SECTOR_BYTES
    }

    /// Requests that the device has.
    pub fn in_flight(&self) -> usize {
        self.requests.iter().filter(|request| request.is_with_device()).count()
    }

    /// Whether [`Block::submit`] would take a request now.
    pub fn can_submit(&self) -> bool {
        self.is_running() && self.partial.is_none() && self.free().is_some() && self.queue.free() >= REQUEST_DESCRIPTORS
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
        let lead = self.lead(sector);
        if let Operation::Write { bytes, .. } = operation {
            // SAFETY: the request is free, so the device does not have its memory.
            let (_, data) = unsafe { self.memory_of(id) };
            data.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            if lead != 0 || length & (self.block_bytes() - 1) != 0 {
                self.partial = Partial::Waiting(Write { held: id, sector, length });
                self.requests[id.index()] = Request::Held { tag };
                return self.begin_partial(now_us).inspect_err(|_| {
                    self.partial = Partial::None;
                    self.requests[id.index()] = Request::Free;
                });
            }
        }
        let whole = if kind == kind::IN { self.widened(lead, length) } else { length };
        self.queue_request(id, kind, sector - (lead / SECTOR_BYTES) as u64, whole, now_us)?;
        let bytes = if kind == kind::IN { lead..lead + length } else { 0..0 };
        let whole = if kind == kind::IN { whole } else { 0 };
        self.requests[id.index()] = Request::Sent { tag, bytes: Bytes::new(bytes), whole, since_us: now_us };
        Ok(())
    }

    /// The bytes of the whole blocks that hold so many bytes behind so many others.
    fn widened(&self, lead: usize, length: usize) -> usize {
        let most = self.block_bytes() - 1;
        (lead + length + most) & !most
    }

    /// The bytes of a sector's block that come before it.
    fn lead(&self, sector: u64) -> usize {
        (sector as usize & usize::from(self.block_mask)) * SECTOR_BYTES
    }

    /// Puts a request of whole blocks into the queue; what is written is in its memory already.
    fn queue_request(
        &mut self,
        id: RequestId,
        kind: u32,
        sector: u64,
        length: usize,
        now_us: u64,
    ) -> Result<(), BlockError> {
        // SAFETY: the request is free or held, so the device does not have its memory.
        let (head, _) = unsafe { self.memory_of(id) };
        head.header[..4].copy_from_slice(&kind.to_le_bytes());
        head.header[4..8].fill(0);
        head.header[8..].copy_from_slice(&sector.to_le_bytes());
        head.status = status::NONE;
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
        while self.is_running() {
            let Some(used) = self.queue.pop() else { break };
            let (id, back, written) = match used.and_then(|used| self.take_back(used)) {
                Ok(back) => back,
                Err(fault) => {
                    self.break_down(BlockError::Fault(fault), now_us);
                    break;
                }
            };
            self.silent_since_us = now_us;
            self.recovery.made_progress_at(now_us);
            let outcome = self.outcome(id, written, back.whole);
            // Most are no part of such a write, and never are where blocks are sectors.
            let (tag, outcome) = if self.partial.is_none() {
                (back.tag, outcome)
            } else {
                let Some(outcome) = self.step_of_partial(id, outcome, now_us) else { continue };
                let tag = back.tag.or_else(|| self.end_partial(id));
                match self.begin_partial(now_us) {
                    Ok(()) => {}
                    Err(error) => self.break_down(error, now_us),
                }
                (tag, outcome)
            };
            let Some(tag) = tag else { continue };
            // SAFETY: the request came back from the used ring, which gives each back once, so the device no longer has
            // it; a write that was begun above has another one's memory.
            let (_, data) = unsafe { self.memory_of(id) };
            let bytes = outcome.and_then(|()| data.get(back.bytes.range()).ok_or(BlockError::BadAnswer));
            return Some(take(tag, bytes));
        }
        let (tag, error) = self.requests.iter_mut().find_map(Request::report)?;
        Some(take(tag, Err(error)))
    }

    /// The request that came back is free again.
    fn take_back(&mut self, Used { token, length }: Used) -> Result<(RequestId, Back, u32), QueueFault> {
        let id = RequestId::named(token).ok_or(QueueFault::UnknownToken { token })?;
        let back = self.requests[id.index()].take_back().ok_or(QueueFault::UnknownToken { token })?;
        Ok((id, back, length))
    }

    /// Checks what the device says of a request that came back, which was to bring so many bytes.
    fn outcome(&mut self, id: RequestId, written: u32, whole: usize) -> Result<(), BlockError> {
        let strict = self.features.version_1();
        // SAFETY: the request came back from the used ring, which gives each back once, so the device no longer has it.
        let (head, _) = unsafe { self.memory_of(id) };
        match head.status {
            status::OK => {}
            status::IO_ERROR => return Err(BlockError::Medium),
            status::UNSUPPORTED => return Err(BlockError::Unsupported),
            _ => return Err(BlockError::BadAnswer),
        }
        // Many legacy devices tell the length wrongly (section 2.7.8.1), so it is no sign there.
        if strict && whole > 0 && (written as usize) < whole + 1 {
            return Err(BlockError::BadAnswer);
        }
        Ok(())
    }

    /// A request's memory.
    ///
    /// # Safety
    /// The device does not have the request, and no other reference to its memory lives.
    unsafe fn memory_of<'a>(&mut self, id: RequestId) -> (&'a mut request::Head, &'a mut [u8; BUFFER_BYTES]) {
        // SAFETY: the memory is static, and the index is within both arrays; the caller holds this part alone.
        unsafe { Requests::split(self.memory, id) }
    }
}

#[cfg(test)]
mod tests;
