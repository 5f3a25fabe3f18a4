//! Disks that boot by themselves, as `./just disk` makes them: under both kinds of firmware, from each kind of drive, and with
//! the flash on them changed by `flash`.

use slopos_disk::{Container, Parts, iso, oci, qcow2, raw};
use slopos_e2e::built;
use slopos_lab::servers::{Answer, answering, response};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// QEMU's code for the status 0 of `exit`.
const SUCCESS: i32 = 33;
const DEBUG_EXIT: [&str; 2] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];
/// The firmware of Debian's package ovmf.
const UEFI: [&str; 2] = ["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"];

/// The board, and these commands for its boot.
fn parts(append: &str) -> Parts {
    parts_of("qemu_q35", append)
}

/// Another board.
fn parts_of(name: &str, append: &str) -> Parts {
    let read = |ending| fs::read(built(&format!("{name}.{ending}"))).expect("the board");
    Parts::new(&read("elf"), read("img"), append).expect("a kernel that GRUB boots")
}

/// A file of its own.
struct Disk {
    _folder: TempDir,
    path: PathBuf,
}

fn disk(bytes: anyhow::Result<Vec<u8>>) -> Disk {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk");
    let bytes = bytes.unwrap_or_else(|why| panic!("{why:#}; run ./just disk first"));
    fs::write(&path, bytes).expect("a file");
    Disk { _folder: folder, path }
}

/// Boots a machine with its serial line alone, and answers QEMU's code and what the line said.
fn boot(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command.args(["150", "qemu-system-x86_64", "-cpu", "max", "-m", "256M", "-no-reboot"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("QEMU runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn bare<'a>(machine: &'a str, more: &[&'a str]) -> (Option<i32>, String) {
    let network = ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="];
    let usual = ["-M", machine, "-nodefaults", "-display", "none", "-serial", "stdio"];
    boot(&[&usual[..], &network, more].concat())
}

/// The commands that fetch a page of this machine.
fn fetching() -> String {
    format!("webget {}; exit", answering(Answer::Bytes(response(b"a page to be seen\n"))))
}

/// A drive that is left as it is.
fn drive(path: &Path, format: &str) -> String {
    format!("if=none,id=disk,format={format},snapshot=on,file={}", path.display())
}

#[track_caller]
fn fetched((code, console): (Option<i32>, String), expected: i32) {
    assert_eq!(code, Some(expected), "{console}");
    assert!(console.contains("a page to be seen"), "{console}");
}

#[test]
fn a_disk_boots_under_bios_from_virtio_and_the_flash_is_its_partition() {
    let disk = disk(raw::make(&parts(&fetching())));
    let drive = drive(&disk.path, "raw");
    let virtio = ["-drive", &drive, "-device", "virtio-blk-pci,drive=disk,bootindex=0"];
    fetched(bare("q35", &[&DEBUG_EXIT[..], &virtio].concat()), SUCCESS);
}

#[test]
fn a_disk_in_qemus_format_boots_under_uefi() {
    let disk = disk(qcow2::make(&parts(&fetching())));
    let drive = drive(&disk.path, "qcow2");
    let virtio = ["-drive", &drive, "-device", "virtio-blk-pci,drive=disk,bootindex=0"];
    fetched(bare("q35", &[&DEBUG_EXIT[..], &UEFI, &virtio].concat()), SUCCESS);
}

#[test]
fn a_disk_boots_with_the_arguments_of_nomads_driver() {
    // The drive is an IDE one there, so the flash comes as a module; and the end is ACPI's.
    let disk = disk(raw::make(&parts(&fetching())));
    let drive = format!("file={}", disk.path.display());
    let list = ["-machine", "type=pc,accel=tcg", "-m", "512M", "-nographic", "-drive", &drive];
    let network = ["-netdev", "user,id=user.0", "-device", "virtio-net,netdev=user.0"];
    let (code, console) = boot(&[&list[..], &network].concat());
    assert!(console.trim_end().ends_with("exit: status 0"), "{console}");
    fetched((code, console), 0);
}

#[test]
fn a_disk_boots_from_ahci_under_uefi() {
    let disk = disk(raw::make(&parts(&fetching())));
    let drive = drive(&disk.path, "raw");
    let ahci = ["-drive", &drive, "-device", "ide-hd,drive=disk,bootindex=0"];
    fetched(bare("q35", &[&DEBUG_EXIT[..], &UEFI, &ahci].concat()), SUCCESS);
}

#[test]
fn a_board_of_forty_mebibytes_boots_under_uefi() {
    // The firmware keeps memory at 8 MiB, in the middle of what these processes have.
    const BYTES: usize = 100_000;
    let url = answering(Answer::Bytes(response(&slopos_lab::files::bytes(BYTES))));
    let each = |number| format!("spread{number} 29 {BYTES} {url}; ");
    let disk = disk(raw::make(&parts_of("qemu_q35-scale", &format!("{}exit", [2, 3, 4].map(each).concat()))));
    let drive = drive(&disk.path, "raw");
    let virtio = ["-drive", &drive, "-device", "virtio-blk-pci,drive=disk,bootindex=0"];
    let (code, console) = bare("q35", &[&DEBUG_EXIT[..], &UEFI, &virtio].concat());
    assert_eq!(code, Some(SUCCESS), "{console}");
    assert_eq!(console.matches(&format!(": done sockets=29 bytes={} ", 29 * BYTES)).count(), 3, "{console}");
}

#[test]
fn a_cd_rom_boots_under_both_kinds_of_firmware() {
    let disk = disk(iso::make(&parts(&fetching())));
    let path = disk.path.display().to_string();
    for firmware in [&[][..], &UEFI] {
        fetched(bare("q35", &[&DEBUG_EXIT[..], firmware, &["-cdrom", &path]].concat()), SUCCESS);
    }
}

#[test]
fn the_same_parts_make_the_same_disk_and_others_another() {
    for make in [raw::make, qcow2::make, iso::make, oci::make] {
        let made = |append| make(&parts(append)).unwrap_or_else(|why| panic!("{why:#}"));
        let first = made("exit");
        // Where a date were in it, it would be another one by now.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        assert!(first == made("exit"));
        assert!(first != made("net; exit"));
    }
}

#[test]
fn the_flash_on_a_disk_of_each_form_is_read_and_replaced_in_its_place() {
    let flash = fs::read(built("qemu_q35.img")).expect("the flash");
    for make in [raw::make, qcow2::make, iso::make, oci::make] {
        let disk = disk(make(&parts("exit")));
        let open = || Container::open(&disk.path).unwrap_or_else(|why| panic!("{why:#}"));
        assert!(open().flash() == flash);
        let mut other = flash.clone();
        other[5 * 512] ^= 1;
        open().replace(&other).unwrap_or_else(|why| panic!("{why:#}"));
        assert!(open().flash() == other);
        // One of another size is refused, and nothing is left behind.
        assert!(open().replace(&flash[512..]).is_err());
        assert_eq!(fs::read_dir(disk.path.parent().expect("a folder")).expect("files").count(), 1);
        // Put back, the disk is what it was, where the form says no more of itself than its contents.
        open().replace(&flash).unwrap_or_else(|why| panic!("{why:#}"));
        assert!(open().flash() == flash);
    }
}

#[test]
fn a_disk_without_one_flash_is_refused_by_what_is_wrong() {
    let disk = disk(raw::make(&parts("exit")));
    let whole = fs::read(&disk.path).expect("the disk");
    let refused = |bytes: &[u8]| {
        fs::write(&disk.path, bytes).expect("a file");
        format!("{:#}", Container::open(&disk.path).err().expect("it is refused"))
    };
    // The first table gone, the second one stands in.
    let mut damaged = whole.clone();
    damaged[512 + 60] ^= 1;
    fs::write(&disk.path, &damaged).expect("a file");
    assert!(Container::open(&disk.path).is_ok());
    let last = damaged.len() - 512 + 60;
    damaged[last] ^= 1;
    assert!(refused(&damaged).contains("no partition table is right"));
    assert!(refused(&whole[..1 << 20]).contains("partition"));
}

#[test]
fn the_container_image_boots_as_kubevirts_kernel_boot_has_it() {
    // What its kernelBoot hands to QEMU: the kernel and the flash, as files of the layer.
    let image = oci::make(&parts("")).unwrap_or_else(|why| panic!("{why:#}"));
    let [_, kernel, flash] = oci::unpack(&image).unwrap_or_else(|why| panic!("{why:#}"));
    let (kernel, flash) = (disk(Ok(kernel)), disk(Ok(flash)));
    let (kernel, flash) = (kernel.path.display().to_string(), flash.path.display().to_string());
    let append = fetching();
    let direct = ["-kernel", &kernel, "-initrd", &flash, "-append", &append];
    fetched(bare("q35", &[&DEBUG_EXIT[..], &direct].concat()), SUCCESS);
}
