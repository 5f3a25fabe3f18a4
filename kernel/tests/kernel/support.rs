//! A processor and objects that tests script.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use slopos_abi::flash::{self, AppHeader, AppVersion, EXECUTE, READ, SECTOR, Segment};
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo, network};
use slopos_abi::{ARGUMENTS_MAX, ENTROPY_NAME, Endpoint, Errno, Readiness, RemoteRange, SocketFlags};
use slopos_host_log::Token;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::loader::{Extent, Image, PublicKey, Trust, Unsigned};
use slopos_kernel::objects::{AppSlot, Counted, Fetch, Object, Objects, Role, Slots, SocketIndex, Verdict};
use slopos_kernel::process::ConsoleAccess;
use slopos_kernel::process::{Configuration, Process, Restart, State};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::processor::{ArgumentsTooLong, Processor, Trap};
use slopos_kernel::scheduler::Step;
use slopos_kernel::time::Instant;
use std::collections::VecDeque;
use zerocopy::{FromBytes, IntoBytes};

/// Address of the one page that a fake process has.
pub const MEMORY: u64 = 0x40_0000;

static CONFIGURATIONS: [Configuration; 3] = {
    const fn named(name: &'static str) -> Configuration {
        Configuration {
            name,
            app: "app",
            minimum_version: AppVersion::new(0),
            arguments: &[],
            start_at_boot: false,
            opens: &["scratch", "entropy"],
            restart: Restart::Never,
            priority: 3,
            console: ConsoleAccess::Input,
        }
    }
    [named("p0"), named("p1"), named("p2")]
};

/// A kernel of that many processes, all alike.
pub fn kernel(count: usize) -> Kernel {
    kernel_of(&CONFIGURATIONS[..count])
}

/// A configuration with this restart policy and priority.
pub const fn configuration(name: &'static str, restart: Restart, priority: u8) -> Configuration {
    Configuration {
        name,
        app: "app",
        minimum_version: AppVersion::new(0),
        arguments: &[],
        start_at_boot: false,
        opens: &[],
        restart,
        priority,
        console: ConsoleAccess::Output,
    }
}

/// Which records the kernel takes: those signed with the first key of RFC 8032, section 7.1.
pub static TRUST: Trust = Trust { board: "board", keys: &[KEY], unsigned: Unsigned::Refuse, development: false };

/// The first key of RFC 8032, section 7.1.
pub const KEY: PublicKey = PublicKey {
    id: [0x21, 0xfe, 0x31, 0xdf, 0xa1, 0x54, 0xa2, 0x61],
    bytes: [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ],
};

/// Its private half.
const SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

/// Signs a header with [`KEY`].
pub fn sign(header: &mut AppHeader) {
    header.key_id = KEY.id;
    header.signature = SigningKey::from_bytes(&SECRET).sign(header.signed_bytes()).to_bytes();
}

/// A kernel of processes with these configurations.
pub fn kernel_of(configurations: &'static [Configuration]) -> Kernel {
    kernel_that_trusts(configurations, &TRUST)
}

/// The same, with what it trusts.
pub fn kernel_that_trusts(configurations: &'static [Configuration], trust: &'static Trust) -> Kernel {
    let processes: Vec<Process> = configurations.iter().map(Process::new).collect();
    Kernel::new(Box::leak(processes.into_boxed_slice()), trust)
}

/// Lets the next process make a step, and counts the time from now on.
pub fn run(kernel: &mut Kernel, cpu: &mut FakeProcessor, objects: &mut FakeObjects, now: impl Fn() -> Instant) -> Step {
    let start = now();
    kernel.run_next(cpu, objects, start, now).0
}

/// The first process.
pub const FIRST: ProcessId = ProcessId::new(0);

/// A kernel of one process, whose program is loaded from a flash.
pub struct Bench {
    pub kernel: Kernel,
    pub cpu: FakeProcessor,
    pub objects: FakeObjects,
}

impl Bench {
    /// Starts the process; the flash forgets what was read before.
    pub fn begin(&mut self) {
        self.objects.reads.clear();
        self.kernel.start(FIRST, [].into_iter(), Instant::BOOT, &mut self.cpu, &Token).unwrap();
    }

    /// Starts the process and loads it; answers the state that it is in then.
    pub fn start(&mut self) -> State {
        self.begin();
        self.cpu.run_loader(&mut self.kernel, &mut self.objects, FIRST);
        self.state()
    }

    pub fn state(&self) -> State {
        self.kernel.process(FIRST).unwrap().state()
    }
}

/// Runs nothing: hands out the traps that a test has queued, interrupts when there are none.
pub struct FakeProcessor {
    pub traps: Vec<VecDeque<Trap>>,
    pub memory: Vec<Vec<u8>>,
    /// What was mapped last, if anything.
    pub images: Vec<Option<Image>>,
    pub blocks: Vec<Vec<u8>>,
    pub runs: Vec<usize>,
    pub results: Vec<(usize, i64)>,
}

impl FakeProcessor {
    pub fn new(count: usize) -> Self {
        Self::with_ram(count, 4096)
    }

    /// Processes with so many bytes of RAM.
    pub fn with_ram(count: usize, ram: usize) -> Self {
        FakeProcessor {
            traps: (0..count).map(|_| VecDeque::new()).collect(),
            memory: vec![vec![0; ram]; count],
            images: vec![None; count],
            blocks: (0..count).map(|_| Vec::new()).collect(),
            runs: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Loads every process that has no fresh image.
    pub fn load_all(&mut self, kernel: &mut Kernel) {
        let mut objects = FakeObjects::default();
        for id in (0..self.memory.len() as u8).map(ProcessId::new) {
            kernel.load(id, &Token);
            self.run_loader(kernel, &mut objects, id);
        }
    }

    /// Makes steps until the process is no longer being loaded; nobody else may be able to run.
    pub fn run_loader(&mut self, kernel: &mut Kernel, objects: &mut FakeObjects, id: ProcessId) {
        while kernel.process(id).unwrap().state() == State::Loading {
            run(kernel, self, objects, || Instant::BOOT);
            objects.serve(kernel, self);
        }
    }

    pub fn start_all(&mut self, kernel: &mut Kernel) {
        self.load_all(kernel);
        for index in 0..self.memory.len() {
            kernel.start(ProcessId::new(index as u8), [].into_iter(), Instant::BOOT, self, &Token).unwrap();
        }
    }

    fn range(&self, process: ProcessId, address: u64, length: u64) -> Result<core::ops::Range<usize>, Errno> {
        let ram = self.memory[process.index()].len() as u64;
        let start = address.checked_sub(MEMORY).ok_or(Errno::Fault)?;
        let end = start.checked_add(length).filter(|&end| end <= ram).ok_or(Errno::Fault)?;
        Ok(start as usize..end as usize)
    }
}

impl Processor for FakeProcessor {
    fn run(&mut self, process: ProcessId) -> Trap {
        self.runs.push(process.index());
        self.traps[process.index()].pop_front().unwrap_or(Trap::Interrupt)
    }

    fn set_result(&mut self, process: ProcessId, value: i64) {
        self.results.push((process.index(), value));
    }

    fn readable(&self, process: ProcessId, address: u64, length: u64) -> Result<&[u8], Errno> {
        Ok(&self.memory[process.index()][self.range(process, address, length)?])
    }

    fn writable(&mut self, process: ProcessId, address: u64, length: u64) -> Result<&mut [u8], Errno> {
        let range = self.range(process, address, length)?;
        Ok(&mut self.memory[process.index()][range])
    }

    fn image_memory(&mut self, process: ProcessId) -> &mut [u8] {
        self.images[process.index()] = None;
        &mut self.memory[process.index()]
    }

    fn map(&mut self, process: ProcessId, image: &Image) {
        self.images[process.index()] = Some(image.clone());
    }

    fn begin<'a>(
        &mut self,
        process: ProcessId,
        words: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ArgumentsTooLong> {
        ArgumentsTooLong::check(words.clone(), ARGUMENTS_MAX)?;
        self.blocks[process.index()] = words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        Ok(())
    }

    fn set_entry(&mut self, _: ProcessId, entry: u64) {
        assert_eq!(entry, MEMORY, "every program here begins where its memory does");
    }
}

/// The record of the only program: a few bytes of code.
pub fn record() -> Vec<u8> {
    let mut header = AppHeader::read_from_bytes(&[0; SECTOR]).unwrap();
    header.magic = flash::APP_MAGIC;
    header.version = flash::RECORD_VERSION;
    header.name = flash::name_bytes("app").unwrap();
    header.board = flash::name_bytes(TRUST.board).unwrap();
    header.segment_count = 1;
    header.entry = MEMORY;
    header.segments[0] =
        Segment { address: MEMORY, memory_bytes: 16, file_bytes: 16, offset: 512, flags: READ | EXECUTE, reserved: 0 };
    header.record_bytes = 1024;
    let contents = [[0x90; 16].as_slice(), &[0; 496]].concat();
    header.sha256 = Sha256::digest(&contents).into();
    sign(&mut header);
    [header.as_bytes(), &contents].concat()
}

/// Objects whose answers a test sets beforehand and whose uses it counts.
pub struct FakeObjects {
    /// The flash: one slot from its first sector on.
    pub flash: Vec<u8>,
    /// How long the slot is said to be, in sectors.
    pub slot_sectors: u64,
    /// Whether the device fails.
    pub broken: bool,
    /// Whether there is no flash.
    pub missing: bool,
    /// Every stretch that was read for a process: first sector and length.
    pub reads: Vec<(u64, usize)>,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    /// Nothing can be written now.
    pub full: bool,
    pub connect: Vec<Result<(), Errno>>,
    /// What the last connect was to reach, and until when.
    pub connecting: Option<(Endpoint, Instant)>,
    pub ready: Readiness,
    pub sockets: u16,
    pub closed: usize,
    pub shut_down: usize,
    pub abandoned: Vec<usize>,
    pub exited: Vec<usize>,
    pub restricted: Vec<RemoteRange>,
    /// What is written is a command that the manifest does not name.
    pub denies_commands: bool,
    /// The processes have no network grant.
    pub without_network: bool,
    /// Every socket of the grant is in use.
    pub out_of_sockets: bool,
    pub synced: Vec<Result<(), Errno>>,
    pub confirmed: Vec<Result<(), Errno>>,
    /// What runs have shown, whatever version they were of.
    pub verdicts: Vec<(usize, Verdict)>,
    /// What processes that are being loaded have asked for: first sector and length.
    pub fetches: Vec<(ProcessId, u64, usize)>,
}

impl Default for FakeObjects {
    fn default() -> Self {
        FakeObjects {
            flash: record(),
            slot_sectors: 2,
            broken: false,
            missing: false,
            reads: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            full: false,
            connect: Vec::new(),
            connecting: None,
            ready: Readiness::NONE,
            sockets: 0,
            closed: 0,
            shut_down: 0,
            abandoned: Vec::new(),
            exited: Vec::new(),
            restricted: Vec::new(),
            denies_commands: false,
            without_network: false,
            out_of_sockets: false,
            synced: Vec::new(),
            confirmed: Vec::new(),
            verdicts: Vec::new(),
            fetches: Vec::new(),
        }
    }
}

impl FakeObjects {
    /// Answers all that was asked for with the record of the only program.
    pub fn serve(&mut self, kernel: &mut Kernel, cpu: &mut FakeProcessor) {
        for (id, sector, length) in self.fetches.drain(..) {
            let start = sector as usize * SECTOR;
            let bytes: Vec<u8> = (start..start + length).map(|at| self.flash.get(at).copied().unwrap_or(0)).collect();
            self.reads.push((sector, length));
            kernel.take_in(id, &bytes, cpu, &Token);
            let mut woken = ProcessSet::EMPTY;
            woken.insert(id);
            kernel.wake(woken);
        }
    }
}

impl Objects for FakeObjects {
    fn open(&mut self, _: ProcessId, name: &str) -> Result<Object, Errno> {
        Ok(if name == ENTROPY_NAME { Object::Entropy } else { Object::Flash { region: 0, position: 0 } })
    }

    fn read(&mut self, _: ProcessId, _: &mut Object, buffer: &mut [u8], _: Instant) -> Result<usize, Errno> {
        assert!(!buffer.is_empty(), "the kernel asks for something");
        if self.input.is_empty() {
            return Err(Errno::Again);
        }
        let count = buffer.len().min(self.input.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }

    fn write(&mut self, _: ProcessId, _: &mut Object, bytes: &[u8], _: Instant) -> Result<usize, Errno> {
        assert!(!bytes.is_empty(), "the kernel hands over something");
        if self.denies_commands {
            return Err(Errno::Access);
        }
        if self.full {
            return Err(Errno::Again);
        }
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self, _: ProcessId, _: &Object, _: Instant) -> Result<(), Errno> {
        self.synced.remove(0)
    }

    fn app_slot(&mut self, _: ProcessId, app: &str, _: Instant) -> AppSlot {
        if self.missing {
            return AppSlot::NoFlash;
        }
        if app != "app" {
            return AppSlot::Unknown;
        }
        let first = Extent { sector: 0, sectors: self.slot_sectors };
        AppSlot::At(Slots { order: [first, Extent::default()], role: Role::Confirmed })
    }

    fn begin_trial(&mut self, _: ProcessId, _: &str, _: Instant) -> Counted {
        panic!("nothing is on trial here");
    }

    fn judge_trial(&mut self, process: ProcessId, _: &str, verdict: Verdict) {
        self.verdicts.push((process.index(), verdict));
    }

    fn confirm_trial(&mut self, _: ProcessId, _: &str, _: Instant) -> Result<(), Errno> {
        self.confirmed.remove(0)
    }

    fn fetch(&mut self, process: ProcessId, sector: u64, length: usize, _: Instant) -> Fetch {
        if self.broken {
            return Fetch::Failed;
        }
        assert!(length > 0 && length.is_multiple_of(SECTOR), "whole sectors, and some: {length} bytes");
        if !self.fetches.contains(&(process, sector, length)) {
            self.fetches.push((process, sector, length));
        }
        Fetch::Underway
    }

    fn readiness(&mut self, _: ProcessId, _: &Object) -> Readiness {
        self.ready
    }

    fn socket(&mut self, _: ProcessId, _: SocketFlags, _: Instant) -> Result<Object, Errno> {
        if self.without_network {
            return Err(Errno::Access);
        }
        if self.out_of_sockets {
            return Err(Errno::TooManyOpen);
        }
        self.sockets += 1;
        Ok(Object::Socket(SocketIndex(self.sockets)))
    }

    fn connect(
        &mut self,
        _: ProcessId,
        _: &Object,
        remote: Endpoint,
        deadline: Instant,
        _: Instant,
    ) -> Result<(), Errno> {
        self.connecting = Some((remote, deadline));
        self.connect.remove(0)
    }

    fn shutdown_write(&mut self, _: ProcessId, _: &Object, _: Instant) {
        self.shut_down += 1;
    }

    fn close(&mut self, _: ProcessId, _: &Object, _: Instant) {
        self.closed += 1;
    }

    fn restrict_connect(&mut self, _: ProcessId, range: RemoteRange) {
        self.restricted.push(range);
    }

    fn exited(&mut self, process: ProcessId) {
        self.exited.push(process.index());
    }

    fn abandon(&mut self, process: ProcessId, _: Instant) {
        self.abandoned.push(process.index());
        self.fetches.retain(|(id, ..)| *id != process);
    }

    fn net_info(&mut self, _: Instant) -> NetInfo {
        NetInfo {
            address: [10, 0, 2, 15],
            lease_seconds: 60,
            receive_frames: 1,
            receive_bytes: 2,
            receive_dropped: 3,
            transmit_frames: 4,
            transmit_bytes: 5,
            retransmits: 6,
            flags: network::DEVICE | network::LINK,
            ..NetInfo::default()
        }
    }

    fn grant_info(&mut self, _: ProcessId) -> GrantInfo {
        GrantInfo { sockets: if self.without_network { 0 } else { 2 }, ..GrantInfo::default() }
    }

    fn socket_info(&mut self, _: ProcessId, SocketIndex(index): SocketIndex) -> Option<SocketInfo> {
        (index < 2 && !self.without_network).then(|| SocketInfo { local_port: 1_000 + index, ..SocketInfo::default() })
    }
}
