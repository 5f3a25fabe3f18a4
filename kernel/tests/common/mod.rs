//! A processor and objects that tests script.

use slopos_abi::Errno;
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo};
use slopos_host_log::Token;
use slopos_kernel::descriptor::ConsoleAccess;
use slopos_kernel::loader::Image;
use slopos_kernel::objects::{Object, Objects, Remote, RemoteRange};
use slopos_kernel::process::ProcessId;
use slopos_kernel::processor::{Processor, Trap};
use slopos_kernel::scheduler::{Configuration, Kernel, Process, Restart};
use slopos_kernel::time::Instant;
use std::collections::VecDeque;

/// Address of the one page that a fake process has.
pub const MEMORY: u64 = 0x40_0000;

static CONFIGURATIONS: [Configuration; 3] = {
    const fn named(name: &'static str) -> Configuration {
        Configuration {
            name,
            app: "app",
            arguments: &[],
            start_at_boot: false,
            flash: &["scratch"],
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

/// A kernel of processes with these configurations.
pub fn kernel_of(configurations: &'static [Configuration]) -> Kernel {
    let processes: Vec<Process> = configurations.iter().map(Process::new).collect();
    Kernel::new(Box::leak(processes.into_boxed_slice()))
}

/// Runs nothing: hands out the traps that a test has queued, interrupts when there are none.
pub struct FakeProcessor {
    pub traps: Vec<VecDeque<Trap>>,
    pub memory: Vec<[u8; 4096]>,
    pub blocks: Vec<Vec<u8>>,
    pub runs: Vec<usize>,
    pub results: Vec<(usize, i64)>,
}

impl FakeProcessor {
    pub fn new(count: usize) -> Self {
        FakeProcessor {
            traps: (0..count).map(|_| VecDeque::new()).collect(),
            memory: (0..count).map(|_| [0; 4096]).collect(),
            blocks: (0..count).map(|_| Vec::new()).collect(),
            runs: Vec::new(),
            results: Vec::new(),
        }
    }

    pub fn load_all(&mut self, kernel: &mut Kernel) {
        let image = Image { entry: MEMORY, segments: heapless::Vec::new() };
        for index in 0..self.memory.len() {
            kernel.set_image(ProcessId::new(index as u8), &image, self, &Token);
        }
    }

    pub fn start_all(&mut self, kernel: &mut Kernel) {
        self.load_all(kernel);
        for index in 0..self.memory.len() {
            kernel.start(ProcessId::new(index as u8), [].into_iter(), Instant::BOOT, self, &Token).unwrap();
        }
    }

    fn range(address: u64, length: u64) -> Result<core::ops::Range<usize>, Errno> {
        let start = address.checked_sub(MEMORY).ok_or(Errno::Fault)?;
        let end = start.checked_add(length).filter(|&end| end <= 4096).ok_or(Errno::Fault)?;
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
        Ok(&self.memory[process.index()][Self::range(address, length)?])
    }

    fn writable(&mut self, process: ProcessId, address: u64, length: u64) -> Result<&mut [u8], Errno> {
        Ok(&mut self.memory[process.index()][Self::range(address, length)?])
    }

    fn image_memory(&mut self, process: ProcessId) -> &mut [u8] {
        &mut self.memory[process.index()]
    }

    fn map(&mut self, _: ProcessId, _: &Image) {}

    fn begin(&mut self, process: ProcessId, _: u64, arguments: &[u8]) {
        self.blocks[process.index()] = arguments.to_vec();
    }
}

/// Objects whose answers a test sets beforehand and whose uses it counts.
#[derive(Default)]
pub struct FakeObjects {
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    pub connect: Vec<Result<(), Errno>>,
    pub ready: u16,
    pub sockets: u16,
    pub closed: usize,
    pub shut_down: usize,
    pub abandoned: Vec<usize>,
    pub exited: Vec<usize>,
    pub restricted: Vec<RemoteRange>,
}

impl Objects for FakeObjects {
    fn open(&mut self, _: ProcessId, _: &str) -> Result<Object, Errno> {
        Ok(Object::Flash { region: 0, position: 0 })
    }

    fn read(&mut self, _: ProcessId, _: &mut Object, buffer: &mut [u8], _: Instant) -> Result<usize, Errno> {
        if self.input.is_empty() {
            return Err(Errno::Again);
        }
        let count = buffer.len().min(self.input.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }

    fn write(&mut self, _: ProcessId, _: &mut Object, bytes: &[u8], _: Instant) -> Result<usize, Errno> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn readiness(&mut self, _: ProcessId, _: &Object) -> u16 {
        self.ready
    }

    fn socket(&mut self, _: ProcessId, _: u64, _: Instant) -> Result<Object, Errno> {
        self.sockets += 1;
        Ok(Object::Socket(self.sockets))
    }

    fn connect(&mut self, _: ProcessId, _: &Object, _: Remote, _: Instant, _: Instant) -> Result<(), Errno> {
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
    }

    fn net_info(&mut self, _: Instant) -> NetInfo {
        NetInfo::default()
    }

    fn grant_info(&mut self, _: ProcessId) -> GrantInfo {
        GrantInfo { sockets: 2, ..GrantInfo::default() }
    }

    fn socket_info(&mut self, _: ProcessId, index: u16) -> Option<SocketInfo> {
        (index < 2).then(|| SocketInfo { local_port: 1_000 + index, ..SocketInfo::default() })
    }
}
