//! The ways out of the machine: QEMU's debug-exit device with a code, ACPI, a reset; and the button that asks for it.

use crate::ending;
use crate::statics::ON_PANIC;
use crate::watchdog;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use slopos_kernel::time::{Duration, Instant};
use slopos_q35::acpi::Tables;
use slopos_q35::debug_exit::DebugExit;
use slopos_q35::power::Power;
use slopos_q35::power_button::PowerButton;
use slopos_q35::rtc::Note;
use slopos_registers::Hardware;
use slopos_x86_64::control::{halt, triple_fault};
use slopos_x86_64::paging::KernelSpace;
use static_cell::StaticCell;

/// What a panic does where QEMU has no debug-exit device: `on_panic` in the manifest.
#[allow(dead_code, reason = "the manifest chooses one of them")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// Stops, for somebody to look at it.
    Halt,
    /// Starts anew.
    Reboot,
    /// Switches the machine off.
    PowerOff,
}

/// How often to look at the power button: a look leaves a virtual machine. Less than the longest time between two
/// interrupts of the timer, so that each of those that come when nothing happens looks.
const LOOK: Duration = Duration::from_millis(900);

/// The power button, where the machine has one that the kernel can read.
pub struct Button {
    button: Option<PowerButton>,
    next_look: Instant,
}

impl Button {
    /// Whether it was pressed. To be called when the timer has fired; most calls do not look.
    pub fn is_pressed(&mut self, now: Instant) -> bool {
        let Some(button) = &self.button else { return false };
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK;
        button.take_press()
    }
}

/// The code that a panic writes to the debug-exit device.
const PANIC_CODE: u8 = 1;

#[unsafe(link_section = ".owner.kernel")]
static POWER: StaticCell<Power> = StaticCell::new();
/// Where it is, once it is there: a panic may come before, and at any time.
#[unsafe(link_section = ".owner.kernel")]
static PREPARED: AtomicPtr<Power> = AtomicPtr::new(core::ptr::null_mut());

/// Maps the table with what is the board's own (ACPI's DSDT), of which `length` bytes are believed to be there. It is
/// empty where there is none.
///
/// # Safety
/// To be called once, with the firmware's tables.
pub unsafe fn map_dsdt(tables: &Tables, length: Option<usize>, space: &mut KernelSpace) -> &'static [u8] {
    let dsdt = tables.power.dsdt.zip(length).and_then(|(address, length)| {
        let start = space.map_device(address, length as u64)?;
        // SAFETY: just mapped, for ever; the firmware's tables lie in memory that the loader keeps from everybody.
        Some::<&[u8]>(unsafe { core::slice::from_raw_parts(start.cast_const(), length) })
    });
    dsdt.unwrap_or_default()
}

/// Maps what it takes to switch off: the registers in memory. The values for them are in
/// the firmware's `dsdt`. From now on the power button does nothing but what its reader does.
///
/// # Safety
/// To be called once, with the firmware's tables.
pub unsafe fn prepare(tables: &Tables, dsdt: &'static [u8], space: &mut KernelSpace) -> Button {
    let map = |address| space.map_device(address, 1).map(|base| base.expose_provenance());
    // SAFETY: the tables say that the registers are power management's, and `claims` keeps devices away from them.
    let power = POWER.init(unsafe { Power::new(Hardware, &tables.power, dsdt, map) });
    PREPARED.store(power, Relaxed);
    // SAFETY: as above.
    let button = unsafe { PowerButton::new(Hardware, &tables.power) };
    if let Some(button) = &button {
        power.take_over();
        button.listen();
    }
    Button { button, next_look: Instant::BOOT }
}

/// Whether a code reaches the host: QEMU has its debug-exit device.
pub fn code_reaches_host() -> bool {
    debug_exit().is_there()
}

/// Whether the machine can be switched off, and not only started anew.
pub fn has_off() -> bool {
    prepared().is_some_and(Power::has_off)
}

/// Ends QEMU with exit status `code * 2 + 1`; without its debug-exit device, switches the machine off.
pub fn leave(code: u8) -> ! {
    debug_exit().exit(code);
    power_off()
}

/// Switches the machine off; where that cannot be done, starts it anew.
pub fn power_off() -> ! {
    ending::leave_note(Note::Exit);
    off()
}

/// Starts the machine anew: by the reset register, by the keyboard controller, else by a fault.
pub fn reboot() -> ! {
    ending::leave_note(Note::Reboot);
    reset()
}

fn off() -> ! {
    if let Some(power) = prepared() {
        power.off();
    }
    reset()
}

fn reset() -> ! {
    // It may go on counting over the reset, and the firmware does not feed it.
    watchdog::stop();
    if let Some(power) = prepared() {
        power.reset();
    }
    triple_fault()
}

/// Ends QEMU with the code for a panic; without its debug-exit device, does as the manifest says.
pub fn leave_panicking() -> ! {
    debug_exit().exit(PANIC_CODE);
    ending::leave_note(Note::Panic);
    match ON_PANIC {
        OnPanic::Halt => {
            watchdog::stop();
            halt()
        }
        OnPanic::Reboot => reset(),
        OnPanic::PowerOff => off(),
    }
}

fn prepared() -> Option<&'static Power> {
    // SAFETY: null, or the static that `prepare` has filled; it is only read after that.
    unsafe { PREPARED.load(Relaxed).as_ref() }
}

fn debug_exit() -> DebugExit {
    // SAFETY: the port is the debug-exit device's and nobody else's.
    unsafe { DebugExit::new(Hardware) }
}
