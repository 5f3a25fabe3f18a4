//! The log as `defmt` frames.

pub use defmt::Encoder;
use slopos_log::LogRing;
pub use slopos_log::Piece;

/// Begins the log with the kernel's build id.
pub fn announce<const N: usize>(ring: &mut LogRing<N>, build_id: &[u8]) {
    ring.announce(build_id, &[0]);
}
