//! The board's flash: carries requests from the storage capsule to the block device, and data from the device to the
//! process that reads. Where the flash is a module of the loader's, data comes from there, as much in a pass as a
//! device would have on the way.

use crate::interrupts::{FLASH_VECTOR, PIN_VECTOR};
use crate::modules::Modules;
use crate::statics::{self, PROCESSES};
use crate::tokens::LoaderAuthority;
use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::objects::Object;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_storage::{Call, Medium, Owner, Place, Purpose, Request, Sources, StateStep, Storage};
use slopos_virtio::blk::{Block, BlockError, Operation, REQUEST_BYTES, REQUESTS};
use slopos_x86_64::processor::Cpu;
use slopos_x86_64::trap::pending_bit;
use static_cell::StaticCell;

#[unsafe(link_section = ".owner.flash")]
static CALLS: StaticCell<[Call; PROCESSES]> = StaticCell::new();
#[unsafe(link_section = ".owner.flash")]
static FLASH: StaticCell<Flash> = StaticCell::new();

/// The storage capsule and the device behind it.
pub struct Flash {
    /// The calls of processes.
    pub storage: Storage<'static>,
    /// The device, where there is one.
    device: Option<Block>,
    /// The modules, where the loader has put any into memory.
    modules: Modules,
    authority: LoaderAuthority,
    log: LogBudget,
    own: Own,
}

/// The ticket of the board's own request. The tickets of processes' calls count from 0 on.
const OWN_TICKET: u32 = u32::MAX;

/// The board's own request, one at a time, beside those of processes.
#[expect(clippy::large_enum_variant, reason = "there is one of it, and no heap to put the sector on")]
enum Own {
    /// There is none.
    None,
    /// The device has it.
    Asked,
    /// It is done; this is the sector that was read.
    Answered(Result<[u8; SECTOR], Errno>),
}

/// What an interrupt of the device turned out to be.
#[derive(Clone, Copy, Default)]
pub struct Answered {
    /// The device held its pin's line.
    pub line: bool,
    /// It sent a message without having answered a request.
    pub idle_message: bool,
}

impl Flash {
    /// The flash on this device or in one of the modules, if it is on any. The loop looks for it. To be called once.
    #[inline(never)]
    pub fn new(device: Option<Block>, modules: Modules, authority: LoaderAuthority) -> &'static mut Flash {
        let sources = Sources { disk: device.is_some(), modules: modules.len() as u8 };
        let storage = Storage::new(statics::fill(CALLS.uninit(), |_| Call::NONE), REQUEST_BYTES, sources);
        FLASH.init_with(|| Flash { storage, device, modules, authority, log: LogBudget::new(), own: Own::None })
    }

    /// Whether it cannot be written, as far as is known.
    pub fn is_read_only(&self) -> bool {
        match self.storage.medium() {
            Medium::Disk => self.device.as_ref().is_some_and(Block::is_read_only),
            Medium::Module(_) => true,
        }
    }

    fn is_on_disk(&self) -> bool {
        self.storage.medium() == Medium::Disk
    }

    /// Whether a request can be taken now.
    fn takes_requests(&self) -> bool {
        !self.is_on_disk() || self.device.as_ref().is_some_and(Block::can_submit)
    }

    /// Gives the device the call that a process makes right now, if it is its turn, so that the device works while
    /// others run. `bytes` is what the process writes, if it writes.
    pub fn submit_now(&mut self, process: ProcessId, bytes: &[u8], now: Instant) {
        let Some(device) = &mut self.device else { return };
        // What is in memory is copied by the loop: that is at the process's buffer then.
        if !device.can_submit() || self.storage.next_process() != Some(process) || !self.is_on_disk() {
            return;
        }
        let Some(request) = self.storage.next(now) else { return };
        self.submit(&request, Some(bytes), now);
        if let Some(device) = &mut self.device {
            device.publish();
        }
    }

    /// Gives the device a request of the board's own: one sector, or a flush. `Errno::Again` if it takes none now.
    pub fn ask(&mut self, operation: Operation<'_>, now: Instant) -> Result<(), Errno> {
        if let Medium::Module(index) = self.storage.medium() {
            let Operation::Read { sector, length } = operation else { return Err(Errno::ReadOnly) };
            let bytes = part(&self.modules, index, sector, length).ok_or(Errno::Io)?;
            self.own = Own::Answered(Ok(first_sector(bytes)));
            return Ok(());
        }
        let Some(device) = &mut self.device else { return Err(Errno::Io) };
        if !device.can_submit() || matches!(self.own, Own::Asked) {
            return Err(Errno::Again);
        }
        if matches!(operation, Operation::Flush) && !device.has_cache() {
            self.own = Own::Answered(Ok([0; SECTOR]));
            return Ok(());
        }
        device.submit(OWN_TICKET, operation, now.as_micros()).map_err(|_| Errno::Io)?;
        device.publish();
        self.own = Own::Asked;
        Ok(())
    }

    /// The result of [`Flash::ask`], once: the sector that was read, or zeros.
    pub fn take_own_answer(&mut self) -> Option<Result<[u8; SECTOR], Errno>> {
        match core::mem::replace(&mut self.own, Own::None) {
            Own::Answered(answer) => Some(answer),
            other => {
                self.own = other;
                None
            }
        }
    }

    /// Gives the device a request. `bytes` is the data of a write.
    fn submit(&mut self, request: &Request, bytes: Option<&[u8]>, now: Instant) {
        let Some(device) = &mut self.device else { return };
        let time = now.as_micros();
        let (sector, operation) = match request.owner {
            Owner::Map(Place { sector, length, .. }) => (sector, Operation::Read { sector, length }),
            Owner::State(StateStep::Write { sector }) => {
                (sector, Operation::Write { sector, bytes: self.storage.state_bytes() })
            }
            // A device without a cache has written everything through.
            Owner::State(StateStep::Flush) if !device.has_cache() => {
                return self.storage.settle(request.ticket, Ok(0));
            }
            Owner::State(StateStep::Flush) => (0, Operation::Flush),
            // That waits for the search, and is never given to a device.
            Owner::Process(_, Purpose::Map) => return self.storage.settle(request.ticket, Err(Errno::Io)),
            Owner::Process(_, Purpose::Read { sector, length, .. } | Purpose::Fetch { sector, length }) => {
                (sector, Operation::Read { sector, length })
            }
            Owner::Process(_, Purpose::Write { sector, length, .. }) => {
                match bytes.and_then(|bytes| bytes.get(..length)) {
                    Some(bytes) => (sector, Operation::Write { sector, bytes }),
                    // A process that writes waits with its bytes, so this does not happen; if it did, the call fails.
                    None => return self.storage.settle(request.ticket, Err(Errno::Io)),
                }
            }
            // A device without a cache has written everything through.
            Owner::Process(_, Purpose::Sync) if !device.has_cache() => {
                return self.storage.settle(request.ticket, Ok(0));
            }
            Owner::Process(_, Purpose::Sync) => (0, Operation::Flush),
        };
        if let Err(error) = device.submit(request.ticket, operation, time) {
            self.report(&request.owner, sector, error, now);
            let capacity = self.device.as_ref().map_or(0, Block::capacity);
            match request.owner {
                Owner::Map(_) => self.storage.settle_map(None, capacity, now),
                Owner::Process(..) | Owner::State(_) => self.storage.settle(request.ticket, Err(errno(error))),
            }
        }
    }

    /// Carries out a request for a flash that is in memory.
    #[inline(never)]
    fn serve(&mut self, index: u8, request: &Request, kernel: &mut Kernel, cpu: &mut Cpu, now: Instant) {
        let Flash { storage, modules, authority, .. } = self;
        let bytes = match request.owner {
            Owner::Map(place) => {
                let module = modules.get(usize::from(index)).copied().flatten();
                let sectors = module.map_or(0, |module| module.len() / SECTOR) as u64;
                let map = module.map(|module| piece(module, place));
                return storage.settle_map(map, sectors, now);
            }
            Owner::Process(_, Purpose::Read { sector, length, .. } | Purpose::Fetch { sector, length }) => {
                part(modules, index, sector, length).ok_or(Errno::Io)
            }
            Owner::Process(_, Purpose::Write { .. }) | Owner::State(_) => Err(Errno::ReadOnly),
            Owner::Process(_, Purpose::Sync | Purpose::Map) => Ok(&[][..]),
        };
        match bytes {
            Ok(bytes) => deliver(storage, request.ticket, bytes, kernel, cpu, authority),
            Err(error) => storage.settle(request.ticket, Err(error)),
        }
    }

    fn report(&mut self, owner: &Owner, sector: u64, error: BlockError, now: Instant) {
        if !self.log.admit("flash", now) {
            return;
        }
        match owner {
            Owner::Process(_, Purpose::Write { .. }) | Owner::State(StateStep::Write { .. }) => {
                defmt::error!("flash: writing sector {=u64} failed: {}", sector, error);
            }
            Owner::Process(_, Purpose::Sync) | Owner::State(StateStep::Flush) => {
                defmt::error!("flash: writing the device's cache out failed: {}", error)
            }
            _ => defmt::error!("flash: reading sector {=u64} failed: {}", sector, error),
        }
    }

    /// Takes one answer of the device and hands it to the process that waits for it. False if there is none.
    fn take_answer(&mut self, kernel: &mut Kernel, cpu: &mut Cpu, now: Instant) -> bool {
        let Flash { storage, device, authority, own, .. } = self;
        let Some(device) = device else { return false };
        let capacity = device.capacity();
        let mut failure = None;
        let taken = device.complete(now.as_micros(), |ticket, answer| {
            if ticket == OWN_TICKET {
                *own = Own::Answered(answer.map(first_sector).map_err(errno));
                return;
            }
            let owner = storage.owner(ticket);
            let bytes = match answer {
                Ok(bytes) => bytes,
                Err(error) => {
                    failure = owner.map(|owner| (owner, error));
                    match owner {
                        Some(Owner::Map(_)) => storage.settle_map(None, capacity, now),
                        _ => storage.settle(ticket, Err(errno(error))),
                    }
                    return;
                }
            };
            match owner {
                Some(Owner::Map(_)) => storage.settle_map(Some(bytes), capacity, now),
                _ => deliver(storage, ticket, bytes, kernel, cpu, authority),
            }
        });
        if let Some((owner, error)) = failure {
            let sector = match owner {
                Owner::Process(
                    _,
                    Purpose::Read { sector, .. } | Purpose::Write { sector, .. } | Purpose::Fetch { sector, .. },
                )
                | Owner::State(StateStep::Write { sector }) => sector,
                _ => 0,
            };
            self.report(&owner, sector, error, now);
        }
        taken.is_some()
    }

    /// Gives the device the requests that wait, as long as it takes more.
    fn submit_waiting(&mut self, kernel: &mut Kernel, cpu: &mut Cpu, now: Instant) {
        let mut served = 0;
        while served < REQUESTS && self.takes_requests() {
            let Some(request) = self.storage.next(now) else { break };
            if let Medium::Module(index) = request.medium {
                self.serve(index, &request, kernel, cpu, now);
                served += 1;
                continue;
            }
            let bytes = match request.owner {
                Owner::Process(process, Purpose::Write { region, position, length, .. }) => {
                    kernel.waiting_writer(process, &Object::Flash { region, position }, 0..length, cpu, &self.authority)
                }
                _ => None,
            };
            self.submit(&request, bytes, now);
        }
        if let Some(device) = &mut self.device {
            device.publish();
        }
    }

    /// Whether no call waits and the device works.
    pub fn is_idle(&self) -> bool {
        self.storage.is_idle() && self.device.as_ref().is_none_or(Block::is_idle)
    }

    /// When there is work even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_idle() {
            return None;
        }
        // What is in memory is there at once.
        let waits = !self.is_on_disk() && self.storage.next_process().is_some();
        let looks = self.device.as_ref().and_then(Block::due_us).map(Instant::from_micros);
        let runs = !self.is_on_disk() || self.device.as_ref().is_some_and(Block::is_running);
        let calls = self.storage.next_deadline(runs);
        [waits.then_some(Instant::BOOT), looks, calls].into_iter().flatten().min()
    }

    /// Takes answers in, gives the device the requests that wait, and gives up those that take too long.
    pub fn step(&mut self, arrived: u32, pending: u32, kernel: &mut Kernel, cpu: &mut Cpu, now: Instant) -> Answered {
        if pending & (pending_bit(FLASH_VECTOR) | pending_bit(PIN_VECTOR)) == 0 && self.is_idle() {
            return Answered::default();
        }
        self.work(arrived, pending, kernel, cpu, now)
    }

    // A function of its own, so that it costs nothing when there is nothing to do.
    #[inline(never)]
    fn work(&mut self, arrived: u32, pending: u32, kernel: &mut Kernel, cpu: &mut Cpu, now: Instant) -> Answered {
        let mut answered = Answered::default();
        let answers = self.take_answers(pending, kernel, cpu, now, &mut answered);
        self.storage.expire(now);
        self.submit_waiting(kernel, cpu, now);
        kernel.wake(self.storage.take_ready());
        answered.idle_message = arrived & pending_bit(FLASH_VECTOR) != 0 && answers == 0;
        answered
    }

    /// Looks after the device and takes what it has answered; how much that is.
    fn take_answers(
        &mut self,
        pending: u32,
        kernel: &mut Kernel,
        cpu: &mut Cpu,
        now: Instant,
        answered: &mut Answered,
    ) -> usize {
        let Some(device) = &mut self.device else { return 0 };
        if pending & (pending_bit(FLASH_VECTOR) | pending_bit(PIN_VECTOR)) != 0 && device.interrupt_gsi().is_some() {
            let cause = device.acknowledge_interrupt();
            answered.line = cause.queues || cause.configuration;
        }
        device.tend(now.as_micros());
        let mut answers = 0;
        // There are never more than the requests that the device had.
        while self.take_answer(kernel, cpu, now) {
            answers += 1;
        }
        answers
    }
}

/// Hands what was read to the process whose request it was. That of an orphan is dropped.
fn deliver(
    storage: &mut Storage<'static>,
    ticket: u32,
    bytes: &[u8],
    kernel: &mut Kernel,
    cpu: &mut Cpu,
    authority: &LoaderAuthority,
) {
    let moved = match storage.owner(ticket) {
        Some(Owner::Process(process, Purpose::Read { region, position, length, .. })) => {
            let object = Object::Flash { region, position };
            match kernel.waiting_reader(process, &object, 0..length, cpu, authority).zip(bytes.get(..length)) {
                Some((buffer, bytes)) => {
                    buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                    Ok(length)
                }
                None => Err(Errno::Io),
            }
        }
        Some(Owner::Process(_, Purpose::Write { length, .. })) => Ok(length),
        Some(Owner::Process(process, Purpose::Fetch { .. })) => {
            kernel.take_in(process, bytes, cpu, authority);
            Ok(bytes.len())
        }
        Some(Owner::Process(_, Purpose::Sync | Purpose::Map) | Owner::Map(_) | Owner::State(_)) | None => Ok(0),
    };
    storage.settle(ticket, moved);
}

/// So many bytes of a module, from a sector on.
fn part(modules: &Modules, index: u8, sector: u64, length: usize) -> Option<&'static [u8]> {
    let module = modules.get(usize::from(index)).copied().flatten()?;
    let start = usize::try_from(sector).ok()?.checked_mul(SECTOR)?;
    module.get(start..start.checked_add(length)?)
}

/// What is read in a place of a module; less where the module is cut short.
fn piece(module: &'static [u8], place: Place) -> &'static [u8] {
    let start = usize::try_from(place.sector).ok().and_then(|sector| sector.checked_mul(SECTOR));
    let rest = start.and_then(|start| module.get(start..)).unwrap_or_default();
    rest.get(..place.length).unwrap_or(rest)
}

/// The first sector of what was read; zeros where that is less.
fn first_sector(bytes: &[u8]) -> [u8; SECTOR] {
    core::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0))
}

/// What a process is told of an error of the device.
fn errno(error: BlockError) -> Errno {
    if matches!(error, BlockError::ReadOnly) { Errno::ReadOnly } else { Errno::Io }
}
