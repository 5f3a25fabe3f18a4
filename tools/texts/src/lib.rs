//! The texts of a kernel's log, from the names of symbols to the table that a kernel reads.
//!
//! `defmt` keeps each text in the name of a symbol, whose value is the text's index; decoders on the host read them in the
//! ELF. A kernel whose manifest says `log = "text"` writes lines itself and has room for a table of the texts ([`put`]). The
//! texts are taken apart here, so the kernel has no parser of them, and what it could not show is refused before it boots.
#![forbid(unsafe_code)]

mod elf;
mod program;
mod table;

pub use elf::{entries, put};
pub use table::{Entry, Tag, table};
