//! Splits a list of commands at its semicolons.

/// The first command of a list, and what follows its semicolon. Semicolons in double quotes do not count.
pub fn split_script(script: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    for (index, byte) in script.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                // A semicolon is one byte, so both sides are whole characters.
                let (command, rest) = script.split_at(index);
                return (command, rest.get(1..).filter(|rest| !rest.trim().is_empty()));
            }
            _ => {}
        }
    }
    (script, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_separate_but_not_in_quotes() {
        assert_eq!(split_script("a;b"), ("a", Some("b")));
        assert_eq!(split_script("a \"x;y\"; b"), ("a \"x;y\"", Some(" b")));
        assert_eq!(split_script("a; "), ("a", None));
        assert_eq!(split_script("ä;ö"), ("ä", Some("ö")));
        assert_eq!(split_script(""), ("", None));
    }
}
