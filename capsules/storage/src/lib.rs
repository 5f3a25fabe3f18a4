//! The flash as processes see it: data regions behind descriptors, and the apps that the kernel loads.
//!
//! It does no I/O. A call that needs the device is kept, and answers "try again"; the board takes the next request
//! ([`Storage::next`]) whenever the device has room, and reports its result ([`Storage::settle`]). So nothing here
//! waits. Each process has at most one request with the device, and the processes take turns.
//!
//! A call has one deadline, [`CALL_LIMIT`] after its first try, whatever the device does. A request whose call is gone,
//! because its deadline passed or its process ended, is an orphan: its result is dropped when it comes back, and until
//! then the process gets no other.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

mod call;
mod partitions;
mod search;
mod states;
mod trials;

use call::Part;
pub use call::{Call, Purpose};
pub use search::{Medium, Place, Sources};
pub use states::StateStep;

use search::{Found, Search};
use states::States;

use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;
use slopos_kernel::loader::FlashMap;
use slopos_kernel::objects::{AppSlot, Fetch};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::{Duration, Instant};

/// How long a call may take in all.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The first wait before a map that could not be read is read again.
const MAP_PAUSE: Duration = Duration::from_millis(1_000);
/// The longest such wait.
const MAP_PAUSE_MAX: Duration = Duration::from_secs(60);
/// When the disk is given up, where there is a module to turn to.
const DISK_LIMIT: Instant = Instant::from_millis(5_000);

/// How far the reading of the map has come.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and no heap to put the map on")]
enum Map {
    /// It has to be looked for, at this time.
    Wanted(Instant),
    /// It is being looked for, by the request with this ticket.
    Asked(u32),
    /// It was read and is valid.
    Known(FlashMap),
    /// There is no flash.
    Unusable,
}

/// A request for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number, which [`Storage::settle`] takes.
    pub ticket: u32,
    /// What it goes to.
    pub medium: Medium,
    /// Whose it is, and what it asks for.
    pub owner: Owner,
}

/// Whose a request is, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The search for the flash's map and state, in this place.
    Map(Place),
    /// The state of the flash, to be written.
    State(StateStep),
    /// A process, for its call.
    Process(ProcessId, Purpose),
}

/// The flash.
pub struct Storage<'a> {
    map: Map,
    search: Option<Search>,
    medium: Medium,
    map_pause: Duration,
    /// Most bytes of one request.
    request_bytes: usize,
    calls: &'a mut [Call],
    /// Processes whose calls are not finished.
    undecided: ProcessSet,
    /// The index of the process whose turn it is.
    turn: usize,
    tickets: u32,
    ready: ProcessSet,
    states: States,
    /// The request for a part of the state has this ticket.
    state_asked: Option<u32>,
    /// Processes that wait for a change of the state to be written.
    waiters: ProcessSet,
    writable: bool,
    /// The apps of which it was said that their trial cannot be started, a bit for each.
    told: u64,
}

impl<'a> Storage<'a> {
    /// A flash that has yet to be found, in one of the sources. A request has at most `request_bytes`, whole sectors.
    /// `calls` has a place for each process.
    pub fn new(calls: &'a mut [Call], request_bytes: usize, sources: Sources) -> Storage<'a> {
        let search = Search::new(sources, request_bytes);
        if search.is_none() {
            defmt::error!("flash: no usable flash, so there are no apps");
        }
        Storage {
            map: if search.is_some() { Map::Wanted(Instant::BOOT) } else { Map::Unusable },
            medium: search.as_ref().map_or(Medium::Disk, |search| search.place().medium),
            search,
            map_pause: MAP_PAUSE,
            request_bytes,
            calls,
            undecided: ProcessSet::EMPTY,
            turn: 0,
            tickets: 0,
            ready: ProcessSet::EMPTY,
            states: States::new(),
            state_asked: None,
            waiters: ProcessSet::EMPTY,
            writable: true,
            told: 0,
        }
    }

    /// What the flash is on, or is looked for at present.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The map, once it and the state are read.
    fn known_map(&self) -> Option<&FlashMap> {
        match &self.map {
            Map::Known(map) if self.states.to_read().is_none() => Some(map),
            _ => None,
        }
    }

    /// A data region's index, by its name.
    pub fn region(&self, name: &str) -> Option<u8> {
        self.known_map()?.data(name).and_then(|index| u8::try_from(index).ok())
    }

    /// The first sector of a data region, for the board itself.
    ///
    /// # Errors
    /// [`Errno::Again`] until the map is read, [`Errno::Io`] if there is no such region.
    pub fn first_sector(&self, name: &str) -> Result<u64, Errno> {
        match &self.map {
            Map::Known(_) if self.states.to_read().is_some() => Err(Errno::Again),
            Map::Known(map) => {
                let region = map.data(name).and_then(|index| map.region(index));
                region.filter(|region| region.sectors > 0).map(|region| region.sector).ok_or(Errno::Io)
            }
            Map::Wanted(_) | Map::Asked(_) => Err(Errno::Again),
            Map::Unusable => Err(Errno::Io),
        }
    }

    /// Reads whole sectors of a region into the buffer of the process that asks. Returns how many bytes were read; they
    /// are in the buffer then. 0 at the region's end.
    ///
    /// # Errors
    /// [`Errno::Again`] while the device works, [`Errno::Invalid`] for parts of sectors, [`Errno::Io`].
    pub fn read(
        &mut self,
        process: ProcessId,
        region: u8,
        position: u64,
        length: usize,
        now: Instant,
    ) -> Result<usize, Errno> {
        match self.place(region, position, length)? {
            (_, 0) => Ok(0),
            (sector, length) => self.call(process, Purpose::Read { region, position, sector, length }, now),
        }
    }

    /// Writes whole sectors of a region; returns how many bytes were written.
    ///
    /// # Errors
    /// As [`Storage::read`]; [`Errno::Invalid`] also at the region's end.
    pub fn write(
        &mut self,
        process: ProcessId,
        region: u8,
        position: u64,
        length: usize,
        now: Instant,
    ) -> Result<usize, Errno> {
        match self.place(region, position, length)? {
            (_, 0) => Err(Errno::Invalid),
            (sector, length) => self.call(process, Purpose::Write { region, position, sector, length }, now),
        }
    }

    /// Flushes everything that was written to the medium.
    ///
    /// # Errors
    /// [`Errno::Again`] while the device works, [`Errno::Io`].
    pub fn sync(&mut self, process: ProcessId, now: Instant) -> Result<(), Errno> {
        self.call(process, Purpose::Sync, now).map(|_| ())
    }

    /// The slots of an app; see [`slopos_kernel::objects::Objects::app_slot`].
    pub fn app_slot(&mut self, process: ProcessId, app: &str, now: Instant) -> AppSlot {
        if self.known_map().is_some() {
            // A call that waited for the map is finished.
            self.forget(process);
            return self.slots(app).map_or(AppSlot::Unknown, AppSlot::At);
        }
        if matches!(self.map, Map::Unusable) {
            self.forget(process);
            return AppSlot::NoFlash;
        }
        match self.call(process, Purpose::Map, now) {
            Err(Errno::Again) => AppSlot::Underway,
            _ => AppSlot::Failed,
        }
    }

    /// Asks for sectors for a process that is being loaded; see [`slopos_kernel::objects::Objects::fetch`].
    pub fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, now: Instant) -> Fetch {
        match self.call(process, Purpose::Fetch { sector, length: length.min(self.request_bytes) }, now) {
            Err(Errno::Again) => Fetch::Underway,
            _ => Fetch::Failed,
        }
    }

    /// The process has ended: its call is dropped. A request that the device still has becomes an orphan.
    pub fn abandon(&mut self, process: ProcessId) {
        self.set_part(process, Part::None);
        self.waiters.remove(process);
        self.forget(process);
    }

    /// The next request for the device, if there is one. The caller must report its result to [`Storage::settle`].
    pub fn next(&mut self, now: Instant) -> Option<Request> {
        if let Map::Wanted(at) = self.map
            && now >= at
        {
            let place = self.search.as_ref()?.place();
            let ticket = self.ticket();
            self.map = Map::Asked(ticket);
            return Some(Request { ticket, medium: place.medium, owner: Owner::Map(place) });
        }
        if let Some(place) = self.state_place()
            && self.state_asked.is_none()
        {
            let ticket = self.ticket();
            self.state_asked = Some(ticket);
            return Some(Request { ticket, medium: self.medium, owner: Owner::Map(place) });
        }
        if self.states.is_due() {
            let ticket = self.ticket();
            let step = self.states.send(ticket, now)?;
            return Some(Request { ticket, medium: self.medium, owner: Owner::State(step) });
        }
        let process = self.next_process()?;
        let ticket = self.ticket();
        let call = self.calls.get_mut(process.index())?;
        let purpose = call.send(ticket)?;
        self.turn = process.index() + 1;
        Some(Request { ticket, medium: self.medium, owner: Owner::Process(process, purpose) })
    }

    /// The part of the state that is read next, once the map is known.
    fn state_place(&self) -> Option<Place> {
        let sector = self.states.to_read().filter(|_| matches!(self.map, Map::Known(_)))?;
        Some(Place { medium: self.medium, sector, length: SECTOR })
    }

    /// What is to be written for [`StateStep::Write`].
    pub fn state_bytes(&self) -> &[u8] {
        self.states.bytes()
    }

    /// The process whose request [`Storage::next`] returns, if it is a process's.
    pub fn next_process(&self) -> Option<ProcessId> {
        let waits = |process: &ProcessId| self.calls.get(process.index()).is_some_and(Call::waits_for_device);
        self.undecided.each_from(self.turn).find(waits)
    }

    /// The owner of the request with this ticket; `None` for an orphan.
    pub fn owner(&self, ticket: u32) -> Option<Owner> {
        if matches!(self.map, Map::Asked(asked) if asked == ticket) {
            return self.search.as_ref().map(|search| Owner::Map(search.place()));
        }
        if self.state_asked == Some(ticket) {
            return self.state_place().map(Owner::Map);
        }
        if let Some(step) = self.states.awaits(ticket) {
            return Some(Owner::State(step));
        }
        let mut processes = self.undecided.each_from(0);
        processes.find_map(|process| {
            let purpose = self.calls.get(process.index())?.awaits(ticket)?;
            Some(Owner::Process(process, purpose))
        })
    }

    /// The result of a request of the search, from a medium of so many sectors; `None` if it could not be read. To be
    /// called for [`Owner::Map`] instead of [`Storage::settle`].
    #[inline(never)]
    pub fn settle_map(&mut self, bytes: Option<&[u8]>, medium_sectors: u64, now: Instant) {
        let Some(search) = &mut self.search else { return };
        if self.state_asked.take().is_some() {
            self.states.take(bytes);
            return if self.states.to_read().is_none() {
                self.wake_waiting_for_map()
            };
        }
        self.map = match search.take(bytes, medium_sectors) {
            Found::Map(medium, map) => {
                self.medium = medium;
                self.states.begin(map.base());
                self.map = Map::Known(map);
                return;
            }
            Found::GoOn => {
                self.medium = search.place().medium;
                self.map = Map::Wanted(now);
                return;
            }
            Found::TryAgain => {
                self.map = Map::Wanted(now + self.map_pause);
                self.map_pause = self.map_pause.times(2).min(MAP_PAUSE_MAX);
                return;
            }
            Found::Nothing => Map::Unusable,
        };
        self.wake_waiting_for_map();
    }

    fn wake_waiting_for_map(&mut self) {
        for process in self.undecided.each_from(0) {
            if self.calls.get(process.index()).is_some_and(Call::waits_for_map) {
                self.ready.insert(process);
            }
        }
    }

    /// When the disk is given up for a module.
    fn disk_limit(&self) -> Option<Instant> {
        let searching = matches!(self.map, Map::Wanted(_) | Map::Asked(_));
        (searching && self.search.as_ref().is_some_and(Search::has_other_than_disk)).then_some(DISK_LIMIT)
    }

    /// The result of a request: so many bytes were moved, or it failed. That of an orphan is dropped.
    pub fn settle(&mut self, ticket: u32, result: Result<usize, Errno>) {
        if let Some(settled) = self.states.settle(ticket, result.is_ok()) {
            return if settled {
                self.wake_waiting_for_state()
            };
        }
        for (process, call) in (0..).map(ProcessId::new).zip(self.calls.iter_mut()) {
            let Some(decided) = call.settle(ticket, result) else { continue };
            if decided {
                self.undecided.remove(process);
                self.ready.insert(process);
            }
            return;
        }
    }

    fn wake_waiting_for_state(&mut self) {
        for process in self.waiters.take().each() {
            self.ready.insert(process);
        }
    }

    /// Ends the calls whose deadline has passed, and the search on a disk that does not answer.
    pub fn expire(&mut self, now: Instant) {
        if self.disk_limit().is_some_and(|limit| now >= limit)
            && let Some(search) = &mut self.search
        {
            search.give_disk_up();
            self.medium = search.place().medium;
            self.map = Map::Wanted(now);
        }
        if self.states.expire(now) {
            self.wake_waiting_for_state();
        }
        for process in self.undecided.each_from(0) {
            if self.calls.get_mut(process.index()).is_some_and(|call| call.expire(now)) {
                self.undecided.remove(process);
                self.ready.insert(process);
            }
        }
    }

    /// When there is work even if nothing happens. `device_runs`: what has to be read can be, now.
    pub fn next_deadline(&self, device_runs: bool) -> Option<Instant> {
        let calls = self.undecided.each_from(0);
        let map = match self.map {
            Map::Wanted(at) if device_runs => Some(at),
            _ if device_runs && self.has_own_request() => Some(Instant::BOOT),
            _ => None,
        };
        calls
            .filter_map(|process| self.calls.get(process.index())?.deadline())
            .chain(map)
            .chain(self.states.deadline())
            .chain(self.disk_limit())
            .min()
    }

    /// Whether a request for the state is due.
    fn has_own_request(&self) -> bool {
        self.states.is_due() || self.state_place().is_some() && self.state_asked.is_none()
    }

    /// Whether no call waits, the map is settled, and the state is written.
    pub fn is_idle(&self) -> bool {
        let found = self.known_map().is_some() || matches!(self.map, Map::Unusable);
        self.undecided.is_empty() && self.ready.is_empty() && found && self.states.is_idle()
    }

    /// The processes whose calls are to be tried again.
    pub fn take_ready(&mut self) -> ProcessSet {
        self.ready.take()
    }

    /// The first sector of a transfer of `length` bytes at `position`, and how many bytes of it are moved at a time.
    fn place(&self, region: u8, position: u64, length: usize) -> Result<(u64, usize), Errno> {
        let Map::Known(map) = &self.map else { return Err(Errno::Io) };
        let extent = map.region(region.into()).ok_or(Errno::Io)?;
        let sector = SECTOR as u64;
        // A map's sectors are counted in 32 bits.
        let size = extent.sectors.saturating_mul(sector);
        let start = position.min(size);
        let count = (length as u64).min(size - start);
        if !start.is_multiple_of(sector) || !count.is_multiple_of(sector) {
            return Err(Errno::Invalid);
        }
        Ok((extent.sector + start / sector, count.min(self.request_bytes as u64) as usize))
    }

    /// Begins a call, or returns its result.
    fn call(&mut self, process: ProcessId, purpose: Purpose, now: Instant) -> Result<usize, Errno> {
        let call = self.calls.get_mut(process.index()).ok_or(Errno::Io)?;
        match call.result_of(purpose) {
            Some(result) => result,
            None => {
                if call.begin(purpose, now + CALL_LIMIT) {
                    self.undecided.insert(process);
                }
                Err(Errno::Again)
            }
        }
    }

    fn forget(&mut self, process: ProcessId) {
        if let Some(call) = self.calls.get_mut(process.index()) {
            call.forget();
        }
        self.undecided.remove(process);
    }

    fn ticket(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }
}

#[cfg(test)]
mod tests;
