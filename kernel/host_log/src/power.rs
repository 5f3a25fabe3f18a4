//! A model of a disk that loses its power: what was written since the last flush is on it sector by sector, or not.

use std::collections::BTreeMap;

/// Bytes of what is written whole or not at all.
const SECTOR: usize = 512;
/// Bytes of a block, where the disk has blocks that are larger than a sector.
const BLOCK: usize = 4096;
/// Up to so many unflushed sectors every subset is tried; of more, this many subsets.
const ALL_UP_TO: u32 = 6;

/// A disk with a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerDisk {
    /// What is on the medium.
    durable: Vec<u8>,
    /// Sectors that were written since the last flush, in their last version.
    cached: BTreeMap<usize, [u8; SECTOR]>,
    /// A disk of before each write and each flush, if they are kept.
    moments: Option<Vec<PowerDisk>>,
}

impl PowerDisk {
    /// A disk with these bytes on its medium.
    pub fn new(bytes: Vec<u8>) -> PowerDisk {
        assert!(bytes.len().is_multiple_of(BLOCK), "whole blocks");
        PowerDisk { durable: bytes, cached: BTreeMap::new(), moments: None }
    }

    /// Keeps from now on what the disk was at each moment: before each write and each flush.
    pub fn keep_moments(&mut self) {
        self.moments = Some(Vec::new());
    }

    /// The moments that were kept, and the disk as it is now.
    pub fn take_moments(&mut self) -> Vec<PowerDisk> {
        let mut moments = self.moments.take().unwrap_or_default();
        moments.push(self.clone());
        moments
    }

    fn note(&mut self) {
        if let Some(mut moments) = self.moments.take() {
            moments.push(self.clone());
            self.moments = Some(moments);
        }
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.durable.len()
    }

    /// Reads; what was written is read back, whether it is on the medium or not.
    pub fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        let sectors = offset / SECTOR..(offset + length).div_ceil(SECTOR);
        let bytes: Vec<u8> = sectors
            .flat_map(|sector| {
                let medium = || self.durable[sector * SECTOR..(sector + 1) * SECTOR].try_into().expect("a sector");
                self.cached.get(&sector).copied().unwrap_or_else(medium)
            })
            .collect();
        bytes[offset % SECTOR..][..length].to_vec()
    }

    /// Writes whole sectors.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset.is_multiple_of(SECTOR) && bytes.len().is_multiple_of(SECTOR), "whole sectors");
        assert!(offset + bytes.len() <= self.durable.len(), "beyond the end");
        self.note();
        for (sector, bytes) in (offset / SECTOR..).zip(bytes.chunks_exact(SECTOR)) {
            self.cached.insert(sector, bytes.try_into().expect("a sector"));
        }
    }

    /// What was written goes to the medium.
    pub fn flush(&mut self) {
        self.note();
        for (sector, bytes) in std::mem::take(&mut self.cached) {
            self.durable[sector * SECTOR..][..SECTOR].copy_from_slice(&bytes);
        }
    }

    /// The disks that a loss of power at this moment may leave: with every subset of the sectors that were not flushed,
    /// or with so many of them that `seed` chooses; and with each block torn that had a sector written.
    pub fn after_cuts(&self, seed: u64) -> Vec<PowerDisk> {
        let sectors: Vec<usize> = self.cached.keys().copied().collect();
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = || {
            // xorshift64 (Marsaglia 2003).
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance
        };
        let mut disks = Vec::new();
        if sectors.len() <= ALL_UP_TO as usize {
            disks.extend((0..1_u64 << sectors.len()).map(|subset| self.with(&sectors, |at| subset >> at & 1 != 0)));
        } else {
            disks.push(self.with(&sectors, |_| false));
            disks.push(self.with(&sectors, |_| true));
            // Those up to one moment, as a disk that keeps the order leaves them, and any others.
            let until = draw() as usize % sectors.len();
            disks.push(self.with(&sectors, |at| at < until));
            disks.extend((0..1 << ALL_UP_TO).map(|_| {
                let few = draw() % 8;
                self.with(&sectors, |_| draw() % 8 <= few)
            }));
        }
        let mut blocks: Vec<usize> = sectors.iter().map(|sector| sector * SECTOR / BLOCK).collect();
        blocks.dedup();
        for block in blocks.into_iter().take(8) {
            let mut torn = self.with(&sectors, |_| false);
            torn.durable[block * BLOCK..][..BLOCK].iter_mut().for_each(|byte| *byte = draw() as u8);
            disks.push(torn);
        }
        disks
    }

    fn with(&self, sectors: &[usize], mut keeps: impl FnMut(usize) -> bool) -> PowerDisk {
        let mut durable = self.durable.clone();
        for (at, sector) in sectors.iter().enumerate() {
            if keeps(at) {
                durable[sector * SECTOR..][..SECTOR].copy_from_slice(&self.cached[sector]);
            }
        }
        PowerDisk::new(durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_each_subset_of_what_was_not_flushed_or_a_torn_block() {
        let mut disk = PowerDisk::new(vec![0; 2 * BLOCK]);
        disk.write(0, &[1; SECTOR]);
        disk.flush();
        disk.write(0, &[2; SECTOR]);
        disk.write(BLOCK, &[3; SECTOR]);
        assert_eq!(disk.read(0, SECTOR), [2; SECTOR]);
        let left = disk.after_cuts(1);
        let found: Vec<_> = left[..4].iter().map(|disk| (disk.durable[0], disk.durable[BLOCK])).collect();
        assert_eq!(found, [(1, 0), (2, 0), (1, 3), (2, 3)]);
        assert_eq!(left.len(), 6);
        assert_eq!(left[4].durable[BLOCK..], [0; BLOCK], "only one block is torn");
        assert_eq!(left[5].durable[..SECTOR], [1; SECTOR]);
    }
}
