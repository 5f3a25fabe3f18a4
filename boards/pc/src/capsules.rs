//! The seam between the kernel and the capsules: a match on the kind of object.

use crate::copies::Copies;
use crate::entropy::Entropy;
use crate::flash::Flash;
use crate::log;
use crate::statics::{COMMANDS, ENTROPY};
use crate::tokens::CallAuthority;
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo, network};
use slopos_abi::{COMMANDS_NAME, ENTROPY_NAME, Endpoint, Errno, Readiness, RemoteRange, SocketFlags};
use slopos_console::Console;
use slopos_kernel::objects::{AppSlot, Counted, Fetch, Object, Objects, SocketId, SocketIndex, Verdict};
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_net::stack::{ConnectError, Progress, SocketError, Stack};
use slopos_net::tcp;
use slopos_process_console::requests::Requests;

/// What descriptors reach.
pub struct Capsules {
    /// The serial console.
    pub console: Console<'static>,
    /// The network stack.
    pub stack: &'static mut Stack<'static>,
    /// The flash.
    pub flash: &'static mut Flash,
    /// Random bytes.
    pub entropy: Entropy,
    /// Commands that processes ask for.
    pub requests: Requests<'static>,
    /// Tells whether this machine is a copy of one that had the same secrets.
    pub copies: Copies,
    /// Whether there is a network device. Without one, connecting fails at once.
    pub has_network_device: bool,
    /// The authority to report to a process what its own grants hold.
    pub call_authority: CallAuthority,
}

impl Capsules {
    /// Draws the secrets anew where this machine may be one of several copies that have the same ones.
    pub fn renew_secrets_of_copy(&mut self, now: Instant) {
        if let Some(seed) = self.copies.renew(now) {
            self.stack.set_seed(seed);
            self.entropy.capsule.discard();
        }
    }
}

/// The errno for how a TCP call failed.
fn errno(error: tcp::Error) -> Errno {
    match error {
        tcp::Error::WouldBlock => Errno::Again,
        tcp::Error::NotConnected | tcp::Error::AlreadyConnected => Errno::Invalid,
        tcp::Error::Refused => Errno::ConnectionRefused,
        tcp::Error::Reset => Errno::ConnectionReset,
        tcp::Error::TimedOut => Errno::TimedOut,
        tcp::Error::Closed => Errno::BrokenPipe,
    }
}

impl Objects for Capsules {
    fn open(&mut self, process: ProcessId, name: &str) -> Result<Object, Errno> {
        if ENTROPY && name == ENTROPY_NAME {
            return self.entropy.capsule.open(process).map(|()| Object::Entropy);
        }
        if COMMANDS && name == COMMANDS_NAME {
            return self.requests.open(process).map(|()| Object::Commands);
        }
        let region = self.flash.storage.region(name).ok_or(Errno::NotFound)?;
        Ok(Object::Flash { region, position: 0 })
    }

    fn read(
        &mut self,
        process: ProcessId,
        object: &mut Object,
        buffer: &mut [u8],
        now: Instant,
    ) -> Result<usize, Errno> {
        match object {
            Object::Console | Object::ConsoleErrors => match self.console.read(process, buffer) {
                0 => Err(Errno::Again),
                count => Ok(count),
            },
            Object::Socket(index) => self.stack.read(SocketId { process, index: *index }, buffer).map_err(errno),
            Object::Flash { region, position } => {
                // The data is in the buffer already: it was put there when it arrived.
                let read = self.flash.storage.read(process, *region, *position, buffer.len(), now);
                self.flash.submit_now(process, &[], now);
                let count = read?;
                *position += count as u64;
                Ok(count)
            }
            Object::Entropy => self.entropy.capsule.read(process, buffer, now),
            Object::Commands => self.requests.read(process, buffer),
        }
    }

    fn write(&mut self, process: ProcessId, object: &mut Object, bytes: &[u8], now: Instant) -> Result<usize, Errno> {
        match object {
            Object::ConsoleErrors if self.console.is_separate() => {
                let piece = self.console.write_apart(process, bytes, log::text_room());
                log::text(piece);
                if piece.is_empty() { Err(Errno::Again) } else { Ok(piece.len()) }
            }
            Object::Console | Object::ConsoleErrors => match self.console.write(process, bytes) {
                0 => Err(Errno::Again),
                count => Ok(count),
            },
            Object::Socket(index) => self.stack.write(SocketId { process, index: *index }, bytes, now).map_err(errno),
            Object::Flash { .. } if self.flash.is_read_only() => Err(Errno::ReadOnly),
            Object::Flash { region, position } => {
                let written = self.flash.storage.write(process, *region, *position, bytes.len(), now);
                self.flash.submit_now(process, bytes, now);
                let count = written?;
                *position += count as u64;
                Ok(count)
            }
            // No process has the right to.
            Object::Entropy => Err(Errno::BadDescriptor),
            Object::Commands => self.requests.write(process, bytes),
        }
    }

    fn sync(&mut self, process: ProcessId, object: &Object, now: Instant) -> Result<(), Errno> {
        let Object::Flash { .. } = object else { return Err(Errno::Invalid) };
        let synced = self.flash.storage.sync(process, now);
        self.flash.submit_now(process, &[], now);
        synced
    }

    fn app_slot(&mut self, process: ProcessId, app: &str, now: Instant) -> AppSlot {
        let writable = !self.flash.is_read_only();
        self.flash.storage.set_writable(writable);
        self.flash.storage.app_slot(process, app, now)
    }

    fn begin_trial(&mut self, process: ProcessId, app: &str, _: Instant) -> Counted {
        self.flash.storage.begin_trial(process, app)
    }

    fn judge_trial(&mut self, process: ProcessId, app: &str, verdict: Verdict) {
        self.flash.storage.judge_trial(process, app, verdict);
    }

    fn confirm_trial(&mut self, process: ProcessId, app: &str, _: Instant) -> Result<(), Errno> {
        self.flash.storage.confirm_trial(process, app)
    }

    fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, now: Instant) -> Fetch {
        let fetch = self.flash.storage.fetch(process, sector, length, now);
        self.flash.submit_now(process, &[], now);
        fetch
    }

    fn readiness(&mut self, process: ProcessId, object: &Object) -> Readiness {
        match object {
            Object::ConsoleErrors if self.console.is_separate() => {
                Readiness::WRITABLE.when(self.console.writable_apart(process, log::text_room()))
            }
            Object::Console | Object::ConsoleErrors => {
                Readiness::READABLE.when(self.console.readable(process))
                    | Readiness::WRITABLE.when(self.console.writable(process))
            }
            Object::Socket(index) => self.stack.readiness(SocketId { process, index: *index }),
            Object::Flash { .. } => Readiness::READABLE | Readiness::WRITABLE,
            Object::Entropy => self.entropy.capsule.readiness(process),
            Object::Commands => self.requests.readiness(process),
        }
    }

    fn socket(&mut self, process: ProcessId, flags: SocketFlags, _: Instant) -> Result<Object, Errno> {
        match self.stack.socket(process, flags) {
            Ok(socket) => Ok(Object::Socket(socket.index)),
            Err(SocketError::NotAuthorised) => Err(Errno::Access),
            Err(SocketError::GrantExhausted) => Err(Errno::TooManyOpen),
        }
    }

    fn connect(
        &mut self,
        process: ProcessId,
        object: &Object,
        remote: Endpoint,
        deadline: Instant,
        now: Instant,
    ) -> Result<(), Errno> {
        let Object::Socket(index) = object else { return Err(Errno::Invalid) };
        if self.copies.is_look_due(now) {
            self.renew_secrets_of_copy(now);
        }
        match self.stack.connect(SocketId { process, index: *index }, remote, deadline, now) {
            Err(ConnectError::Denied) => Err(Errno::Access),
            Err(ConnectError::Invalid) => Err(Errno::Invalid),
            Err(ConnectError::NoSocket) => Err(Errno::BadDescriptor),
            Ok(Progress::Done(result)) => result.map_err(errno),
            Ok(Progress::Pending) if !self.has_network_device => Err(Errno::TimedOut),
            Ok(Progress::Pending) => Err(Errno::Again),
        }
    }

    fn shutdown_write(&mut self, process: ProcessId, object: &Object, _: Instant) {
        if let Object::Socket(index) = object {
            self.stack.close_write(SocketId { process, index: *index });
        }
    }

    fn close(&mut self, process: ProcessId, object: &Object, now: Instant) {
        match object {
            Object::Socket(index) => self.stack.close(SocketId { process, index: *index }, now),
            Object::Entropy => self.entropy.capsule.forget(process),
            Object::Commands => self.requests.forget(process),
            Object::Console | Object::ConsoleErrors | Object::Flash { .. } => {}
        }
    }

    fn restrict_connect(&mut self, process: ProcessId, range: RemoteRange) {
        self.stack.narrow_connect(process, &range);
    }

    fn exited(&mut self, process: ProcessId) {
        self.console.forget(process);
        self.stack.exited(process);
        self.flash.storage.abandon(process);
    }

    fn abandon(&mut self, process: ProcessId, _: Instant) {
        self.console.forget(process);
        self.stack.abort(process);
        self.flash.storage.abandon(process);
        if ENTROPY {
            self.entropy.capsule.forget(process);
        }
        if COMMANDS {
            self.requests.forget(process);
        }
    }

    fn net_info(&mut self, now: Instant) -> NetInfo {
        let mut info = self.stack.info(now);
        if self.has_network_device {
            info.flags |= network::DEVICE;
        }
        info
    }

    fn grant_info(&mut self, process: ProcessId) -> GrantInfo {
        self.stack.grant_info(process, &self.call_authority)
    }

    fn socket_info(&mut self, process: ProcessId, index: SocketIndex) -> Option<SocketInfo> {
        self.stack.socket_info(SocketId { process, index }, &self.call_authority)
    }
}
