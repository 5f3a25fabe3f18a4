//! A connection that gives up on a server which says nothing.

use core::net::Ipv4Addr;
use core::time::Duration;

use libslop::abi::Errno;
use libslop::abi::Readiness;
use libslop::abi::poll::Entry;
use libslop::io::{ErrorType, Read, Write};
use libslop::{Error, Socket, SocketFlags, poll};

/// A connected socket with a limit on each wait.
pub struct Connection {
    socket: Socket,
    timeout: Option<Duration>,
}

impl Connection {
    /// Connects; the timeout also holds for each later wait.
    ///
    /// The connection is probed while it is idle, so that a server that vanished is noticed without a timeout too.
    ///
    /// # Errors
    /// Those of [`Socket::stream`] and [`Socket::connect`].
    pub fn open(address: Ipv4Addr, port: u16, timeout: Option<Duration>) -> Result<Connection, Error> {
        let mut socket = Socket::stream(SocketFlags { keepalive: true, nodelay: true, nonblock: false })?;
        socket.connect(address, port, timeout)?;
        Ok(Connection { socket, timeout })
    }

    /// Waits until the socket is ready, or until the timeout. Without one, the read or write itself blocks.
    fn wait(&self, interest: Readiness) -> Result<(), Error> {
        if self.timeout.is_none() {
            return Ok(());
        }
        let mut set = [Entry { descriptor: self.socket.descriptor().number(), interest, ready: Readiness::NONE }];
        match poll(&mut set, self.timeout)? {
            0 => Err(Error::from(Errno::TimedOut)),
            _ => Ok(()),
        }
    }
}

impl ErrorType for Connection {
    type Error = Error;
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.wait(Readiness::READABLE)?;
        self.socket.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.wait(Readiness::WRITABLE)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.socket.flush()
    }
}
