//! What a board wrote to its flash, request by request, from the log of QEMU's `blklogwrites`; and what is on the flash
//! when the power goes between two of them.
//!
//! The log's form is that of Linux's dm-log-writes: a sector with the head, then for each request a sector that says
//! what it is and the bytes that it wrote.

use slopos_host_log::PowerDisk;
use std::path::Path;

const SECTOR: usize = 512;
/// First eight bytes of a log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Flags of a request: the device's cache is written out, what is written goes past it.
const FLUSH: u64 = 1;
const PAST_CACHE: u64 = 2;

/// A request that changes what is on the flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Bytes written at this offset.
    Write(usize, Vec<u8>),
    /// What was written is on the medium.
    Flush,
}

/// The requests in a log, in the order in which the device had them.
///
/// # Panics
/// The file is no such log.
pub fn requests(log: &Path) -> Vec<Request> {
    let bytes = std::fs::read(log).expect("a log");
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    assert_eq!(word(0), MAGIC, "no log of blklogwrites");
    let (count, size) = (word(16), u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes")) as usize);
    assert_eq!(size, SECTOR, "sectors of another size");
    let mut requests = Vec::new();
    let mut at = SECTOR;
    for _ in 0..count {
        let [sector, sectors, flags, _] = [0, 8, 16, 24].map(|field| word(at + field));
        let length = sectors as usize * SECTOR;
        at += SECTOR;
        if flags & FLUSH != 0 {
            requests.push(Request::Flush);
        }
        if length > 0 {
            requests.push(Request::Write(sector as usize * SECTOR, bytes[at..at + length].to_vec()));
        }
        if flags & PAST_CACHE != 0 {
            requests.push(Request::Flush);
        }
        at += length;
    }
    requests
}

/// The disk before each of these requests, from this one on, and after the last.
pub fn moments(before: Vec<u8>, requests: &[Request]) -> Vec<PowerDisk> {
    let mut disk = PowerDisk::new(before);
    disk.keep_moments();
    for request in requests {
        match request {
            Request::Write(offset, bytes) => disk.write(*offset, bytes),
            Request::Flush => disk.flush(),
        }
    }
    disk.take_moments()
}
