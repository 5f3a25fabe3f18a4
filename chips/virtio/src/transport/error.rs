//! Why a transport fails.

/// Why the device cannot be driven. All but the first two are faults of the device, which stays off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum TransportError {
    /// The device refuses the features that the driver can do with. It needs another driver.
    FeaturesRefused,
    /// The queue is at an address that a legacy device cannot be told. Place the static memory lower.
    AddressTooHigh {
        /// The queue.
        queue: u16,
    },
    /// The device does not finish its reset. It has been cut off from memory.
    ResetTimeout,
    /// Nothing answers where the device was: every read gives ones. It may come back.
    Gone,
    /// The device has no such queue.
    NoSuchQueue {
        /// The queue.
        queue: u16,
    },
    /// The size of a queue is not a power of two, or more than the static memory is for.
    BadQueueSize {
        /// The queue.
        queue: u16,
        /// The device's size.
        size: u16,
    },
    /// The device uses the queue already, after a reset.
    QueueInUse {
        /// The queue.
        queue: u16,
    },
    /// The device does not take the MSI-X vectors that its table has room for.
    VectorRefused,
    /// The notification register of a queue is outside its region.
    BadNotifyOffset {
        /// The queue.
        queue: u16,
    },
    /// A configuration field is missing, or never stable.
    BadConfiguration,
}
