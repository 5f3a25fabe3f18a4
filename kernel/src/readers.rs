//! The third seam: the buffers of processes that wait in FS_READ on a socket.
//!
//! Data that comes next in a stream may go straight into the buffer of the process that waits for it, instead of by
//! way of a receive ring. What was delivered so completes the read: woken, the process goes on with that many bytes, and
//! nobody is asked for more.

use crate::objects::SocketId;

/// Delivers to processes that wait to read from a socket.
pub trait Readers {
    /// The next `length` bytes of the buffer, behind what was delivered; what is written there means nothing until it is
    /// delivered. `None` where nobody waits to read from this socket, or there is not so much room.
    fn buffer(&mut self, socket: SocketId, length: usize) -> Option<&mut [u8]>;

    /// The first `length` of these bytes are delivered: they are what the read returns, behind those before. For the
    /// capsule they have been read.
    fn deliver(&mut self, socket: SocketId, length: usize);
}
