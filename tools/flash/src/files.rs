//! The files that commands read and write.

use anyhow::{Context, Result};
use slopos_disk::Container;
use slopos_flash::Image;
use std::path::Path;

/// A file's bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A file with a flash in it whose map is right, and the flash.
pub fn load(path: &Path) -> Result<(Container, Image)> {
    let container = Container::open(path)?;
    let image = Image::from_bytes(container.flash().to_vec()).with_context(|| path.display().to_string())?;
    Ok((container, image))
}
