//! Arguments of SOCKET.

use crate::Errno;

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// A TCP byte stream, used as client.
    Stream = 1,
}

/// EINVAL where there is no such kind.
impl TryFrom<u64> for SocketKind {
    type Error = Errno;

    fn try_from(number: u64) -> Result<SocketKind, Errno> {
        if number == SocketKind::Stream as u64 { Ok(SocketKind::Stream) } else { Err(Errno::Invalid) }
    }
}

/// How a socket behaves; fixed when it is made. The default blocks, gathers small segments and sends no probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFlags {
    /// Calls answer EAGAIN instead of blocking.
    pub nonblock: bool,
    /// Small segments leave at once (no Nagle, RFC 9293 section 3.7.4).
    pub nodelay: bool,
    /// An idle connection is probed, so that a peer which vanished is noticed (RFC 9293 section 3.8.4).
    pub keepalive: bool,
}

impl SocketFlags {
    const NONBLOCK: u64 = 1 << 0;
    const NODELAY: u64 = 1 << 1;
    const KEEPALIVE: u64 = 1 << 2;
    const ALL: u64 = SocketFlags::NONBLOCK | SocketFlags::NODELAY | SocketFlags::KEEPALIVE;

    /// The flags as SOCKET's argument.
    pub const fn bits(self) -> u64 {
        (if self.nonblock { SocketFlags::NONBLOCK } else { 0 })
            | (if self.nodelay { SocketFlags::NODELAY } else { 0 })
            | (if self.keepalive { SocketFlags::KEEPALIVE } else { 0 })
    }
}

/// SOCKET's argument: EINVAL where it has a bit that is no flag.
impl TryFrom<u64> for SocketFlags {
    type Error = Errno;

    fn try_from(bits: u64) -> Result<SocketFlags, Errno> {
        if bits & !SocketFlags::ALL != 0 {
            return Err(Errno::Invalid);
        }
        Ok(SocketFlags {
            nonblock: bits & SocketFlags::NONBLOCK != 0,
            nodelay: bits & SocketFlags::NODELAY != 0,
            keepalive: bits & SocketFlags::KEEPALIVE != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_bit() {
        for bits in 0..=SocketFlags::ALL {
            assert_eq!(SocketFlags::try_from(bits).map(SocketFlags::bits), Ok(bits));
        }
        let probed = SocketFlags { nodelay: true, keepalive: true, nonblock: false };
        assert_eq!((SocketFlags::default().bits(), probed.bits()), (0, 6));
        for bits in [8, 15, 1 << 32, u64::MAX] {
            assert_eq!(SocketFlags::try_from(bits), Err(Errno::Invalid));
        }
    }

    #[test]
    fn there_is_one_kind() {
        assert_eq!(SocketKind::try_from(1), Ok(SocketKind::Stream));
        for number in [0, 2, u64::MAX] {
            assert_eq!(SocketKind::try_from(number), Err(Errno::Invalid));
        }
    }
}
