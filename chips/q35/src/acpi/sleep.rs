//! The sleep types of the state "off", `_S5` (ACPI 6.5, section 7.4.2.6), found in the DSDT without running its AML.
//!
//! Firmware writes the object as a name and a package of constants (section 20.2). It is looked for by its name; what
//! follows has to be a package that begins with one or two small constants, or the next place counts.

use super::{HEADER_BYTES, check_sum};

/// The object's name as AML writes it.
const NAME: &[u8; 4] = b"_S5_";
/// AML's name of an object to come, and of the root.
const NAME_OP: u8 = 0x08;
const ROOT: u8 = b'\\';
/// AML's package, and its constants: zero, one, a byte.
const PACKAGE_OP: u8 = 0x12;
const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const BYTE_PREFIX: u8 = 0x0a;
/// A sleep type has three bits (section 4.8.3.2.1).
const TYPE_MAX: u8 = 7;

/// The sleep types for PM1a and PM1b control, from a whole DSDT whose checksum is right.
pub fn off_types(dsdt: &[u8]) -> Option<[u8; 2]> {
    let whole = dsdt.starts_with(b"DSDT") && check_sum(dsdt, *b"DSDT").is_ok();
    if whole { in_aml(dsdt.get(HEADER_BYTES..)?) } else { None }
}

fn in_aml(aml: &[u8]) -> Option<[u8; 2]> {
    (1..aml.len().saturating_sub(NAME.len())).find_map(|at| {
        let named = aml[at..].starts_with(NAME) && (aml[at - 1] == NAME_OP || aml[..at].ends_with(&[NAME_OP, ROOT]));
        if named { package(&aml[at + NAME.len()..]) } else { None }
    })
}

/// The first two constants of a package; the second is the first where there is only one.
fn package(aml: &[u8]) -> Option<[u8; 2]> {
    let (&op, aml) = aml.split_first()?;
    // The two highest bits of a package's length say how many bytes of it follow (section 20.2.4).
    let length_bytes = 1 + usize::from(aml.first()? >> 6);
    let (&count, elements) = aml.get(length_bytes..)?.split_first()?;
    if op != PACKAGE_OP || count == 0 {
        return None;
    }
    let (first, rest) = constant(elements)?;
    let second = if count == 1 { first } else { constant(rest)?.0 };
    Some([first, second])
}

fn constant(aml: &[u8]) -> Option<(u8, &[u8])> {
    let (value, rest) = match aml {
        [ZERO_OP, rest @ ..] => (0, rest),
        [ONE_OP, rest @ ..] => (1, rest),
        [BYTE_PREFIX, value, rest @ ..] => (*value, rest),
        _ => return None,
    };
    (value <= TYPE_MAX).then_some((value, rest))
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
