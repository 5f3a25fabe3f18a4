//! Files as a compressed archive whose bytes follow from theirs alone.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tar::{Builder, EntryType, Header};

/// When everything in an archive was last changed, in seconds since 1970: the tar crate's own choice for archives that are to
/// be reproducible. GNU tar would warn of 0.
const CHANGED: u64 = 1_153_704_088;

/// Files by their paths in the archive, with `/` between the folders.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The sums of files as `sha256sum --check` reads them.
pub fn sums(files: &Files) -> String {
    let line =
        |(path, bytes): (&String, &Vec<u8>)| format!("{}  {path}\n", slopos_elf::hexadecimal(&Sha256::digest(bytes)));
    files.iter().map(line).collect()
}

/// Packs files into one folder: sorted, owned by nobody in particular, without a date.
///
/// # Errors
/// A path is too long for the format.
pub fn pack(folder: &str, files: &Files) -> Result<Vec<u8>> {
    // No name and no time of its own.
    let compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = Builder::new(compressed);
    for (path, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(CHANGED);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, format!("{folder}/{path}"), &bytes[..]).with_context(|| path.clone())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn files() -> Files {
        Files::from([("b/c".to_owned(), b"two".to_vec()), ("a".to_owned(), b"one".to_vec())])
    }

    #[test]
    fn an_archive_says_nothing_of_when_where_and_by_whom() {
        let packed = pack("x-1", &files()).expect("packed");
        // RFC 1952 section 2.3: no flags, so no name; no time.
        assert_eq!(packed[..4], [0x1f, 0x8b, 8, 0]);
        assert_eq!(packed[4..8], [0; 4]);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let mut found = vec![];
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap()), (0, 0, 0o644));
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
            assert_eq!(header.mtime().unwrap(), CHANGED);
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        assert_eq!(found, [("x-1/a".into(), "one".into()), ("x-1/b/c".into(), "two".into())]);
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let sums = sums(&files());
        assert_eq!(sums.lines().next(), Some("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a"));
    }
}
