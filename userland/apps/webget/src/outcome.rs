//! Exit statuses. Where curl has one for the case, it is curl's.

use libslop::abi::Errno;

/// Each response had a status below 400.
pub const OK: i32 = 0;
/// The system failed in a way that has nothing to do with the server.
pub const SYSTEM: i32 = 1;
/// The command line or a URL makes no sense.
pub const USAGE: i32 = 2;
/// The server refused the connection.
pub const REFUSED: i32 = 7;
/// A response had a status of 400 or more.
pub const HTTP_ERROR: i32 = 22;
/// The flash region could not be written: it is too small, or the device failed.
pub const NOT_WRITTEN: i32 = 23;
/// The flash region could not be read, or holds less than its record says.
pub const NOT_READ: i32 = 26;
/// Nothing came in time.
pub const TIMED_OUT: i32 = 28;
/// The server did not send the part that was asked for.
pub const RANGE: i32 = 33;
/// Too many redirects, or one that leads nowhere.
pub const REDIRECT: i32 = 47;
/// The server took only a part of the upload, and did not say why.
pub const NOT_SENT: i32 = 55;
/// The response was cut off, or was not one.
pub const BROKEN: i32 = 56;
/// The manifest does not allow the connection, or the flash region.
pub const NOT_ALLOWED: i32 = 77;

/// The exit status for an error of a system call on the connection.
pub const fn of_errno(errno: Errno) -> i32 {
    match errno {
        Errno::ConnectionRefused => REFUSED,
        Errno::TimedOut => TIMED_OUT,
        Errno::ConnectionReset | Errno::BrokenPipe => BROKEN,
        Errno::Access => NOT_ALLOWED,
        _ => SYSTEM,
    }
}

/// The exit status for the status of a response.
pub const fn of_status(status: u16) -> i32 {
    if status >= 400 { HTTP_ERROR } else { OK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_errors_have_statuses_of_their_own() {
        assert_eq!(of_errno(Errno::ConnectionRefused), 7);
        assert_eq!(of_errno(Errno::TimedOut), 28);
        assert_eq!(of_errno(Errno::ConnectionReset), 56);
        assert_eq!(of_errno(Errno::BrokenPipe), 56);
        assert_eq!(of_errno(Errno::Access), 77);
        assert_eq!(of_errno(Errno::TooManyOpen), 1);
    }

    #[test]
    fn only_error_statuses_fail() {
        assert_eq!([200, 204, 301, 399, 400, 404, 503, 999].map(of_status), [0, 0, 0, 0, 22, 22, 22, 22]);
    }
}
