//! Files to be served: their bytes look random, so that a piece that is lost, doubled or moved changes the hash.

use crate::chance::Content;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Writes `length` bytes into a file and returns their SHA-256 in hexadecimal digits.
///
/// # Panics
/// The file cannot be written.
pub fn write(path: &Path, length: usize) -> String {
    create(path, length).unwrap_or_else(|why| panic!("{why:#}"));
    sha256(&bytes(length))
}

/// Writes `length` bytes into a file.
///
/// # Errors
/// The file cannot be written.
pub fn create(path: &Path, length: usize) -> Result<()> {
    std::fs::write(path, bytes(length)).with_context(|| format!("cannot write {}", path.display()))
}

/// As many bytes as wanted.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Content(0).fill(0, &mut bytes);
    bytes
}

/// The SHA-256 of bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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

    #[test]
    fn a_file_has_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in [0, 1, 1024, 100_000] {
            create(&folder.path().join("file"), length).expect("written");
            assert_eq!(std::fs::metadata(folder.path().join("file")).expect("a file").len(), length as u64);
        }
        assert!(create(&folder.path().join("none/file"), 1).is_err());
    }
}
