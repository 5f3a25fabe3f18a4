//! A kernel with one process, whose calls a test makes one by one.

use crate::support::{FakeObjects, FakeProcessor, kernel, run};
use slopos_abi::Errno;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::process::ProcessId;
use slopos_kernel::processor::{Call, Trap};
use slopos_kernel::time::Instant;

/// One process that makes calls.
pub struct Fixture {
    pub kernel: Kernel,
    pub cpu: FakeProcessor,
    pub objects: FakeObjects,
}

/// A process that was loaded and started.
pub fn fixture() -> Fixture {
    let mut fixture = Fixture { kernel: kernel(1), cpu: FakeProcessor::new(1), objects: FakeObjects::default() };
    fixture.cpu.start_all(&mut fixture.kernel);
    fixture
}

impl Fixture {
    /// Makes a call; `None` where it blocks.
    pub fn call(&mut self, number: impl Into<u64>, arguments: &[u64]) -> Option<Result<u64, Errno>> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        self.cpu.traps[0].push_back(Trap::SystemCall(Call { number: number.into(), arguments: all }));
        self.step(0)
    }

    /// Lets it make a step at that time; `None` where it has no result.
    pub fn step(&mut self, millis: u64) -> Option<Result<u64, Errno>> {
        self.cpu.results.clear();
        run(&mut self.kernel, &mut self.cpu, &mut self.objects, || Instant::from_millis(millis));
        self.cpu.results.first().map(|&(_, value)| Errno::from_return(value))
    }

    pub fn ledger(&self) -> i64 {
        self.kernel.process(ProcessId::new(0)).unwrap().ledger.balance()
    }
}
