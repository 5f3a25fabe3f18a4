//! Virtio devices in windows of memory (VIRTIO 1.2 section 4.2): those that the command line names, as Linux's does
//! (`virtio_mmio.device=SIZE@ADDRESS:INTERRUPT`), or else those of the manifest.
//!
//! A window that cannot be one, or that overlaps something else, is a line of the log, and the others are used.

use crate::devices::{self, Devices, Found};
use crate::machine::{Ground, Machine};
use crate::statics::{WINDOWS, Windows};
use slopos_process_console::left_out;
use slopos_q35::ioapic::Trigger;
use slopos_registers::Hardware;
use slopos_virtio::transport::{Window, WindowProbe, WindowProbeError};

/// Most windows that are looked at.
pub const WINDOWS_MAX: usize = 32;
/// Most devices that are driven: network, block, entropy.
const DEVICES_MAX: usize = 3;
/// What names a window on the command line.
const WORD: &str = "virtio_mmio.device=";
/// Most bytes of a window that are mapped: registers and configuration are at its beginning.
const MAPPED_MAX: u64 = 4096;

/// A window that is claimed and mapped.
pub struct Place {
    window: Window,
    base: *mut u8,
}

/// The windows in which devices may be.
pub struct Places {
    places: heapless::Vec<Place, WINDOWS_MAX>,
    /// They are the manifest's: where nothing answers in one, this machine has none of them.
    guessed: bool,
}

/// The windows in which devices may be, claimed and mapped.
pub fn find(ground: Ground<'_>) -> Places {
    let Ground { space, claims, command_line, .. } = ground;
    let mut places = heapless::Vec::new();
    let mut note = |window: Window| {
        if places.is_full() {
            return defmt::error!("mmio: the window at {=u64:#x} is one more than are looked at", window.address);
        }
        let Window { address, length, .. } = window;
        if let Err(error) = claims.claim_memory("a virtio window", address, length) {
            return defmt::error!("mmio: {}", error);
        }
        let Some(base) = space.map_device(address, length.min(MAPPED_MAX)) else {
            return defmt::error!("mmio: no room to map the window at {=u64:#x}", address);
        };
        // There is room for it.
        let _ = places.push(Place { window, base });
    };
    let mut named = left_out(command_line).filter_map(|word| word.strip_prefix(WORD)).peekable();
    let guessed = named.peek().is_none();
    for text in named {
        match Window::parse(text) {
            Ok(window) => note(window),
            Err(error) => defmt::error!("mmio: {=str} names no window: {}", text, error),
        }
    }
    if let (true, Some(Windows { address, length, count, gsi })) = (guessed, WINDOWS) {
        for index in 0..count {
            let window = Window::new(address + u64::from(index) * length, length, gsi + index);
            // The manifest was checked.
            window.map_or_else(|error| defmt::error!("mmio: the manifest's windows: {}", error), &mut note);
        }
    }
    Places { places, guessed }
}

/// Looks into every window, and starts the drivers.
pub fn start(places: Places, machine: &mut Machine) -> Devices {
    let mut devices = Found::new();
    for Place { window, base } in &places.places {
        let mapped = Window { length: window.length.min(MAPPED_MAX), ..*window };
        // SAFETY: `find` has claimed the window, so it is no RAM and nobody else's, and has mapped it for ever.
        match unsafe { WindowProbe::new(Hardware, base.expose_provenance(), &mapped) } {
            Ok(Some(probe)) => devices.note("mmio", probe.kind(), (window.gsi, probe)),
            Ok(None) => {}
            Err(error @ WindowProbeError::NoMagic { .. }) if places.guessed => {
                defmt::warn!(
                    "mmio: the manifest's windows are not of this machine: {=u64:#x}: {}",
                    window.address,
                    error
                );
                break;
            }
            Err(WindowProbeError::Version1) => defmt::error!(
                "mmio: the device at {=u64:#x} has registers of version 1, and version 2 is needed (QEMU: -global \
                 virtio-mmio.force-legacy=false)",
                window.address
            ),
            Err(error) => defmt::error!("mmio: the window at {=u64:#x} cannot be used: {}", window.address, error),
        }
    }
    let mut lines: heapless::Vec<u32, DEVICES_MAX> = heapless::Vec::new();
    devices.start(machine, |(gsi, probe), machine| {
        // While one device holds the line, the other makes no edge.
        if lines.contains(&gsi) {
            defmt::warn!("mmio: two devices have interrupt {=u32}, so they are looked at by the clock", gsi);
            machine.interrupts.poll();
        }
        // There is room for one of each kind.
        let _ = lines.push(gsi);
        // Before the device has a reason: an I/O APIC forgets the edges of a line that is masked. Firecracker's lines
        // are pulses, which a line that goes by level would lose; QEMU's are held until the device is told that it was
        // heard.
        devices::route(gsi, Trigger::Edge, "mmio", machine);
        Some(probe.attach())
    })
}
