//! The requests that can be with the device at a time: what is remembered of each, and its memory.

use core::mem::offset_of;
use core::ptr::NonNull;

use crate::queue::{AddError, QueueFault};

/// Size of a sector in bytes, whatever the medium's own block size is (section 5.2.4).
pub const SECTOR_BYTES: usize = 512;
/// Requests that are with the device at a time, where the queue has room.
pub const REQUESTS: usize = 4;
/// Most bytes of data in one request.
pub const REQUEST_BYTES: usize = 64 * SECTOR_BYTES;
/// Most bytes of a block that a device has.
pub const BLOCK_BYTES_MAX: usize = 4096;
/// Bytes of a request's buffer: room for what stands before and behind its data in the same blocks.
pub(super) const BUFFER_BYTES: usize = REQUEST_BYTES + 2 * BLOCK_BYTES_MAX;

/// Why a request was not taken, or not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum BlockError {
    /// The length is not a multiple of [`SECTOR_BYTES`], 0, or more than [`REQUEST_BYTES`].
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
    /// The device did not answer in time. It is being reset.
    Timeout,
    /// The device broke the rules of the queue. It is being reset.
    Fault(QueueFault),
    /// A request could not be queued.
    NotQueued(AddError),
    /// The device takes no requests at present: see [`Block::can_submit`](super::Block::can_submit).
    NotReady,
}

/// Request types (section 5.2.6).
pub(super) mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
}

/// Request status (section 5.2.6).
pub(super) mod status {
    pub const OK: u8 = 0;
    pub const IO_ERROR: u8 = 1;
    pub const UNSUPPORTED: u8 = 2;
    /// What the driver sets before: no device writes it.
    pub const NONE: u8 = 0xff;
}

/// Which request: always below [`REQUESTS`], because only [`RequestId::all`] and [`RequestId::named`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId(u8);

impl RequestId {
    pub fn all() -> impl Iterator<Item = RequestId> {
        (0..REQUESTS as u8).map(RequestId)
    }

    /// The request that was queued under this token.
    pub fn named(token: u8) -> Option<Self> {
        (usize::from(token) < REQUESTS).then_some(RequestId(token))
    }

    /// The queue's name for it.
    pub fn token(self) -> u8 {
        self.0
    }

    /// Index into an array of requests. The remainder changes nothing; it tells the compiler what the type promises.
    pub fn index(self) -> usize {
        usize::from(self.0) % REQUESTS
    }
}

/// What is remembered of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The device does not have it.
    Free,
    /// The device has it.
    Sent {
        /// Its owner's name for it.
        tag: u32,
        /// What its owner is to have of its buffer.
        bytes: Bytes,
        /// How many bytes it brings.
        whole: usize,
        /// When it was submitted.
        since_us: u64,
    },
    /// Its buffer holds what a partial write is to write, and another request carries that out.
    Held {
        /// Its owner's name for it.
        tag: u32,
    },
    /// The device has it, for a partial write.
    Helper {
        /// How many bytes it brings.
        whole: usize,
        /// When it was submitted.
        since_us: u64,
    },
    /// The device had it when it was given up, and may have it until it has been reset.
    Lost {
        /// Its owner's name for it, until the owner has been told.
        tag: Option<u32>,
        /// What it is told.
        error: BlockError,
    },
}

/// A part of a request's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    start: usize,
    end: usize,
}

impl Bytes {
    pub fn new(range: core::ops::Range<usize>) -> Self {
        Bytes { start: range.start, end: range.end }
    }

    pub fn range(self) -> core::ops::Range<usize> {
        self.start..self.end
    }
}

/// What there is to know of a request that came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    /// Its owner's name for it; none for a helper.
    pub tag: Option<u32>,
    /// What its owner is to have of its buffer.
    pub bytes: Bytes,
    /// How many bytes it was to bring.
    pub whole: usize,
}

impl Request {
    /// The device has given it back: it is free. `None` if the device did not have it.
    pub fn take_back(&mut self) -> Option<Back> {
        let back = match *self {
            Request::Sent { tag, bytes, whole, .. } => Back { tag: Some(tag), bytes, whole },
            Request::Helper { whole, .. } => Back { tag: None, bytes: Bytes::new(0..0), whole },
            _ => return None,
        };
        *self = Request::Free;
        Some(back)
    }

    /// Whether the device has it and is waited for.
    pub fn is_with_device(&self) -> bool {
        self.since_us().is_some()
    }

    /// When it was given to the device, which still has it and is waited for.
    pub fn since_us(&self) -> Option<u64> {
        match *self {
            Request::Sent { since_us, .. } | Request::Helper { since_us, .. } => Some(since_us),
            _ => None,
        }
    }

    /// Gives a request up that the device has, or that waits for one which it has.
    pub fn lose(&mut self, error: BlockError) {
        match *self {
            Request::Sent { tag, .. } | Request::Held { tag } => *self = Request::Lost { tag: Some(tag), error },
            Request::Helper { .. } => *self = Request::Lost { tag: None, error },
            Request::Free | Request::Lost { .. } => {}
        }
    }

    /// Whether the owner of a request that was given up has not been told yet.
    pub fn is_unreported(&self) -> bool {
        matches!(self, Request::Lost { tag: Some(_), .. })
    }

    /// What the owner of a request that was given up has to be told, once.
    pub fn report(&mut self) -> Option<(u32, BlockError)> {
        match self {
            Request::Lost { tag, error } => tag.take().map(|tag| (tag, *error)),
            _ => None,
        }
    }

    /// The device has been reset: it has nothing any more. A request whose owner has not been told yet waits for that.
    pub fn release(&mut self) {
        if matches!(self, Request::Lost { tag: None, .. }) {
            *self = Request::Free;
        }
    }
}

/// How far a write has come that is not whole blocks (`partial.rs`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Partial {
    /// There is none.
    None,
    /// It waits until the device has nothing else.
    Waiting(Write),
    /// The blocks are being read, into the memory of this request.
    Reading(Write, RequestId),
    /// They are being written.
    Writing(Write, RequestId),
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// The request that holds the bytes.
    pub held: RequestId,
    /// The first sector.
    pub sector: u64,
    /// How many bytes.
    pub length: usize,
}

impl Partial {
    pub fn is_none(&self) -> bool {
        matches!(self, Partial::None)
    }
}

/// A request's header and status.
#[repr(C)]
pub(super) struct Head {
    pub header: [u8; 16],
    pub status: u8,
}

/// The memory of all requests.
#[repr(C, align(4096))]
pub(super) struct Requests {
    data: [[u8; BUFFER_BYTES]; REQUESTS],
    heads: [Head; REQUESTS],
}

/// Where the parts of a request lie, in bytes from the beginning of [`Requests`].
pub(super) struct Offsets {
    pub header: usize,
    pub data: usize,
    pub status: usize,
}

impl Requests {
    pub const fn new() -> Self {
        Requests {
            data: [[0; BUFFER_BYTES]; REQUESTS],
            heads: [const { Head { header: [0; 16], status: 0 } }; REQUESTS],
        }
    }

    pub fn offsets(id: RequestId) -> Offsets {
        let head = offset_of!(Requests, heads) + id.index() * size_of::<Head>();
        Offsets {
            header: head + offset_of!(Head, header),
            data: id.index() * BUFFER_BYTES,
            status: head + offset_of!(Head, status),
        }
    }

    /// The memory of one request.
    ///
    /// # Safety
    /// `memory` is static, and no other reference to this request's part of it lives.
    pub unsafe fn split<'a>(memory: NonNull<Requests>, id: RequestId) -> (&'a mut Head, &'a mut [u8; BUFFER_BYTES]) {
        let memory = memory.as_ptr();
        // SAFETY: both parts are within the arrays, because the index is below REQUESTS; the caller holds them alone.
        // Raw pointers lead there, so that no reference touches another request, which the device may be writing.
        unsafe {
            let head = (&raw mut (*memory).heads).cast::<Head>().add(id.index());
            let data = (&raw mut (*memory).data).cast::<[u8; BUFFER_BYTES]>().add(id.index());
            (&mut *head, &mut *data)
        }
    }
}
