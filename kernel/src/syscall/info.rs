//! The calls that return information on the network and on the process's own grants.

use super::caller::{Caller, Stop};
use crate::objects::{Objects, SocketIndex};
use crate::process::UserRange;
use crate::processor::Processor;
use slopos_abi::Errno;
use slopos_abi::info::SocketInfo;
use zerocopy::IntoBytes;

impl<P: Processor, O: Objects> Caller<'_, P, O> {
    pub(super) fn net_info(&mut self, out: UserRange) -> Result<u64, Stop> {
        let mut info = self.objects.net_info(self.now);
        if self.objects.grant_info(self.id).sockets == 0 {
            // A process without a network grant does not see the traffic of others.
            info = info.without_traffic();
        }
        info.ledger = self.process.ledger.balance();
        Ok(self.copy_out(info.as_bytes(), out)?)
    }

    pub(super) fn grant_info(&mut self, out: UserRange) -> Result<u64, Stop> {
        let mut info = self.objects.grant_info(self.id);
        info.denials = self.process.denials;
        let mut written = self.copy_out(info.as_bytes(), out)?;
        for index in (0..=u16::MAX).map(SocketIndex) {
            let rest = UserRange::new(out.address.saturating_add(written), out.length - written);
            let Some(socket) = self.objects.socket_info(self.id, index) else { break };
            if rest.length < size_of::<SocketInfo>() as u64 {
                break;
            }
            written += self.copy_out(socket.as_bytes(), rest)?;
        }
        Ok(written)
    }

    /// Copies as much as the caller has room for, so that a structure may grow at its end.
    fn copy_out(&mut self, bytes: &[u8], out: UserRange) -> Result<u64, Errno> {
        let length = out.length.min(bytes.len() as u64);
        let buffer = self.cpu.writable(self.id, out.address, length)?;
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(length)
    }
}
