//! What engines that run boards by the hundred do with one: the files of doc/fleet, with the engine itself where it can be
//! had, else with what it makes of them; and the power button, by which they end a board.

mod button;
mod libvirt;
mod nomad;
mod shapes;

use slopos_e2e::built;
use slopos_tree::files;
use std::path::Path;
use tempfile::TempDir;

/// Where the files of doc/fleet say that the board's files are.
const PLACE: &str = "/var/lib/slopos";

/// A file of doc/fleet.
fn file(name: &str) -> String {
    let path = files::root().join("doc/fleet").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// A folder for one board of its own, and a file of doc/fleet that names this folder and this address.
fn placed(name: &str, url: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["qemu_q35.elf", "qemu_q35.img"] {
        std::fs::copy(built(file), folder.path().join(file)).expect("a copy");
    }
    let text = file(name).replace(PLACE, &folder.path().to_string_lossy());
    let placed = text.replace("http://10.0.2.2:8000/", url);
    assert_ne!(placed, text, "{name} fetches nothing");
    (folder, placed)
}

/// Waits for something, a minute at most.
#[track_caller]
fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !happened() {
        assert!(std::time::Instant::now() < until, "{what} does not happen");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The lines of a board's log so far.
fn log(folder: &Path, name: &str) -> Vec<String> {
    // There is no file before the machine runs.
    let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
    slopos_e2e::log_lines("qemu_q35.elf", &bytes)
}
