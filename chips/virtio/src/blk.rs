//! The block device (section 5.2), for a kernel that starts from it: calls wait, within a bound that the caller's
//! clock sets.
//!
//! Data passes through the driver's own static buffers. A request that is given up may be carried out late; then the
//! device writes there and not into memory that its owner already uses otherwise.

use core::ops::Range;
use core::ptr::NonNull;

use bitfield::bitfield;
use slopos_q35::register::{Bus, Hardware};

use crate::Physical;
use crate::queue::{AddError, Queue, QueueFault, QueueMemory, SIZE_MAX, Segment, Used};
use crate::transport::{Doorbell, Transport, TransportError};

/// Size of a sector in bytes, whatever the medium's own block size is (section 5.2.4).
pub const SECTOR_BYTES: usize = 512;
/// How long the device may take for one request, in microseconds.
pub const TIMEOUT_US: u64 = 5_000_000;

/// Requests that are with the device at a time, where the queue has room.
const REQUESTS: usize = 8;
/// Bytes of data in one request.
const REQUEST_BYTES: usize = 8 * SECTOR_BYTES;
/// Descriptors of a request: header, data, status (section 5.2.6.4, the framing of a legacy device).
const REQUEST_DESCRIPTORS: u16 = 3;
/// The only queue.
const QUEUE: u16 = 0;

/// Request types (section 5.2.6).
mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
}

/// Request status (section 5.2.6).
mod status {
    pub const OK: u8 = 0;
    pub const IO_ERROR: u8 = 1;
    pub const UNSUPPORTED: u8 = 2;
    /// What the driver sets before: no device writes it.
    pub const NONE: u8 = 0xff;
}

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

/// Which request: always below [`REQUESTS`], for only [`FreeRequests::take`] and [`RequestId::named`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestId(u8);

impl RequestId {
    /// The request that was queued under a name.
    fn named(token: u8) -> Result<Self, QueueFault> {
        if usize::from(token) < REQUESTS { Ok(RequestId(token)) } else { Err(QueueFault::UnknownToken { token }) }
    }

    /// Place in an array of requests. The remainder changes nothing; it tells the compiler what the type promises.
    fn index(self) -> usize {
        usize::from(self.0) % REQUESTS
    }
}

/// The requests that the device does not have, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FreeRequests(u8);

const _: () = assert!(REQUESTS == u8::BITS as usize, "one bit for each request");

impl FreeRequests {
    const ALL: FreeRequests = FreeRequests(u8::MAX);

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn take(&mut self) -> Option<RequestId> {
        let first = self.0.trailing_zeros();
        self.0 &= self.0.checked_sub(1)?;
        Some(RequestId(first as u8))
    }

    fn put_back(&mut self, request: RequestId) {
        self.0 |= 1 << request.index();
    }
}

/// One request's header, data and status.
#[repr(C, align(4096))]
struct Request {
    data: [u8; REQUEST_BYTES],
    header: [u8; 16],
    status: u8,
}

/// All the static memory of a block device. All zeros is a valid start.
#[repr(C)]
pub struct BlockMemory {
    queue: QueueMemory,
    requests: [Request; REQUESTS],
}

impl BlockMemory {
    /// Memory for a block device, all zeros.
    pub const fn new() -> Self {
        BlockMemory {
            queue: QueueMemory::new(),
            requests: [const { Request { data: [0; REQUEST_BYTES], header: [0; 16], status: 0 } }; REQUESTS],
        }
    }
}

impl Default for BlockMemory {
    fn default() -> Self {
        BlockMemory::new()
    }
}

/// Why the device did not start. It is off, and marked as failed.
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

/// Why a transfer did not take place, or not in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum BlockError {
    /// The length is no multiple of [`SECTOR_BYTES`].
    BadLength,
    /// The sectors go beyond the end of the device.
    BeyondEnd {
        /// How many sectors the device has.
        capacity: u64,
    },
    /// The device cannot be written.
    ReadOnly,
    /// The device reports an error of the medium. Trying again may help.
    Medium,
    /// The device does not know the request.
    Unsupported,
    /// The device reports success for less data than was asked for, or a status that does not exist.
    BadAnswer,
    /// The device did not answer within [`TIMEOUT_US`]. It has been reset; [`Block::recover`] may help.
    Timeout,
    /// The device broke the rules of the queue. It has been reset; [`Block::recover`] may help.
    Fault(QueueFault),
    /// A request could not be queued.
    NotQueued(AddError),
    /// The device is of no use since an earlier error. [`Block::recover`] may help.
    Broken,
}

/// A transfer, with the memory of its caller.
enum Transfer<'a> {
    Read(&'a mut [u8]),
    Write(&'a [u8]),
    Flush,
}

impl Transfer<'_> {
    fn len(&self) -> usize {
        match self {
            Transfer::Read(into) => into.len(),
            Transfer::Write(from) => from.len(),
            Transfer::Flush => 0,
        }
    }
}

/// A block device.
pub struct Block<B: Bus = Hardware> {
    transport: Transport<B>,
    queue: Queue,
    doorbell: Option<Doorbell<B>>,
    requests: NonNull<Request>,
    physical: u64,
    free: FreeRequests,
    capacity: u64,
    features: Features,
    broken: bool,
}

// SAFETY: the requests are static memory reached through this value alone; any thread may hold it.
unsafe impl<B: Bus + Send> Send for Block<B> {}

impl<B: Bus> Block<B> {
    /// Starts a block device. It does not interrupt.
    ///
    /// # Errors
    /// As [`StartError`] says. The memory is lost then, for a device that does not obey may still hold it.
    pub fn start(
        transport: Transport<B>,
        memory: &'static mut BlockMemory,
        physical: Physical,
    ) -> Result<Self, StartError> {
        let BlockMemory { queue, requests } = memory;
        // Devices reach the memory by its address.
        requests.as_mut_ptr().expose_provenance();
        let mut block = Block {
            transport,
            queue: Queue::new(queue, physical),
            doorbell: None,
            physical: physical(requests.as_ptr().cast()),
            requests: NonNull::from(requests).cast(),
            free: FreeRequests(0),
            capacity: 0,
            features: Features(0),
            broken: true,
        };
        block.recover()?;
        Ok(block)
    }

    /// Resets the device and starts it anew.
    ///
    /// # Errors
    /// As [`Block::start`]; the device stays broken.
    pub fn recover(&mut self) -> Result<(), StartError> {
        let outcome = self.transport.begin().map_err(StartError::from).and_then(|()| self.set_up());
        self.broken = outcome.is_err();
        if self.broken {
            self.transport.fail();
        }
        outcome
    }

    fn set_up(&mut self) -> Result<(), StartError> {
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

        let offered = self.transport.queue_size(QUEUE)?;
        let size = if self.transport.is_modern() { offered.min(SIZE_MAX) } else { offered };
        if size < REQUEST_DESCRIPTORS {
            return Err(StartError::QueueTooSmall { size });
        }
        self.queue.set_up(size, false).map_err(|_| TransportError::BadQueueSize { queue: QUEUE, size })?;
        self.doorbell = Some(self.transport.set_queue(QUEUE, size, self.queue.addresses())?);
        self.free = FreeRequests::ALL;
        // Section 5.2.4: the capacity, the first field, is 64 bits wide and so read in halves.
        self.capacity = self.transport.at_rest(|transport| {
            Ok(u64::from(transport.configuration::<u32>(0)?) | u64::from(transport.configuration::<u32>(4)?) << 32)
        })?;
        self.transport.run();
        defmt::info!(
            "virtio-blk: ready sectors={=u64} transport={=str} queue={=u16} read-only={=bool}",
            self.capacity,
            self.transport.name(),
            size,
            features.read_only()
        );
        Ok(())
    }

    /// How many sectors the device has.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.features.read_only()
    }

    /// Whether it needs [`Block::recover`].
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reads sectors from `sector` on until `into` is full. `clock` gives microseconds.
    ///
    /// # Errors
    /// As [`BlockError`] says; `into` may then be filled in part.
    pub fn read(&mut self, sector: u64, into: &mut [u8], clock: impl FnMut() -> u64) -> Result<(), BlockError> {
        self.transfer(sector, Transfer::Read(into), clock)
    }

    /// Writes sectors from `sector` on. They may stay in the device's cache: see [`Block::flush`].
    ///
    /// # Errors
    /// As [`BlockError`] says; part may then be written.
    pub fn write(&mut self, sector: u64, from: &[u8], clock: impl FnMut() -> u64) -> Result<(), BlockError> {
        if self.is_read_only() {
            return Err(BlockError::ReadOnly);
        }
        self.transfer(sector, Transfer::Write(from), clock)
    }

    /// Waits until what was written is on the medium. A device without a cache is there already.
    ///
    /// # Errors
    /// As [`BlockError`] says.
    pub fn flush(&mut self, clock: impl FnMut() -> u64) -> Result<(), BlockError> {
        if self.features.flush() { self.transfer(0, Transfer::Flush, clock) } else { Ok(()) }
    }

    /// Carries a transfer out, in as many requests at a time as there are.
    fn transfer(
        &mut self,
        sector: u64,
        mut transfer: Transfer<'_>,
        mut clock: impl FnMut() -> u64,
    ) -> Result<(), BlockError> {
        if self.broken {
            return Err(BlockError::Broken);
        }
        let total = transfer.len();
        if !total.is_multiple_of(SECTOR_BYTES) {
            return Err(BlockError::BadLength);
        }
        let end = sector.checked_add((total / SECTOR_BYTES) as u64);
        if end.is_none_or(|end| end > self.capacity) {
            return Err(BlockError::BeyondEnd { capacity: self.capacity });
        }

        // Where in the caller's memory each request's data belongs.
        let mut places = [0_usize; REQUESTS];
        let mut next = 0;
        let mut flush_due = matches!(transfer, Transfer::Flush);
        let mut outcome = Ok(());
        let mut progress = clock();
        loop {
            while outcome.is_ok() && (next < total || flush_due) && self.has_room() {
                let Some(id) = self.free.take() else { break };
                places[id.index()] = next;
                let length = REQUEST_BYTES.min(total - next);
                match self.submit(id, sector + (next / SECTOR_BYTES) as u64, &transfer, next..next + length) {
                    Ok(()) => {
                        next += length;
                        flush_due = false;
                    }
                    // The error keeps further requests back; those with the device are waited for.
                    Err(error) => {
                        self.free.put_back(id);
                        outcome = Err(BlockError::NotQueued(error));
                    }
                }
            }
            if self.queue.publish() {
                self.doorbell.iter().for_each(Doorbell::ring);
            }
            if self.queue.in_flight() == 0 {
                return outcome;
            }
            match self.queue.pop() {
                Some(Ok(Used { token, length })) => {
                    progress = clock();
                    let id = match RequestId::named(token) {
                        Ok(id) => id,
                        Err(fault) => return Err(self.give_up(BlockError::Fault(fault))),
                    };
                    let place = places[id.index()];
                    let answer = self.answer(id, length, &mut transfer, place..total.min(place + REQUEST_BYTES));
                    outcome = outcome.and(answer);
                    self.free.put_back(id);
                }
                Some(Err(fault)) => return Err(self.give_up(BlockError::Fault(fault))),
                None if clock().saturating_sub(progress) > TIMEOUT_US => {
                    return Err(self.give_up(BlockError::Timeout));
                }
                None => core::hint::spin_loop(),
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.free.is_empty() && self.queue.free() >= REQUEST_DESCRIPTORS
    }

    /// Takes the device out of service; what it still holds is its own until the reset.
    fn give_up(&mut self, error: BlockError) -> BlockError {
        defmt::error!("virtio-blk: broken: {}", error);
        self.broken = true;
        if let Err(error) = self.transport.reset() {
            defmt::error!("virtio-blk: {}", error);
        }
        error
    }

    /// Queues one request for a range of the caller's memory.
    ///
    /// # Errors
    /// [`AddError::BadChain`] also where the range is not in that memory, or longer than a request.
    fn submit(
        &mut self,
        id: RequestId,
        sector: u64,
        transfer: &Transfer<'_>,
        range: Range<usize>,
    ) -> Result<(), AddError> {
        let length = range.len();
        // SAFETY: the request was free, so the device does not have it.
        let request = unsafe { self.request(id) };
        let (kind, writable) = match transfer {
            Transfer::Read(_) => (kind::IN, true),
            Transfer::Write(from) => {
                let part = from.get(range.start..).and_then(|rest| rest.get(..length));
                let (data, part) = request.data.get_mut(..length).zip(part).ok_or(AddError::BadChain)?;
                data.copy_from_slice(part);
                (kind::OUT, false)
            }
            Transfer::Flush => (kind::FLUSH, false),
        };
        request.header[..4].copy_from_slice(&kind.to_le_bytes());
        request.header[4..8].fill(0);
        request.header[8..].copy_from_slice(&sector.to_le_bytes());
        request.status = status::NONE;
        let base = self.physical + (id.index() * size_of::<Request>()) as u64;
        let at = |offset: usize, length: usize, writable| Segment {
            address: base + offset as u64,
            length: length as u32,
            writable,
        };
        let header = at(core::mem::offset_of!(Request, header), 16, false);
        let data = at(core::mem::offset_of!(Request, data), length, writable);
        let status = at(core::mem::offset_of!(Request, status), 1, true);
        match transfer {
            Transfer::Flush => self.queue.add(id.0, &[header, status]),
            _ => self.queue.add(id.0, &[header, data, status]),
        }
    }

    /// Checks what the device says of a request that came back, and copies what it read to its range of the caller's
    /// memory.
    fn answer(
        &mut self,
        id: RequestId,
        written: u32,
        transfer: &mut Transfer<'_>,
        range: Range<usize>,
    ) -> Result<(), BlockError> {
        let strict = self.features.version_1();
        // SAFETY: the request came back from the used ring, which gives each back once, so the device no longer has it.
        let request = unsafe { self.request(id) };
        match request.status {
            status::OK => {}
            status::IO_ERROR => return Err(BlockError::Medium),
            status::UNSUPPORTED => return Err(BlockError::Unsupported),
            _ => return Err(BlockError::BadAnswer),
        }
        if let Transfer::Read(into) = transfer {
            let length = range.len();
            // Many legacy devices tell the length wrongly (section 2.7.8.1), so it is no sign there.
            if strict && (written as usize) < length + 1 {
                return Err(BlockError::BadAnswer);
            }
            let part = into.get_mut(range.start..).and_then(|rest| rest.get_mut(..length));
            let (part, data) = part.zip(request.data.get(..length)).ok_or(BlockError::BadAnswer)?;
            part.copy_from_slice(data);
        }
        Ok(())
    }

    /// A request's memory.
    ///
    /// # Safety
    /// The device does not have the request, and no other reference to it lives.
    unsafe fn request(&mut self, id: RequestId) -> &mut Request {
        // SAFETY: the request is one of the array, for its index is below REQUESTS; the caller holds it alone.
        unsafe { self.requests.add(id.index()).as_mut() }
    }
}

#[cfg(test)]
mod tests;
