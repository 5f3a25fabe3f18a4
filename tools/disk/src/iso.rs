//! The same as a CD-ROM, for BIOS and UEFI: an ISO 9660 file system with El Torito boot records, by `xorriso`. The flash is a
//! file there, which GRUB hands over as a module: no driver for CD-ROMs is needed.

use crate::boot::Parts;
use crate::fat;
use crate::grub::{Grub, SECTOR, configuration};
use crate::run::{DATE, run};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Bytes of a sector (ECMA-119, section 6.1.2), and the sector of the volume's descriptor.
const SECTOR_BYTES: usize = 2048;
const DESCRIPTOR: usize = 16 * SECTOR_BYTES;
/// Where the descriptor has the record of the root folder (section 8.4.18).
const ROOT: usize = DESCRIPTOR + 156;

/// Makes a CD-ROM.
///
/// # Errors
/// GRUB or xorriso is not installed.
pub fn make(parts: &Parts) -> Result<Vec<u8>> {
    let grub = Grub::new(&configuration(&parts.identity(), parts.flash.len() / SECTOR))?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let (root, output) = (folder.path().join("root"), folder.path().join("iso"));
    fs::create_dir_all(root.join("slopos"))?;
    fs::create_dir_all(root.join("boot"))?;
    let identity = format!("slopos/{}", parts.identity());
    let system = fat::with_files(parts.serial(), &[("EFI/BOOT/BOOTX64.EFI", &grub.efi()?)])?;
    for (name, bytes) in [
        ("boot/bios.img", &grub.cd()?),
        ("boot/efi.img", &system),
        ("slopos/kernel.elf", &parts.kernel),
        ("slopos/flash.img", &parts.flash),
        ("slopos/environment", &parts.environment),
        (&identity, &Vec::new()),
    ] {
        fs::write(root.join(name), bytes).with_context(|| name.to_owned())?;
        dated(&root.join(name))?;
    }
    for folder in [root.join("slopos"), root.join("boot"), root.clone()] {
        dated(&folder)?;
    }
    let (root, output) = (root.display().to_string(), output.display().to_string());
    let bios = ["-b", "boot/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
    let efi = ["-eltorito-alt-boot", "-e", "boot/efi.img", "-no-emul-boot"];
    // Rock Ridge gives the names as they are; nobody owns anything, and every date is the one of `run`.
    let tree = ["-r", "-V", "SLOPOS", "-o", &output, "--set_all_file_dates", "set_to_mtime"];
    let dates = ["--modification-date=1980010100000000"];
    let arguments = ["-as", "mkisofs", "-quiet"].iter().chain(&tree).chain(&dates).chain(&bios).chain(&efi);
    run("xorriso", "xorriso", arguments.copied().chain([&root[..]]))?;
    fs::read(&output).context("xorriso wrote nothing")
}

/// Gives a file or a folder the date that everything has.
fn dated(path: &Path) -> Result<()> {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(DATE);
    File::open(path).and_then(|file| file.set_modified(date)).with_context(|| path.display().to_string())
}

/// Whether a file begins as a CD-ROM does.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.get(DESCRIPTOR..DESCRIPTOR + 6) == Some(b"\x01CD001")
}

/// Where the flash is on a CD-ROM, in bytes.
///
/// # Errors
/// It has none where [`make`] puts it.
pub fn find_flash(disk: &[u8]) -> Result<Range<usize>> {
    let root = extent(disk.get(ROOT..).unwrap_or(&[])).context("a damaged volume descriptor")?;
    let folder = entry(disk, root, b"SLOPOS").context("the CD-ROM has no folder slopos")?;
    let file = entry(disk, folder, b"FLASH.IMG;1").context("the CD-ROM has no file slopos/flash.img")?;
    anyhow::ensure!(file.end <= disk.len(), "the CD-ROM is cut short");
    Ok(file)
}

/// The bytes that a record of a folder names (section 9.1).
fn extent(record: &[u8]) -> Option<Range<usize>> {
    let number = |at: usize| Some(u32::from_le_bytes(*record.get(at..)?.first_chunk()?) as usize);
    let start = number(2)?.checked_mul(SECTOR_BYTES)?;
    Some(start..start.checked_add(number(10)?)?)
}

/// The bytes of an entry of a folder, by the name that all systems can read.
fn entry(disk: &[u8], folder: Range<usize>, name: &[u8]) -> Option<Range<usize>> {
    // No record goes from one sector into the next; zeros fill what is left of it.
    for sector in disk.get(folder)?.chunks(SECTOR_BYTES) {
        let mut rest = sector;
        while let Some(length @ 33..) = rest.first().map(|&length| usize::from(length)) {
            let record = rest.get(..length)?;
            let bytes = usize::from(record[32]);
            if record.get(33..33 + bytes) == Some(name) {
                return extent(record);
            }
            rest = &rest[length..];
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cd_rom_that_lies_has_no_flash() {
        let mut disk = vec![0; 64 * SECTOR_BYTES];
        assert!(!is_one(&disk) && !is_one(&[]) && find_flash(&[]).is_err());
        disk[DESCRIPTOR..][..6].copy_from_slice(b"\x01CD001");
        assert!(is_one(&disk) && find_flash(&disk).is_err());
        let record = |sector: u32, bytes: u32, name: &[u8]| {
            let mut record = vec![0; (33 + name.len()).next_multiple_of(2)];
            (record[0], record[32]) = (record.len() as u8, name.len() as u8);
            record[2..6].copy_from_slice(&sector.to_le_bytes());
            record[10..14].copy_from_slice(&bytes.to_le_bytes());
            record[33..33 + name.len()].copy_from_slice(name);
            record
        };
        let mut put = |at: usize, bytes: &[u8]| disk[at..][..bytes.len()].copy_from_slice(bytes);
        put(ROOT, &record(20, 4096, b"\0"));
        put(20 * SECTOR_BYTES, &record(20, 4096, b"\0"));
        put(21 * SECTOR_BYTES, &record(22, 2048, b"SLOPOS"));
        put(22 * SECTOR_BYTES, &record(30, 5000, b"FLASH.IMG;1"));
        assert_eq!(find_flash(&disk).unwrap(), 30 * SECTOR_BYTES..30 * SECTOR_BYTES + 5000);
        for at in [ROOT, 20 * SECTOR_BYTES, 21 * SECTOR_BYTES, 22 * SECTOR_BYTES] {
            for byte in 0..34 {
                let mut damaged = disk.clone();
                damaged[at + byte] = 0xff;
                // Found or not, nothing goes wrong.
                let _ = find_flash(&damaged);
            }
        }
    }
}
