//! Where the identifier of the machine's generation is (Microsoft, Virtual Machine Generation ID, 2012), found without
//! running AML: 16 bytes in memory that a hypervisor changes when it resumes a machine from a snapshot, or copies one.
//!
//! A device in the DSDT or an SSDT is compatible with `VM_Gen_Counter`; its object `ADDR` is a package of the lower and the
//! upper half of the address, as Firecracker and Cloud Hypervisor write it. QEMU's is a method that adds 40 to the
//! constant `VGIA` of the same table (docs/specs/vmgenid in its sources).

use super::aml::{constant, named, package};
use super::table::{AcpiError, HEADER_BYTES, check_sum};

/// What the device is compatible with. Hypervisors differ in the case of its letters.
const DEVICE: &[u8; 14] = b"VM_GEN_COUNTER";
/// Where QEMU's identifier lies behind the address that its table names.
const QEMU_OFFSET: u64 = 40;
/// Bytes of the identifier.
pub const GENERATION_BYTES: usize = 16;

/// How far the search may go on where this byte lies under the device's last one. Most bytes of a table are in no way
/// part of the name, so most of the table is not looked at.
const SKIP: [u8; 256] = {
    let mut skip = [DEVICE.len() as u8; 256];
    let mut index = 0;
    while index < DEVICE.len() - 1 {
        let distance = (DEVICE.len() - 1 - index) as u8;
        skip[DEVICE[index] as usize] = distance;
        skip[DEVICE[index].to_ascii_lowercase() as usize] = distance;
        index += 1;
    }
    skip
};

/// The physical address of the identifier, from a whole table with AML whose length is right. Its checksum counts only
/// where it names such a device.
pub(super) fn address(table: &[u8]) -> Result<Option<u64>, AcpiError> {
    let Some((header, aml)) = table.split_at_checked(HEADER_BYTES).filter(|(_, aml)| has_device(aml)) else {
        return Ok(None);
    };
    check_sum(table, core::array::from_fn(|index| header[index]))?;
    let address = by_package(aml).or_else(|| by_constant(aml));
    // The specification wants it aligned, and what is read as two words has to be.
    Ok(address.filter(|address| *address != 0 && address.is_multiple_of(8)))
}

fn has_device(aml: &[u8]) -> bool {
    let mut at = 0;
    while let Some(window) = aml.get(at..at + DEVICE.len()) {
        if window.eq_ignore_ascii_case(DEVICE) {
            return true;
        }
        at += usize::from(window.last().map_or(1, |last| SKIP[usize::from(*last)]));
    }
    false
}

fn by_package(aml: &[u8]) -> Option<u64> {
    named(aml, b"ADDR").find_map(|object| {
        let [low, high] = package(object)?;
        let half = |value: u64| u32::try_from(value).ok().map(u64::from);
        Some(half(high)? << 32 | half(low)?)
    })
}

fn by_constant(aml: &[u8]) -> Option<u64> {
    let base = named(aml, b"VGIA").find_map(|object| Some(constant(object)?.0)).filter(|base| *base != 0)?;
    base.checked_add(QEMU_OFFSET)
}

#[cfg(test)]
mod tests {
    use super::super::sleep::dsdt_with;
    use super::*;

    /// As QEMU writes it, the methods left out.
    const QEMU: &[u8] = b"\x08VGIA\x0c\x00\xf0\xfd\x07\x10\x44\x05\\_SB_\x5b\x82\x4cVGEN\x08_HID\x0dQEMUVGID\0\
        \x08_CID\x0dVM_Gen_Counter\0\x08_DDN\x0dVM_Gen_Counter\0\x14\x2dADDR\0\x70\x12\x02\x02\x60";
    /// As Firecracker writes it.
    const PACKAGE: &[u8] = b"\x08_CID\x0dVM_Gen_Counter\0\x08ADDR\x12\x0c\x02\x0c\xf0\xff\x00\x80\x0c\x01\0\0\0";

    #[test]
    fn the_address_is_a_package_or_qemus_constant() {
        assert_eq!(address(&dsdt_with(QEMU)), Ok(Some(0x07fd_f028)));
        assert_eq!(address(&dsdt_with(PACKAGE)), Ok(Some(0x1_8000_fff0)));
        let upper = PACKAGE.to_ascii_uppercase();
        assert_eq!(address(&dsdt_with(&upper)), Ok(Some(0x1_8000_fff0)));
    }

    #[test]
    fn the_device_is_found_wherever_it_is() {
        for before in 0..40 {
            let aml = [&b"GenVM_er_Count"[..before % 15], &b"_".repeat(before), QEMU].concat();
            assert_eq!(address(&dsdt_with(&aml)), Ok(Some(0x07fd_f028)), "{before}");
        }
    }

    #[test]
    fn what_cannot_be_is_no_address() {
        let other = PACKAGE.iter().map(|byte| if *byte == b'V' { b'W' } else { *byte }).collect::<Vec<_>>();
        assert_eq!(address(&dsdt_with(&other)), Ok(None), "another device");
        assert_eq!(address(&dsdt_with(b"\x08_CID\x0dVM_Gen_Counter\0")), Ok(None), "no address");
        let with = |wrong: &[u8]| address(&dsdt_with(&[b"\x0dVM_Gen_Counter\0\x08VGIA", wrong].concat()));
        assert_eq!(with(b"\x0c\0\0\0\0"), Ok(None), "QEMU's before the firmware has placed it");
        assert_eq!(with(b"\x0c\x04\0\x01\0"), Ok(None), "not aligned");
        assert_eq!(with(b"\x0e\xff\xff\xff\xff\xff\xff\xff\xff"), Ok(None), "beyond all addresses");
        assert_eq!(with(b"\x0c\0\0\x01\0."), Ok(Some(0x1_0028)));
    }

    #[test]
    fn a_damaged_or_cut_table_says_nothing() {
        let whole = dsdt_with(QEMU);
        for at in HEADER_BYTES..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            // Where the name itself is damaged, or cut off, nothing tells that it should be there.
            let told = address(&damaged);
            assert!(told == Ok(None) || told == Err(AcpiError::Checksum { signature: *b"DSDT" }), "{at}: {told:?}");
            assert!(!matches!(address(&whole[..at]), Ok(Some(_))), "{at}");
        }
        let mut damaged = whole;
        damaged[12] ^= 1;
        assert_eq!(address(&damaged), Err(AcpiError::Checksum { signature: *b"DSDT" }));
        assert_eq!(address(b""), Ok(None));
    }
}
