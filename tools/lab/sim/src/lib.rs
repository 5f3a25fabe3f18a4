//! The whole network stack in a simulated network, in virtual time, and the bodies of its fuzz targets.
//!
//! [`run`] runs one seed, from which everything follows: the link's faults, the sizes of buffers, what the
//! applications do and when. The other end is smoltcp in most runs ([`network`]), and our own stack in the rest
//! ([`pair`]). What must hold at any time is checked at any time; what does not is an error that says what happened,
//! and the same seed gives the same error again.
//!
//! | file | what it holds |
//! |---|---|
//! | `scenario` | what follows from a seed; what befalls frames is `slopos_lab::impair`'s |
//! | `station`, `watch` | our stack with what it must never do |
//! | `talker`, `client` | the applications |
//! | `server`, `router` | smoltcp; DHCP, and the ways between two of our stacks |
//! | `network`, `pair` | the two kinds of runs |
//! | `figures` | what a run counts |
//! | [`targets`], `corpus` | fuzzing |
#![forbid(unsafe_code)]

pub mod client;
pub mod corpus;
pub mod figures;
pub mod network;
pub mod pair;
pub mod router;
pub mod scenario;
pub mod server;
pub mod station;
pub mod talker;
pub mod targets;
pub mod watch;

pub use figures::Figures;

/// One seed in so many is a run of two of our stacks.
const PAIRS: u64 = 8;

/// Runs one seed, and prints each frame where `trace` is set.
///
/// # Errors
/// What went wrong, and when.
pub fn run(seed: u64, trace: bool) -> anyhow::Result<Figures> {
    if seed % PAIRS == PAIRS - 1 { pair::run(seed, trace) } else { network::run(seed, trace) }
}
