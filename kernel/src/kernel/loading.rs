//! The part of loading that the board calls: beginning a load, and handing over sectors that were read.

use super::Kernel;
use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::process::{ProcessId, State};
use crate::processor::Processor;

impl Kernel {
    /// Begins to load the program of a process that does not run and has none yet, before the process is started.
    pub fn load(&mut self, id: ProcessId, _: &impl ManageProcesses) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state() == State::NoImage {
            process.load();
            self.note_state(id);
        }
    }

    /// Hands over the sectors that were read for a process that is being loaded ([`Objects::fetch`]).
    ///
    /// [`Objects::fetch`]: crate::objects::Objects::fetch
    pub fn take_in(&mut self, id: ProcessId, bytes: &[u8], cpu: &mut impl Processor, _: &impl EnterProcessMemory) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state() == State::Loading {
            process.take_in(id, bytes, self.trust, cpu);
        }
    }

    /// Whether a step of loading was made since the last call. Interrupts are off in such a step.
    pub fn take_load_step(&mut self) -> bool {
        core::mem::take(&mut self.load_stepped)
    }
}
