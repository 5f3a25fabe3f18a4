//! The first seam: what a descriptor names, and how the kernel reaches it.
//!
//! The board implements [`Objects`] by matching on the kind of object, so the kernel's crate knows no capsule and
//! the compiler sees through the call.

use crate::loader::Extent;
use crate::process::ProcessId;
use crate::time::Instant;
use slopos_abi::flash::Reason;
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo};
use slopos_abi::{Endpoint, Errno, Readiness, RemoteRange, Rights, SocketFlags};

/// What a descriptor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Object {
    /// The serial console.
    Console,
    /// The serial console again, for what a process says beside its output. It may travel apart from that.
    ConsoleErrors,
    /// A socket of the process's grant.
    Socket(SocketIndex),
    /// A region of the flash, by its index in the flash map, with the next byte to read or write.
    Flash {
        /// Index into the flash map.
        region: u8,
        /// Byte offset from the region's start.
        position: u64,
    },
    /// The entropy device.
    Entropy,
    /// The commands that the process may have carried out.
    Commands,
}

impl Object {
    /// The rights that a process has to what it opens by name.
    pub fn rights_of_open(&self) -> Rights {
        match self {
            Object::Entropy => Rights::READ,
            Object::Console | Object::ConsoleErrors | Object::Socket(_) | Object::Flash { .. } | Object::Commands => {
                Rights::READ | Rights::WRITE
            }
        }
    }
}

/// A socket of a process: an index into its region of the network grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct SocketIndex(pub u16);

/// A socket of the whole board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct SocketId {
    /// The process whose region it lies in.
    pub process: ProcessId,
    /// Its index in that process's region.
    pub index: SocketIndex,
}

/// What the version in the first of an app's [`Slots`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The confirmed one.
    #[default]
    Confirmed,
    /// The one on trial. It runs only once [`Objects::begin_trial`] has counted the start.
    Trial,
    /// Which one is confirmed is not known any more: the one with the higher version number is tried first.
    Unknown,
}

/// Where the versions of an app are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// The slot of the version to run, then that of the one to turn to if its record is rejected. One without sectors is none.
    pub order: [Extent; 2],
    /// What the first one is.
    pub role: Role,
}

/// Where an app is in the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppSlot {
    /// In these slots.
    At(Slots),
    /// Map and state are not read yet; the process is woken when they have been read.
    Underway,
    /// The map has no such app.
    Unknown,
    /// There is no flash, or its map was rejected.
    NoFlash,
    /// The device failed or did not answer in time.
    Failed,
}

/// The state of a request for sectors by [`Objects::fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The device is reading; the process is woken when it is done.
    Underway,
    /// The device failed or did not answer in time. The next call is a new request.
    Failed,
}

/// The answer of [`Objects::begin_trial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The start is counted on the medium: the version may run.
    Yes,
    /// It is being written; the process is woken when that is done.
    Underway,
    /// There is no such trial any more, its starts are used up, or the start could not be written.
    No,
}

/// What a run of a version on trial has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It does not.
    Fails(Reason),
}

/// The operations of the board's capsules on descriptors' objects.
///
/// A call that cannot finish now answers [`Errno::Again`] and changes nothing; the kernel makes it again when the
/// process is woken.
pub trait Objects {
    /// Opens a region of the flash, the entropy device or the way to the process console by name. The kernel has
    /// checked that the manifest grants it.
    fn open(&mut self, process: ProcessId, name: &str) -> Result<Object, Errno>;
    /// Reads; 0 is the end of the stream. `buffer` is not empty. If the process had to wait for the flash, it already
    /// holds the bytes that arrived in the meantime ([`crate::kernel::Kernel::waiting_reader`]).
    fn read(
        &mut self,
        process: ProcessId,
        object: &mut Object,
        buffer: &mut [u8],
        now: Instant,
    ) -> Result<usize, Errno>;
    /// Writes at least one byte. `bytes` is not empty.
    fn write(&mut self, process: ProcessId, object: &mut Object, bytes: &[u8], now: Instant) -> Result<usize, Errno>;
    /// Flushes everything that was written to an object of the flash to the medium.
    fn sync(&mut self, process: ProcessId, object: &Object, now: Instant) -> Result<(), Errno>;
    /// Which operations would not block now.
    fn readiness(&mut self, process: ProcessId, object: &Object) -> Readiness;
    /// Takes a free socket.
    fn socket(&mut self, process: ProcessId, flags: SocketFlags, now: Instant) -> Result<Object, Errno>;
    /// Begins to connect, or returns the state of the connect that was begun. Only the first call's `deadline` counts.
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
    /// The process closed this object.
    fn close(&mut self, process: ProcessId, object: &Object, now: Instant);
    /// Restricts the process to connect only to endpoints in this range too, until it has ended.
    fn restrict_connect(&mut self, process: ProcessId, range: RemoteRange);
    /// The process has ended in order, by itself or because it was stopped; each of its descriptors has been closed. A call
    /// that it waited for is not made again.
    fn exited(&mut self, process: ProcessId);
    /// The process was ended by a fault or a kill: its objects are reset and wiped before anything else runs.
    fn abandon(&mut self, process: ProcessId, now: Instant);
    /// The slots of the app that a process runs.
    fn app_slot(&mut self, process: ProcessId, app: &str, now: Instant) -> AppSlot;
    /// Counts a start of the version on trial, before it runs. Asked again while it is underway.
    fn begin_trial(&mut self, process: ProcessId, app: &str, now: Instant) -> Counted;
    /// What became of the version on trial of the app that this process runs, or was to run. It is nothing to a process that
    /// runs another version.
    fn judge_trial(&mut self, process: ProcessId, app: &str, verdict: Verdict);
    /// The version on trial that this process runs works: likewise, and the answer comes when that is on the medium.
    fn confirm_trial(&mut self, process: ProcessId, app: &str, now: Instant) -> Result<(), Errno>;
    /// Requests sectors of the flash for a process that is being loaded, one extent at a time. Called again with the
    /// same extent, it returns the state of that request. Sectors that were read go to
    /// [`crate::kernel::Kernel::take_in`].
    fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, now: Instant) -> Fetch;
    /// The state of the network; the kernel adds the ledger.
    fn net_info(&mut self, now: Instant) -> NetInfo;
    /// The process's own network grant; the kernel adds the denials that it made itself.
    fn grant_info(&mut self, process: ProcessId) -> GrantInfo;
    /// One socket of the process's network grant; `None` beyond the last.
    fn socket_info(&mut self, process: ProcessId, index: SocketIndex) -> Option<SocketInfo>;
}
