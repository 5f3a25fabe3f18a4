//! What the driver tells of the device: why it did not start, why it is of no use, and what was counted.

use crate::queue::{AddError, QueueFault};
use crate::transport::TransportError;

/// Why the device did not start. It is cut off from memory, and marked as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartError {
    /// The transport failed; its error says what to do.
    Transport(TransportError),
    /// A modern device that does not offer VIRTIO_F_VERSION_1: it contradicts itself.
    NotVersion1,
    /// The device's hardware address is a group's, or zero.
    BadMac {
        /// The address.
        mac: [u8; 6],
    },
    /// A queue is too small for even one frame.
    QueueTooSmall {
        /// The queue.
        queue: u16,
        /// Its size.
        size: u16,
    },
    /// The receive buffers could not be given to the device.
    NotPosted(AddError),
}

impl From<TransportError> for StartError {
    fn from(error: TransportError) -> Self {
        StartError::Transport(error)
    }
}

/// Why the device is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Broken {
    /// It has not been started yet.
    New,
    /// Nothing answers where it was.
    Gone,
    /// It no longer runs, though nobody has stopped it.
    Stopped,
    /// The device broke the rules of the receive queue.
    Receive(QueueFault),
    /// The device broke the rules of the transmit queue.
    Transmit(QueueFault),
    /// The device has sent no frame for [`STALL_US`](super::STALL_US), though it has some.
    TransmitStalled {
        /// How many it has.
        frames: u16,
    },
    /// The device asks for a reset.
    NeedsReset,
    /// The device's configuration can no longer be read.
    Configuration(TransportError),
    /// A buffer could not be given to the device.
    NotPosted(AddError),
    /// The last start did not come to its end.
    NotStarted(StartError),
}

/// How the device is, and when it is tried again where it is of no use, in microseconds from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Condition {
    /// It works.
    Working,
    /// It was told to reset itself and is not done.
    Resetting,
    /// Nothing answers where it was.
    Gone {
        /// The next try.
        next_try_us: u64,
    },
    /// It is left alone after a fault, or a reset that failed.
    Failed {
        /// The next try.
        next_try_us: u64,
    },
}

/// What has happened since `Net::start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Counters {
    /// Frames received and handed out.
    pub received: u64,
    /// Bytes of those.
    pub received_bytes: u64,
    /// Frames dropped, shorter than their headers.
    pub received_short: u64,
    /// Frames dropped, because they need an offload that was not agreed.
    pub received_offloaded: u64,
    /// Frames given to the device.
    pub transmitted: u64,
    /// Bytes of those.
    pub transmitted_bytes: u64,
    /// Frames refused, because no frame has their length.
    pub transmit_refused: u64,
    /// Notifications of the device.
    pub notifications: u64,
    /// Times that the device was found broken.
    pub faults: u64,
    /// Times that the device was reset after a fault, and came back.
    pub recoveries: u64,
}
