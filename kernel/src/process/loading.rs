//! Loads a process's program, in steps that are charged to the process.

use super::{Process, ProcessId};
use crate::loader::{AppError, Progress, Trust, Wanted};
use crate::log_budget::LogBudget;
use crate::objects::{Objects, Role, Verdict};
use crate::processor::Processor;
use crate::time::Instant;
use slopos_abi::flash::{AppVersion, Reason};

impl Process {
    /// One step of loading. Returns whether the next can follow at once.
    ///
    /// # Errors
    /// Why its program cannot be loaded. The process has no image afterwards.
    pub(crate) fn load_step(
        &mut self,
        id: ProcessId,
        trust: &Trust,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        log: &mut LogBudget,
        now: Instant,
    ) -> Result<bool, AppError> {
        match self.loader.step(id, &self.wanted(trust), cpu.image_memory(id), objects, now) {
            Ok(Progress::Continues) => return Ok(true),
            Ok(Progress::Rejected(error, role)) => {
                if role == Role::Trial && error != AppError::Device {
                    objects.judge_trial(id, self.configuration.app, Verdict::Fails(Reason::Record));
                }
                self.report_load(error, log, now);
                return Ok(true);
            }
            Ok(Progress::Waits) => self.wait_for_flash(),
            Ok(Progress::Done) => {
                if self.loader.has_turned() && log.admit("flash", now) {
                    defmt::warn!("flash: app {=str}: the version in its other slot runs", self.configuration.app);
                }
                if self.loader.take_unsigned() && log.admit("flash", now) {
                    defmt::warn!("flash: app {=str} runs UNSIGNED, as the manifest allows", self.configuration.app);
                }
                cpu.map(id, self.loader.image());
                self.loaded(id, cpu, now);
            }
            Err(error) => {
                self.load_failed(now);
                return Err(error);
            }
        }
        Ok(self.is_ready())
    }

    /// Takes in sectors that were read for it while it is loaded.
    pub(crate) fn take_in(&mut self, id: ProcessId, bytes: &[u8], trust: &Trust, cpu: &mut impl Processor) {
        let wanted = self.wanted(trust);
        self.loader.take_in(bytes, &wanted, cpu.image_memory(id));
    }

    /// What a record has to be for this process to run it.
    fn wanted<'a>(&self, trust: &'a Trust) -> Wanted<'a> {
        Wanted { app: self.configuration.app, minimum_version: self.configuration.minimum_version, trust }
    }

    /// Logs why its program cannot be loaded.
    pub(crate) fn report_load(&self, error: AppError, log: &mut LogBudget, now: Instant) {
        let (name, app) = (self.configuration.name, self.configuration.app);
        match error {
            // Logged once already, when the map was read.
            AppError::NoFlash => {}
            // The other slot holds nothing, which is no news.
            AppError::Magic if self.loader.has_turned() => {}
            _ if !log.admit("flash", now) => {}
            AppError::NoSlot => defmt::error!("flash: no app {=str} for process {=str}", app, name),
            AppError::Board => defmt::error!("flash: app {=str} rejected: it is for another board", app),
            AppError::Unsigned => defmt::error!("flash: app {=str} rejected: nobody has signed it", app),
            AppError::Key(id) => {
                defmt::error!(
                    "flash: app {=str} rejected: signed with key {=u64:016x}, which this kernel does not hold",
                    app,
                    id
                );
            }
            AppError::Signature => {
                defmt::error!("flash: app {=str} rejected: its signature is not that of its header", app)
            }
            AppError::Old(version) => {
                let [found, least] = [AppVersion::new(version), self.configuration.minimum_version];
                defmt::error!(
                    "flash: app {=str} rejected: version {=u32}.{=u32}.{=u32} is older than {=u32}.{=u32}.{=u32}, \
                     the least of process {=str}",
                    app,
                    found.major(),
                    found.minor(),
                    found.patch(),
                    least.major(),
                    least.minor(),
                    least.patch(),
                    name
                );
            }
            _ => defmt::error!("flash: app {=str} rejected: {}", app, error),
        }
    }
}
