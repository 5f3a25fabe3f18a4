//! The log as lines of text, for boards whose manifest says `log = "text"`.
//!
//! The kernel logs by `defmt` here too, which writes the index of a line's text and the values in it. [`Texts`] is what the
//! build has made of the texts and put into the kernel; [`Values`] collects one line's index and values, and
//! [`Values::write`] writes what `defmt-decoder` would.

mod line;
mod shared;
#[cfg(test)]
mod tests;
mod texts;

pub use line::{UNKNOWN, VALUES_MAX, Values};
pub use shared::{LINE_END, LINE_MAX, MarkedLine, MarkedText};
pub use texts::{Class, Hint, Kind, LITERAL_MAX, Style, Texts};
