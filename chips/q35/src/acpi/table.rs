//! Tables as such: their header, their checksum, and what is wrong with one (ACPI 6.5, section 5.2.6).

/// Why the tables could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// The memory function does not reach these bytes. Map more, or do without ACPI.
    Unreachable {
        /// Physical address.
        address: u64,
        /// Bytes wanted there.
        length: usize,
    },
    /// What should be a table, or the RSDP, has another signature.
    Signature {
        /// The signature that was expected.
        expected: [u8; 4],
    },
    /// The bytes of a table do not add up to zero.
    Checksum {
        /// The table.
        signature: [u8; 4],
    },
    /// A length in a table cannot be.
    Length {
        /// The table.
        signature: [u8; 4],
    },
}

impl defmt::Format for AcpiError {
    fn format(&self, to: defmt::Formatter<'_>) {
        match *self {
            AcpiError::Unreachable { address, length } => {
                defmt::write!(to, "{=usize} bytes at {=u64:#x} cannot be reached", length, address)
            }
            AcpiError::Signature { expected } => defmt::write!(to, "it is no {=[u8; 4]:a}", expected),
            AcpiError::Checksum { signature } => defmt::write!(to, "the sum of {=[u8; 4]:a} is wrong", signature),
            AcpiError::Length { signature } => defmt::write!(to, "a length in {=[u8; 4]:a} cannot be", signature),
        }
    }
}

/// Longest table that is read, in bytes.
pub const TABLE_MAX: usize = 64 * 1024;
/// Length of a table's header (ACPI 6.5, table 5.4).
pub(super) const HEADER_BYTES: usize = 36;
/// Offset of the first MADT structure, and of the first MCFG allocation: both follow eight bytes after the header.
pub(super) const ENTRIES_OFFSET: usize = HEADER_BYTES + 8;

/// A whole table, its signature, length and checksum verified.
pub(super) fn table<'a>(
    address: u64,
    signature: [u8; 4],
    reach: &impl Fn(u64, usize) -> Result<&'a [u8], AcpiError>,
) -> Result<&'a [u8], AcpiError> {
    let header = reach(address, HEADER_BYTES)?;
    if !header.starts_with(&signature) {
        return Err(AcpiError::Signature { expected: signature });
    }
    let length = u32_at(header, 4) as usize;
    if !(HEADER_BYTES..=TABLE_MAX).contains(&length) {
        return Err(AcpiError::Length { signature });
    }
    let whole = reach(address, length)?;
    check_sum(whole, signature)?;
    Ok(whole)
}

/// Whether the bytes add up to zero.
pub(super) fn check_sum(bytes: &[u8], signature: [u8; 4]) -> Result<(), AcpiError> {
    match bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) {
        0 => Ok(()),
        _ => Err(AcpiError::Checksum { signature }),
    }
}

/// The four bytes at `offset`, which the caller has checked to be there.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|index| bytes[offset + index]))
}

/// The eight bytes at `offset`, which the caller has checked to be there.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(core::array::from_fn(|index| bytes[offset + index]))
}
