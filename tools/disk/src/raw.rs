//! A disk as its bytes: a GPT with GRUB for BIOS, GRUB and the kernel for UEFI, and the flash.

use crate::boot::Parts;
use crate::fat;
use crate::grub::{Grub, SECTOR, configuration};
use anyhow::{Context, Result};
use gpt::GptConfig;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types::{BIOS, EFI, OperatingSystem, Type};
use slopos_abi::flash::PARTITION_TYPE;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use uuid::Uuid;

/// Partitions begin at multiples of this, in sectors: a mebibyte, whatever the medium's blocks are.
const ALIGNMENT: usize = 2048;

/// The type of the flash's partition.
pub fn flash_type() -> Uuid {
    Uuid::from_bytes_le(PARTITION_TYPE)
}

/// Makes a disk.
///
/// # Errors
/// GRUB is not installed, or the parts are too large.
pub fn make(parts: &Parts) -> Result<Vec<u8>> {
    let grub = Grub::new(&configuration(&parts.identity(), parts.flash.len() / SECTOR))?;
    let (code, core) = grub.bios(ALIGNMENT as u64)?;
    let efi = grub.efi()?;
    let identity = format!("slopos/{}", parts.identity());
    let system = fat::with_files(
        parts.serial(),
        &[
            ("EFI/BOOT/BOOTX64.EFI", &efi),
            ("slopos/kernel.elf", &parts.kernel),
            ("slopos/environment", &parts.environment),
            (&identity, b""),
        ],
    )?;
    let flash = Type { guid: flash_type(), os: OperatingSystem::None };
    let contents = [("BIOS boot", BIOS, &core), ("EFI system", EFI, &system), ("SlopOS flash", flash, &parts.flash)];
    let mut partitions = BTreeMap::new();
    let mut bytes = vec![0; ALIGNMENT * SECTOR];
    for (number, (name, part_type_guid, content)) in (1..).zip(contents) {
        let start = bytes.len();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        let (first_lba, end) = ((start / SECTOR) as u64, (bytes.len() / SECTOR) as u64);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT * SECTOR), 0);
        let part_guid = parts.uuid(name);
        let name = name.to_owned();
        partitions
            .insert(number, Partition { part_type_guid, part_guid, first_lba, last_lba: end - 1, flags: 0, name });
    }
    // The second table.
    bytes.resize(bytes.len() + ALIGNMENT * SECTOR, 0);
    let sectors = bytes.len() / SECTOR;
    let mut device = Cursor::new(bytes);
    let mut mbr = ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1).unwrap_or(u32::MAX));
    mbr.set_bootcode(code);
    mbr.overwrite_lba0(&mut device).context("the first sector")?;
    let mut table = GptConfig::new().writable(true).create_from_device(device, Some(parts.uuid("disk")))?;
    table.update_partitions(partitions)?;
    Ok(table.write()?.into_inner())
}

/// Where the flash is on a disk with partitions, in bytes. The table is read as the kernel reads it: the first one, else the
/// second, and one partition of the flash's type.
///
/// # Errors
/// No table is right, or it does not name one flash.
pub fn find_flash(disk: &[u8]) -> Result<Range<usize>> {
    let table = GptConfig::new().open_from_device(Cursor::new(disk.to_vec())).context("no partition table is right")?;
    let ours = |partition: &&Partition| partition.part_type_guid.guid == flash_type();
    let mut found = table.partitions().values().filter(ours);
    let partition = found.next().context("no partition is of the flash's type")?;
    anyhow::ensure!(found.next().is_none(), "more than one partition is of the flash's type");
    let range = partition.first_lba as usize * SECTOR..(partition.last_lba as usize).saturating_add(1) * SECTOR;
    anyhow::ensure!(range.start <= range.end && range.end <= disk.len(), "the flash's partition goes beyond the disk");
    Ok(range)
}
