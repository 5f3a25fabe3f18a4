//! The audit of the built boards: of their images, while they run, and after a panic.

mod absurd;
mod image;
mod live;
mod planted;

use slopos_audit::Image;
use slopos_e2e::built;
use slopos_manifest::Expanded;

/// The kernel of a built board, with the manifest in it.
fn kernel(name: &str) -> (Image, Expanded) {
    slopos_audit::read(&built(&format!("{name}.elf"))).unwrap_or_else(|why| panic!("{why:#}"))
}
