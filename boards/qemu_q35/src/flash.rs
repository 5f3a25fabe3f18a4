//! The board's flash on virtio-blk: the apps that it holds, and the data regions that processes may open.

use crate::machine::now;
use crate::tokens::Loader;
use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;
use slopos_kernel::loader::{self, AppError, FlashMap, MapError};
use slopos_kernel::process::ProcessId;
use slopos_kernel::processor::Processor;
use slopos_kernel::scheduler::Kernel;
use slopos_virtio::blk::Block;
use slopos_x86_64::processor::Cpu;

/// The flash device with its map.
pub struct Flash {
    device: Block,
    map: FlashMap,
    token: Loader,
}

fn clock() -> u64 {
    now().as_micros()
}

fn read_sectors(device: &mut Block, sector: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    device.read(sector, buffer, &mut clock).map_err(|error| {
        defmt::error!("flash: reading sector {=u64} failed: {}", sector, error);
        Errno::Io
    })
}

impl Flash {
    /// Reads the map.
    pub fn open(mut device: Block, token: Loader) -> Result<Flash, MapError> {
        let map = FlashMap::read(&mut |sector, buffer: &mut [u8]| read_sectors(&mut device, sector, buffer))?;
        Ok(Flash { device, map, token })
    }

    /// Loads the app of a process into its memory. What is bad is logged with the reason, and the process has no
    /// image then.
    pub fn load(&mut self, kernel: &mut Kernel, id: ProcessId, cpu: &mut Cpu) {
        let Some(process) = kernel.process(id) else { return };
        let (name, app) = (process.configuration.name, process.configuration.app);
        let Some(slot) = self.map.app(app) else {
            defmt::error!("flash: no app {=str} for process {=str}", app, name);
            return kernel.clear_image(id);
        };
        let device = &mut self.device;
        let mut read = |sector, buffer: &mut [u8]| read_sectors(device, sector, buffer);
        match loader::load_app(slot, cpu.image_memory(id), &mut read) {
            Ok(image) => kernel.set_image(id, &image, cpu, &self.token),
            Err(error) => {
                reject(app, error);
                kernel.clear_image(id);
            }
        }
    }

    /// A data region's index, by its name.
    pub fn region(&self, name: &str) -> Option<u8> {
        self.map.data(name).and_then(|(index, _)| u8::try_from(index).ok())
    }

    /// Where a transfer of `length` bytes at `position` lies on the device, and how many bytes of it fit.
    fn place(&self, region: u8, position: u32, length: usize) -> Result<(u64, usize), Errno> {
        let entry = self.map.get(region.into()).ok_or(Errno::Io)?;
        let size = entry.sectors as usize * SECTOR;
        let start = (position as usize).min(size);
        let count = length.min(size - start);
        if !start.is_multiple_of(SECTOR) || !count.is_multiple_of(SECTOR) {
            return Err(Errno::Invalid);
        }
        Ok((u64::from(entry.start_sector) + (start / SECTOR) as u64, count))
    }

    /// Reads whole sectors of a region; 0 at its end.
    pub fn read(&mut self, region: u8, position: u32, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (sector, count) = self.place(region, position, buffer.len())?;
        let Some(part @ [_, ..]) = buffer.get_mut(..count) else { return Ok(0) };
        read_sectors(&mut self.device, sector, part)?;
        Ok(count)
    }

    /// Gives `renew` the beginning of a region, and puts what it gives in its place, on the medium.
    pub fn renew<const N: usize>(&mut self, name: &str, renew: impl FnOnce(&[u8]) -> [u8; N]) -> Result<(), Errno> {
        let region = self.region(name).ok_or(Errno::Io)?;
        let mut sector = [0; SECTOR];
        if self.read(region, 0, &mut sector)? != SECTOR {
            return Err(Errno::Io);
        }
        let (start, _) = sector.split_first_chunk_mut::<N>().ok_or(Errno::Io)?;
        *start = renew(start);
        self.write(region, 0, &sector)?;
        self.device.flush(clock).map_err(|_| Errno::Io)
    }

    /// Writes whole sectors of a region.
    pub fn write(&mut self, region: u8, position: u32, bytes: &[u8]) -> Result<usize, Errno> {
        let (sector, count) = self.place(region, position, bytes.len())?;
        let Some(part @ [_, ..]) = bytes.get(..count) else { return Err(Errno::Invalid) };
        self.device.write(sector, part, &mut clock).map_err(|error| {
            defmt::error!("flash: writing sector {=u64} failed: {}", sector, error);
            Errno::Io
        })?;
        Ok(count)
    }
}

fn reject(app: &str, error: AppError) {
    defmt::error!("flash: app {=str} rejected: {}", app, error);
}
