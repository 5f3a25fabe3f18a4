//! Sizes written for people: `"64 KiB"`, `"1 MiB"`.

/// Reads a size in bytes.
///
/// The number is whole, and the unit is `B`, `KiB`, `MiB` or `GiB`: a bare number leaves the reader to guess the
/// unit, and `KB` means different things to different people.
///
/// # Errors
/// What was expected instead, as a sentence that goes on from the key's name.
pub fn parse(text: &str) -> Result<u64, String> {
    let expected = || format!("\"{text}\" is not a size; write a whole number and a unit, \"64 KiB\" or \"1 MiB\" say");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let unit: u64 = match text[digits..].trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    number.checked_mul(unit).ok_or_else(|| format!("\"{text}\" is more than 64 bits can count"))
}

/// Writes a size in the largest unit that keeps it whole.
pub fn show(bytes: u64) -> String {
    match bytes {
        0 => "0 B".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_needs_a_whole_number_and_a_unit() {
        assert_eq!(parse("64 KiB"), Ok(65_536));
        assert_eq!(parse("64KiB"), Ok(65_536));
        assert_eq!(parse("1 MiB"), Ok(1_048_576));
        assert_eq!(parse("2 GiB"), Ok(2_147_483_648));
        assert_eq!(parse("512 B"), Ok(512));
        for wrong in ["", "64", "KiB", "64 KB", "64 kib", "1.5 MiB", "-1 KiB", "64 KiB more", "17179869184 GiB"] {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken for a size");
        }
    }

    #[test]
    fn a_shown_size_reads_back() {
        for bytes in [0, 1, 512, 1024, 1536, 65_536, 1 << 20, (1 << 20) + 1, 3 << 30] {
            assert_eq!(parse(&show(bytes)), Ok(bytes));
        }
    }
}
