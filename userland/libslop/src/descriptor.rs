//! Owned descriptors, and flash regions behind them.

use embedded_io::{ErrorType, Read, Write};

use slopos_abi::Rights;

use crate::{Error, call};

/// An open descriptor. It is closed when it is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor(i32);

impl Descriptor {
    /// Takes over a descriptor that a system call returned and that nothing else closes.
    pub const fn from_number(number: i32) -> Self {
        Descriptor(number)
    }

    /// Its number: the index in the process's descriptor table, and above it how often that was given out before.
    pub const fn number(&self) -> i32 {
        self.0
    }

    /// Reads into `buffer`; see [`call::read`] for result and errors.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        call::read(self.0, buffer)
    }

    /// Writes from `bytes`; see [`call::write`] for result and errors.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        call::write(self.0, bytes)
    }

    /// Keeps only these rights; see [`call::restrict`] for result and errors.
    pub fn restrict(&self, rights: Rights) -> Result<Rights, Error> {
        call::restrict(self.0, rights)
    }

    /// Closes the descriptor now.
    ///
    /// # Errors
    /// EBADF where something else has closed it.
    pub fn close(self) -> Result<(), Error> {
        let number = self.0;
        core::mem::forget(self);
        call::close(number)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // The one error is that it is closed already, which is what was wanted; `close` reports it.
        let _ = call::close(self.0);
    }
}

/// A region of the flash. Reading and writing go on from the descriptor's position, 0 when it is opened.
#[derive(Debug)]
pub struct Region(Descriptor);

impl Region {
    /// Opens the region of this name.
    ///
    /// # Errors
    /// ENOENT where the manifest grants the process no region of this name; EMFILE where the table is full.
    pub fn open(name: &str) -> Result<Region, Error> {
        Ok(Region(Descriptor::from_number(call::open(name)?)))
    }

    /// The descriptor behind it.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    /// Waits until everything that was written to the flash is on the medium; see [`call::sync`].
    ///
    /// # Errors
    /// EIO where the device failed: what was written may be lost then.
    pub fn sync(&self) -> Result<(), Error> {
        call::sync(self.0.number())
    }

    /// Closes the region now; see [`Descriptor::close`].
    pub fn close(self) -> Result<(), Error> {
        self.0.close()
    }
}

impl ErrorType for Region {
    type Error = Error;
}

impl Read for Region {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.read(buffer)
    }
}

impl Write for Region {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes)
    }

    /// Makes durable what was written, as [`Region::sync`].
    fn flush(&mut self) -> Result<(), Error> {
        self.sync()
    }
}
