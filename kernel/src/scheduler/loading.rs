//! How a process comes by its program: in steps that the scheduler gives it like any other, and charges it for.

use super::{Kernel, Process, State};
use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::loader::{AppError, Progress};
use crate::objects::Objects;
use crate::process::ProcessId;
use crate::processor::Processor;
use crate::time::Instant;

impl Kernel {
    /// Begins to load the program of a process that does not run and has none yet, so that it is there when the process
    /// is started.
    pub fn load(&mut self, id: ProcessId, _: &impl ManageProcesses) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state == State::NoImage {
            process.begin_loading();
            self.note_state(id);
        }
    }

    /// Hands over what the flash gave for a process that is being loaded ([`Objects::fetch`]).
    pub fn take_in(&mut self, id: ProcessId, bytes: &[u8], cpu: &mut impl Processor, _: &impl EnterProcessMemory) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state == State::Loading {
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
    ) -> bool {
        self.load_stepped = true;
        let process = &mut self.processes[id.index()];
        let app = process.configuration.app;
        match process.loader.step(id, app, cpu.image_memory(id), objects, now) {
            Ok(Progress::Continues) => true,
            Ok(Progress::Waits) => {
                process.load_waits = true;
                false
            }
            Ok(Progress::Done) => {
                cpu.map(id, process.loader.image());
                process.fresh = true;
                process.state = State::Stopped;
                if process.starting {
                    process.begin(id, cpu, now);
                }
                process.state == State::Ready
            }
            Err(error) => {
                process.fail_to_load(now);
                self.report_load(id, error, now);
                false
            }
        }
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

impl Process {
    pub(super) fn begin_loading(&mut self) {
        self.loader.begin();
        self.load_waits = false;
        self.fresh = false;
        self.state = State::Loading;
    }

    /// Begins the run of a process whose memory is fresh and whose arguments are in place.
    pub(super) fn begin(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        cpu.set_entry(id, self.loader.image().entry);
        self.descriptors.begin(self.configuration.console);
        self.fresh = false;
        self.starting = false;
        self.started = now;
        self.starts = self.starts.saturating_add(1);
        self.state = State::Ready;
    }

    /// It has no image. Where it was to run and is kept up, it is tried again later, as if it had ended.
    fn fail_to_load(&mut self, now: Instant) {
        self.state = State::NoImage;
        self.fresh = false;
        if core::mem::take(&mut self.starting) {
            self.plan_restart(false, now);
        }
    }
}
