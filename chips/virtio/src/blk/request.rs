//! The requests that can be with the device at a time: what is remembered of each, and its memory.

use core::mem::offset_of;
use core::ptr::NonNull;

use super::{BlockError, SECTOR_BYTES};

/// Requests that are with the device at a time, where the queue has room.
pub const REQUESTS: usize = 4;
/// Most bytes of data in one request.
pub const REQUEST_BYTES: usize = 64 * SECTOR_BYTES;

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
        /// Bytes to be read.
        read: usize,
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

impl Request {
    /// Gives a request up that the device has.
    pub fn lose(&mut self, error: BlockError) {
        if let Request::Sent { tag, .. } = *self {
            *self = Request::Lost { tag: Some(tag), error };
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

/// A request's header and status.
#[repr(C)]
pub(super) struct Head {
    pub header: [u8; 16],
    pub status: u8,
}

/// The memory of all requests.
#[repr(C, align(4096))]
pub(super) struct Requests {
    data: [[u8; REQUEST_BYTES]; REQUESTS],
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
            data: [[0; REQUEST_BYTES]; REQUESTS],
            heads: [const { Head { header: [0; 16], status: 0 } }; REQUESTS],
        }
    }

    pub fn offsets(id: RequestId) -> Offsets {
        let head = offset_of!(Requests, heads) + id.index() * size_of::<Head>();
        Offsets {
            header: head + offset_of!(Head, header),
            data: id.index() * REQUEST_BYTES,
            status: head + offset_of!(Head, status),
        }
    }

    /// The memory of one request.
    ///
    /// # Safety
    /// `memory` is static, and no other reference to this request's part of it lives.
    pub unsafe fn split<'a>(memory: NonNull<Requests>, id: RequestId) -> (&'a mut Head, &'a mut [u8; REQUEST_BYTES]) {
        let memory = memory.as_ptr();
        // SAFETY: both parts are within the arrays, because the index is below REQUESTS; the caller holds them alone.
        // Raw pointers lead there, so that no reference touches another request, which the device may be writing.
        unsafe {
            let head = (&raw mut (*memory).heads).cast::<Head>().add(id.index());
            let data = (&raw mut (*memory).data).cast::<[u8; REQUEST_BYTES]>().add(id.index());
            (&mut *head, &mut *data)
        }
    }
}
