//! Where the tables begin: the root system description pointer (ACPI 6.5, section 5.2.5), as the loader gives it or as
//! it is found in the firmware's memory (5.2.5.1).

use super::{AcpiError, TABLE_MAX, Tables, check_sum, discover, u32_at, u64_at};

/// Where the firmware keeps the segment of its extended data area (ACPI 6.5, section 5.2.5.1).
const EXTENDED_AREA_SEGMENT: u64 = 0x40e;
/// Bytes of that area in which the pointer may be.
const EXTENDED_AREA_BYTES: u64 = 1024;
/// The firmware's read-only memory, in which it may be too.
const FIRMWARE: core::ops::Range<u64> = 0xe_0000..0x10_0000;
/// It begins at a multiple of this.
const ALIGNMENT: u64 = 16;
/// What it begins with.
const SIGNATURE: &[u8; 8] = b"RSD PTR ";

/// The tables of the first root pointer that leads to whole ones: the one that the loader gives (0 is none), then those
/// in the firmware's memory. `passed_over` is told why another one does not count. `memory` is as for [`discover`].
pub fn search<'a>(
    given: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
    mut passed_over: impl FnMut(u64, AcpiError),
) -> Option<Tables> {
    let mut attempt = |rsdp: u64| discover(rsdp, &memory).map_err(|error| passed_over(rsdp, error)).ok();
    if given != 0
        && let Some(tables) = attempt(given)
    {
        return Some(tables);
    }
    let segment = memory(EXTENDED_AREA_SEGMENT, 2).map_or(0, |word| u64::from(u16::from_le_bytes([word[0], word[1]])));
    let extended = (segment << 4)..(segment << 4) + EXTENDED_AREA_BYTES;
    let extended = if segment == 0 { 0..0 } else { extended };
    [extended, FIRMWARE]
        .into_iter()
        .flat_map(|range| range.step_by(ALIGNMENT as usize))
        .filter(|&address| address != given && memory(address, 8).is_some_and(|bytes| bytes == SIGNATURE))
        .find_map(attempt)
}

/// The root table's physical address and the size of its entries in bytes.
pub(super) fn root_table<'a>(
    rsdp: u64,
    reach: &impl Fn(u64, usize) -> Result<&'a [u8], AcpiError>,
) -> Result<(u64, usize), AcpiError> {
    let signature = *b"RSD ";
    let first = reach(rsdp, 20)?;
    if !first.starts_with(SIGNATURE) {
        return Err(AcpiError::Signature { expected: signature });
    }
    check_sum(first, signature)?;
    // Revision 0 is ACPI 1.0, which has no XSDT.
    if first[15] < 2 {
        return Ok((u32_at(first, 16).into(), 4));
    }
    let length = u32_at(reach(rsdp, 24)?, 20) as usize;
    if !(36..=TABLE_MAX).contains(&length) {
        return Err(AcpiError::Length { signature });
    }
    let whole = reach(rsdp, length)?;
    check_sum(whole, signature)?;
    match u64_at(whole, 24) {
        0 => Ok((u32_at(whole, 16).into(), 4)),
        xsdt => Ok((xsdt, 8)),
    }
}
