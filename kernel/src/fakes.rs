//! A processor and objects that tests script.

use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::loader::Image;
use crate::objects::{Object, Objects, Remote};
use crate::process::ProcessId;
use crate::processor::{Processor, Trap};
use crate::scheduler::{Configuration, Kernel, Process};
use crate::time::Instant;
use slopos_abi::Errno;
use slopos_abi::info::{GrantInfo, NetInfo};
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

/// The authority of tests.
pub struct Token;
#[allow(unsafe_code, reason = "tests are their own board")]
// SAFETY: the tests of this crate stand in for the board.
unsafe impl ManageProcesses for Token {}
#[allow(unsafe_code, reason = "tests are their own board")]
// SAFETY: as above.
unsafe impl EnterProcessMemory for Token {}

/// Address of the one page that a fake process has.
pub const MEMORY: u64 = 0x40_0000;

static CONFIGURATIONS: [Configuration; 3] = {
    const fn named(name: &'static str) -> Configuration {
        Configuration { name, app: "app", arguments: &[], start_at_boot: false, flash: &["scratch"] }
    }
    [named("p0"), named("p1"), named("p2")]
};

/// A kernel of that many processes.
pub fn kernel(count: usize) -> Kernel {
    let processes: Vec<Process> = CONFIGURATIONS[..count].iter().map(Process::new).collect();
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
            kernel.start(ProcessId::new(index as u8), [].into_iter(), self, &Token).unwrap();
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

    fn abandon(&mut self, process: ProcessId, _: Instant) {
        self.abandoned.push(process.index());
    }

    fn net_info(&mut self, _: Instant) -> NetInfo {
        NetInfo::default()
    }

    fn grant_info(&mut self, _: ProcessId) -> GrantInfo {
        GrantInfo::default()
    }
}
