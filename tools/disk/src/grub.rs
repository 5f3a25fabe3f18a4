//! GRUB's images, made of Debian's modules with the configuration inside.

use crate::run::run;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Bytes of a sector, and of the part of the first that is code: behind it come the partitions.
pub const SECTOR: usize = 512;
const MBR_CODE: usize = 440;

/// Where the images that GRUB's boot code starts with have a sector's number to be filled in: `boot.img` that of the core
/// image, the core image's first sector that of its second one (`GRUB_BOOT_MACHINE_KERNEL_SECTOR` and
/// `struct grub_pc_bios_boot_blocklist` in include/grub/i386/pc/boot.h and offsets.h).
const KERNEL_SECTOR: std::ops::Range<usize> = 0x5c..0x64;
const BLOCK_LIST: std::ops::Range<usize> = SECTOR - 12..SECTOR - 4;
/// The boot code's jump over its look at the drive's number, which some BIOSes give wrongly: two instructions that do
/// nothing take its place, as grub-install has it for a disk.
const DRIVE_CHECK: std::ops::Range<usize> = 0x66..0x68;
const NO_OPERATION: u8 = 0x90;

/// What both kinds of firmware need, and what one needs alone.
const MODULES: [&str; 15] = [
    "normal",
    "configfile",
    "memdisk",
    "tar",
    "search",
    "test",
    "loadenv",
    "regexp",
    "multiboot2",
    "boot",
    "echo",
    "sleep",
    "minicmd",
    "part_gpt",
    "fat",
];

/// The configuration. The files lie in the file system that has one of this name; the flash is a file there, or the third
/// partition of the disk, given as the sectors it has.
pub fn configuration(identity: &str, flash_sectors: usize) -> String {
    format!(
        "set timeout=0\n\
         if search --no-floppy --set=root --file /slopos/{identity}; then\n\
         load_env --skip-sig --file /slopos/environment append\n\
         if [ -f /slopos/flash.img ]; then set flash=/slopos/flash.img; else\n\
         regexp --set=1:disk '^([^,]*),' \"$root\"\n\
         set flash=\"($disk,gpt3)0+{flash_sectors}\"\n\
         fi\n\
         multiboot2 /slopos/kernel.elf $append\n\
         module2 \"$flash\" flash\n\
         boot\n\
         fi\n\
         echo 'SlopOS: GRUB cannot boot the kernel of this disk.'\n\
         sleep 5\n\
         exit\n"
    )
}

/// What makes GRUB's images, in a folder of its own.
pub struct Grub {
    folder: TempDir,
}

impl Grub {
    /// Images with this configuration.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub fn new(configuration: &str) -> Result<Grub> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(configuration.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, "boot/grub/grub.cfg", configuration.as_bytes())?;
        fs::write(folder.path().join("memdisk.tar"), archive.into_inner()?)?;
        Ok(Grub { folder })
    }

    /// The program for UEFI.
    ///
    /// # Errors
    /// GRUB is not installed.
    pub fn efi(&self) -> Result<Vec<u8>> {
        self.make("x86_64-efi", "grub-efi-amd64-bin", &["iso9660"])
    }

    /// The boot code of a disk whose BIOS boot partition begins at this sector, and what belongs into that partition.
    ///
    /// # Errors
    /// GRUB is not installed.
    pub fn bios(&self, sector: u64) -> Result<([u8; MBR_CODE], Vec<u8>)> {
        let mut core = self.make("i386-pc", "grub-pc-bin", &["biosdisk"])?;
        let mut first =
            fs::read(folder_of("i386-pc").join("boot.img")).context("the package grub-pc-bin is damaged")?;
        ensure!(first.len() == SECTOR && core.len() > SECTOR, "GRUB's images are not what they are expected to be");
        first[KERNEL_SECTOR].copy_from_slice(&sector.to_le_bytes());
        first[DRIVE_CHECK].fill(NO_OPERATION);
        core[BLOCK_LIST].copy_from_slice(&(sector + 1).to_le_bytes());
        let code = first.first_chunk().context("a sector is longer than its code")?;
        Ok((*code, core))
    }

    /// The image that a BIOS loads from a CD-ROM.
    ///
    /// # Errors
    /// GRUB is not installed.
    pub fn cd(&self) -> Result<Vec<u8>> {
        self.make("i386-pc-eltorito", "grub-pc-bin", &["biosdisk", "iso9660"])
    }

    fn make(&self, format: &str, package: &str, more: &[&str]) -> Result<Vec<u8>> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (output, memdisk) = (path("image"), path("memdisk.tar"));
        let arguments = ["-O", format, "-p", "(memdisk)/boot/grub", "-m", &memdisk, "-o", &output];
        let folder = folder_of(format.trim_end_matches("-eltorito"));
        ensure!(
            folder.join("moddep.lst").is_file(),
            "GRUB's modules are not in {}; ./just disk installs them, or install the package {package}",
            folder.display()
        );
        run("grub-common", "grub-mkimage", arguments.iter().chain(&MODULES).chain(more))?;
        fs::read(&output).context("grub-mkimage wrote nothing")
    }
}

/// Where Debian has GRUB's modules for a platform.
fn folder_of(platform: &str) -> std::path::PathBuf {
    Path::new("/usr/lib/grub").join(platform)
}
