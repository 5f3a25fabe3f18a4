//! Files to be served: their bytes look random, so that a piece that is lost, doubled or moved changes the hash.

use sha2::{Digest, Sha256};
use std::path::Path;

/// Writes `length` bytes into a file and returns their SHA-256 in hexadecimal digits.
///
/// # Panics
/// The file cannot be written.
pub fn write(path: &Path, length: usize) -> String {
    let bytes = bytes(length);
    std::fs::write(path, &bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    sha256(&bytes)
}

/// As many bytes as wanted.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while bytes.len() < length {
        // Marsaglia's xorshift: every 64-bit state but zero comes once.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The SHA-256 of bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in [0, 1, 4095, 4096, 10_000] {
            let path = folder.path().join("file");
            let expected = write(&path, length);
            let bytes = std::fs::read(&path).expect("readable");
            assert_eq!((bytes.len(), sha256(&bytes)), (length, expected));
        }
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
