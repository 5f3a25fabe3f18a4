//! The third seam: the buffers of processes that wait in FS_READ on a socket.
//!
//! The next data of a stream may go straight into the buffer of the process that waits for it, instead of through a
//! receive ring. It completes the read: when the process is woken, the call returns the number of these bytes, and the
//! capsule is not asked again.

use crate::objects::SocketId;

/// Delivers to processes that wait to read from a socket.
pub trait Readers {
    /// The next `length` bytes of the buffer, behind what was delivered; what is written there means nothing until it
    /// is delivered. `None` if no process waits to read from this socket, or there is not so much room.
    fn buffer(&mut self, socket: SocketId, length: usize) -> Option<&mut [u8]>;

    /// The first `length` of these bytes are delivered: the read returns them, behind those before. For the capsule
    /// they have been read.
    fn deliver(&mut self, socket: SocketId, length: usize);
}
