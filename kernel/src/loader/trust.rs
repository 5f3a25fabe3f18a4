//! Which records the board runs. The kernel's image says it, and nothing in the flash can change it.

/// Which records the board runs.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// The board's name by the manifest. A record for another board is refused.
    pub board: &'static str,
    /// The keys, one of which has to have signed a record.
    pub keys: &'static [PublicKey],
    /// What happens to a record that nobody has signed.
    pub unsigned: Unsigned,
    /// One of the keys is the development key, whose private half everybody has.
    pub development: bool,
}

/// A key that signs records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What a record's header calls it: the first bytes of the SHA-256 of `bytes`.
    pub id: [u8; 8],
    /// The key as RFC 8032 encodes it. The manifest's reader has refused keys of small order.
    pub bytes: [u8; 32],
}

/// What happens to a record that nobody has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It is refused.
    Refuse,
    /// It runs, and the log warns.
    Warn,
}
