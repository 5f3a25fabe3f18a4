//! The file from which GRUB takes the kernel's command line: an environment block, as `grub-editenv` edits it.

use anyhow::{Result, bail, ensure};

/// Bytes of the file. GRUB takes any length; this leaves room for as much as any loader gives.
pub const BYTES: usize = 4096;
/// How a block begins (grub-core/lib/envblk.c); what is not used is filled with `#`.
const HEAD: &str = "# GRUB Environment Block\n";

/// The block that sets the command line.
///
/// # Errors
/// It has characters that do not pass through GRUB as they are, or is too long.
pub fn block(append: &str) -> Result<Vec<u8>> {
    if append.contains(|found: char| matches!(found, '\'' | '"' | '\\') || found.is_control()) {
        bail!("quotes, backslashes and control characters cannot be on a disk's command line: GRUB would change them");
    }
    // Whoever reads a variable in GRUB splits it at each space, and puts one between two words.
    let words: Vec<&str> = append.split_whitespace().collect();
    let text = format!("{HEAD}append={}\n", words.join(" "));
    ensure!(text.len() <= BYTES, "the command line has {} bytes; {} fit", append.len(), BYTES - HEAD.len() - 8);
    let mut block = text.into_bytes();
    block.resize(BYTES, b'#');
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_grub_editenv_reads() {
        let block = block("  webget http://10.0.2.2:8000/?a=1;  exit ").unwrap();
        assert_eq!(block.len(), BYTES);
        let text = String::from_utf8(block).unwrap();
        assert!(text.starts_with("# GRUB Environment Block\nappend=webget http://10.0.2.2:8000/?a=1; exit\n###"));
    }

    #[test]
    fn what_grub_would_change_is_refused() {
        for append in ["echo 'a b'", "a\"b", "a\\b", "a\u{7}b"] {
            assert!(block(append).unwrap_err().to_string().contains("GRUB"), "{append}");
        }
        assert!(block(&"x".repeat(BYTES)).unwrap_err().to_string().contains("fit"));
    }
}
