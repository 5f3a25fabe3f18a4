//! Virtio devices in windows of memory (section 4.2): where a window is, as Linux's command line says it, and whether a
//! device that this crate drives is behind it.

use slopos_registers::{Bus, Hardware};

use super::mapped::{CONTROL_BYTES, MAGIC, Mapped, VERSION};
use super::{Attachment, Interrupts, Kind, Registers, Transport};

/// A window of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The global system interrupt of its device.
    pub gsi: u32,
}

/// Why a text names no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum WindowError {
    /// It is not of the form `SIZE@ADDRESS:INTERRUPT`, or `SIZE@ADDRESS:INTERRUPT:ID`.
    Form,
    /// It is shorter than the registers, or not aligned, or goes beyond the last address.
    Place,
}

impl Window {
    /// A window at this place.
    ///
    /// # Errors
    /// [`WindowError::Place`].
    pub fn new(address: u64, length: u64, gsi: u32) -> Result<Window, WindowError> {
        let fits = length >= CONTROL_BYTES && address.is_multiple_of(4) && address.checked_add(length).is_some();
        if fits { Ok(Window { address, length, gsi }) } else { Err(WindowError::Place) }
    }

    /// Reads what follows `virtio_mmio.device=` on Linux's command line: `SIZE@ADDRESS:INTERRUPT[:ID]`, numbers decimal,
    /// or hexadecimal after `0x`; `K`, `M` or `G` multiply size and address. The number that Linux names the device by says
    /// nothing here.
    ///
    /// # Errors
    /// As [`WindowError`] says.
    pub fn parse(text: &str) -> Result<Window, WindowError> {
        let (length, rest) = text.split_once('@').ok_or(WindowError::Form)?;
        let mut parts = rest.split(':');
        let mut part = || parts.next().ok_or(WindowError::Form);
        let (address, interrupt) = (part()?, part()?);
        if let Ok(id) = part() {
            number(id).ok_or(WindowError::Form)?;
        }
        if part().is_ok() {
            return Err(WindowError::Form);
        }
        let length = size(length).ok_or(WindowError::Form)?;
        let address = size(address).ok_or(WindowError::Form)?;
        let gsi = number(interrupt).and_then(|gsi| u32::try_from(gsi).ok()).ok_or(WindowError::Form)?;
        Window::new(address, length, gsi)
    }
}

/// A number with a suffix that multiplies it.
fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.bytes().next_back()? {
        b'K' | b'k' => (text.get(..text.len() - 1)?, 10),
        b'M' | b'm' => (text.get(..text.len() - 1)?, 20),
        b'G' | b'g' => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // A sign is none of the digits.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// Why the device behind a window cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum WindowProbeError {
    /// No virtio device answers: the window begins with another word.
    NoMagic {
        /// The word.
        found: u32,
    },
    /// Its registers are those of version 1, from before VIRTIO 1.0. QEMU has the others where it is told
    /// `-global virtio-mmio.force-legacy=false`.
    Version1,
    /// Its registers are of a version that is not known here.
    UnknownVersion {
        /// The version.
        version: u32,
    },
}

/// A virtio device behind a window that has not yet been told anything.
pub struct WindowProbe<B: Bus = Hardware> {
    kind: Kind,
    registers: Mapped<B>,
    gsi: u32,
}

impl<B: Bus> WindowProbe<B> {
    /// Looks at a window that is mapped at `base`; `None` where no device is behind it, or none that is driven here
    /// (section 4.2.2.2: a window without a device is no error).
    ///
    /// # Errors
    /// As [`WindowProbeError`] says.
    ///
    /// # Safety
    /// The window's bytes are mapped from `base` on as device memory, with the same offset in the page, for as long as the
    /// probe and its transport live, and are the device's alone: no RAM, and no other device's registers. Nobody else
    /// drives the device.
    pub unsafe fn new(bus: B, base: usize, window: &Window) -> Result<Option<Self>, WindowProbeError> {
        // SAFETY: the caller promises the mapping; a `Window` has the length and alignment.
        let registers = unsafe { Mapped::new(bus, base, window.length) };
        let found = registers.magic();
        if found != MAGIC {
            return Err(WindowProbeError::NoMagic { found });
        }
        let kind = match registers.device_id() {
            1 => Kind::Network,
            2 => Kind::Block,
            4 => Kind::Entropy,
            _ => return Ok(None),
        };
        match registers.version() {
            VERSION => Ok(Some(WindowProbe { kind, registers, gsi: window.gsi })),
            1 => Err(WindowProbeError::Version1),
            version => Err(WindowProbeError::UnknownVersion { version }),
        }
    }

    /// What kind of device it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes the device over. Its driver resets it first.
    pub fn attach(self) -> Transport<B> {
        Transport {
            registers: Registers::Mapped(self.registers),
            attachment: Attachment::Window { gsi: self.gsi },
            messages: None,
            interrupts: Interrupts::Off,
        }
    }
}
