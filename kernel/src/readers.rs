//! The third seam: the buffers of processes that wait in FS_READ on a socket.
//!
//! Data that comes next in a stream may go straight into the buffer of the process that waits for it, instead of by
//! way of a receive ring. What is put there has to be the first that the read then takes ([`Objects::read`]), for the
//! call is made again.
//!
//! [`Objects::read`]: crate::objects::Objects::read

use crate::capability::EnterProcessMemory;
use crate::objects::{Object, SocketId};
use crate::processor::Processor;
use crate::scheduler::Kernel;
use core::ops::Range;

/// Reaches the buffer of a process that waits to read from a socket.
pub trait Readers {
    /// The part `range` of the buffer; its bytes mean nothing to the process until the read returns. `None` where nobody
    /// waits to read from this socket, or the part is not within the buffer.
    fn buffer(&mut self, socket: SocketId, range: Range<usize>) -> Option<&mut [u8]>;
}

/// The readers among the kernel's processes.
pub struct WaitingReaders<'a, P, T> {
    kernel: &'a mut Kernel,
    cpu: &'a mut P,
    authority: &'a T,
}

impl<P: Processor, T: EnterProcessMemory> Readers for WaitingReaders<'_, P, T> {
    fn buffer(&mut self, socket: SocketId, range: Range<usize>) -> Option<&mut [u8]> {
        let object = Object::Socket(socket.index);
        self.kernel.waiting_reader(socket.process, &object, range, self.cpu, self.authority)
    }
}

impl Kernel {
    /// The processes that wait to read, for a capsule that has something for them.
    pub fn readers<'a, P: Processor, T: EnterProcessMemory>(
        &'a mut self,
        cpu: &'a mut P,
        authority: &'a T,
    ) -> WaitingReaders<'a, P, T> {
        WaitingReaders { kernel: self, cpu, authority }
    }
}
