//! Spans of time written for people: `"100 ms"`, `"10 s"`.

use std::time::Duration;

/// Reads a span of time: a whole number and `ms`, `s` or `min`.
///
/// # Errors
/// What was expected instead, as a sentence that goes on from the key's name.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("\"{text}\" is not a span of time; write a whole number and a unit, \"100 ms\" or \"10 s\" say");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let unit: u64 = match text[digits..].trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        _ => return Err(expected()),
    };
    let too_long = || format!("\"{text}\" is more milliseconds than 64 bits can count");
    number.checked_mul(unit).map(Duration::from_millis).ok_or_else(too_long)
}

/// Writes a span of time in the largest unit that keeps it whole.
pub fn show(span: Duration) -> String {
    match span.as_millis() {
        0 => "0 ms".to_owned(),
        millis if millis.is_multiple_of(60_000) => format!("{} min", millis / 60_000),
        millis if millis.is_multiple_of(1_000) => format!("{} s", millis / 1_000),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_a_whole_number_and_a_unit() {
        assert_eq!(parse("100 ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("2 min"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "s", "1.5 s", "-1 s", "10 S", "10 seconds", "307445734561825861 min"] {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken for a span of time");
        }
    }

    #[test]
    fn a_shown_span_reads_back() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 90_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse(&show(span)), Ok(span));
        }
    }
}
