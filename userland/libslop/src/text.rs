//! Reading short texts: option values, URLs, header fields. Each function is there once in a program, however often it is
//! used: what the standard library has for this is generic, and would be compiled into each place.

/// The text before the first `at`, which is an ASCII character, and the text behind it.
#[inline(never)]
pub fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// A number in digits alone: no sign, no blanks, no overflow.
#[inline(never)]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = digit.wrapping_sub(b'0');
        if value > 9 { None } else { number.checked_mul(10)?.checked_add(value.into()) }
    })
}

/// Whether two texts are the same but for the case of ASCII letters.
#[inline(never)]
pub fn same_word(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_first_of_its_kind() {
        assert_eq!(cut("a=b=c", b'='), Some(("a", "b=c")));
        assert_eq!(cut("ä:", b':'), Some(("ä", "")));
        assert_eq!(cut(":", b':'), Some(("", "")));
        assert_eq!(cut("none", b':'), None);
        assert_eq!(cut("ä", 0xa4), None, "half of a character is no place to cut at");
    }

    #[test]
    fn a_number_has_digits_and_nothing_else() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for text in ["", "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn case_is_that_of_ascii_letters() {
        assert!(same_word(b"Content-Length", b"content-LENGTH"));
        assert!(!same_word(b"content", b"content-length"));
        assert!(!same_word("Ä".as_bytes(), "ä".as_bytes()));
    }
}
