//! TCP stream sockets, as client.

use core::net::Ipv4Addr;
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use slopos_abi::{Rights, SocketFlags, SocketKind};

use crate::{Descriptor, Error, call, time};

/// A TCP socket. Dropped, it is closed in order, in the background.
#[derive(Debug)]
pub struct Socket(Descriptor);

impl Socket {
    /// A new stream socket, not connected.
    ///
    /// # Errors
    /// EACCES where the manifest grants the process no network; EMFILE where its table or its grant is full.
    pub fn stream(flags: SocketFlags) -> Result<Socket, Error> {
        Ok(Socket(Descriptor::from_number(call::socket(SocketKind::Stream, flags)?)))
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

    /// Sends FIN after what is written: the peer sees the end of the stream, and can still send.
    ///
    /// # Errors
    /// EBADF where something else has closed the descriptor.
    pub fn shutdown_write(&mut self) -> Result<(), Error> {
        self.0.restrict(Rights::READ)?;
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
