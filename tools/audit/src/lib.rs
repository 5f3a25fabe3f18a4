//! Which process holds how much network memory, and why.
//!
//! [`read`] reads a kernel's ELF, [`account::audit`] compares it with the manifest that it carries, and [`live::look`]
//! reads the memory of a running board or of a dump. [`text`], [`html`] and [`compare`] show the result; its JSON is
//! [`audit::Audit`] as `serde` writes it.
#![forbid(unsafe_code)]

pub mod account;
pub mod audit;
pub mod compare;
mod grants;
pub mod html;
pub mod live;
pub mod memory;
pub mod reviewed;
mod slopos;
pub mod text;
pub mod treemap;
pub mod value;
pub mod world;

pub use audit::Audit;
pub use memory::Memory;
pub use slopos_elf::Image;

use anyhow::{Context as _, Result, anyhow};
use slopos_manifest::Expanded;
use std::path::Path;

/// Name of the section that holds the manifest.
const MANIFEST: &str = ".manifest";

/// Reads a kernel, and the manifest that it carries.
///
/// # Errors
/// The file is not an ELF of this kind, or was built without a manifest, a build id or debugging information.
pub fn read(kernel: &Path) -> Result<(Image, Expanded)> {
    let bytes = std::fs::read(kernel).with_context(|| format!("cannot read {}; run ./just build", kernel.display()))?;
    parse(&bytes).with_context(|| kernel.display().to_string())
}

/// Reads a kernel, and the manifest that it carries, from the bytes of its file.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<(Image, Expanded)> {
    let manifest = slopos_elf::image::section(bytes, MANIFEST)?;
    let manifest = str::from_utf8(manifest).with_context(|| format!("the section {MANIFEST}"))?;
    let manifest =
        Expanded::from_json(manifest).map_err(|why| anyhow!("the manifest in the ELF cannot be read: {why}"))?;
    Ok((Image::parse(bytes)?, manifest))
}
