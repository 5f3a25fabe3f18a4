//! Static frame buffers, which driver and device pass back and forth.

use core::ptr::NonNull;

use crate::Physical;
use crate::queue::{QueueMemory, Segment};

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
        const {
            assert!(RX > 0 && RX <= crate::queue::DESCRIPTORS_MAX, "1 to 256 receive buffers");
            assert!(TX > 0 && TX <= crate::queue::DESCRIPTORS_MAX, "1 to 256 transmit buffers");
            assert!(FRAME >= FRAME_MIN && FRAME <= 0xffff, "a frame buffer holds 1514 to 65535 bytes");
        }
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
pub(super) struct Framing {
    /// Length of the header in bytes: 12, or 10 on a legacy device (section 5.1.6).
    pub header: usize,
    /// The header has a descriptor of its own: a legacy device without VIRTIO_F_ANY_LAYOUT demands it (section
    /// 5.1.6.6).
    pub separate: bool,
}

impl Framing {
    /// Descriptors for each frame.
    pub fn descriptors(self) -> u16 {
        if self.separate { 2 } else { 1 }
    }
}

/// The buffers of one direction, without their number and size in the type: the driver is compiled once.
pub(super) struct Buffers {
    base: NonNull<u8>,
    physical: u64,
    stride: usize,
    count: u16,
    frame: usize,
}

// SAFETY: the memory is static and reached through this value alone; any thread may hold it.
unsafe impl Send for Buffers {}

impl Buffers {
    pub fn new<const N: usize, const FRAME: usize>(
        memory: &'static mut [FrameBuffer<FRAME>; N],
        physical: Physical,
    ) -> Self {
        let base = memory.as_mut_ptr().cast::<u8>();
        // Devices reach the memory by its address.
        base.expose_provenance();
        Buffers {
            base: NonNull::from(memory).cast(),
            physical: physical(base),
            stride: size_of::<FrameBuffer<FRAME>>(),
            count: N as u16,
            frame: FRAME,
        }
    }

    pub fn count(&self) -> u16 {
        self.count
    }

    /// Bytes of the longest frame.
    pub fn frame_size(&self) -> usize {
        self.frame
    }

    /// The buffers of one frame for the device, the first `length` bytes of the frame.
    pub fn segments(&self, index: u16, framing: Framing, length: usize, writable: bool) -> ([Segment; 2], usize) {
        assert!(index < self.count && length <= self.frame);
        let frame = self.physical + (usize::from(index) * self.stride + HEADER_ROOM) as u64;
        let segment = |address, length: usize| Segment { address, length: length as u32, writable };
        let header = frame - framing.header as u64;
        if framing.separate {
            ([segment(header, framing.header), segment(frame, length)], 2)
        } else {
            let whole = segment(header, framing.header + length);
            ([whole, whole], 1)
        }
    }

    /// The virtio header of a buffer.
    ///
    /// # Safety
    /// The device does not have the buffer, and no other reference to it lives.
    pub unsafe fn header(&mut self, index: u16, framing: Framing) -> &mut [u8] {
        assert!(index < self.count && framing.header <= HEADER_ROOM);
        // SAFETY: the header is inside buffer `index` by the assertion; the caller holds the buffer alone.
        unsafe {
            let start = self.base.add(usize::from(index) * self.stride + HEADER_ROOM - framing.header);
            core::slice::from_raw_parts_mut(start.as_ptr(), framing.header)
        }
    }

    /// The frame of a buffer, at its full size.
    ///
    /// # Safety
    /// The device does not have the buffer, and no other reference to it lives.
    pub unsafe fn frame(&mut self, index: u16) -> &mut [u8] {
        assert!(index < self.count);
        // SAFETY: the frame is inside buffer `index` by the assertion; the caller holds the buffer alone.
        unsafe {
            let start = self.base.add(usize::from(index) * self.stride + HEADER_ROOM);
            core::slice::from_raw_parts_mut(start.as_ptr(), self.frame)
        }
    }
}
