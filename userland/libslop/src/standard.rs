//! The console's three descriptors, which are open from the start and stay open, and printing to them.

use core::fmt;

use embedded_io::{ErrorType, Read, Write};
use slopos_abi::{STDERR, STDIN, STDOUT};

use crate::{Error, Gather, call};

/// Longest text that [`print_to`] passes on in one piece, in bytes.
const LINE: usize = 256;

/// The console's input.
#[derive(Clone, Copy, Debug)]
pub struct Stdin;

/// The console's output.
#[derive(Clone, Copy, Debug)]
pub struct Stdout;

/// The console's output for diagnostics.
#[derive(Clone, Copy, Debug)]
pub struct Stderr;

/// The console's input.
pub const fn stdin() -> Stdin {
    Stdin
}

/// The console's output. Bytes written go to the kernel at once.
pub const fn stdout() -> Stdout {
    Stdout
}

/// The console's output for diagnostics. Bytes written go to the kernel at once.
pub const fn stderr() -> Stderr {
    Stderr
}

impl ErrorType for Stdin {
    type Error = Error;
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        call::read(STDIN, buffer)
    }
}

impl ErrorType for Stdout {
    type Error = Error;
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        call::write(STDOUT, bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl ErrorType for Stderr {
    type Error = Error;
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        call::write(STDERR, bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Prints formatted text; text of up to 256 bytes leaves in one piece.
///
/// # Errors
/// What the writer said.
pub fn print_to<W: Write>(writer: W, arguments: fmt::Arguments<'_>) -> Result<(), W::Error> {
    let mut gather = Gather::<W, LINE>::new(writer);
    gather.print(arguments)?;
    gather.flush()
}

/// Prints formatted text on the console's output.
///
/// # Panics
/// Where the console refuses it: there is nobody to return that to.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::print_to($crate::stdout(), ::core::format_args!($($argument)*)).expect("standard output fails")
    };
}

/// Prints formatted text and a newline on the console's output.
///
/// # Panics
/// As [`print!`](crate::print) does.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}

/// Prints formatted text on the console's output for diagnostics.
///
/// # Panics
/// As [`print!`](crate::print) does.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => {
        $crate::print_to($crate::stderr(), ::core::format_args!($($argument)*)).expect("standard error fails")
    };
}

/// Prints formatted text and a newline on the console's output for diagnostics.
///
/// # Panics
/// As [`print!`](crate::print) does.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($argument:tt)*) => { $crate::eprint!("{}\n", ::core::format_args!($($argument)*)) };
}
