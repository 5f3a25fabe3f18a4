//! The third seam: the buffers of processes that wait in FS_READ on a socket.
//!
//! The next data of a stream may go straight into the buffer of the process that waits for it, instead of through a
//! receive ring. It has to be the first that the read returns when the call is made again ([`Objects::read`]).
//!
//! [`Objects::read`]: crate::objects::Objects::read

use crate::objects::SocketId;
use core::ops::Range;

/// Reaches the buffer of a process that waits to read from a socket.
pub trait Readers {
    /// The part `range` of the buffer; the process does not use its bytes until the read returns. `None` if no process
    /// waits to read from this socket, or the part is not within the buffer.
    fn buffer(&mut self, socket: SocketId, range: Range<usize>) -> Option<&mut [u8]>;
}
