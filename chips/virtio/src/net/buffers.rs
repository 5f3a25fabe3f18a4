//! Static frame buffers, which driver and device pass back and forth.

use core::ptr::NonNull;

use crate::Physical;
use crate::queue::{DESCRIPTORS_MAX, QueueMemory, Segment};

/// Bytes before a frame, the virtio header at their end. Two more than a multiple of 16, so that what follows the
/// 14 bytes of the Ethernet header is aligned to 32.
const HEADER_ROOM: usize = 18;

/// Smallest frame buffer in bytes: an Ethernet frame of 1500 bytes with its header. A device may drop, or stop at, a
/// frame for which a receive buffer is too short (section 5.1.6.3.1).
pub const FRAME_MIN: usize = 1514;

/// Room for one frame and its virtio header.
#[repr(C, align(64))]
pub struct FrameBuffer<const FRAME: usize> {
    header: [u8; HEADER_ROOM],
    frame: [u8; FRAME],
}

/// All the static memory of a network device: both queues, `RX` buffers to receive, `TX` to transmit (1 to 256 each),
/// each for a frame of `FRAME` bytes (Ethernet header included, at least [`FRAME_MIN`]). How many buffers there are
/// does not depend on the size of the device's queues. All zeros is a valid start.
#[repr(C)]
pub struct NetMemory<const RX: usize, const TX: usize, const FRAME: usize> {
    pub(super) receive_queue: QueueMemory,
    pub(super) transmit_queue: QueueMemory,
    pub(super) receive: [FrameBuffer<FRAME>; RX],
    pub(super) transmit: [FrameBuffer<FRAME>; TX],
}

impl<const RX: usize, const TX: usize, const FRAME: usize> NetMemory<RX, TX, FRAME> {
    /// Memory for a network device, all zeros.
    pub const fn new() -> Self {
        NetMemory {
            receive_queue: QueueMemory::new(),
            transmit_queue: QueueMemory::new(),
            receive: [const { FrameBuffer { header: [0; HEADER_ROOM], frame: [0; FRAME] } }; RX],
            transmit: [const { FrameBuffer { header: [0; HEADER_ROOM], frame: [0; FRAME] } }; TX],
        }
    }
}

impl<const RX: usize, const TX: usize, const FRAME: usize> Default for NetMemory<RX, TX, FRAME> {
    fn default() -> Self {
        NetMemory::new()
    }
}

/// How the virtio header goes with its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// With VIRTIO_F_VERSION_1: 12 bytes, in one descriptor with the frame (section 5.1.6).
    Modern,
    /// On a legacy device with VIRTIO_F_ANY_LAYOUT: 10 bytes, in one descriptor with the frame.
    AnyLayout,
    /// On a legacy device without it: 10 bytes, in a descriptor of their own, which it demands (section 5.1.6.6).
    Separate,
}

impl Framing {
    /// Length of the header in bytes, less than [`HEADER_ROOM`].
    pub const fn header(self) -> usize {
        match self {
            Framing::Modern => 12,
            Framing::AnyLayout | Framing::Separate => 10,
        }
    }

    /// Descriptors for each frame.
    pub const fn descriptors(self) -> u16 {
        match self {
            Framing::Modern | Framing::AnyLayout => 1,
            Framing::Separate => 2,
        }
    }
}

/// What a device is told of one frame.
pub(super) enum Segments {
    /// Header and frame together.
    One([Segment; 1]),
    /// Header, frame.
    Two([Segment; 2]),
}

impl Segments {
    pub fn as_slice(&self) -> &[Segment] {
        match self {
            Segments::One(segments) => segments,
            Segments::Two(segments) => segments,
        }
    }
}

/// A buffer that exists: where it begins, from the first one's beginning. Only [`Buffers::get`] makes one, after the
/// one check that is needed; it is for the `Buffers` that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer(usize);

/// The buffers of one direction, without their number and size in the type: the driver is compiled once.
pub(super) struct Buffers {
    base: NonNull<u8>,
    physical: u64,
    stride: usize,
    /// Number of the last buffer.
    last: u8,
    frame: u16,
}

// SAFETY: the memory is static and reached through this value alone; any thread may hold it.
unsafe impl Send for Buffers {}

impl Buffers {
    pub fn new<const N: usize, const FRAME: usize>(
        memory: &'static mut [FrameBuffer<FRAME>; N],
        physical: Physical,
    ) -> Self {
        const {
            assert!(N > 0 && N <= DESCRIPTORS_MAX, "1 to 256 buffers in each direction");
            assert!(FRAME >= FRAME_MIN && FRAME <= u16::MAX as usize, "a frame buffer holds 1514 to 65535 bytes");
        }
        // The reference ends here: from now on the device may write the bytes, and reaches them by their address.
        let base = NonNull::from(memory).cast::<u8>();
        base.as_ptr().expose_provenance();
        Buffers {
            base,
            physical: physical(base.as_ptr()),
            stride: size_of::<FrameBuffer<FRAME>>(),
            last: (N - 1) as u8,
            frame: FRAME as u16,
        }
    }

    /// The numbers of all buffers, and where they are.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (u8, Buffer)> + use<> {
        let stride = self.stride;
        (0..=self.last).map(move |token| (token, Buffer(usize::from(token) * stride)))
    }

    /// Bytes of the longest frame.
    pub fn frame_size(&self) -> u16 {
        self.frame
    }

    /// Where a buffer is; `None` where there is none of this number.
    pub fn get(&self, token: u8) -> Option<Buffer> {
        (token <= self.last).then_some(Buffer(usize::from(token) * self.stride))
    }

    /// The buffers of one frame for the device, the first `length` bytes of the frame.
    pub fn segments(&self, buffer: Buffer, framing: Framing, length: u16, writable: bool) -> Segments {
        // No device is told of more than there is.
        let length = u32::from(length.min(self.frame));
        let frame = self.physical + (buffer.0 + HEADER_ROOM) as u64;
        let header = frame - framing.header() as u64;
        let header_length = framing.header() as u32;
        match framing {
            Framing::Modern | Framing::AnyLayout => {
                Segments::One([Segment { address: header, length: header_length + length, writable }])
            }
            Framing::Separate => Segments::Two([
                Segment { address: header, length: header_length, writable },
                Segment { address: frame, length, writable },
            ]),
        }
    }

    /// A buffer that the device has filled: its virtio header, and room for the longest frame after it.
    ///
    /// # Safety
    /// `buffer` is one of these; the device does not have it, and no exclusive reference to it lives.
    pub unsafe fn filled(&self, buffer: Buffer, framing: Framing) -> &[u8] {
        // SAFETY: a buffer is inside the memory, where room for the longest header and for a frame of `frame` bytes
        // lies without a gap; all of it was initialised; the caller promises that nobody writes it.
        unsafe {
            let start = self.base.add(buffer.0 + HEADER_ROOM - framing.header());
            core::slice::from_raw_parts(start.as_ptr(), framing.header() + usize::from(self.frame))
        }
    }

    /// The frame of a buffer to send, at its full size.
    ///
    /// # Safety
    /// `buffer` is one of these; the device does not have it, and no other reference to it lives.
    pub unsafe fn frame(&mut self, buffer: Buffer) -> &mut [u8] {
        // SAFETY: a buffer is inside the memory, where the room for a frame of `frame` bytes follows that for the
        // header; all of it was initialised; the caller holds the buffer alone.
        unsafe {
            let start = self.base.add(buffer.0 + HEADER_ROOM);
            core::slice::from_raw_parts_mut(start.as_ptr(), self.frame.into())
        }
    }

    /// Makes the virtio header of a buffer say nothing: zeros ask for no offload (section 5.1.6.2.1).
    ///
    /// # Safety
    /// `buffer` is one of these; the device does not have it, and no reference to it lives.
    pub unsafe fn clear_header(&mut self, buffer: Buffer) {
        // SAFETY: a buffer is inside the memory, and the room for the header begins there; the caller holds the buffer
        // alone.
        unsafe { self.base.add(buffer.0).cast::<[u8; HEADER_ROOM]>().write([0; HEADER_ROOM]) };
    }
}
