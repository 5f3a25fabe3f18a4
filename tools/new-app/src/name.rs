//! What an app may be called, so that cargo, the manifest, the flash and the console all take the name.

use anyhow::{Result, bail, ensure};
use slopos_abi::limits::NAME_MAX;

/// Crates that every program has in scope, and the one that cargo takes for itself: no package may be named so.
const OF_THE_LANGUAGE: [&str; 5] = ["alloc", "core", "proc_macro", "std", "test"];

/// Checks a name, without regard to what is there already.
///
/// # Errors
/// What a name has to be.
pub fn check(name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "an app needs a name");
    ensure!(
        name.len() <= NAME_MAX,
        "the name `{name}` has {} bytes; the flash's map has room for {NAME_MAX}",
        name.len()
    );
    if let Some(wrong) = name.chars().find(|letter| !matches!(letter, 'a'..='z' | '0'..='9' | '_')) {
        let hint = if wrong == '-' { "; use _ instead" } else { "" };
        bail!("the name {name:?} holds {wrong:?}; an app's name is made of a to z, 0 to 9 and _{hint}");
    }
    ensure!(
        name.starts_with(|letter: char| letter.is_ascii_lowercase()),
        "the name `{name}` has to begin with a letter"
    );
    ensure!(
        syn::parse_str::<syn::Ident>(name).is_ok(),
        "`{name}` is a word of the language Rust, and no package's name"
    );
    ensure!(!OF_THE_LANGUAGE.contains(&name), "`{name}` is a crate of the language itself");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_would_refuse_later_is_refused_at_once() {
        for name in ["banner", "a", "http2_client", "sixteen_letters_"] {
            check(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        for (name, reason) in [
            ("", "needs a name"),
            ("seventeen_letters", "17 bytes; the flash's map has room for 16"),
            ("Banner", "holds 'B'"),
            ("my-app", "holds '-'; an app's name is made of a to z, 0 to 9 and _; use _ instead"),
            ("../x", "holds '.'"),
            ("a b", "holds ' '"),
            ("käse", "holds 'ä'"),
            ("2fast", "begin with a letter"),
            ("_x", "begin with a letter"),
            ("match", "a word of the language Rust"),
            ("async", "a word of the language Rust"),
            ("core", "a crate of the language"),
            ("test", "a crate of the language"),
        ] {
            let why = check(name).expect_err(name).to_string();
            assert!(why.contains(reason), "{name}: {why}");
        }
    }
}
