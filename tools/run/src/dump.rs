//! Dumps the board's memory when the kernel panics.
//!
//! The kernel reports a panic to QEMU's `pvpanic` device, and QEMU stops the board there (`-action panic=pause`). So
//! the dump shows the memory as it was, and the board then goes on to its own end.

use crate::outcome::Event;
use crate::qmp::Qmp;
use anyhow::Result;
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::SyncSender;

/// Waits for a panic and writes the dump; ends with the board. Errors are reported as lines of QEMU's output.
pub(crate) fn watch(stream: UnixStream, file: &Path, events: &SyncSender<Event>) {
    let said = match dump(stream, file) {
        Ok(false) => return,
        Ok(true) => format!("run: the board's memory is in {}", file.display()),
        Err(why) => format!("run: no dump was written: {why:#}"),
    };
    // There is no receiver only if the run has failed already.
    let _told = events.send(Event::Qemu(said));
}

/// Whether there was a panic, and so a dump.
fn dump(stream: UnixStream, file: &Path) -> Result<bool> {
    let mut qemu = Qmp::greet(stream)?;
    if !qemu.wait_for("GUEST_PANICKED")? {
        return Ok(false);
    }
    let path = std::path::absolute(file)?;
    let arguments = json!({ "paging": false, "protocol": format!("file:{}", path.display()) });
    let dumped = qemu.execute("dump-guest-memory", Some(arguments));
    // The board ends by itself then; it may do so before it has answered.
    let ended = qemu.execute("cont", None);
    dumped?;
    if let Err(why) = ended
        && qemu.is_running().is_ok()
    {
        return Err(why);
    }
    Ok(true)
}
