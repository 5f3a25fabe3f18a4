//! System calls: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`, result in `rax`.
//!
//! `rcx` and `r11` are lost, as the `syscall` instruction defines. The table has 256 entries, 0 to 255. A number that
//! names no call, within the table or beyond it, answers [`Errno::NoSuchCall`].

use crate::Errno;

macro_rules! system_calls {
    ($($(#[$about:meta])* $call:ident = $number:literal,)+) => {
        /// A system call, by its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Syscall {
            $($(#[$about])* $call = $number,)+
        }

        impl Syscall {
            /// Every call, by ascending number.
            pub const ALL: &[Syscall] = &[$(Syscall::$call),+];

            /// The number in `rax`.
            pub const fn number(self) -> u64 {
                self as u64
            }
        }

        impl TryFrom<u64> for Syscall {
            type Error = Errno;

            fn try_from(number: u64) -> Result<Syscall, Errno> {
                match number {
                    $($number => Ok(Syscall::$call),)+
                    _ => Err(Errno::NoSuchCall),
                }
            }
        }
    };
}

system_calls! {
    /// `yield()`: gives up the rest of the time slice.
    Yield = 0,
    /// `exit(code)`: ends the process; each descriptor is closed as by [`Syscall::Close`].
    Exit = 1,
    /// `sleep(ms)`: blocks for at least that many milliseconds.
    Sleep = 5,
    /// `open(name, len)`: a descriptor for a flash region that the manifest grants.
    Open = 14,
    /// `close(fd)`: for a socket an orderly release in the background.
    Close = 15,
    /// `read(fd, ptr, len)`: bytes read; 0 is the end of the stream.
    Read = 16,
    /// `write(fd, ptr, len)`: bytes taken, at least one unless `len` is 0.
    Write = 17,
    /// `time()`: milliseconds since boot, monotonic.
    Time = 39,
    /// `socket(kind, flags)`: a descriptor for a stream socket, see [`crate::SocketKind`] and [`crate::SocketFlags`].
    Socket = 120,
    /// `connect(fd, address, port, timeout_ms)`: address as a number, 10.0.2.2 being `0x0a00_0202`.
    Connect = 121,
    /// `poll(set, count, timeout_ms)`: how many entries of the set are ready, see [`crate::poll`].
    Poll = 122,
    /// `net_info(ptr, len)`: fills a [`crate::info::NetInfo`]; the bytes written.
    NetInfo = 123,
    /// `grant_info(ptr, len)`: fills a [`crate::info::GrantInfo`]; the bytes written.
    GrantInfo = 124,
    /// `restrict(fd, rights)`: keeps only these [`crate::Rights`]; on a socket, giving up WRITE sends FIN.
    Restrict = 125,
    /// `restrict_connect(address, prefix, first_port, last_port)`: from now on the process connects only to remotes
    /// that lie in this network and range of ports as well. Nothing widens it again but a restart.
    RestrictConnect = 126,
    /// `sync(fd)`: 0 when everything that was written to the region is on the medium.
    Sync = 127,
    /// `confirm()`: the version on trial that the process runs is the confirmed one from now on; 0 when that is on the medium.
    Confirm = 129,
}

impl From<Syscall> for u64 {
    fn from(call: Syscall) -> u64 {
        call.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_the_table_is_a_call_or_none() {
        let known: Vec<u64> = (0..=255).filter(|&number| Syscall::try_from(number).is_ok()).collect();
        assert_eq!(known, [0, 1, 5, 14, 15, 16, 17, 39, 120, 121, 122, 123, 124, 125, 126, 127, 129]);
        assert_eq!(Syscall::ALL.iter().map(|call| call.number()).collect::<Vec<_>>(), known);
        for &call in Syscall::ALL {
            assert_eq!(Syscall::try_from(call.number()), Ok(call));
        }
        for number in [256, 1 << 32, 39 | 1 << 32, u64::MAX] {
            assert_eq!(Syscall::try_from(number), Err(Errno::NoSuchCall), "beyond the table");
        }
    }
}
