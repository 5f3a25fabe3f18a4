//! The sleep types of the state "off", `_S5` (ACPI 6.5, section 7.4.2.6), found in the DSDT without running its AML.
//!
//! Firmware writes the object as a name and a package of constants (section 20.2). It is looked for by its name; what
//! follows has to be a package that begins with one or two small constants, or the next place counts.

use super::aml::{named, package};
use super::table::{HEADER_BYTES, check_sum};

/// The object's name as AML writes it.
const NAME: &[u8; 4] = b"_S5_";
/// A sleep type has three bits (section 4.8.3.2.1).
const TYPE_MAX: u8 = 7;

/// The sleep types for PM1a and PM1b control, from a whole DSDT whose checksum is right.
pub fn off_types(dsdt: &[u8]) -> Option<[u8; 2]> {
    let whole = dsdt.starts_with(b"DSDT") && check_sum(dsdt, *b"DSDT").is_ok();
    if whole { in_aml(dsdt.get(HEADER_BYTES..)?) } else { None }
}

fn in_aml(aml: &[u8]) -> Option<[u8; 2]> {
    named(aml, NAME).find_map(|object| {
        let [first, second] = package(object)?;
        let kind = |value| u8::try_from(value).ok().filter(|kind| *kind <= TYPE_MAX);
        Some([kind(first)?, kind(second)?])
    })
}

/// A DSDT with this AML.
#[cfg(test)]
pub(crate) fn dsdt_with(aml: &[u8]) -> Vec<u8> {
    let mut table = b"DSDT".to_vec();
    table.resize(HEADER_BYTES, 0);
    table.extend(aml);
    table[9] = 0_u8.wrapping_sub(table.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_found_as_firmware_writes_it() {
        // QEMU's q35: four zeros. Cloud Hypervisor's: one 5. With a root character and a length of two bytes, too.
        assert_eq!(in_aml(b"....\x08_S5_\x12\x06\x04\0\0\0\0"), Some([0, 0]));
        assert_eq!(in_aml(b"....\x08_S5_\x12\x04\x01\x0a\x05"), Some([5, 5]));
        assert_eq!(in_aml(b"\x08\\_S5_\x12\x47\x00\x02\x0a\x07\x01rest"), Some([7, 1]));
    }

    #[test]
    fn what_only_looks_like_it_is_passed_over() {
        let aml = b"_S5_ \x08_S5_ \x08_S5_\x12\x06\x00 \x08_S5_\x12\x04\x01\x0a\x09 \x08_S5_\x12\x06\x04\x01\0\0\0";
        assert_eq!(in_aml(aml), Some([1, 0]));
        assert_eq!(in_aml(b"no such name"), None);
    }

    #[test]
    fn no_cut_reads_past_the_end() {
        let whole = b"....\x08_S5_\x12\x47\x00\x02\x0a\x07\x0a\x01";
        for end in 0..whole.len() {
            assert_eq!(in_aml(&whole[..end]), None, "{end}");
        }
        assert_eq!(in_aml(whole), Some([7, 1]));
    }

    #[test]
    fn a_damaged_table_says_nothing() {
        let mut dsdt = dsdt_with(b"\x08_S5_\x12\x04\x01\x0a\x05");
        assert_eq!(off_types(&dsdt), Some([5, 5]));
        dsdt[40] ^= 1;
        assert_eq!(off_types(&dsdt), None);
        assert_eq!(off_types(b"DSDT"), None);
        assert_eq!(off_types(b""), None);
    }
}
