//! Visits every function, through bridges, by the bus numbers that the firmware gave.

use heapless::Vec;

use super::configuration::{Address, Configuration};
use super::device::{Device, Wiring};
use slopos_registers::Bus;

/// A bus that waits for its visit.
struct Pending {
    bus: u8,
    wiring: Wiring,
}

/// What the firmware left cannot be enumerated in full. What was found before the fault has been visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum EnumerateError {
    /// A bridge leads to a bus that another leads to, or back to the root: following it might never end.
    BusTwice {
        /// The bus.
        bus: u8,
    },
}

impl<B: Bus> Configuration<B> {
    /// Calls `visit` for each function that exists, a bridge before what is behind it, and says how many there are.
    ///
    /// # Errors
    /// As [`EnumerateError`] says; the rest of the buses has been visited nevertheless.
    pub fn enumerate(&self, mut visit: impl FnMut(Device<B>)) -> Result<usize, EnumerateError> {
        let root = self.first_bus();
        let mut seen = [false; 256];
        seen[usize::from(root)] = true;
        // Each bus is pushed at most once, so 256 places are enough.
        let mut pending: Vec<Pending, 256> = Vec::new();
        let mut visited = 0;
        let mut outcome = Ok(());
        let mut current = Some(Pending { bus: root, wiring: Wiring { root_slot: None, swizzle: 0 } });
        while let Some(Pending { bus, wiring }) = current {
            self.each_function(bus, wiring, |device| {
                visited += 1;
                visit(device);
                // 0 is a bridge that the firmware has not numbered: nothing can be reached through it.
                let secondary = if device.is_bridge() { device.secondary_bus() } else { 0 };
                if secondary == 0 {
                    return;
                }
                if core::mem::replace(&mut seen[usize::from(secondary)], true) {
                    outcome = Err(EnumerateError::BusTwice { bus: secondary });
                    return;
                }
                let pushed = pending.push(Pending { bus: secondary, wiring: behind(&device) });
                debug_assert!(pushed.is_ok(), "each bus is pushed at most once");
            });
            current = pending.pop();
        }
        outcome.map(|()| visited)
    }

    fn each_function(&self, bus: u8, wiring: Wiring, mut visit: impl FnMut(Device<B>)) {
        for slot in 0..32 {
            let mut functions = 1;
            for function in 0..8 {
                if function >= functions {
                    break;
                }
                let address = Address::new(bus, slot, function).map(|address| address.in_segment(self.segment()));
                let device = address.and_then(|address| Device::probe(*self, address, wiring));
                match device {
                    // A device without function 0 does not exist (section 3.2.2.3.4).
                    None if function == 0 => break,
                    None => {}
                    Some(device) => {
                        if function == 0 && device.is_multifunction() {
                            functions = 8;
                        }
                        visit(device);
                    }
                }
            }
        }
    }
}

/// The wiring of what is behind a bridge.
fn behind<B: Bus>(bridge: &Device<B>) -> Wiring {
    let slot = bridge.address().slot();
    match bridge.wiring() {
        Wiring { root_slot: None, .. } => Wiring { root_slot: Some(slot), swizzle: 0 },
        Wiring { root_slot, swizzle } => Wiring { root_slot, swizzle: (swizzle + slot) % 4 },
    }
}
