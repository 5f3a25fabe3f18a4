//! What a disk is made of.

use crate::environment;
use crate::kernel::loadable;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use slopos_elf::hexadecimal;
use uuid::Uuid;

/// What a disk is made of.
pub struct Parts {
    /// The kernel's segments as an ELF file.
    pub(crate) kernel: Vec<u8>,
    /// The flash.
    pub(crate) flash: Vec<u8>,
    /// The file with the kernel's command line.
    pub(crate) environment: Vec<u8>,
    digest: [u8; 32],
}

impl Parts {
    /// A kernel, its flash, and the commands that are carried out at boot.
    ///
    /// # Errors
    /// The kernel cannot be booted by GRUB, or the commands do not pass through it.
    pub fn new(kernel: &[u8], flash: Vec<u8>, append: &str) -> Result<Parts> {
        let kernel = loadable(kernel).context("the kernel")?;
        let environment = environment::block(append)?;
        let mut hash = Sha256::new();
        for part in [&kernel, &flash, &environment] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(Parts { kernel, flash, environment, digest: hash.finalize().into() })
    }

    /// The name of the file by which GRUB knows this disk among others.
    pub(crate) fn identity(&self) -> String {
        hexadecimal(&self.digest[..8])
    }

    /// A number for this disk and this use that follows from what is on it.
    pub(crate) fn uuid(&self, of: &str) -> Uuid {
        let hash = Sha256::new().chain_update(self.digest).chain_update(of).finalize();
        // RFC 9562, section 5.8: a form of one's own.
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The serial number of a file system.
    pub(crate) fn serial(&self) -> u32 {
        u32::from_le_bytes([self.digest[8], self.digest[9], self.digest[10], self.digest[11]])
    }
}
