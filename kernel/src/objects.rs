//! The first seam: what a descriptor names, and how the kernel reaches it.
//!
//! The board implements [`Objects`] by matching on the kind of object, so the kernel's crate knows no capsule and
//! the compiler sees through the call.

use crate::loader::Extent;
use crate::process::ProcessId;
use crate::time::Instant;
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo};
use slopos_abi::{Endpoint, Errno, Readiness, RemoteRange, SocketFlags};

/// What a descriptor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Object {
    /// The serial console.
    Console,
    /// A socket of the process's grant.
    Socket(SocketIndex),
    /// A region of the flash, by its index in the flash map, with the next byte to read or write.
    Flash {
        /// Index into the flash map.
        region: u8,
        /// Byte offset from the region's start.
        position: u64,
    },
}

/// Which socket of a process: an index into its part of the network grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct SocketIndex(pub u16);

/// Which socket of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct SocketId {
    /// The process whose grant it lies in.
    pub process: ProcessId,
    /// Which of that process's sockets.
    pub index: SocketIndex,
}

/// Where an app is in the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppSlot {
    /// In these sectors.
    At(Extent),
    /// The map is not read yet; the process is woken when it is.
    Underway,
    /// The map has no such app.
    Unknown,
    /// There is no flash, or its map was rejected.
    NoFlash,
    /// The device failed or did not answer in time.
    Failed,
}

/// How a request for sectors stands that [`Objects::fetch`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The device is at work; the process is woken when it has done it.
    Underway,
    /// The device failed or did not answer in time. The next call is a new request.
    Failed,
}

/// What the board's capsules do for descriptors.
///
/// A call that cannot finish now answers [`Errno::Again`] and changes nothing; the kernel makes it again when the
/// process is woken.
pub trait Objects {
    /// A region of the flash by name, which the manifest has already been found to grant.
    fn open(&mut self, process: ProcessId, name: &str) -> Result<Object, Errno>;
    /// Reads; 0 is the end of the stream. `buffer` is not empty. Where the process had to wait for the flash, it holds
    /// what came in the meantime already ([`crate::kernel::Kernel::waiting_reader`]).
    fn read(
        &mut self,
        process: ProcessId,
        object: &mut Object,
        buffer: &mut [u8],
        now: Instant,
    ) -> Result<usize, Errno>;
    /// Writes at least one byte. `bytes` is not empty.
    fn write(&mut self, process: ProcessId, object: &mut Object, bytes: &[u8], now: Instant) -> Result<usize, Errno>;
    /// Makes what was written to an object of the flash durable.
    fn sync(&mut self, process: ProcessId, object: &Object, now: Instant) -> Result<(), Errno>;
    /// What would not block now.
    fn readiness(&mut self, process: ProcessId, object: &Object) -> Readiness;
    /// A stream socket.
    fn socket(&mut self, process: ProcessId, flags: SocketFlags, now: Instant) -> Result<Object, Errno>;
    /// Begins to connect, or tells how the connect that was begun stands. `deadline` counts at the first call.
    fn connect(
        &mut self,
        process: ProcessId,
        object: &Object,
        remote: Endpoint,
        deadline: Instant,
        now: Instant,
    ) -> Result<(), Errno>;
    /// The process gave up writing to this object.
    fn shutdown_write(&mut self, process: ProcessId, object: &Object, now: Instant);
    /// The process let go of this object, in good order.
    fn close(&mut self, process: ProcessId, object: &Object, now: Instant);
    /// From now on the process connects only to what lies in this range as well, until it has ended.
    fn restrict_connect(&mut self, process: ProcessId, range: RemoteRange);
    /// The process ended by itself; each of its descriptors has been closed.
    fn exited(&mut self, process: ProcessId);
    /// The process was ended by a fault or a kill: all that it held is reset and wiped before anything else runs.
    fn abandon(&mut self, process: ProcessId, now: Instant);
    /// Where the app is that a process is loaded from.
    fn app_slot(&mut self, process: ProcessId, app: &str, now: Instant) -> AppSlot;
    /// Asks for sectors of the flash for a process that is being loaded, one stretch at a time; called again with the same
    /// stretch it says how that stands. What is read is handed to [`crate::kernel::Kernel::take_in`].
    fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, now: Instant) -> Fetch;
    /// The state of the network; the kernel adds the ledger.
    fn net_info(&mut self, now: Instant) -> NetInfo;
    /// The process's own network grant; the kernel adds the denials that it made itself.
    fn grant_info(&mut self, process: ProcessId) -> GrantInfo;
    /// One socket of the process's network grant; `None` beyond the last.
    fn socket_info(&mut self, process: ProcessId, index: SocketIndex) -> Option<SocketInfo>;
}
