//! The system-call table and what each call does.
//!
//! A call that cannot finish answers [`Outcome::Block`] and leaves everything as it was; the scheduler makes it
//! again later with the deadline that the first try fixed. `kernel/abi/README.md` documents the calls for their
//! callers.

use crate::descriptor::{ConsoleAccess, Descriptor};
use crate::objects::{Object, Objects, SocketIndex};
use crate::process::ProcessId;
use crate::processor::{Call, Processor};
use crate::scheduler::Process;
use crate::time::{Duration, Instant};
use slopos_abi::info::SocketInfo;
use slopos_abi::limits::{DESCRIPTORS, NAME_MAX};
use slopos_abi::poll::{self, Entry};
use slopos_abi::{Endpoint, Errno, Readiness, RemoteRange, Rights, SocketFlags, SocketKind, Syscall};
use zerocopy::{FromBytes, IntoBytes};

/// What a system call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process goes on with this result.
    Return(i64),
    /// The call is to be made again when something is ready, at the latest at the deadline.
    Block(Option<Instant>),
    /// The process goes on with 0 after the others had their turn.
    Yield,
    /// The process has ended with this status; its descriptors are closed.
    Exit(i32),
}

impl From<Result<u64, Errno>> for Outcome {
    fn from(result: Result<u64, Errno>) -> Self {
        Outcome::Return(result.map_or_else(Errno::to_return, |value| value as i64))
    }
}

/// How long `connect` tries where the caller sets no limit: TCP's own (RFC 9293 section 3.8.3, R2 for SYN).
pub const CONNECT_LIMIT: Duration = Duration::from_secs(180);

/// Makes a system call for a process. `deadline` is what an earlier try of the same call fixed.
pub fn dispatch<P: Processor, O: Objects>(
    process: &mut Process,
    id: ProcessId,
    call: &Call,
    deadline: Option<Instant>,
    cpu: &mut P,
    objects: &mut O,
    now: Instant,
) -> Outcome {
    let call_made = match Syscall::try_from(call.number) {
        Ok(call_made) => call_made,
        Err(errno) => return Err(errno).into(),
    };
    let mut context = Context { process, id, deadline, cpu, objects, now };
    let [first, second, third, fourth, ..] = call.arguments;
    match call_made {
        Syscall::Yield => Outcome::Yield,
        Syscall::Exit => context.exit(first),
        Syscall::Sleep => context.sleep(first),
        Syscall::Open => context.open(first, second).into(),
        Syscall::Close => context.close(first).into(),
        Syscall::Read => context.read(first, second, third),
        Syscall::Write => context.write(first, second, third),
        Syscall::Time => Outcome::Return(now.as_millis() as i64),
        Syscall::Socket => context.socket(first, second).into(),
        Syscall::Connect => context.connect(first, second, third, fourth),
        Syscall::Poll => context.poll(first, second, third),
        Syscall::NetInfo => context.net_info(first, second).into(),
        Syscall::GrantInfo => context.grant_info(first, second).into(),
        Syscall::Restrict => context.restrict(first, second).into(),
        Syscall::RestrictConnect => context.restrict_connect([first, second, third, fourth]).into(),
        Syscall::Sync => context.sync(first),
    }
}

/// Where a call that waits to read from `object` wants the part `range` of its buffer: address and length. `None` where
/// it waits for something else, or the part is not within its buffer.
pub(crate) fn waits_to_read(
    process: &mut Process,
    call: &Call,
    object: &Object,
    range: core::ops::Range<usize>,
) -> Option<(u64, u64)> {
    waits_to_move(process, call, (Syscall::Read, Rights::READ), object, range)
}

/// Where a call that waits to write to `object` has the part `range` of its bytes, likewise.
pub(crate) fn waits_to_write(
    process: &mut Process,
    call: &Call,
    object: &Object,
    range: core::ops::Range<usize>,
) -> Option<(u64, u64)> {
    waits_to_move(process, call, (Syscall::Write, Rights::WRITE), object, range)
}

fn waits_to_move(
    process: &mut Process,
    call: &Call,
    (wanted, right): (Syscall, Rights),
    object: &Object,
    range: core::ops::Range<usize>,
) -> Option<(u64, u64)> {
    let [number, address, length, ..] = call.arguments;
    let moves = call.number == wanted.number()
        && process.descriptors.get(number, right).is_ok_and(|descriptor| descriptor.object == *object);
    let (start, end) = (range.start as u64, range.end as u64);
    (moves && start < end && end <= length).then_some((address.checked_add(start)?, end - start))
}

/// All that a call may touch.
struct Context<'a, P, O> {
    process: &'a mut Process,
    id: ProcessId,
    deadline: Option<Instant>,
    cpu: &'a mut P,
    objects: &'a mut O,
    now: Instant,
}

impl<P: Processor, O: Objects> Context<'_, P, O> {
    fn exit(&mut self, status: u64) -> Outcome {
        while let Some(descriptor) = self.process.descriptors.remove_any() {
            self.objects.close(self.id, &descriptor.object, self.now);
        }
        self.objects.exited(self.id);
        Outcome::Exit(status as i32)
    }

    fn sleep(&mut self, millis: u64) -> Outcome {
        let deadline = self.deadline.unwrap_or(self.now + Duration::from_millis(millis));
        if self.now >= deadline { Outcome::Return(0) } else { Outcome::Block(Some(deadline)) }
    }

    fn open(&mut self, name: u64, length: u64) -> Result<u64, Errno> {
        // What is longer than a name can be is none; the first bytes decide whether the pointer is good.
        let name = self.cpu.readable(self.id, name, length.min(NAME_MAX as u64 + 1))?;
        let mut granted = self.process.configuration.flash.iter();
        let Some(granted) = granted.find(|granted| granted.as_bytes() == name) else {
            self.process.denials += 1;
            if self.process.may_log_denial(self.now) {
                let process = self.process.configuration.name;
                defmt::warn!("process {=str} may not open what it asks for: the manifest does not grant it", process);
            }
            return Err(Errno::NotFound);
        };
        if !self.process.descriptors.has_room() {
            return Err(Errno::TooManyOpen);
        }
        let object = self.objects.open(self.id, granted)?;
        self.process.descriptors.insert(object, Rights::READ | Rights::WRITE, false)
    }

    fn close(&mut self, number: u64) -> Result<u64, Errno> {
        let descriptor = self.process.descriptors.remove(number)?;
        self.objects.close(self.id, &descriptor.object, self.now);
        Ok(0)
    }

    fn read(&mut self, number: u64, address: u64, length: u64) -> Outcome {
        let (id, now) = (self.id, self.now);
        if self.is_denied_console(number, Rights::READ) {
            return Err(Errno::Access).into();
        }
        let descriptor = match self.process.descriptors.get(number, Rights::READ) {
            Ok(descriptor) => descriptor,
            Err(errno) => return Err(errno).into(),
        };
        let result = match self.cpu.writable(id, address, length) {
            Ok([]) => Ok(0),
            Ok(buffer) => self.objects.read(id, &mut descriptor.object, buffer, now),
            Err(errno) => Err(errno),
        };
        transferred(descriptor, result)
    }

    fn write(&mut self, number: u64, address: u64, length: u64) -> Outcome {
        let (id, now) = (self.id, self.now);
        if self.is_denied_console(number, Rights::WRITE) {
            return Err(Errno::Access).into();
        }
        let descriptor = match self.process.descriptors.get(number, Rights::WRITE) {
            Ok(descriptor) => descriptor,
            Err(errno) => return Err(errno).into(),
        };
        let result = match self.cpu.readable(id, address, length) {
            Ok([]) => Ok(0),
            Ok(bytes) => self.objects.write(id, &mut descriptor.object, bytes, now),
            Err(errno) => Err(errno),
        };
        transferred(descriptor, result)
    }

    /// Whether this is the standard input or an output, and the manifest gives the process none. Such a try is counted.
    fn is_denied_console(&mut self, number: u64, right: Rights) -> bool {
        let console = self.process.configuration.console;
        let denied = match (console, right) {
            (ConsoleAccess::Input, _) | (ConsoleAccess::Output, Rights::WRITE) => return false,
            (_, Rights::READ) => number == 0,
            _ => number == 1 || number == 2,
        };
        let denied = denied && self.process.descriptors.get(number, Rights::NONE).is_ok();
        if denied {
            if self.process.denials == 0 {
                let (name, console) = (self.process.configuration.name, console.word());
                defmt::warn!("process {=str} is denied the console: the manifest says {=str}", name, console);
            }
            self.process.deny(Errno::Access);
        }
        denied
    }

    fn sync(&mut self, number: u64) -> Outcome {
        let (id, now) = (self.id, self.now);
        let descriptor = match self.process.descriptors.get(number, Rights::WRITE) {
            Ok(descriptor) => descriptor,
            Err(errno) => return Err(errno).into(),
        };
        let result = self.objects.sync(id, &descriptor.object, now);
        transferred(descriptor, result.map(|()| 0))
    }

    fn socket(&mut self, kind: u64, flags: u64) -> Result<u64, Errno> {
        let SocketKind::Stream = SocketKind::try_from(kind)?;
        let flags = SocketFlags::try_from(flags)?;
        if !self.process.descriptors.has_room() {
            return Err(Errno::TooManyOpen);
        }
        let object = self.objects.socket(self.id, flags, self.now).inspect_err(|&errno| {
            if errno == Errno::Access && self.process.may_log_denial(self.now) {
                let name = self.process.configuration.name;
                defmt::warn!("process {=str} may not open sockets: the manifest gives it no network", name);
            }
            self.process.deny(errno);
        })?;
        self.process.descriptors.insert(object, Rights::ALL, flags.nonblock)
    }

    fn connect(&mut self, number: u64, address: u64, port: u64, timeout_ms: u64) -> Outcome {
        let descriptor = match self.process.descriptors.get(number, Rights::CONNECT) {
            Ok(descriptor) => descriptor,
            Err(errno) => return Err(errno).into(),
        };
        let remote = match Endpoint::try_from((address, port)) {
            Ok(remote) => remote,
            Err(errno) => return Err(errno).into(),
        };
        let limit = if timeout_ms == 0 { CONNECT_LIMIT } else { Duration::from_millis(timeout_ms) };
        match self.objects.connect(self.id, &descriptor.object, remote, self.now + limit, self.now) {
            Err(Errno::Again) if !descriptor.nonblocking => Outcome::Block(None),
            result => {
                let outcome_known = result != Err(Errno::Again);
                if outcome_known && !core::mem::replace(&mut descriptor.connect_booked, true) {
                    match result {
                        Ok(()) => self.process.ledger.win(),
                        Err(Errno::TimedOut) => self.process.ledger.lose(),
                        Err(errno) => self.process.deny(errno),
                    }
                }
                result.map(|()| 0).into()
            }
        }
    }

    fn poll(&mut self, set: u64, count: u64, timeout_ms: u64) -> Outcome {
        if count > DESCRIPTORS as u64 {
            return Err(Errno::Invalid).into();
        }
        let bytes = match self.cpu.writable(self.id, set, count * size_of::<Entry>() as u64) {
            Ok(bytes) => bytes,
            Err(errno) => return Err(errno).into(),
        };
        let mut ready_entries = 0;
        for slot in bytes.chunks_exact_mut(size_of::<Entry>()) {
            // A chunk has just the entry's size, and any bytes are an entry.
            let Ok(mut entry) = Entry::read_from_bytes(slot) else { continue };
            entry.ready = match u64::try_from(entry.descriptor) {
                Err(_) => Readiness::NONE,
                Ok(number) => match self.process.descriptors.get(number, Rights::NONE) {
                    Err(_) => Readiness::INVALID,
                    Ok(descriptor) => {
                        let wanted = entry.interest | Readiness::ERROR | Readiness::HANGUP;
                        self.objects.readiness(self.id, &descriptor.object) & wanted
                    }
                },
            };
            ready_entries += i64::from(entry.ready != Readiness::NONE);
            slot.copy_from_slice(entry.as_bytes());
        }
        let deadline = match timeout_ms {
            poll::FOREVER => None,
            _ => Some(self.deadline.unwrap_or(self.now + Duration::from_millis(timeout_ms))),
        };
        if ready_entries > 0 || deadline.is_some_and(|deadline| self.now >= deadline) {
            Outcome::Return(ready_entries)
        } else {
            Outcome::Block(deadline)
        }
    }

    fn net_info(&mut self, address: u64, length: u64) -> Result<u64, Errno> {
        let mut info = self.objects.net_info(self.now);
        if self.objects.grant_info(self.id).sockets == 0 {
            // The traffic is that of others.
            info = info.without_traffic();
        }
        info.ledger = self.process.ledger.balance();
        self.copy_out(info.as_bytes(), address, length)
    }

    fn grant_info(&mut self, address: u64, length: u64) -> Result<u64, Errno> {
        let mut info = self.objects.grant_info(self.id);
        info.denials = self.process.denials;
        let mut written = self.copy_out(info.as_bytes(), address, length)?;
        for index in (0..=u16::MAX).map(SocketIndex) {
            let room = length - written;
            let (Some(socket), true) =
                (self.objects.socket_info(self.id, index), room >= size_of::<SocketInfo>() as u64)
            else {
                break;
            };
            written += self.copy_out(socket.as_bytes(), address.saturating_add(written), room)?;
        }
        Ok(written)
    }

    fn restrict(&mut self, number: u64, keep: u64) -> Result<u64, Errno> {
        let keep = Rights::try_from(keep)?;
        let descriptor = self.process.descriptors.get(number, Rights::NONE)?;
        let gives_up_writing = descriptor.rights.contains(Rights::WRITE) && !keep.contains(Rights::WRITE);
        descriptor.rights = descriptor.rights & keep;
        if gives_up_writing {
            self.objects.shutdown_write(self.id, &descriptor.object, self.now);
        }
        Ok(descriptor.rights.bits().into())
    }

    fn restrict_connect(&mut self, range: [u64; 4]) -> Result<u64, Errno> {
        self.objects.restrict_connect(self.id, RemoteRange::try_from(range)?);
        Ok(0)
    }

    /// Copies as much as the caller has room for, so that a structure may grow at its end.
    fn copy_out(&mut self, bytes: &[u8], address: u64, length: u64) -> Result<u64, Errno> {
        let length = length.min(bytes.len() as u64);
        let buffer = self.cpu.writable(self.id, address, length)?;
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(length)
    }
}

impl Process {
    /// Counts a request that the manifest does not allow.
    fn deny(&mut self, errno: Errno) {
        self.denials += u64::from(errno == Errno::Access);
    }
}

/// The outcome of a read or a write: blocking descriptors wait instead of answering EAGAIN.
fn transferred(descriptor: &Descriptor, result: Result<usize, Errno>) -> Outcome {
    match result {
        Err(Errno::Again) if !descriptor.nonblocking || descriptor.object == Object::Console => Outcome::Block(None),
        result => result.map(|count| count as u64).into(),
    }
}
