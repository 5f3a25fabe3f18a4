//! Versions on trial on a disk that loses its power at every moment: the kernel's loader and the storage capsule, as a
//! board joins them, always run the old version or the new one, whole.

use sha2::{Digest, Sha256};
use slopos_abi::flash::{
    APP_SLOTS, AppHeader, AppState, AppVersion, EXECUTE, FlashState, KIND_APP, MAP_MAGIC, MAP_VERSION, MapEntry,
    MapHeader, READ, Reason, SECTOR, STATE_SECTORS, Segment, Slot, TRIAL_STARTS, Trial, name_bytes,
};
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo};
use slopos_abi::{Endpoint, Errno, Readiness, RemoteRange, SocketFlags, Syscall, USER_BASE};
use slopos_host_log::{PowerDisk, Token};
use slopos_kernel::kernel::Kernel;
use slopos_kernel::loader::{Image, Trust, Unsigned};
use slopos_kernel::objects::{AppSlot, Counted, Fetch, Object, Objects, SocketIndex, Verdict};
use slopos_kernel::process::{Configuration, ConsoleAccess, Process, ProcessId, Restart, State};
use slopos_kernel::processor::{ArgumentsTooLong, Call as Made, Fault, Processor, Trap};
use slopos_kernel::scheduler::TIME_SLICE;
use slopos_kernel::time::Instant;
use slopos_storage::{Call, Owner, Purpose, Sources, StateStep, Storage};
use std::collections::VecDeque;
use std::ops::Range;
use zerocopy::{FromZeros, IntoBytes};

/// Bytes of RAM of the process, and of code of a program.
const RAM: usize = 4096;
const CODE: usize = 3 * SECTOR;
/// Sectors of a slot, and where the app's slots begin.
const SLOT: usize = 8;
const START: usize = 24;
const NOW: Instant = Instant::BOOT;

static TRUST: Trust = Trust { board: "board", keys: &[], unsigned: Unsigned::Warn, development: false };
static CONFIGURATIONS: [Configuration; 2] = [configuration("one"), configuration("two")];
const ONE: ProcessId = ProcessId::new(0);
const TWO: ProcessId = ProcessId::new(1);

const fn configuration(name: &'static str) -> Configuration {
    Configuration {
        name,
        app: "app",
        arguments: &[],
        start_at_boot: false,
        opens: &[],
        restart: Restart::Never,
        priority: 3,
        console: ConsoleAccess::None,
        minimum_version: AppVersion::new(0),
    }
}

/// The record of a version; each byte of its program tells which.
fn record(version: u8) -> Vec<u8> {
    let mut header = AppHeader::new_zeroed();
    (header.magic, header.version) = (slopos_abi::flash::APP_MAGIC, slopos_abi::flash::RECORD_VERSION);
    (header.name, header.board) = (name_bytes("app").unwrap(), name_bytes("board").unwrap());
    (header.segment_count, header.entry, header.app_version) = (1, USER_BASE, version.into());
    header.segments[0] = Segment {
        address: USER_BASE,
        memory_bytes: CODE as u32,
        file_bytes: CODE as u32,
        offset: SECTOR as u32,
        flags: READ | EXECUTE,
        reserved: 0,
    };
    header.record_bytes = (SECTOR + CODE) as u64;
    header.sha256 = Sha256::digest([version; CODE]).into();
    [header.as_bytes(), &[version; CODE]].concat()
}

/// A flash with these records in the two slots and this state, written twice.
fn flash(first: &[u8], second: &[u8], app: AppState) -> Vec<u8> {
    let name = name_bytes("app").unwrap();
    let entry = MapEntry { name, kind: KIND_APP, start_sector: START as u32, sectors: SLOT as u32, slots: APP_SLOTS };
    let board = name_bytes("board").unwrap();
    let header = MapHeader {
        magic: MAP_MAGIC,
        version: MAP_VERSION,
        entries: 1,
        sha256: Sha256::new().chain_update(board).chain_update(entry.as_bytes()).finalize().into(),
        board,
    };
    let mut bytes = vec![0; (START + 2 * SLOT) * SECTOR];
    let mut put = |sector: usize, part: &[u8]| bytes[sector * SECTOR..][..part.len()].copy_from_slice(part);
    put(0, &[header.as_bytes(), entry.as_bytes()].concat());
    put(START, first);
    put(START + SLOT, second);
    let mut state = FlashState::NEW;
    state.apps[0] = app;
    for _ in 0..2 {
        let (sector, contents) = state.encode(sha256);
        put(sector as usize, &contents);
        state = state.written();
    }
    bytes
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Version 1 confirmed in the first slot, version 2 in the second, on trial.
fn on_trial() -> Vec<u8> {
    flash(&record(1), &record(2), AppState::confirmed_in(Slot::First).activate())
}

/// The state that a disk is in.
fn state_of(disk: &PowerDisk) -> AppState {
    let sectors = STATE_SECTORS.map(|sector| disk.read(sector as usize * SECTOR, SECTOR));
    let [first, second] = &sectors;
    FlashState::choose([Some(first), Some(second)], sha256, |_, _| ()).expect("a state sector is whole").apps[0]
}

/// A processor that traps as a test says; an interrupt otherwise.
struct Cpu {
    traps: [VecDeque<Trap>; 2],
    memory: [Vec<u8>; 2],
    results: Vec<i64>,
}

impl Processor for Cpu {
    fn run(&mut self, process: ProcessId) -> Trap {
        self.traps[process.index()].pop_front().unwrap_or(Trap::Interrupt)
    }
    fn set_result(&mut self, _: ProcessId, value: i64) {
        self.results.push(value);
    }
    fn readable(&self, _: ProcessId, _: u64, _: u64) -> Result<&[u8], Errno> {
        Err(Errno::Fault)
    }
    fn writable(&mut self, _: ProcessId, _: u64, _: u64) -> Result<&mut [u8], Errno> {
        Err(Errno::Fault)
    }
    fn image_memory(&mut self, process: ProcessId) -> &mut [u8] {
        &mut self.memory[process.index()]
    }
    fn map(&mut self, _: ProcessId, _: &Image) {}
    fn begin<'a>(&mut self, _: ProcessId, _: impl Iterator<Item = &'a str> + Clone) -> Result<(), ArgumentsTooLong> {
        Ok(())
    }
    fn set_entry(&mut self, _: ProcessId, _: u64) {}
}

/// The storage capsule as the board's objects; there is nothing else behind a descriptor.
struct Board {
    storage: Storage<'static>,
}

impl Objects for Board {
    fn open(&mut self, _: ProcessId, _: &str) -> Result<Object, Errno> {
        Err(Errno::NotFound)
    }
    fn read(&mut self, _: ProcessId, _: &mut Object, _: &mut [u8], _: Instant) -> Result<usize, Errno> {
        Err(Errno::Io)
    }
    fn write(&mut self, _: ProcessId, _: &mut Object, _: &[u8], _: Instant) -> Result<usize, Errno> {
        Err(Errno::Io)
    }
    fn sync(&mut self, _: ProcessId, _: &Object, _: Instant) -> Result<(), Errno> {
        Err(Errno::Io)
    }
    fn readiness(&mut self, _: ProcessId, _: &Object) -> Readiness {
        Readiness::NONE
    }
    fn socket(&mut self, _: ProcessId, _: SocketFlags, _: Instant) -> Result<Object, Errno> {
        Err(Errno::Access)
    }
    fn connect(&mut self, _: ProcessId, _: &Object, _: Endpoint, _: Instant, _: Instant) -> Result<(), Errno> {
        Err(Errno::Access)
    }
    fn shutdown_write(&mut self, _: ProcessId, _: &Object, _: Instant) {}
    fn close(&mut self, _: ProcessId, _: &Object, _: Instant) {}
    fn restrict_connect(&mut self, _: ProcessId, _: RemoteRange) {}
    fn exited(&mut self, process: ProcessId) {
        self.storage.abandon(process);
    }
    fn abandon(&mut self, process: ProcessId, _: Instant) {
        self.storage.abandon(process);
    }
    fn app_slot(&mut self, process: ProcessId, app: &str, now: Instant) -> AppSlot {
        self.storage.app_slot(process, app, now)
    }
    fn begin_trial(&mut self, process: ProcessId, app: &str, _: Instant) -> Counted {
        self.storage.begin_trial(process, app)
    }
    fn judge_trial(&mut self, process: ProcessId, app: &str, verdict: Verdict) {
        self.storage.judge_trial(process, app, verdict);
    }
    fn confirm_trial(&mut self, process: ProcessId, app: &str, _: Instant) -> Result<(), Errno> {
        self.storage.confirm_trial(process, app)
    }
    fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, now: Instant) -> Fetch {
        self.storage.fetch(process, sector, length, now)
    }
    fn net_info(&mut self, _: Instant) -> NetInfo {
        NetInfo::default()
    }
    fn grant_info(&mut self, _: ProcessId) -> GrantInfo {
        GrantInfo::default()
    }
    fn socket_info(&mut self, _: ProcessId, _: SocketIndex) -> Option<SocketInfo> {
        None
    }
}

/// A board that has booted from a disk.
struct Machine {
    disk: PowerDisk,
    kernel: Kernel,
    cpu: Cpu,
    board: Board,
    now: Instant,
    /// Requests fail whose first sector is one of these, reads or writes.
    bad_reads: Range<u64>,
    bad_writes: Range<u64>,
}

impl Machine {
    fn boot(disk: PowerDisk) -> Machine {
        let processes: Vec<Process> = CONFIGURATIONS.iter().map(Process::new).collect();
        let calls = Box::leak(Box::new([Call::NONE; 2]));
        Machine {
            disk,
            kernel: Kernel::new(Box::leak(processes.into_boxed_slice()), &TRUST),
            cpu: Cpu {
                traps: [VecDeque::new(), VecDeque::new()],
                memory: [vec![0; RAM], vec![0; RAM]],
                results: vec![],
            },
            board: Board { storage: Storage::new(calls, 32 * SECTOR, Sources { disk: true, modules: 0 }) },
            now: NOW,
            bad_reads: 0..0,
            bad_writes: 0..0,
        }
    }

    /// Carries out what the storage capsule asks of the device.
    fn serve(&mut self) {
        let sectors = (self.disk.size() / SECTOR) as u64;
        while let Some(request) = self.board.storage.next(self.now) {
            let storage = &mut self.board.storage;
            let ticket = request.ticket;
            let read = |sector: u64, length: usize| {
                (!self.bad_reads.contains(&sector)).then(|| self.disk.read(sector as usize * SECTOR, length))
            };
            match request.owner {
                Owner::Map(place) => storage.settle_map(read(place.sector, place.length).as_deref(), sectors, NOW),
                Owner::State(StateStep::Write { sector }) => {
                    let bytes = storage.state_bytes().to_vec();
                    self.disk.write(sector as usize * SECTOR, &bytes);
                    let result = if self.bad_writes.contains(&sector) { Err(Errno::Io) } else { Ok(0) };
                    storage.settle(ticket, result);
                }
                Owner::State(StateStep::Flush) => {
                    self.disk.flush();
                    storage.settle(ticket, Ok(0));
                }
                Owner::Process(process, Purpose::Fetch { sector, length }) => match read(sector, length) {
                    Some(bytes) => {
                        self.kernel.take_in(process, &bytes, &mut self.cpu, &Token);
                        storage.settle(ticket, Ok(bytes.len()));
                    }
                    None => storage.settle(ticket, Err(Errno::Io)),
                },
                Owner::Process(..) => panic!("nobody reads or writes here"),
            }
        }
        self.kernel.wake(self.board.storage.take_ready());
    }

    /// Lets the board work until nothing is left to do but running what runs, for a few turns.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..500 {
            self.serve();
            let loading = |id| self.state(id) == State::Loading;
            let rests = !loading(ONE) && !loading(TWO) && self.board.storage.is_idle();
            quiet = if rests && self.cpu.traps.iter().all(VecDeque::is_empty) { quiet + 1 } else { 0 };
            if quiet > 4 {
                return;
            }
            // A turn each, so that both have theirs.
            let start = self.now;
            self.now = start + TIME_SLICE;
            self.kernel.run_next(&mut self.cpu, &mut self.board, start, || start + TIME_SLICE);
        }
        panic!("the board does not come to rest");
    }

    fn state(&self, id: ProcessId) -> State {
        self.kernel.process(id).unwrap().state()
    }

    /// Starts a process; the version that runs then, or none.
    fn start(&mut self, id: ProcessId) -> Option<u8> {
        self.kernel.start(id, [].into_iter(), NOW, &mut self.cpu, &Token).expect("it does not run");
        self.settle();
        if self.state(id) != State::Ready {
            return None;
        }
        let memory = &self.cpu.memory[id.index()];
        let version = memory[0];
        assert!(memory[..CODE].iter().all(|&byte| byte == version), "two versions are mixed");
        Some(version)
    }

    /// The process that runs makes this call.
    fn call(&mut self, id: ProcessId, call: Syscall, argument: u64) {
        let arguments = [argument, 0, 0, 0, 0, 0];
        self.cpu.traps[id.index()].push_back(Trap::SystemCall(Made { number: call.number(), arguments }));
        self.settle();
    }

    fn fault(&mut self, id: ProcessId) {
        let fault = Fault { name: "#UD", error: 0, address: 0, instruction: 0, stack: 0 };
        self.cpu.traps[id.index()].push_back(Trap::Fault(fault));
        self.settle();
    }
}

/// What is done with a board, from the first start to what the run does.
type Run = fn(&mut Machine);

const RUNS: [(&str, Run); 5] = [
    ("it ends well", |machine| machine.call(ONE, Syscall::Exit, 0)),
    ("it confirms itself", |machine| machine.call(ONE, Syscall::Confirm, 0)),
    ("it ends badly", |machine| machine.call(ONE, Syscall::Exit, 1)),
    ("it faults", |machine| machine.fault(ONE)),
    ("it goes on", |_| ()),
];

#[test]
fn a_new_version_runs_and_is_confirmed_by_its_good_end_or_its_word() {
    for (what, run) in &RUNS[..2] {
        let mut machine = Machine::boot(PowerDisk::new(on_trial()));
        assert_eq!(machine.start(ONE), Some(2));
        assert_eq!(state_of(&machine.disk).trial(), Trial::Begun { starts: 1 }, "counted before it runs");
        run(&mut machine);
        assert_eq!(state_of(&machine.disk), AppState::confirmed_in(Slot::Second), "{what}");
    }
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    assert_eq!(machine.start(ONE), Some(2));
    machine.call(ONE, Syscall::Confirm, 0);
    assert_eq!(machine.cpu.results, [0]);
    machine.call(ONE, Syscall::Confirm, 0);
    assert_eq!(machine.cpu.results, [0, 0], "a second time nothing happens");
    machine.fault(ONE);
    assert_eq!(state_of(&machine.disk), AppState::confirmed_in(Slot::Second), "a fault comes too late");
}

#[test]
fn a_fault_a_kill_and_a_bad_record_bring_the_old_version_back_at_once() {
    type Case = (Reason, fn(&mut Machine));
    let cases: [Case; 2] = [
        (Reason::Fault, |machine| machine.fault(ONE)),
        (Reason::Killed, |machine| {
            machine.kernel.kill(ONE, &mut machine.board, NOW, &Token);
            machine.settle();
        }),
    ];
    for (reason, end) in cases {
        let mut machine = Machine::boot(PowerDisk::new(on_trial()));
        assert_eq!(machine.start(ONE), Some(2));
        end(&mut machine);
        assert_eq!(state_of(&machine.disk).reverted(), Some(reason));
        assert_eq!(machine.start(ONE), Some(1));
        machine.call(ONE, Syscall::Exit, 0);
        assert_eq!(state_of(&machine.disk).reverted(), Some(reason), "the old version's good end changes nothing");
    }
    let mut bad = record(2);
    bad[SECTOR + 7] ^= 1;
    let state = AppState::confirmed_in(Slot::First).activate();
    let mut machine = Machine::boot(PowerDisk::new(flash(&record(1), &bad, state)));
    assert_eq!(machine.start(ONE), Some(1));
    assert_eq!(state_of(&machine.disk).reverted(), Some(Reason::Record));
}

#[test]
fn three_starts_without_a_word_are_all_that_a_trial_has() {
    let mut disk = PowerDisk::new(on_trial());
    for _ in 0..TRIAL_STARTS {
        let mut machine = Machine::boot(disk);
        assert_eq!(machine.start(ONE), Some(2));
        // The board is reset.
        disk = machine.disk;
    }
    let mut machine = Machine::boot(disk);
    assert_eq!(machine.start(ONE), Some(1));
    assert_eq!(state_of(&machine.disk).reverted(), Some(Reason::Unconfirmed));
    // Likewise on one board, by runs that end badly.
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    for _ in 0..TRIAL_STARTS {
        assert_eq!(machine.start(ONE), Some(2));
        machine.call(ONE, Syscall::Exit, 1);
    }
    assert_eq!(machine.start(ONE), Some(1));
}

#[test]
fn processes_of_one_app_have_one_trial_and_the_first_to_confirm_confirms_it() {
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    assert_eq!((machine.start(ONE), machine.start(TWO)), (Some(2), Some(2)));
    assert_eq!(state_of(&machine.disk).trial(), Trial::Begun { starts: 1 }, "one chance for both");
    machine.call(TWO, Syscall::Exit, 0);
    assert_eq!(state_of(&machine.disk), AppState::confirmed_in(Slot::Second));
    machine.fault(ONE);
    assert_eq!(state_of(&machine.disk), AppState::confirmed_in(Slot::Second));
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    assert_eq!((machine.start(ONE), machine.start(TWO)), (Some(2), Some(2)));
    machine.fault(ONE);
    machine.call(TWO, Syscall::Exit, 0);
    assert_eq!(state_of(&machine.disk).reverted(), Some(Reason::Fault));
}

#[test]
fn a_program_that_waits_in_ram_is_counted_when_it_starts_and_not_when_it_is_loaded() {
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    machine.kernel.load(ONE, &Token);
    machine.settle();
    assert_eq!((machine.state(ONE), state_of(&machine.disk).trial()), (State::Stopped, Trial::Waiting));
    assert_eq!(machine.start(ONE), Some(2));
    assert_eq!(state_of(&machine.disk).trial(), Trial::Begun { starts: 1 });
}

#[test]
fn a_flash_that_cannot_be_written_runs_the_confirmed_version() {
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    machine.board.storage.set_writable(false);
    assert_eq!(machine.start(ONE), Some(1));
    // And so does one whose writes fail: the start could not be counted.
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    machine.bad_writes = 0..u64::MAX;
    assert_eq!(machine.start(ONE), Some(1));
}

#[test]
fn a_confirmation_that_cannot_be_written_is_an_error_to_who_asks() {
    let mut machine = Machine::boot(PowerDisk::new(on_trial()));
    assert_eq!(machine.start(ONE), Some(2));
    machine.bad_writes = 0..u64::MAX;
    machine.call(ONE, Syscall::Confirm, 0);
    assert_eq!(machine.cpu.results, [Errno::Io.to_return()]);
}

#[test]
fn an_error_of_any_read_leaves_the_best_version_that_is_whole() {
    for sector in [STATE_SECTORS[0], STATE_SECTORS[1], START as u64, (START + SLOT) as u64] {
        for app in [AppState::confirmed_in(Slot::First), AppState::confirmed_in(Slot::Second)] {
            let mut machine = Machine::boot(PowerDisk::new(flash(&record(1), &record(2), app)));
            machine.bad_reads = sector..sector + 1;
            let confirmed = if app.confirmed() == Slot::First { 1 } else { 2 };
            let expected = match sector as usize {
                START => 2,
                at if at == START + SLOT => 1,
                _ => confirmed,
            };
            assert_eq!(machine.start(ONE), Some(expected), "sector {sector}, {app:?}");
        }
    }
}

#[test]
fn without_a_state_the_higher_version_that_is_whole_runs() {
    for (first, second, expected) in [
        (record(1), record(2), Some(2)),
        (record(2), record(1), Some(2)),
        (record(1), vec![], Some(1)),
        (vec![], record(1), Some(1)),
        (record(1), [record(2)[..SECTOR].to_vec(), vec![9; CODE]].concat(), Some(1)),
        (vec![], vec![], None),
    ] {
        let mut bytes = flash(&first, &second, AppState::confirmed_in(Slot::First));
        for sector in STATE_SECTORS {
            bytes[sector as usize * SECTOR + 100] ^= 1;
        }
        let mut machine = Machine::boot(PowerDisk::new(bytes));
        assert_eq!(machine.start(ONE), expected);
        if expected.is_some() {
            machine.call(ONE, Syscall::Confirm, 0);
            assert_eq!(machine.cpu.results, [0]);
            machine.call(ONE, Syscall::Exit, 0);
        }
    }
}

#[test]
fn a_damaged_confirmed_version_gives_way_to_one_that_is_whole() {
    let mut bad = record(1);
    bad[40] ^= 1;
    let mut machine = Machine::boot(PowerDisk::new(flash(&bad, &record(2), AppState::confirmed_in(Slot::First))));
    assert_eq!(machine.start(ONE), Some(2));
    machine.call(ONE, Syscall::Exit, 3);
    assert_eq!(machine.start(ONE), Some(2));
}

/// Cuts the power at every moment of a run from this disk, with every subset of what was not flushed, and goes on from
/// each disk that is left; so deep. `starts` is how often the new version was started already.
fn cut_everywhere(disk: &PowerDisk, depth: u32, starts: u8, boots: &mut u64) {
    for (seed, (what, run)) in (1_u64..).zip(RUNS) {
        let mut machine = Machine::boot(disk.clone());
        machine.disk.keep_moments();
        *boots += 1;
        let before = state_of(disk);
        let version = machine.start(ONE).expect("neither version runs");
        let tried = starts + u8::from(version == 2 && before.confirmed() == Slot::First);
        assert!(tried <= TRIAL_STARTS, "a fourth start, then {what}");
        if before.confirmed() == Slot::Second {
            assert_eq!(version, 2, "what was confirmed stays");
        }
        run(&mut machine);
        if depth == 0 {
            continue;
        }
        let mut left: Vec<(PowerDisk, u8)> = Vec::new();
        for moment in machine.disk.take_moments() {
            for disk in moment.after_cuts(seed) {
                // Only a count that is on the medium let it run; one that was cut before may not have.
                let began = state_of(&disk) != before;
                let tried = if began { tried } else { starts };
                if !left.contains(&(disk.clone(), tried)) {
                    left.push((disk, tried));
                }
            }
        }
        for (disk, tried) in left {
            cut_everywhere(&disk, depth - 1, tried, boots);
        }
    }
}

#[test]
fn whatever_the_moment_of_the_cut_the_old_version_runs_or_the_new_one_whole() {
    let mut boots = 0;
    cut_everywhere(&PowerDisk::new(on_trial()), 3, 0, &mut boots);
    assert!(boots > 1_000, "{boots} boots");
}
