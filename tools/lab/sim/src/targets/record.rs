//! An app's record: what the kernel takes from its header can be loaded, and nothing else of it is believed.
//!
//! Bytes are tried as they are, and once more with names, digest and signature made right, or no mutation would get
//! behind them.

use sha2::{Digest, Sha256};
use slopos_abi::USER_BASE;
use slopos_abi::flash::{APP_MAGIC, AppHeader, AppVersion, EXECUTE, RECORD_VERSION, SECTOR, WRITE, name_bytes};
use slopos_flash::key::PrivateKey;
use slopos_flash::{decode, sign};
use slopos_kernel::loader::{Extent, PublicKey, Trust, Unsigned, Wanted, check_header, verify};
use std::sync::LazyLock;
use zerocopy::{FromBytes, IntoBytes};

/// The app and the board of the records.
pub const APP: &str = "app";
/// See [`APP`].
pub const BOARD: &str = "board";
/// Bytes of RAM of the process.
const RAM: u64 = 64 * 1024;

static KEY: LazyLock<PrivateKey> = LazyLock::new(PrivateKey::development);
static KEYS: LazyLock<[PublicKey; 1]> =
    LazyLock::new(|| [PublicKey { id: KEY.public().id(), bytes: *KEY.public().bytes() }]);

/// A record in a slot of just its size.
pub fn record(data: &[u8]) {
    check(data);
    if let Some(right) = repaired(data) {
        check(&right);
    }
}

/// The record with all right that is not the program's own.
fn repaired(data: &[u8]) -> Option<Vec<u8>> {
    let mut record = data.to_vec();
    record.resize(data.len().next_multiple_of(SECTOR), 0);
    let (mut header, body) = AppHeader::read_from_prefix(&record).ok()?;
    let length = usize::try_from(header.record_bytes).ok()?.checked_sub(SECTOR)?;
    header.sha256 = Sha256::digest(body.get(..length)?).into();
    (header.magic, header.version) = (APP_MAGIC, RECORD_VERSION);
    (header.name, header.board) = (name_bytes(APP)?, name_bytes(BOARD)?);
    record[..SECTOR].copy_from_slice(header.as_bytes());
    sign::sign(&mut record, &KEY).expect("it has a record's form");
    Some(record)
}

fn check(record: &[u8]) {
    // Neither the tool nor the kernel panics, whatever the bytes are.
    let told = decode(APP, BOARD, record).and_then(|(header, _)| sign::signer(&header, &[*KEY.public()]));
    let Ok((header, _)) = AppHeader::read_from_prefix(record) else {
        assert!(told.is_err());
        return;
    };
    let trust = Trust { board: BOARD, keys: &*KEYS, unsigned: Unsigned::Refuse, development: true };
    let wanted = Wanted { app: APP, minimum_version: AppVersion::default(), trust: &trust };
    let sectors = (record.len() / SECTOR) as u64;
    let Ok(image) = check_header(&header, &wanted, Extent { sector: 0, sectors }, RAM) else { return };
    assert!(header.record_bytes <= record.len() as u64);
    let (mut next, mut entered) = (USER_BASE, false);
    for segment in &image.segments {
        assert!(segment.address >= next && segment.address.is_multiple_of(4096), "{segment:?}");
        next = segment.address + u64::from(segment.memory_bytes);
        assert!(next <= USER_BASE + RAM && segment.file_bytes <= segment.memory_bytes, "{segment:?}");
        let end = u64::from(segment.offset) + u64::from(segment.file_bytes);
        assert!(
            segment.file_bytes == 0 || segment.offset as usize >= SECTOR && end <= header.record_bytes,
            "{segment:?}"
        );
        assert!(segment.flags & (WRITE | EXECUTE) != WRITE | EXECUTE, "{segment:?}");
        entered |= segment.flags & EXECUTE != 0 && (segment.address..next).contains(&image.entry);
    }
    assert!(entered, "the entry is no instruction");
    // Kernel and tool are of one mind about signatures.
    let genuine = verify(&KEYS[0].bytes, header.signed_bytes(), &header.signature);
    assert!(genuine || told.is_err(), "the tool takes a signature that the kernel refuses");
}
