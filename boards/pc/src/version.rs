//! What this image was made from.

use crate::image::build_id;
use crate::statics::{BOARD_NAME, MANIFEST_FILE};
use slopos_process_console::report::Version;

/// The revision, as `build.rs` has found it.
const REVISION: &str = env!("SLOPOS_REVISION");

/// What a person at the console is greeted with.
pub const GREETING: &str = concat!(
    "SlopOS ",
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR"),
    " (",
    env!("SLOPOS_REVISION"),
    "), help lists commands, Ctrl-A x quits\n"
);

/// What the command `version` prints.
pub fn version() -> Version<'static> {
    Version {
        version: env!("CARGO_PKG_VERSION"),
        revision: REVISION,
        build_id: build_id(),
        board: BOARD_NAME,
        manifest: MANIFEST_FILE,
    }
}
