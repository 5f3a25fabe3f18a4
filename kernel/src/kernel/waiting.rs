//! Access to the memory of processes that wait to read or to write.

use super::Kernel;
use crate::capability::EnterProcessMemory;
use crate::objects::{Object, SocketId};
use crate::process::ProcessId;
use crate::processor::Processor;
use crate::readers::Readers;
use core::ops::Range;

impl Kernel {
    /// The part `range` of the bytes that a process waits to write to `object`. `None` if it does not wait for that, or the
    /// part is not within its bytes.
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

    /// The part `range` of the buffer into which a process waits to read from `object`; the process does not use its bytes
    /// until the read returns. `None` if it does not wait for that, or the part is not within the buffer.
    ///
    /// Bytes that are put there have to be the first that the read returns when the call is made again
    /// ([`Objects::read`]).
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
    pub fn readers<'a, P: Processor, T: EnterProcessMemory>(
        &'a self,
        cpu: &'a mut P,
        authority: &'a T,
    ) -> WaitingReaders<'a, P, T> {
        WaitingReaders { kernel: self, cpu, authority }
    }
}

/// The kernel's processes as [`Readers`].
pub struct WaitingReaders<'a, P, T> {
    kernel: &'a Kernel,
    cpu: &'a mut P,
    authority: &'a T,
}

impl<P: Processor, T: EnterProcessMemory> Readers for WaitingReaders<'_, P, T> {
    fn buffer(&mut self, socket: SocketId, range: Range<usize>) -> Option<&mut [u8]> {
        let object = Object::Socket(socket.index);
        self.kernel.waiting_reader(socket.process, &object, range, self.cpu, self.authority)
    }
}
