//! TCP stream sockets, as client.

use core::net::Ipv4Addr;
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use slopos_abi::{rights, socket};

use crate::{Descriptor, Error, call, time};

/// How a socket behaves; fixed when it is made. The default blocks, gathers small segments and sends no probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Calls answer EAGAIN instead of blocking.
    pub nonblock: bool,
    /// Small segments leave at once.
    pub nodelay: bool,
    /// An idle connection is probed, so that a peer which vanished is noticed.
    pub keepalive: bool,
}

impl Flags {
    /// The flags as the bits of the system call.
    pub const fn bits(self) -> u64 {
        (if self.nonblock { socket::NONBLOCK } else { 0 })
            | (if self.nodelay { socket::NODELAY } else { 0 })
            | (if self.keepalive { socket::KEEPALIVE } else { 0 })
    }
}

/// A TCP socket. Dropped, it is closed in order, in the background.
#[derive(Debug)]
pub struct Socket(Descriptor);

impl Socket {
    /// A new stream socket, not connected.
    ///
    /// # Errors
    /// EACCES where the manifest grants the process no network; EMFILE where its table or its grant is full.
    pub fn stream(flags: Flags) -> Result<Socket, Error> {
        Ok(Socket(Descriptor::from_number(call::socket(socket::KIND_STREAM, flags.bits())?)))
    }

    /// Connects. Without a timeout the protocol's own limit holds.
    ///
    /// # Errors
    /// EACCES where the manifest does not cover the remote; ECONNREFUSED; ETIMEDOUT also where no neighbour
    /// answers; EAGAIN on a non-blocking socket: poll for writing, then call again for the result.
    pub fn connect(&mut self, address: Ipv4Addr, port: u16, timeout: Option<Duration>) -> Result<(), Error> {
        // 0 has a meaning of its own to the kernel, so the shortest timeout is 1 ms.
        let timeout_ms = timeout.map_or(0, |timeout| time::millis(timeout).max(1));
        call::connect(self.0.number(), address.to_bits(), port, timeout_ms)
    }

    /// Sends FIN behind what is written: the peer sees the end of the stream, and can still send.
    ///
    /// # Errors
    /// EBADF where something else has closed the descriptor.
    pub fn shutdown_write(&mut self) -> Result<(), Error> {
        self.0.restrict(rights::READ)?;
        Ok(())
    }

    /// The descriptor behind it, to be polled for instance.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    /// Closes the socket now; see [`Descriptor::close`].
    pub fn close(self) -> Result<(), Error> {
        self.0.close()
    }
}

impl ErrorType for Socket {
    type Error = Error;
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_bit() {
        assert_eq!(Flags::default().bits(), 0);
        assert_eq!(Flags { nonblock: true, ..Flags::default() }.bits(), socket::NONBLOCK);
        assert_eq!(
            Flags { nodelay: true, keepalive: true, nonblock: false }.bits(),
            socket::NODELAY | socket::KEEPALIVE
        );
    }
}
