//! The calls for sockets: opening and connecting one.

use super::caller::{Caller, Stop};
use crate::objects::Objects;
use crate::process::{DescriptorIndex, Waiting};
use crate::processor::Processor;
use crate::time::{Duration, Instant};
use slopos_abi::{Endpoint, Errno, RemoteRange, Rights, SocketFlags, SocketKind};

/// How long `connect` tries if the caller sets no limit: TCP's own (RFC 9293 section 3.8.3, R2 for SYN).
pub const CONNECT_LIMIT: Duration = Duration::from_secs(180);

impl<P: Processor, O: Objects> Caller<'_, P, O> {
    pub(super) fn socket(&mut self, kind: SocketKind, flags: SocketFlags) -> Result<u64, Stop> {
        let SocketKind::Stream = kind;
        let vacant = self.process.descriptors.vacant()?;
        match self.objects.socket(self.id, flags, self.now) {
            Ok(object) => Ok(vacant.fill(object, Rights::ALL, flags.nonblock)),
            Err(errno) => {
                if errno == Errno::Access && self.process.may_log_denial(self.now) {
                    let name = self.process.configuration.name;
                    defmt::warn!("process {=str} may not open sockets: the manifest gives it no network", name);
                }
                self.process.deny(errno);
                Err(errno.into())
            }
        }
    }

    pub(super) fn begin_connect(&mut self, number: u64, remote: (u64, u64), timeout_ms: u64) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.find(number, Rights::CONNECT)?;
        let remote = Endpoint::try_from(remote)?;
        let limit = if timeout_ms == 0 { CONNECT_LIMIT } else { Duration::from_millis(timeout_ms) };
        self.connect(descriptor, remote, self.now + limit)
    }

    pub(super) fn connect(&mut self, index: DescriptorIndex, remote: Endpoint, deadline: Instant) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.at(index)?;
        let result = self.objects.connect(self.id, &descriptor.object, remote, deadline, self.now);
        if result == Err(Errno::Again) {
            let waiting = Waiting::Connect { descriptor: index, remote, deadline };
            return Err(if descriptor.nonblocking { Stop::Fail(Errno::Again) } else { Stop::Block(waiting) });
        }
        if !core::mem::replace(&mut descriptor.connect_booked, true) {
            match result {
                Ok(()) => self.process.ledger.win(),
                Err(Errno::TimedOut) => self.process.ledger.lose(),
                Err(errno) => self.process.deny(errno),
            }
        }
        Ok(result.map(|()| 0)?)
    }

    pub(super) fn restrict_connect(&mut self, range: RemoteRange) -> Result<u64, Stop> {
        self.objects.restrict_connect(self.id, range);
        Ok(0)
    }
}
