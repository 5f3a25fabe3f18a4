//! The log as `defmt` frames.

pub use defmt::Encoder;
pub use slopos_log::Piece;
use slopos_log::LogRing;

/// Begins the log with the kernel's build id.
pub fn announce<const N: usize>(ring: &mut LogRing<N>, build_id: &[u8]) {
    ring.announce(build_id);
}
