//! The watchdog that the manifest asks for: finds one, starts it, and keeps it from resetting the board.
//!
//! A device that somebody has added on purpose, i6300esb, comes before the chipset's own timer.

use crate::statics::WATCHDOG_MS;
use crate::{claims, ending};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use slopos_q35::claims::Claims;
use slopos_q35::pci::{Bar, Device};
use slopos_q35::watchdog::i6300esb::{self, I6300esb};
use slopos_q35::watchdog::tco::{self, Tco};
use slopos_q35::watchdog::{TIMEOUT_MAX_MS, TIMEOUT_MIN_MS, Watchdog};
use slopos_registers::Hardware;
use slopos_x86_64::paging::KernelSpace;
use static_cell::StaticCell;

const _: () = assert!(match WATCHDOG_MS {
    Some(timeout) => timeout >= TIMEOUT_MIN_MS && timeout <= TIMEOUT_MAX_MS,
    None => true,
});

#[unsafe(link_section = ".owner.kernel")]
static WATCHDOG: StaticCell<Watchdog> = StaticCell::new();
/// Where it is, once it runs: a panic may stop it at any time.
#[unsafe(link_section = ".owner.kernel")]
static STARTED: AtomicPtr<Watchdog> = AtomicPtr::new(core::ptr::null_mut());

/// Feeds the watchdog.
pub struct Keeper(&'static Watchdog);

impl Keeper {
    /// To be called only while the loop makes progress.
    pub fn feed(&self) {
        self.0.feed();
    }
}

/// Starts the watchdog, if the manifest wants one, and tells why the last boot ended. To be called once.
pub fn start(found: Option<Watchdog>) -> Option<Keeper> {
    ending::report(found.as_ref().filter(|watchdog| watchdog.take_fired()).map(Watchdog::name));
    let timeout_ms = WATCHDOG_MS?;
    let Some(watchdog) = found else {
        defmt::error!("watchdog: the manifest wants one, and the machine has none that can be used");
        return None;
    };
    let kept_ms = watchdog.start(timeout_ms);
    defmt::info!("watchdog: {=str} resets the board after {=u32} ms without progress", watchdog.name(), kept_ms);
    let watchdog = WATCHDOG.init(watchdog);
    STARTED.store(watchdog, Relaxed);
    Some(Keeper(watchdog))
}

/// Stops it, for good.
pub fn stop() {
    // SAFETY: null, or the static that `start` has filled; it is only read after that.
    if let Some(watchdog) = unsafe { STARTED.load(Relaxed).as_ref() } {
        watchdog.stop();
    }
}

/// Whether a PCI function is a watchdog that the manifest wants.
pub fn is_driven(device: &Device) -> bool {
    WATCHDOG_MS.is_some() && i6300esb::is(device)
}

/// The machine's watchdog on PCI, if the manifest wants one. `each` calls what it is given for each function.
pub fn find(
    each: impl FnOnce(&mut dyn FnMut(Device)),
    claims: &mut Claims,
    space: &mut KernelSpace,
) -> Option<Watchdog> {
    WATCHDOG_MS?;
    let (mut device, mut timer) = (None, None);
    each(&mut |found| {
        if is_driven(&found) {
            device = Some(found);
        }
        match tco::find(&found) {
            Ok(place) => timer = timer.or(place),
            Err(error) => defmt::warn!("watchdog: the chipset's cannot be used: {}", error),
        }
    });
    device.and_then(|device| attach(device, claims, space)).or_else(|| start_timer(timer?, claims, space))
}

fn attach(device: Device, claims: &mut Claims, space: &mut KernelSpace) -> Option<Watchdog> {
    let Ok(Bar::Memory { address, size: i6300esb::MEMORY_BYTES.., .. }) = device.bar(0) else {
        defmt::warn!("watchdog: the i6300esb's registers have no place");
        return None;
    };
    if !claims.holds(device.address()) {
        device.switch_off();
        defmt::error!("watchdog: the i6300esb is not used, its registers are not its own");
        return None;
    }
    let base = space.map_device(address, i6300esb::MEMORY_BYTES)?;
    device.enable_access();
    // SAFETY: just mapped, for ever; the device holds its claims, and is used by nobody else.
    Some(Watchdog::I6300esb(unsafe { I6300esb::new(device, base.expose_provenance()) }))
}

fn start_timer(place: tco::Place, claims: &mut Claims, space: &mut KernelSpace) -> Option<Watchdog> {
    let name = "the chipset's control register";
    let general = claims::map(claims, space, name, place.general, tco::GCS_BYTES)?;
    // SAFETY: just mapped, for ever; the ports are among those of power management, which nobody else uses.
    let timer = unsafe { Tco::new(Hardware, place.port, general.expose_provenance()) };
    let timer = timer.inspect_err(|error| defmt::warn!("watchdog: the chipset's cannot be used: {}", error));
    timer.ok().map(Watchdog::Tco)
}
