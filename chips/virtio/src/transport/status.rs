//! The fields that all kinds of registers share.

use tock_registers::register_bitfields;

register_bitfields![u8,
    /// Device status (section 2.1). Writing 0 resets the device.
    pub(super) DeviceStatus [
        /// The driver has noticed the device.
        ACKNOWLEDGE OFFSET(0) NUMBITS(1) [],
        /// The driver knows how to drive it.
        DRIVER OFFSET(1) NUMBITS(1) [],
        /// The driver is ready: the device may use the queues.
        DRIVER_OK OFFSET(2) NUMBITS(1) [],
        /// Features are agreed; read it back, because the device may refuse.
        FEATURES_OK OFFSET(3) NUMBITS(1) [],
        /// The device has met an error that only a reset ends.
        DEVICE_NEEDS_RESET OFFSET(6) NUMBITS(1) [],
        /// The driver has given up.
        FAILED OFFSET(7) NUMBITS(1) []
    ],
    /// ISR status (section 4.1.4.5). Reading it clears it and lowers the interrupt pin.
    pub(super) IsrStatus [
        /// A queue has used buffers.
        QUEUE OFFSET(0) NUMBITS(1) [],
        /// The device's configuration has changed.
        CONFIGURATION OFFSET(1) NUMBITS(1) []
    ]
];

/// Vector that means none (section 4.1.5.1.2, VIRTIO_MSI_NO_VECTOR). Read back, it is a refusal.
pub(super) const NO_VECTOR: u16 = 0xffff;
