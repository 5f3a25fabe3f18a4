//! Where slots are: behind map and state, an app's two one behind the other.

/// The first sector behind map and state.
pub const SLOTS_BEGIN: u64 = 24;

/// One of an app's two slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The one that begins where the map's entry says.
    #[default]
    First,
    /// The one behind it.
    Second,
}

impl Slot {
    /// Both.
    pub const ALL: [Slot; 2] = [Slot::First, Slot::Second];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Slot {
        match self {
            Slot::First => Slot::Second,
            Slot::Second => Slot::First,
        }
    }

    /// 0 or 1.
    pub const fn index(self) -> usize {
        self as usize
    }
}
