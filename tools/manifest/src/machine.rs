//! Where a machine without PCI has its devices.

use crate::error::Fault;
use crate::table::Table;
use crate::{Machine, Mmio};
use toml::Spanned;
use toml::de::DeValue;

/// Most windows: as many as the board looks at.
const WINDOWS_MAX: u64 = 32;
/// Least bytes of a window: the registers (VIRTIO 1.2 section 4.2.2).
const WINDOW_MIN: u64 = 256;

/// The table `[board.mmio]`.
pub(crate) fn mmio(value: &Spanned<DeValue<'_>>, machine: Machine) -> Result<Mmio, Fault> {
    let table = Table::new("[board.mmio]", value, &["address", "size", "count", "interrupt"])?;
    if machine != Machine::MicroVm {
        return Err(Fault::new(table.at, "[board.mmio] is for `machine = \"microvm\"`; elsewhere devices are on PCI"));
    }
    let address = table.number("address", 0, u64::MAX)?;
    let size = table.size("size")?;
    let count = table.number("count", 1, WINDOWS_MAX)?;
    let interrupt = table.number("interrupt", 0, u64::from(u8::MAX))?;
    if size.value < WINDOW_MIN || !size.value.is_multiple_of(4) {
        return Err(Fault::new(
            size.at,
            format!("`size` is {} bytes; a window has {WINDOW_MIN} at least, and a multiple of 4", size.value),
        ));
    }
    let end = size.value.checked_mul(count.value).and_then(|length| address.value.checked_add(length));
    if !address.value.is_multiple_of(4) || end.is_none() {
        return Err(Fault::new(
            address.at,
            format!("`address` is {:#x}; it has to be a multiple of 4, with room for all windows", address.value),
        ));
    }
    Ok(Mmio { address: address.value, size: size.value, count: count.value, interrupt: interrupt.value })
}
