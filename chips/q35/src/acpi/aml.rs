//! What can be read of AML without running it (ACPI 6.5, section 20.2): an object that a name and constants describe.

/// AML's name of an object to come, and of the root.
const NAME_OP: u8 = 0x08;
const ROOT: u8 = b'\\';
/// AML's package, and its constants: zero, one, one to eight bytes.
const PACKAGE_OP: u8 = 0x12;
const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const QWORD_PREFIX: u8 = 0x0e;

/// What follows each definition of an object of this name.
pub(super) fn named<'a>(aml: &'a [u8], name: &[u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    (1..aml.len().saturating_sub(name.len())).filter_map(move |at| {
        let defined = aml[at..].starts_with(name) && (aml[at - 1] == NAME_OP || aml[..at].ends_with(&[NAME_OP, ROOT]));
        defined.then(|| &aml[at + name.len()..])
    })
}

/// The first two constants of a package; the second is the first where there is only one.
pub(super) fn package(aml: &[u8]) -> Option<[u64; 2]> {
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

/// A constant, and what follows it.
pub(super) fn constant(aml: &[u8]) -> Option<(u64, &[u8])> {
    let (&prefix, rest) = aml.split_first()?;
    let bytes = match prefix {
        ZERO_OP => return Some((0, rest)),
        ONE_OP => return Some((1, rest)),
        BYTE_PREFIX => 1,
        WORD_PREFIX => 2,
        DWORD_PREFIX => 4,
        QWORD_PREFIX => 8,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(bytes)?;
    Some((value.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), rest))
}
