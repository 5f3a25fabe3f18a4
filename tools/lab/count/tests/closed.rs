//! Counts of the built board. Run `./just build` first.

use slopos_count::profile::{Board, MEMORY, Peer};
use std::path::Path;

#[test]
fn a_closed_run_repeats_to_the_instruction() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../build/qemu_q35");
    let board = Board { image, memory: MEMORY };
    assert!(board.kernel().is_file(), "there is no {}; run ./just build", board.kernel().display());
    let (first, _) = board.run("sleep 1", Peer::None).unwrap();
    let (second, _) = board.run("sleep 1", Peer::None).unwrap();
    assert!(first == second, "{} instructions, then {}", first.total(), second.total());
    // More work takes more instructions, and waiting takes almost none.
    let (longer, _) = board.run("sleep 1; sleep 1", Peer::None).unwrap();
    let more = longer.total() - first.total();
    assert!(more > 0 && more < 1_000_000, "a second of sleep took {more} instructions");
}
