//! The system calls. `kernel/abi/README.md` documents them for their callers.
//!
//! A call that cannot finish answers `Stop::Block` and changes nothing. It is kept parsed (`Waiting`) and made again
//! from that, so its descriptor is looked up once and its deadline stays fixed.

mod caller;
mod info;
mod network;
mod stream;

pub(crate) use caller::{Caller, Stop};
pub use network::CONNECT_LIMIT;

use crate::objects::{Objects, Verdict};
use crate::process::{UserRange, Waiting};
use crate::processor::{Call, Processor};
use crate::time::{Duration, Instant};
use slopos_abi::{Errno, RemoteRange, Rights, SocketFlags, SocketKind, Syscall};

impl<P: Processor, O: Objects> Caller<'_, P, O> {
    /// Makes a call.
    pub fn make(&mut self, call: &Call) -> Result<u64, Stop> {
        let [a, b, c, d, ..] = call.arguments;
        match Syscall::try_from(call.number)? {
            Syscall::Yield => Err(Stop::Yield),
            Syscall::Exit => self.exit(a as i32),
            Syscall::Sleep => self.sleep(self.now + Duration::from_millis(a)),
            Syscall::Open => self.open(UserRange::new(a, b)),
            Syscall::Close => self.close(a),
            Syscall::Read => self.begin_read(a, UserRange::new(b, c)),
            Syscall::Write => self.begin_write(a, UserRange::new(b, c)),
            Syscall::Time => Ok(self.now.as_millis()),
            Syscall::Socket => self.socket(SocketKind::try_from(a)?, SocketFlags::try_from(b)?),
            Syscall::Connect => self.begin_connect(a, (b, c), d),
            Syscall::Poll => self.begin_poll(a, b, c),
            Syscall::NetInfo => self.net_info(UserRange::new(a, b)),
            Syscall::GrantInfo => self.grant_info(UserRange::new(a, b)),
            Syscall::Restrict => self.restrict(a, Rights::try_from(b)?),
            Syscall::RestrictConnect => self.restrict_connect(RemoteRange::try_from([a, b, c, d])?),
            Syscall::Sync => self.begin_sync(a),
            Syscall::Confirm => self.confirm(),
        }
    }

    /// Makes a waiting call again.
    pub fn retry(&mut self, waiting: Waiting) -> Result<u64, Stop> {
        match waiting {
            Waiting::Sleep { until } => self.sleep(until),
            Waiting::Read { delivered: 0, descriptor, buffer } => self.read(descriptor, buffer),
            Waiting::Read { delivered, .. } => Ok(delivered as u64),
            Waiting::Write { descriptor, bytes } => self.write(descriptor, bytes),
            Waiting::Sync { descriptor } => self.sync(descriptor),
            Waiting::Confirm => self.confirm(),
            Waiting::Connect { descriptor, remote, deadline } => self.connect(descriptor, remote, deadline),
            Waiting::Poll { set, deadline } => self.poll(set, deadline),
        }
    }

    fn exit(&mut self, status: i32) -> Result<u64, Stop> {
        while let Some(descriptor) = self.process.descriptors.remove_any() {
            self.objects.close(self.id, &descriptor.object, self.now);
        }
        if status == 0 {
            // A version on trial that comes to a good end has shown that it works.
            self.objects.judge_trial(self.id, self.process.configuration.app, Verdict::Works);
        }
        self.objects.exited(self.id);
        Err(Stop::Exit(status))
    }

    fn sleep(&mut self, until: Instant) -> Result<u64, Stop> {
        if self.now >= until { Ok(0) } else { Err(Stop::Block(Waiting::Sleep { until })) }
    }

    fn confirm(&mut self) -> Result<u64, Stop> {
        match self.objects.confirm_trial(self.id, self.process.configuration.app, self.now) {
            Err(Errno::Again) => Err(Stop::Block(Waiting::Confirm)),
            result => Ok(result.map(|()| 0)?),
        }
    }

    fn close(&mut self, number: u64) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.remove(number)?;
        self.objects.close(self.id, &descriptor.object, self.now);
        Ok(0)
    }

    fn restrict(&mut self, number: u64, keep: Rights) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.get(number, Rights::NONE)?;
        let gives_up_writing = descriptor.rights.contains(Rights::WRITE) && !keep.contains(Rights::WRITE);
        descriptor.rights = descriptor.rights & keep;
        if gives_up_writing {
            self.objects.shutdown_write(self.id, &descriptor.object, self.now);
        }
        Ok(descriptor.rights.bits().into())
    }
}
