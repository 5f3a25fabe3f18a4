//! Where the tables begin: the root system description pointer (ACPI 6.5, section 5.2.5), as the loader gives it or as
//! it is found in the firmware's memory (5.2.5.1).

use super::table::{AcpiError, TABLE_MAX, check_sum, u32_at, u64_at};

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

/// Where a root pointer seems to be in the firmware's memory.
pub(super) fn candidates<'a>(memory: impl Fn(u64, usize) -> Option<&'a [u8]>) -> impl Iterator<Item = u64> {
    let segment = memory(EXTENDED_AREA_SEGMENT, 2).map_or(0, |word| u64::from(u16::from_le_bytes([word[0], word[1]])));
    let extended = (segment << 4)..(segment << 4) + EXTENDED_AREA_BYTES;
    let extended = if segment == 0 { 0..0 } else { extended };
    [extended, FIRMWARE]
        .into_iter()
        .flat_map(|range| range.step_by(ALIGNMENT as usize))
        .filter(move |&address| memory(address, 8).is_some_and(|bytes| bytes == SIGNATURE))
}

/// A root table, not yet looked at.
pub(super) struct Root {
    /// Its physical address.
    pub address: u64,
    /// Its signature.
    pub signature: [u8; 4],
    /// Size of its entries in bytes.
    pub entry_bytes: usize,
}

/// The root table that a root pointer names, and the older one that counts where the first one is damaged.
pub(super) fn root_tables<'a>(
    rsdp: u64,
    reach: &impl Fn(u64, usize) -> Result<&'a [u8], AcpiError>,
) -> Result<(Root, Option<Root>), AcpiError> {
    let signature = *b"RSD ";
    let first = reach(rsdp, 20)?;
    if !first.starts_with(SIGNATURE) {
        return Err(AcpiError::Signature { expected: signature });
    }
    check_sum(first, signature)?;
    let rsdt = Root { address: u32_at(first, 16).into(), signature: *b"RSDT", entry_bytes: 4 };
    // Revision 0 is ACPI 1.0, which has no XSDT.
    if first[15] < 2 {
        return Ok((rsdt, None));
    }
    let length = u32_at(reach(rsdp, 24)?, 20) as usize;
    if !(36..=TABLE_MAX).contains(&length) {
        return Err(AcpiError::Length { signature });
    }
    let whole = reach(rsdp, length)?;
    check_sum(whole, signature)?;
    match u64_at(whole, 24) {
        0 => Ok((rsdt, None)),
        address => {
            let older = (rsdt.address != 0).then_some(rsdt);
            Ok((Root { address, signature: *b"XSDT", entry_bytes: 8 }, older))
        }
    }
}
