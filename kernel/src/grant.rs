//! Grants: memory that a capsule holds on behalf of a process, charged to that process.
//!
//! A region is fixed before boot, by the board's manifest; a process without one has none. Entering a region
//! needs `&mut` on the whole grant, so entering it again from inside does not compile.

use crate::process::ProcessId;

/// A capsule's regions, one for each process that the manifest gives one.
///
/// What is here are only the ways to the regions: a region lies in its process's own section of the image.
pub struct Grant<'a, T> {
    regions: &'a mut [Option<&'a mut T>],
}

/// The manifest gives this process no region in this grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct NoGrant;

impl<'a, T> Grant<'a, T> {
    /// A grant of these regions, indexed by process.
    pub fn new(regions: &'a mut [Option<&'a mut T>]) -> Self {
        Grant { regions }
    }

    /// Runs `work` on the region of `process`.
    ///
    /// # Errors
    /// [`NoGrant`] where the manifest gives the process none.
    pub fn enter<R>(&mut self, process: ProcessId, work: impl FnOnce(&mut T) -> R) -> Result<R, NoGrant> {
        match self.regions.get_mut(process.index()) {
            Some(Some(region)) => Ok(work(region)),
            _ => Err(NoGrant),
        }
    }

    /// How many processes the grant has room for, with or without a region.
    pub fn processes(&self) -> usize {
        self.regions.len()
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
        assert_eq!(
            grant.enter(ProcessId::new(0), |n| {
                *n += 1;
                *n
            }),
            Ok(2)
        );
        assert_eq!(grant.enter(ProcessId::new(1), |n| *n), Err(NoGrant));
        assert_eq!(grant.enter(ProcessId::new(9), |n| *n), Err(NoGrant));
        assert_eq!(grant.each().map(|(id, n)| (id.index(), *n)).collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!(grant.processes(), 2, "with or without a region");
    }
}
