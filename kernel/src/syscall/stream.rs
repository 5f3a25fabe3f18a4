//! The calls that move bytes: regions of the flash, entropy, console and sockets alike.

use super::caller::{Caller, Stop};
use crate::objects::{Object, Objects};
use crate::process::{Configuration, ConsoleAccess, Descriptor, DescriptorIndex, UserRange, Waiting};
use crate::processor::Processor;
use crate::time::{Duration, Instant};
use slopos_abi::limits::{DESCRIPTORS, NAME_MAX};
use slopos_abi::poll::{self, Entry};
use slopos_abi::{Errno, Readiness, Rights};
use zerocopy::{FromBytes, IntoBytes};

impl<P: Processor, O: Objects> Caller<'_, P, O> {
    pub(super) fn open(&mut self, name: UserRange) -> Result<u64, Stop> {
        // No name is longer than the limit; a longer one only has its first bytes checked for a bad pointer.
        let name = self.cpu.readable(self.id, name.address, name.length.min(NAME_MAX as u64 + 1))?;
        let mut granted = self.process.configuration.opens.iter();
        let Some(granted) = granted.find(|granted| granted.as_bytes() == name) else {
            self.process.deny(Errno::Access);
            if self.process.may_log_denial(self.now) {
                let process = self.process.configuration.name;
                defmt::warn!("process {=str} may not open what it asks for: the manifest does not grant it", process);
            }
            return Err(Errno::NotFound.into());
        };
        let vacant = self.process.descriptors.vacant()?;
        let object = self.objects.open(self.id, granted)?;
        Ok(vacant.fill(object, object.rights_of_open(), false))
    }

    pub(super) fn begin_read(&mut self, number: u64, buffer: UserRange) -> Result<u64, Stop> {
        let descriptor = self.find_stream(number, Rights::READ)?;
        self.read(descriptor, buffer)
    }

    pub(super) fn read(&mut self, index: DescriptorIndex, buffer: UserRange) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.at(index)?;
        let memory = self.cpu.writable(self.id, buffer.address, buffer.length)?;
        if memory.is_empty() {
            return Ok(0);
        }
        match self.objects.read(self.id, &mut descriptor.object, memory, self.now) {
            Err(Errno::Again) if blocks(descriptor) => {
                Err(Stop::Block(Waiting::Read { descriptor: index, buffer, delivered: 0 }))
            }
            result => Ok(result? as u64),
        }
    }

    pub(super) fn begin_write(&mut self, number: u64, bytes: UserRange) -> Result<u64, Stop> {
        let descriptor = self.find_stream(number, Rights::WRITE)?;
        self.write(descriptor, bytes)
    }

    pub(super) fn write(&mut self, index: DescriptorIndex, bytes: UserRange) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.at(index)?;
        let memory = self.cpu.readable(self.id, bytes.address, bytes.length)?;
        if memory.is_empty() {
            return Ok(0);
        }
        match self.objects.write(self.id, &mut descriptor.object, memory, self.now) {
            Err(Errno::Again) if blocks(descriptor) => Err(Stop::Block(Waiting::Write { descriptor: index, bytes })),
            Err(Errno::Access) => Err(self.deny_command()),
            result => Ok(result? as u64),
        }
    }

    /// Counts a command that the manifest does not let the process have carried out.
    #[cold]
    fn deny_command(&mut self) -> Stop {
        self.process.deny(Errno::Access);
        if self.process.may_log_denial(self.now) {
            let process = self.process.configuration.name;
            defmt::warn!(
                "process {=str} may not have that command carried out: the manifest does not name it",
                process
            );
        }
        Errno::Access.into()
    }

    pub(super) fn begin_sync(&mut self, number: u64) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.find(number, Rights::WRITE)?;
        self.sync(descriptor)
    }

    pub(super) fn sync(&mut self, index: DescriptorIndex) -> Result<u64, Stop> {
        let descriptor = self.process.descriptors.at(index)?;
        match self.objects.sync(self.id, &descriptor.object, self.now) {
            Err(Errno::Again) if blocks(descriptor) => Err(Stop::Block(Waiting::Sync { descriptor: index })),
            result => Ok(result.map(|()| 0)?),
        }
    }

    pub(super) fn begin_poll(&mut self, address: u64, count: u64, timeout_ms: u64) -> Result<u64, Stop> {
        if count > DESCRIPTORS as u64 {
            return Err(Errno::Invalid.into());
        }
        let deadline = match timeout_ms {
            poll::FOREVER => None,
            _ => Some(self.now + Duration::from_millis(timeout_ms)),
        };
        self.poll(UserRange::new(address, count * size_of::<Entry>() as u64), deadline)
    }

    pub(super) fn poll(&mut self, set: UserRange, deadline: Option<Instant>) -> Result<u64, Stop> {
        let bytes = self.cpu.writable(self.id, set.address, set.length)?;
        let mut ready_entries = 0;
        for slot in bytes.chunks_exact_mut(size_of::<Entry>()) {
            // A chunk has exactly the entry's size, and any bytes are a valid entry.
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
            ready_entries += u64::from(entry.ready != Readiness::NONE);
            slot.copy_from_slice(entry.as_bytes());
        }
        if ready_entries > 0 || deadline.is_some_and(|deadline| self.now >= deadline) {
            Ok(ready_entries)
        } else {
            Err(Stop::Block(Waiting::Poll { set, deadline }))
        }
    }

    /// Looks up a descriptor to read or write. If it is the console and the manifest does not grant that, counts a
    /// denial.
    fn find_stream(&mut self, number: u64, needed: Rights) -> Result<DescriptorIndex, Errno> {
        match self.process.descriptors.find(number, needed) {
            Err(_) if self.is_denied_console(number, needed) => {
                if self.process.denials == 0 {
                    let Configuration { name, console, .. } = self.process.configuration;
                    defmt::warn!(
                        "process {=str} is denied the console: the manifest says {=str}",
                        *name,
                        console.word()
                    );
                }
                self.process.deny(Errno::Access);
                Err(Errno::Access)
            }
            found => found,
        }
    }

    /// Whether this is the console, with a right that the manifest does not grant.
    fn is_denied_console(&mut self, number: u64, needed: Rights) -> bool {
        let denied = match (self.process.configuration.console, number) {
            (ConsoleAccess::None | ConsoleAccess::Output, 0) => needed == Rights::READ,
            (ConsoleAccess::None, 1 | 2) => needed == Rights::WRITE,
            _ => false,
        };
        denied && self.process.descriptors.get(number, Rights::NONE).is_ok()
    }
}

/// Whether a call waits instead of answering EAGAIN.
fn blocks(descriptor: &Descriptor) -> bool {
    !descriptor.nonblocking || matches!(descriptor.object, Object::Console | Object::ConsoleErrors)
}
