//! Which process holds how much network memory, and why.
//!
//! [`Image::read`] takes a kernel's ELF apart, [`account::audit`] holds it against the manifest that it carries, and
//! [`live::look`] reads what the memory of a running board, or of a dump, holds. [`text`], [`html`] and [`compare`]
//! show the result; its JSON is [`audit::Audit`] as `serde` writes it.
#![forbid(unsafe_code)]

pub mod account;
pub mod audit;
pub mod compare;
pub mod dwarf;
mod grants;
pub mod html;
pub mod image;
pub mod live;
pub mod memory;
pub mod reviewed;
mod slopos;
pub mod text;
pub mod treemap;
pub mod value;
pub mod world;

pub use audit::Audit;
pub use image::Image;
pub use memory::Memory;
