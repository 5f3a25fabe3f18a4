//! How a process comes by its program: in steps that the scheduler gives it like any other, and charges it for.

use super::Kernel;
use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::loader::{AppError, Progress};
use crate::objects::Objects;
use crate::process::{ProcessId, State};
use crate::processor::Processor;
use crate::scheduler::After;
use crate::time::Instant;

impl Kernel {
    /// Begins to load the program of a process that does not run and has none yet, so that it is there when the process
    /// is started.
    pub fn load(&mut self, id: ProcessId, _: &impl ManageProcesses) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state() == State::NoImage {
            process.load();
            self.note_state(id);
        }
    }

    /// Hands over what the flash gave for a process that is being loaded ([`Objects::fetch`]).
    pub fn take_in(&mut self, id: ProcessId, bytes: &[u8], cpu: &mut impl Processor, _: &impl EnterProcessMemory) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state() == State::Loading {
            process.loader.take_in(bytes, process.configuration.app, cpu.image_memory(id));
        }
    }

    /// Whether a step of loading was made since the last call. No process runs meanwhile, so interrupts wait for it.
    pub fn take_load_step(&mut self) -> bool {
        core::mem::take(&mut self.load_stepped)
    }

    /// One step of loading. Answers whether there is more to do for the process at once.
    pub(super) fn load_step(
        &mut self,
        id: ProcessId,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        now: Instant,
    ) -> After {
        self.load_stepped = true;
        let process = &mut self.processes[id.index()];
        let app = process.configuration.app;
        match process.loader.step(id, app, cpu.image_memory(id), objects, now) {
            Ok(Progress::Continues) => return After::GoesOn,
            Ok(Progress::Waits) => process.wait_for_flash(),
            Ok(Progress::Done) => {
                cpu.map(id, process.loader.image());
                process.loaded(id, cpu, now);
            }
            Err(error) => {
                process.load_failed(now);
                self.report_load(id, error, now);
            }
        }
        let goes_on = self.process(id).is_some_and(|process| process.state() == State::Ready);
        if goes_on { After::GoesOn } else { After::Stops }
    }

    fn report_load(&mut self, id: ProcessId, error: AppError, now: Instant) {
        let Some(process) = self.processes.get(id.index()) else { return };
        let (name, app) = (process.configuration.name, process.configuration.app);
        match error {
            // Said once, when it was found out.
            AppError::NoFlash => {}
            _ if !self.load_log.admit("flash", now) => {}
            AppError::NoSlot => defmt::error!("flash: no app {=str} for process {=str}", app, name),
            _ => defmt::error!("flash: app {=str} rejected: {}", app, error),
        }
    }
}
