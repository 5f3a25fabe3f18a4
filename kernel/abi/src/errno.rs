//! Why a system call failed.

/// An error number. A failed call returns its negative in `rax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    /// The process's manifest entry lets it open nothing of this name.
    NotFound = 2,
    /// The device failed, did not answer, or is not there.
    Io = 5,
    /// The descriptor is not open, or does not have the right that the call needs.
    BadDescriptor = 9,
    /// Nothing can be done now on a non-blocking descriptor; poll it, then call again.
    Again = 11,
    /// The manifest does not allow it. Nothing at run time changes that.
    Access = 13,
    /// A pointer does not name memory that the process may use so.
    Fault = 14,
    /// An argument makes no sense for this object or in its present state.
    Invalid = 22,
    /// The descriptor table or the process's grant is full. Close something and call again.
    TooManyOpen = 24,
    /// The medium cannot be written. Nothing at run time changes that.
    ReadOnly = 30,
    /// The write side is closed, by us or by a reset; nothing more can be sent.
    BrokenPipe = 32,
    /// No such system call.
    NoSuchCall = 38,
    /// The peer reset the connection.
    ConnectionReset = 104,
    /// The deadline passed, or the neighbour or the peer does not answer.
    TimedOut = 110,
    /// The peer answered the connect with a reset.
    ConnectionRefused = 111,
}

impl Errno {
    /// The value that a system call returns for this error.
    pub const fn to_return(self) -> i64 {
        -(self as i32 as i64)
    }

    /// Reads a system call's return value: the result, or the error behind a negative number.
    ///
    /// A negative number that is no errno of ours reads as [`Errno::Invalid`].
    pub const fn from_return(value: i64) -> Result<u64, Errno> {
        if value >= 0 {
            return Ok(value as u64);
        }
        Err(match value.wrapping_neg() {
            2 => Errno::NotFound,
            5 => Errno::Io,
            9 => Errno::BadDescriptor,
            11 => Errno::Again,
            13 => Errno::Access,
            14 => Errno::Fault,
            24 => Errno::TooManyOpen,
            30 => Errno::ReadOnly,
            32 => Errno::BrokenPipe,
            38 => Errno::NoSuchCall,
            104 => Errno::ConnectionReset,
            110 => Errno::TimedOut,
            111 => Errno::ConnectionRefused,
            _ => Errno::Invalid,
        })
    }

    /// The conventional symbol, `ECONNREFUSED` for instance.
    pub const fn symbol(self) -> &'static str {
        match self {
            Errno::NotFound => "ENOENT",
            Errno::Io => "EIO",
            Errno::BadDescriptor => "EBADF",
            Errno::Again => "EAGAIN",
            Errno::Access => "EACCES",
            Errno::Fault => "EFAULT",
            Errno::Invalid => "EINVAL",
            Errno::TooManyOpen => "EMFILE",
            Errno::ReadOnly => "EROFS",
            Errno::BrokenPipe => "EPIPE",
            Errno::NoSuchCall => "ENOSYS",
            Errno::ConnectionReset => "ECONNRESET",
            Errno::TimedOut => "ETIMEDOUT",
            Errno::ConnectionRefused => "ECONNREFUSED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_survives_the_return_register() {
        for errno in [
            Errno::NotFound,
            Errno::Io,
            Errno::BadDescriptor,
            Errno::Again,
            Errno::Access,
            Errno::Fault,
            Errno::Invalid,
            Errno::TooManyOpen,
            Errno::ReadOnly,
            Errno::BrokenPipe,
            Errno::NoSuchCall,
            Errno::ConnectionReset,
            Errno::TimedOut,
            Errno::ConnectionRefused,
        ] {
            assert_eq!(Errno::from_return(errno.to_return()), Err(errno));
        }
        assert_eq!(Errno::from_return(7), Ok(7));
        assert_eq!(Errno::from_return(0), Ok(0));
        assert_eq!(Errno::from_return(i64::MIN + 1), Err(Errno::Invalid));
    }
    #[test]
    fn symbols_are_the_conventional_ones() {
        let named = [(Errno::NotFound, "ENOENT"), (Errno::TimedOut, "ETIMEDOUT"), (Errno::Invalid, "EINVAL")];
        assert_eq!(named.map(|(errno, _)| errno.symbol()), named.map(|(_, symbol)| symbol));
    }
}
