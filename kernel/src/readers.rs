//! The third seam: the buffers of processes that wait in FS_READ on a socket.
//!
//! Data that comes next in a stream may go straight into the buffer of the process that waits for it, instead of by
//! way of a receive ring. What is put there has to be the first that the read then takes ([`Objects::read`]), for the
//! call is made again.
//!
//! [`Objects::read`]: crate::objects::Objects::read

use crate::objects::SocketId;
use core::ops::Range;

/// Reaches the buffer of a process that waits to read from a socket.
pub trait Readers {
    /// The part `range` of the buffer; its bytes mean nothing to the process until the read returns. `None` where nobody
    /// waits to read from this socket, or the part is not within the buffer.
    fn buffer(&mut self, socket: SocketId, range: Range<usize>) -> Option<&mut [u8]>;
}
