//! Errors of system calls, in words.

use core::fmt;

use embedded_io::ErrorKind;
use slopos_abi::Errno;

/// Why a system call failed: an [`Errno`] that can be printed and that streams can return.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(Errno);

impl Error {
    /// The error number.
    pub const fn errno(self) -> Errno {
        self.0
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error(errno)
    }
}

/// In words too: what a panic says of an error is for a person, and words are in each program already.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Errno::NotFound => "the manifest does not let it be opened",
            Errno::Io => "the device failed or is not there",
            Errno::BadDescriptor => "the descriptor is not open or lacks the right",
            Errno::Again => "nothing can be done now",
            Errno::Access => "the manifest does not allow it",
            Errno::Fault => "the memory is not the process's to use so",
            Errno::Invalid => "an argument makes no sense",
            Errno::TooManyOpen => "the descriptor table or the grant is full",
            Errno::ReadOnly => "it cannot be written, only read",
            Errno::BrokenPipe => "the connection takes no more data",
            Errno::NoSuchCall => "no such system call",
            Errno::ConnectionReset => "connection reset",
            Errno::TimedOut => "timed out",
            Errno::ConnectionRefused => "connection refused",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            Errno::NotFound => ErrorKind::NotFound,
            Errno::Access => ErrorKind::PermissionDenied,
            Errno::Fault | Errno::Invalid | Errno::BadDescriptor => ErrorKind::InvalidInput,
            Errno::TooManyOpen => ErrorKind::OutOfMemory,
            Errno::BrokenPipe => ErrorKind::BrokenPipe,
            Errno::ReadOnly | Errno::NoSuchCall => ErrorKind::Unsupported,
            Errno::ConnectionReset => ErrorKind::ConnectionReset,
            Errno::TimedOut => ErrorKind::TimedOut,
            Errno::ConnectionRefused => ErrorKind::ConnectionRefused,
            Errno::Io | Errno::Again => ErrorKind::Other,
        }
    }
}
