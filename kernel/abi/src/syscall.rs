//! System-call numbers: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`, result in `rax`.
//!
//! `rcx` and `r11` are lost, as the `syscall` instruction defines. An unknown number answers
//! [`Errno::NoSuchCall`](crate::Errno::NoSuchCall).

/// `yield()`: gives up the rest of the time slice.
pub const YIELD: u64 = 0;
/// `exit(code)`: ends the process; each descriptor is closed as by [`FS_CLOSE`].
pub const EXIT: u64 = 1;
/// `sleep(ms)`: blocks for at least that many milliseconds.
pub const SLEEP_MS: u64 = 5;
/// `open(name, len)`: a descriptor for a flash region that the manifest grants.
pub const FS_OPEN: u64 = 14;
/// `close(fd)`: for a socket an orderly release in the background.
pub const FS_CLOSE: u64 = 15;
/// `read(fd, ptr, len)`: bytes read; 0 is the end of the stream.
pub const FS_READ: u64 = 16;
/// `write(fd, ptr, len)`: bytes taken, at least one unless `len` is 0.
pub const FS_WRITE: u64 = 17;
/// `time()`: milliseconds since boot, monotonic.
pub const GET_TIME_MS: u64 = 39;
/// `socket(kind, flags)`: a descriptor for a stream socket, see [`crate::socket`].
pub const SOCKET: u64 = 120;
/// `connect(fd, address, port, timeout_ms)`: address as a number, 10.0.2.2 being `0x0a00_0202`.
pub const CONNECT: u64 = 121;
/// `poll(set, count, timeout_ms)`: how many entries of the set are ready, see [`crate::poll`].
pub const POLL: u64 = 122;
/// `net_info(ptr, len)`: fills a [`crate::info::NetInfo`]; the bytes written.
pub const NET_INFO: u64 = 123;
/// `grant_info(ptr, len)`: fills a [`crate::info::GrantInfo`]; the bytes written.
pub const GRANT_INFO: u64 = 124;
/// `restrict(fd, rights)`: keeps only these [`crate::rights`]; on a socket, giving up WRITE sends FIN.
pub const RESTRICT: u64 = 125;
/// `restrict_connect(address, prefix, first_port, last_port)`: from now on the process connects only to remotes that
/// lie in this network and range of ports as well. Nothing widens it again but a restart.
pub const RESTRICT_CONNECT: u64 = 126;
/// `sync(fd)`: 0 when everything that was written to the region is on the medium.
pub const FS_SYNC: u64 = 127;

/// Entries of the system-call table.
pub const TABLE_ENTRIES: usize = 256;
