//! Boots the board in QEMU and listens to both of its serial ports.
//!
//! COM1 carries text, COM2 carries `defmt` frames that [`Decoder`] turns into lines with the help of the kernel's ELF. Where
//! there is no COM2, the frames are in pieces between COM1's text. A board whose manifest says `log = "text"` writes lines
//! instead.
//! [`Machine`] starts QEMU and collects both; [`Printer`] writes them as one log. The `run` and `fetch` commands and
//! the end-to-end tests are built on these.
#![forbid(unsafe_code)]

mod accelerator;
pub mod body;
pub mod command_line;
mod decoder;
mod dump;
mod holder;
pub mod input;
mod kept;
mod kernel;
mod likeness;
mod lines;
mod machine;
mod outcome;
mod paced;
mod pieces;
mod ports;
mod printer;
mod qemu;
pub mod qmp;
mod readers;
pub mod remarks;
mod row;
mod saved;
mod session;
mod shape;
mod signals;
mod status;
pub mod terminal;
pub mod webget;

pub use accelerator::Accelerator;
pub use decoder::{Decoded, Decoder, Stream};
pub use holder::{Holder, writer_of};
pub use kernel::Kernel;
pub use likeness::Likeness;
pub use lines::Line;
pub use machine::{Builder, COMMAND_LINE_MAX, Machine, Transport};
pub use outcome::{Event, Outcome, Stop};
pub use printer::{Printer, Style};
pub use saved::decode;
pub use signals::Signals;
pub use status::{KILLED, TIMED_OUT, Verdict, verdict};
