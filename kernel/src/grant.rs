//! Grants: memory that a capsule holds on behalf of a process, charged to that process.
//!
//! A region is fixed before boot, by the board's manifest; a process without one has none. Who enters a region holds the
//! whole grant until it lets go of the region, so entering again meanwhile does not compile:
//!
//! ```compile_fail,E0499
//! # use slopos_kernel::{grant::{Grant, NoGrant}, process::ProcessId};
//! fn enter_twice(grant: &mut Grant<'_, u32>) -> Result<(), NoGrant> {
//!     let region = grant.enter(ProcessId::new(0))?;
//!     let again = grant.enter(ProcessId::new(0))?;
//!     *region += *again;
//!     Ok(())
//! }
//! ```
//!
//! Nor does looking at a region, be it another process's, while one is entered:
//!
//! ```compile_fail,E0502
//! # use slopos_kernel::{grant::{Grant, NoGrant}, process::ProcessId};
//! fn look_inside(grant: &mut Grant<'_, u32>) -> Result<(), NoGrant> {
//!     let region = grant.enter(ProcessId::new(0))?;
//!     *region += *grant.view(ProcessId::new(1))?;
//!     Ok(())
//! }
//! ```
//!
//! One after the other is fine:
//!
//! ```
//! # use slopos_kernel::{grant::{Grant, NoGrant}, process::ProcessId};
//! fn enter_in_turn(grant: &mut Grant<'_, u32>) -> Result<(), NoGrant> {
//!     *grant.enter(ProcessId::new(0))? += 1;
//!     let other = *grant.view(ProcessId::new(1))?;
//!     *grant.enter(ProcessId::new(0))? += other;
//!     Ok(())
//! }
//! ```

use crate::process::ProcessId;
#[cfg(feature = "count-entries")]
use slopos_abi::limits::PROCESSES_MAX;

/// A capsule's regions, one for each process that the manifest gives one.
///
/// What is here are only the ways to the regions: a region lies in its process's own section of the image.
pub struct Grant<'a, T> {
    regions: &'a mut [Option<&'a mut T>],
    /// How often each process's region was entered.
    #[cfg(feature = "count-entries")]
    entries: [u32; PROCESSES_MAX],
}

/// The manifest gives this process no region in this grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct NoGrant;

impl<'a, T> Grant<'a, T> {
    /// A grant of these regions, indexed by process.
    pub fn new(regions: &'a mut [Option<&'a mut T>]) -> Self {
        Grant {
            regions,
            #[cfg(feature = "count-entries")]
            entries: [0; PROCESSES_MAX],
        }
    }

    /// The region of `process`, to be changed.
    ///
    /// # Errors
    /// [`NoGrant`] where the manifest gives the process none.
    pub fn enter(&mut self, process: ProcessId) -> Result<&mut T, NoGrant> {
        match self.regions.get_mut(process.index()) {
            Some(Some(region)) => {
                #[cfg(feature = "count-entries")]
                self.entries.get_mut(process.index()).into_iter().for_each(|count| *count += 1);
                Ok(region)
            }
            _ => Err(NoGrant),
        }
    }

    /// How often the region of `process` was entered by [`Grant::enter`] since boot: for tests of what a call costs.
    #[cfg(feature = "count-entries")]
    pub fn entries(&self, process: ProcessId) -> u32 {
        self.entries.get(process.index()).copied().unwrap_or(0)
    }

    /// The region of `process`, to be looked at.
    ///
    /// # Errors
    /// [`NoGrant`] where the manifest gives the process none.
    pub fn view(&self, process: ProcessId) -> Result<&T, NoGrant> {
        match self.regions.get(process.index()) {
            Some(Some(region)) => Ok(region),
            _ => Err(NoGrant),
        }
    }

    /// The processes that the grant has room for, with or without a region.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<T> {
        (0..=u8::MAX).map(ProcessId::new).take(self.regions.len())
    }

    /// Each region with the process that it is charged to.
    pub fn each(&mut self) -> impl Iterator<Item = (ProcessId, &mut T)> {
        (0..)
            .map(ProcessId::new)
            .zip(self.regions.iter_mut())
            .filter_map(|(id, region)| Some((id, &mut **region.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_region_has_none() {
        let mut region = 1;
        let mut regions = [Some(&mut region), None];
        let mut grant = Grant::new(&mut regions);
        *grant.enter(ProcessId::new(0)).unwrap() += 1;
        assert_eq!(grant.enter(ProcessId::new(0)), Ok(&mut 2));
        assert_eq!(grant.view(ProcessId::new(0)), Ok(&2));
        for bare in [1, 9].map(ProcessId::new) {
            assert_eq!((grant.enter(bare).err(), grant.view(bare).err()), (Some(NoGrant), Some(NoGrant)));
        }
        assert_eq!(grant.each().map(|(id, n)| (id.index(), *n)).collect::<Vec<_>>(), [(0, 2)]);
        let processes: Vec<_> = grant.processes().map(ProcessId::index).collect();
        assert_eq!(processes, [0, 1], "with or without a region");
    }
}
