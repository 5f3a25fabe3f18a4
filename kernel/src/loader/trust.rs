//! Which records the board takes. The kernel's image says it, and nothing in the flash can change it.

/// Which records the board takes.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// The board's name by the manifest. A record for another board is refused.
    pub board: &'static str,
}
