//! The same as an image of the Open Container Initiative's form, in one archive: what KubeVirt takes as a containerDisk
//! (`/disk`) and as kernelBoot (`/boot/kernel`, `/boot/initrd`), where the flash is the module of the kernel's loader.
//!
//! Image Format Specification 1.1: an image layout with one manifest, one configuration and one layer, none with a date.

use crate::boot::Parts;
use crate::raw;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slopos_elf::hexadecimal;
use std::io::Read;
use tar::{Archive, Builder, EntryType, Header};

/// The user and group of QEMU in KubeVirt's containers; others may read.
const QEMU: u64 = 107;
/// The disk's path in the image.
pub const DISK: &str = "disk/slopos.img";
/// The kernel's path in the image.
pub const KERNEL: &str = "boot/kernel";
/// The flash's.
const FLASH: &str = "boot/initrd";
/// Where the layout's files lie.
const BLOBS: &str = "blobs/sha256";
const INDEX: &str = "index.json";

/// Makes an image.
///
/// # Errors
/// As [`raw::make`].
pub fn make(parts: &Parts) -> Result<Vec<u8>> {
    pack(&raw::make(parts)?, &parts.kernel, &parts.flash)
}

/// Packs a disk, a kernel and a flash.
fn pack(disk: &[u8], kernel: &[u8], flash: &[u8]) -> Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for folder in ["boot/", "disk/"] {
        layer.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, &[][..])?;
    }
    for (path, bytes) in [(KERNEL, kernel), (FLASH, flash), (DISK, disk)] {
        layer.append_data(&mut header(EntryType::Regular, 0o444, bytes.len()), path, bytes)?;
    }
    let layer = layer.into_inner()?;
    let digest = |bytes: &[u8]| format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)));
    let descriptor = |kind: &str, bytes: &[u8]| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
    };
    let rootfs = json!({ "type": "layers", "diff_ids": [digest(&layer)] });
    let configuration = json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs }).to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", configuration.as_bytes()),
        "layers": [descriptor("layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string();
    let mut named = descriptor("manifest.v1+json", manifest.as_bytes());
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [named] }).to_string();
    let layout = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
    let mut archive = Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        archive.append_data(&mut header(EntryType::Regular, 0o644, bytes.len()), path, bytes)
    };
    add("oci-layout", layout.as_bytes())?;
    add(INDEX, index.as_bytes())?;
    for blob in [manifest.as_bytes(), configuration.as_bytes(), &layer] {
        add(&format!("{BLOBS}/{}", hexadecimal(&Sha256::digest(blob))), blob)?;
    }
    Ok(archive.into_inner()?)
}

fn header(kind: EntryType, mode: u32, length: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(length as u64);
    header.set_mtime(0);
    header.set_uid(QEMU);
    header.set_gid(QEMU);
    header
}

/// Whether a file is an archive that begins as [`make`] has it.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar") && bytes.starts_with(b"oci-layout\0")
}

/// The disk, the kernel and the flash of an image.
///
/// # Errors
/// It is not one of [`make`]'s, or is damaged.
pub fn unpack(archive: &[u8]) -> Result<[Vec<u8>; 3]> {
    let index: Value = serde_json::from_slice(&file(archive, INDEX)?).context("a damaged index")?;
    let blob = |descriptor: &Value| -> Result<Vec<u8>> {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let digest = digest.context("a description without a digest")?;
        let bytes = file(archive, &format!("{BLOBS}/{digest}"))?;
        anyhow::ensure!(hexadecimal(&Sha256::digest(&bytes)) == digest, "the SHA-256 of {digest} does not match");
        Ok(bytes)
    };
    let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])?).context("a damaged manifest")?;
    let layers = manifest["layers"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(layers == 1, "an image of {layers} layers; those of ./just disk have one");
    let layer = blob(&manifest["layers"][0])?;
    Ok([file(&layer, DISK)?, file(&layer, KERNEL)?, file(&layer, FLASH)?])
}

/// A file of an archive.
fn file(archive: &[u8], path: &str) -> Result<Vec<u8>> {
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry.context("a damaged archive")?;
        if entry.path_bytes() == path.as_bytes() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).context("a damaged archive")?;
            return Ok(bytes);
        }
    }
    bail!("the archive has no {path}")
}

/// The flash of an image.
///
/// # Errors
/// It is not one of [`make`]'s, or is damaged, or its two copies of the flash are not the same.
pub fn flash(archive: &[u8]) -> Result<Vec<u8>> {
    let [disk, _, flash] = unpack(archive)?;
    let partition = raw::find_flash(&disk)?;
    anyhow::ensure!(disk[partition] == flash, "{DISK} and {FLASH} hold different flashes");
    Ok(flash)
}

/// The image with another flash, of the same size.
///
/// # Errors
/// As [`flash`].
pub fn with_flash(archive: &[u8], flash: &[u8]) -> Result<Vec<u8>> {
    let [mut disk, kernel, _] = unpack(archive)?;
    let partition = raw::find_flash(&disk)?;
    disk[partition].copy_from_slice(flash);
    pack(&disk, &kernel, flash)
}
