//! Measures the board beside a Linux guest: the same QEMU, the same processor model, the same link and the same
//! servers, in turns, on a machine that does nothing else meanwhile.
#![forbid(unsafe_code)]

pub mod console;
pub mod figures;
pub mod guest;
pub mod links;
pub mod load;
pub mod measure;
pub mod memory;
pub mod plot;
pub mod report;
pub mod scale;
pub mod series;
