//! A connection that gives up on a server which says nothing, or takes too long in all.

use core::net::Ipv4Addr;
use core::time::Duration;

use libslop::abi::Errno;
use libslop::abi::Readiness;
use libslop::abi::poll::Entry;
use libslop::io::{ErrorType, Read, Write};
use libslop::{Error, Socket, SocketFlags, poll, time};

use crate::upload::Duplex;

/// How long a connection waits. The default leaves all of it to TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest time for a connect, and for any silence after it.
    pub silence: Option<Duration>,
    /// When all has to be over, in time since boot.
    pub deadline: Option<Duration>,
}

impl Limits {
    /// How long the next wait may be; `None` where nothing limits it.
    ///
    /// # Errors
    /// ETIMEDOUT where the deadline has passed.
    fn wait(&self) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline else { return Ok(self.silence) };
        let left = deadline.saturating_sub(time::since_boot()?);
        if left.is_zero() {
            return Err(Errno::TimedOut.into());
        }
        Ok(Some(self.silence.map_or(left, |silence| silence.min(left))))
    }
}

/// A connected socket with a limit on each wait.
pub struct Connection {
    socket: Socket,
    remote: (Ipv4Addr, u16),
    limits: Limits,
}

impl Connection {
    /// Connects; the timeout also holds for each later wait.
    ///
    /// The connection is probed while it is idle, so that a server that vanished is noticed without a timeout too.
    ///
    /// # Errors
    /// Those of [`Socket::stream`] and [`Socket::connect`].
    pub fn open(address: Ipv4Addr, port: u16, timeout: Option<Duration>) -> Result<Connection, Error> {
        Connection::open_within(address, port, Limits { silence: timeout, deadline: None })
    }

    /// Connects, within limits that hold from now on.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_within(address: Ipv4Addr, port: u16, limits: Limits) -> Result<Connection, Error> {
        let mut socket = Socket::stream(SocketFlags { keepalive: true, nodelay: true, nonblock: false })?;
        socket.connect(address, port, limits.wait()?)?;
        Ok(Connection { socket, remote: (address, port), limits })
    }

    /// Sets other limits for what follows.
    pub const fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The server's address and port.
    pub const fn remote(&self) -> (Ipv4Addr, u16) {
        self.remote
    }

    /// Whether nothing waits to be read, not even the end: another request may be sent.
    ///
    /// # Errors
    /// None that the kernel documents.
    pub fn is_idle(&self) -> Result<bool, Error> {
        Ok(self.poll(Readiness::READABLE, Some(Duration::ZERO))? == Readiness::NONE)
    }

    /// What the socket is ready for; nothing once the time has passed.
    fn poll(&self, interest: Readiness, timeout: Option<Duration>) -> Result<Readiness, Error> {
        let mut set = [Entry { descriptor: self.socket.descriptor().number(), interest, ready: Readiness::NONE }];
        poll(&mut set, timeout)?;
        Ok(set[0].ready)
    }

    /// Waits until the socket is ready, or until a limit. Without one, the read or write itself blocks.
    fn wait(&self, interest: Readiness) -> Result<(), Error> {
        let Some(timeout) = self.limits.wait()? else { return Ok(()) };
        match self.poll(interest, Some(timeout))? {
            Readiness::NONE => Err(Errno::TimedOut.into()),
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

impl Duplex for Connection {
    fn ready(&mut self, interest: Readiness, limit: Option<Duration>) -> Result<Readiness, Error> {
        let own = self.limits.wait()?;
        let least = match (own, limit) {
            (Some(own), Some(limit)) => Some(own.min(limit)),
            (one, other) => one.or(other),
        };
        let ready = self.poll(interest, least)?;
        // The caller's limit is no failure; the connection's own is.
        if ready == Readiness::NONE && least != limit {
            return Err(Errno::TimedOut.into());
        }
        Ok(ready)
    }
}
