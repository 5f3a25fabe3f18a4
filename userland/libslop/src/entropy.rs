//! Random bytes of the board's entropy device.

use embedded_io::{ErrorType, Read};
use slopos_abi::ENTROPY_NAME;

use crate::{Descriptor, Error, call};

/// The entropy device. Each byte that is read is given to this process alone, and once.
#[derive(Debug)]
pub struct Entropy(Descriptor);

impl Entropy {
    /// Opens the device.
    ///
    /// # Errors
    /// ENOENT where the manifest has no `[process.entropy]` for the process; EIO where the board has no entropy device;
    /// EMFILE where the descriptor table is full.
    pub fn open() -> Result<Entropy, Error> {
        Ok(Entropy(Descriptor::from_number(call::open(ENTROPY_NAME)?)))
    }

    /// The descriptor behind it, to be polled.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    /// Fills all of `into`, in as many turns as that takes.
    ///
    /// # Errors
    /// EIO where the device gave nothing for 30 seconds; what `into` holds then is not to be used.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += self.read(rest)?;
        }
        Ok(())
    }
}

impl ErrorType for Entropy {
    type Error = Error;
}

impl Read for Entropy {
    /// Reads as many bytes as the process's buffer holds, and waits while it is empty.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.read(buffer)
    }
}
