//! Kernels of a few 32-bit instructions, for QEMU's PVH entry.

use std::path::{Path, PathBuf};

/// The first serial port's data register.
pub const COM1: u16 = 0x3f8;
/// The second serial port's data register.
#[allow(dead_code, reason = "not every file of tests looks at the log")]
pub const COM2: u16 = 0x2f8;
/// A jump to itself.
pub const FOR_EVER: [u8; 2] = [0xeb, 0xfe];
/// Where the kernels are loaded.
const BASE: u32 = 0x10_0000;

/// Writes the kernel with this code into the folder.
pub fn kernel(folder: &Path, code: &[u8]) -> PathBuf {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [u64::from(BASE), 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let note_at = 64 + 2 * 56;
    let note = [&4_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), &18_u32.to_le_bytes(), b"Xen\0", &BASE.to_le_bytes()];
    let note = note.concat();
    let code_at = note_at + note.len() as u64;
    let heads = [(1_u32, 5_u32, code_at, u64::from(BASE), code.len(), 1_u64), (4, 4, note_at, 0, note.len(), 4)];
    for (kind, flags, offset, address, size, align) in heads {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, address, address, size as u64, size as u64, align] {
            file.extend(word.to_le_bytes());
        }
    }
    file.extend(note);
    file.extend(code);
    let path = folder.join("kernel.elf");
    std::fs::write(&path, file).expect("written");
    path
}

/// mov edx, port; then mov al, byte and out dx, al for each byte.
pub fn write_port(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut code = vec![0xba];
    code.extend(u32::from(port).to_le_bytes());
    for &byte in bytes {
        code.extend([0xb0, byte, 0xee]);
    }
    code
}

/// mov edx, 0xf4; mov eax, value; out dx, eax.
pub fn exit(value: u32) -> Vec<u8> {
    let mut code = vec![0xba, 0xf4, 0, 0, 0, 0xb8];
    code.extend(value.to_le_bytes());
    code.push(0xef);
    code
}
