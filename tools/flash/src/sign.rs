//! Signatures of records, in a file or in a slot's bytes: made here, or elsewhere with a key that never comes here.

use crate::key::PrivateKey;
use anyhow::{Context, Result, ensure};
use ed25519_dalek::{Signature, VerifyingKey};
use slopos_abi::flash::{APP_MAGIC, AppHeader, RECORD_VERSION, SECTOR};
use slopos_manifest::PublicKey;
use slopos_manifest::key::show_id;
use zerocopy::{FromBytes, IntoBytes};

/// Who signed a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Nobody.
    Nobody,
    /// A key that is known here, and the signature is right.
    Known(PublicKey),
    /// A key that is not known here, so that the signature cannot be checked; its id.
    Unknown([u8; 8]),
}

impl std::fmt::Display for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Signer::Nobody => write!(out, "UNSIGNED"),
            Signer::Known(key) if key.is_development() => write!(out, "signed with the DEVELOPMENT KEY"),
            Signer::Known(key) => write!(out, "signed with key {}", show_id(&key.id())),
            Signer::Unknown(id) => write!(out, "signature by key {} not checked", show_id(id)),
        }
    }
}

/// The header of a record that can be signed.
fn header(record: &[u8]) -> Result<AppHeader> {
    let (header, _) = AppHeader::read_from_prefix(record).ok().context("it is smaller than a record's header")?;
    ensure!(header.magic == APP_MAGIC, "no record: the magic is missing");
    ensure!(header.version == RECORD_VERSION, "record of version {}, this tool knows {RECORD_VERSION}", header.version);
    Ok(header)
}

/// Says in a record's header which key signs it, and gives the bytes that this key has to sign.
///
/// # Errors
/// It is no record.
pub fn prepare(record: &mut [u8], key: &PublicKey) -> Result<Vec<u8>> {
    let mut header = header(record)?;
    header.key_id = key.id();
    header.signature = [0; 64];
    record[..SECTOR].copy_from_slice(header.as_bytes());
    Ok(header.signed_bytes().to_vec())
}

/// Puts a signature into a record that was [prepared](prepare) for this key.
///
/// # Errors
/// It is no record, or the signature is not that of its header by this key.
pub fn attach(record: &mut [u8], key: &PublicKey, signature: [u8; 64]) -> Result<()> {
    prepare(record, key)?;
    let mut header = header(record)?;
    header.signature = signature;
    ensure!(fits(&header, key), "the signature is not that of this record by key {}", show_id(&key.id()));
    record[..SECTOR].copy_from_slice(header.as_bytes());
    Ok(())
}

/// Signs a record.
///
/// # Errors
/// It is no record.
pub fn sign(record: &mut [u8], key: &PrivateKey) -> Result<()> {
    let bytes = prepare(record, key.public())?;
    attach(record, key.public(), key.sign(&bytes))
}

/// Who signed a header, of these keys.
///
/// # Errors
/// It names one of them, and the signature is not that key's.
pub fn signer(header: &AppHeader, keys: &[PublicKey]) -> Result<Signer> {
    if header.is_unsigned() {
        return Ok(Signer::Nobody);
    }
    let Some(key) = keys.iter().find(|key| key.id() == header.key_id) else {
        return Ok(Signer::Unknown(header.key_id));
    };
    ensure!(fits(header, key), "the signature is not that of its header by key {}", show_id(&header.key_id));
    Ok(Signer::Known(*key))
}

/// Whether the key has signed this header; as strict as the kernel.
fn fits(header: &AppHeader, key: &PublicKey) -> bool {
    let signature = Signature::from_bytes(&header.signature);
    VerifyingKey::from_bytes(key.bytes()).is_ok_and(|key| key.verify_strict(header.signed_bytes(), &signature).is_ok())
}
