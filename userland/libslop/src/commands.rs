//! Commands that the process console carries out for this process.

use slopos_abi::{COMMANDS_NAME, Errno};

use crate::{Descriptor, Error, call};

/// The way to the process console. What a command prints goes to the console, as ever.
#[derive(Debug)]
pub struct Commands(Descriptor);

impl Commands {
    /// Opens it.
    ///
    /// # Errors
    /// ENOENT where the manifest has no `commands` for the process; EMFILE where the descriptor table is full.
    pub fn open() -> Result<Commands, Error> {
        Ok(Commands(Descriptor::from_number(call::open(COMMANDS_NAME)?)))
    }

    /// Has a command checked, and not carried out.
    ///
    /// # Errors
    /// EINVAL where it is not one command of at most [`ASKED_COMMAND_MAX`](slopos_abi::limits::ASKED_COMMAND_MAX) bytes
    /// of printable ASCII; EACCES where the manifest does not name the command, or the process in it.
    pub fn check(&mut self, command: &str) -> Result<(), Error> {
        self.0.write(command.as_bytes()).map(drop)
    }

    /// Has a command carried out, waits for its end, and returns its status.
    ///
    /// # Errors
    /// Those of [`Commands::check`].
    pub fn run(&mut self, command: &str) -> Result<i32, Error> {
        self.check(command)?;
        let mut status = [0; size_of::<i32>()];
        match self.0.read(&mut status)? {
            count if count == status.len() => Ok(i32::from_le_bytes(status)),
            _ => Err(Errno::Io.into()),
        }
    }
}
