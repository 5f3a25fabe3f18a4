//! Access to the memory of processes that wait to read or to write.

use super::Kernel;
use crate::capability::EnterProcessMemory;
use crate::objects::{Object, SocketId};
use crate::process::ProcessId;
use crate::processor::Processor;
use crate::readers::Readers;
use core::ops::Range;

impl Kernel {
    /// The part `range` of the bytes that a process waits to write to `object`. `None` if it does not wait for that, or
    /// the part is not within its bytes.
    pub fn waiting_writer<'a>(
        &self,
        id: ProcessId,
        object: &Object,
        range: Range<usize>,
        cpu: &'a impl Processor,
        _: &impl EnterProcessMemory,
    ) -> Option<&'a [u8]> {
        let bytes = self.process(id)?.waits_to_write(object, range)?;
        cpu.readable(id, bytes.address, bytes.length).ok()
    }

    /// The part `range` of the buffer into which a process waits to read from `object`; the process does not use its
    /// bytes until the read returns. `None` if it does not wait for that, or the part is not within the buffer.
    ///
    /// Bytes that are put there have to be the first that the read returns when the call is made again
    /// ([`Objects::read`]). For a socket, [`WaitingReaders`] completes the read instead.
    ///
    /// [`Objects::read`]: crate::objects::Objects::read
    pub fn waiting_reader<'a>(
        &self,
        id: ProcessId,
        object: &Object,
        range: Range<usize>,
        cpu: &'a mut impl Processor,
        _: &impl EnterProcessMemory,
    ) -> Option<&'a mut [u8]> {
        let buffer = self.process(id)?.waits_to_read(object, range)?;
        cpu.writable(id, buffer.address, buffer.length).ok()
    }

    /// The processes that wait to read, for a capsule that has data for them.
    pub fn readers<'a, P: Processor>(
        &'a mut self,
        cpu: &'a mut P,
        _: &impl EnterProcessMemory,
    ) -> WaitingReaders<'a, P> {
        WaitingReaders { kernel: self, cpu }
    }
}

/// The kernel's processes as [`Readers`]; made only for the holder of the token that opens their memory.
pub struct WaitingReaders<'a, P> {
    kernel: &'a mut Kernel,
    cpu: &'a mut P,
}

impl<P: Processor> Readers for WaitingReaders<'_, P> {
    fn buffer(&mut self, socket: SocketId, length: usize) -> Option<&mut [u8]> {
        let buffer = self.kernel.process(socket.process)?.room_to_deliver(socket.index, length)?;
        self.cpu.writable(socket.process, buffer.address, buffer.length).ok()
    }

    fn deliver(&mut self, socket: SocketId, length: usize) {
        if let Some(process) = self.kernel.processes.get_mut(socket.process.index()) {
            process.deliver(socket.index, length);
        }
    }
}
