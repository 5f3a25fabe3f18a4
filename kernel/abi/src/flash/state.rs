//! The state of the flash: which version of each app is confirmed, which is on trial, and how far the trial has come.
//!
//! There are two state sectors, each alone in a block of 4,096 bytes, so that a block which a power cut tears is never
//! both. The valid one with the higher sequence number counts. A change goes to the other one, with the next number,
//! and counts once it is flushed; so whatever becomes of the write, one of the two is whole.
//!
//! Kernel and `flash` go by the same rules: what may follow a state is decided here, and nowhere else.

use super::{MAP_ENTRIES, SECTOR, Slot};
use bitfield::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The sectors of the state, from the beginning of the flash: each in a block of 4,096 bytes of its own, behind the
/// map's.
pub const STATE_SECTORS: [u64; 2] = [8, 16];
/// First bytes of a state sector.
pub const STATE_MAGIC: [u8; 8] = *b"SLOPSTAT";
/// The version of the layout of a state sector.
pub const STATE_VERSION: u32 = 1;
/// How often a version on trial may be started. Unless it was confirmed by then, the board returns to the confirmed
/// one.
pub const TRIAL_STARTS: u8 = 3;

/// A state sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StateSector {
    /// [`STATE_MAGIC`].
    pub magic: [u8; 8],
    /// [`STATE_VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// How many states were written before this one.
    pub sequence: u64,
    /// An [`AppState`] for each entry of the map; zero for a data region.
    pub apps: [u32; MAP_ENTRIES],
    /// Zero.
    pub reserved_end: [u8; 208],
    /// SHA-256 of all before `reserved_end`.
    pub sha256: [u8; 32],
}

const _: () = assert!(size_of::<StateSector>() == SECTOR);
/// Bytes of a state sector that its digest covers.
const COVERED: usize = core::mem::offset_of!(StateSector, reserved_end);

/// Computes SHA-256. Given by who reads or writes a state, because nothing else here needs it.
pub type Digest = fn(&[u8]) -> [u8; 32];

/// How far a trial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// There is none.
    None,
    /// The version in the spare slot has yet to be started.
    Waiting,
    /// It was started so often, 1 to [`TRIAL_STARTS`] times.
    Begun {
        /// How often.
        starts: u8,
    },
}

/// Why a trial ended without the version being confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A fault ended it.
    Fault = 1,
    /// It was killed.
    Killed = 2,
    /// Its record was rejected.
    Record = 3,
    /// It was started [`TRIAL_STARTS`] times, and did not confirm itself.
    Unconfirmed = 4,
    /// `flash revert` took it back.
    ByHand = 5,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 5] = [Reason::Fault, Reason::Killed, Reason::Record, Reason::Unconfirmed, Reason::ByHand];

    /// The reason in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            Reason::Fault => "it faulted",
            Reason::Killed => "it was killed",
            Reason::Record => "its record was rejected",
            Reason::Unconfirmed => "it was started 3 times and not confirmed",
            Reason::ByHand => "taken back by hand",
        }
    }
}

bitfield! {
    /// What the state says of one app.
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub struct AppState(u32);
    impl Debug;
    confirmed_bits, set_confirmed_bits: 0, 0;
    trial_bits, set_trial_bits: 2, 1;
    starts_bits, set_starts_bits: 4, 3;
    reason_bits, set_reason_bits: 8, 5;
    unused_bits, _: 31, 9;
}

/// What the next start of an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStart {
    /// The confirmed version is started; nothing is written.
    Confirmed,
    /// The version on trial is started, once this state is on the medium.
    Trial(AppState),
    /// The trial has used up its starts: this state is written, and the confirmed version is started.
    UsedUp(AppState),
}

impl AppState {
    /// The version in this slot is the confirmed one, and there is no trial.
    pub fn confirmed_in(slot: Slot) -> AppState {
        let mut state = AppState(0);
        state.set_confirmed_bits(slot as u32);
        state
    }

    /// The state in this word of a state sector; `None` where no state is written so.
    pub fn from_word(word: u32) -> Option<AppState> {
        let state = AppState(word);
        let starts_fit = match state.trial_bits() {
            0 | 1 => state.starts_bits() == 0,
            2 => state.starts_bits() > 0,
            _ => false,
        };
        let reason_fits = state.reason_bits() == 0 || state.trial_bits() == 0 && state.reverted().is_some();
        (starts_fit && reason_fits && state.unused_bits() == 0).then_some(state)
    }

    /// As it stands in a state sector.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The slot of the confirmed version. It is never written.
    pub fn confirmed(self) -> Slot {
        if self.confirmed_bits() == 0 { Slot::First } else { Slot::Second }
    }

    /// The other slot: of the version on trial, or free for the next.
    pub fn spare(self) -> Slot {
        self.confirmed().other()
    }

    /// How far the trial has come.
    pub fn trial(self) -> Trial {
        match self.trial_bits() {
            1 => Trial::Waiting,
            2 => Trial::Begun { starts: self.starts_bits() as u8 },
            _ => Trial::None,
        }
    }

    /// Whether there is a version on trial.
    pub fn is_on_trial(self) -> bool {
        self.trial() != Trial::None
    }

    /// Why the last trial came to nothing; `None` if it did not, or another one has begun since.
    pub fn reverted(self) -> Option<Reason> {
        Reason::ALL.into_iter().find(|&reason| reason as u32 == self.reason_bits())
    }

    /// The spare slot holds a checked version, which is to be tried.
    #[must_use]
    pub fn activate(self) -> AppState {
        let mut next = AppState::confirmed_in(self.confirmed());
        next.set_trial_bits(1);
        next
    }

    /// What is started next.
    pub fn next_start(self) -> NextStart {
        let starts = match self.trial() {
            Trial::None => return NextStart::Confirmed,
            Trial::Waiting => 0,
            Trial::Begun { starts } => starts,
        };
        if starts >= TRIAL_STARTS {
            return NextStart::UsedUp(self.revert(Reason::Unconfirmed));
        }
        let mut next = self.activate();
        next.set_trial_bits(2);
        next.set_starts_bits(u32::from(starts) + 1);
        NextStart::Trial(next)
    }

    /// The version on trial, which was started, has shown that it works: it is the confirmed one from now on. A state
    /// without such a version stays as it is.
    #[must_use]
    pub fn confirm(self) -> AppState {
        match self.trial() {
            Trial::Begun { .. } => AppState::confirmed_in(self.spare()),
            _ => self,
        }
    }

    /// The trial has come to nothing. A state without one stays as it is.
    #[must_use]
    pub fn revert(self, reason: Reason) -> AppState {
        if !self.is_on_trial() {
            return self;
        }
        let mut next = AppState::confirmed_in(self.confirmed());
        next.set_reason_bits(reason as u32);
        next
    }
}

/// Why a state sector does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFault {
    /// It could not be read.
    Unreadable,
    /// It does not begin as a state sector does.
    Magic,
    /// Written for another version of the layout; its number.
    Version(u32),
    /// Its digest is not that of its contents: it is damaged, or its write was cut short.
    Digest,
    /// A state that does not exist, or reserved bytes that are not zero.
    Value,
}

impl StateFault {
    /// The fault in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            StateFault::Unreadable => "it cannot be read",
            StateFault::Magic => "it does not begin as one",
            StateFault::Version(_) => "it is of another version",
            StateFault::Digest => "its SHA-256 does not match",
            StateFault::Value => "it holds what is no state",
        }
    }
}

/// The state of all apps, and which sector it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashState {
    /// For each entry of the map; that of a data region has no meaning.
    pub apps: [AppState; MAP_ENTRIES],
    sequence: u64,
    /// Which of the two sectors holds it.
    sector: Slot,
}

impl FlashState {
    /// The state of a new flash: the first slot of each app is the confirmed one. It has no sector yet.
    pub const NEW: FlashState = FlashState { apps: [AppState(0); MAP_ENTRIES], sequence: 0, sector: Slot::Second };

    /// The state in what was read of one of the sectors; `None` if it could not be read.
    ///
    /// # Errors
    /// Why that sector does not count.
    pub fn parse(bytes: Option<&[u8]>, sector: Slot, digest: Digest) -> Result<FlashState, StateFault> {
        let bytes = bytes.ok_or(StateFault::Unreadable)?;
        let (found, _) = StateSector::read_from_prefix(bytes).map_err(|_| StateFault::Magic)?;
        if found.magic != STATE_MAGIC {
            return Err(StateFault::Magic);
        }
        if found.version != STATE_VERSION {
            return Err(StateFault::Version(found.version));
        }
        if bytes.get(..COVERED).map(digest) != Some(found.sha256) {
            return Err(StateFault::Digest);
        }
        let mut state = FlashState { sequence: found.sequence, sector, ..FlashState::NEW };
        for (app, word) in state.apps.iter_mut().zip(found.apps) {
            *app = AppState::from_word(word).ok_or(StateFault::Value)?;
        }
        let zeros = found.reserved == 0 && found.reserved_end.iter().all(|&byte| byte == 0);
        zeros.then_some(state).ok_or(StateFault::Value)
    }

    /// Whether this state was written after another.
    pub fn is_newer(&self, other: &FlashState) -> bool {
        self.sequence > other.sequence
    }

    /// The state that counts, of what was read of both sectors; `None` for one that could not be read. What is wrong
    /// with a sector is told. `None` where neither is valid: then each app runs the valid version with the higher
    /// number.
    pub fn choose(
        sectors: [Option<&[u8]>; 2],
        digest: Digest,
        mut tell: impl FnMut(Slot, StateFault),
    ) -> Option<FlashState> {
        let mut chosen: Option<FlashState> = None;
        for (slot, bytes) in Slot::ALL.into_iter().zip(sectors) {
            match FlashState::parse(bytes, slot, digest) {
                Ok(state) if chosen.is_none_or(|chosen| state.is_newer(&chosen)) => chosen = Some(state),
                Ok(_) => {}
                Err(fault) => tell(slot, fault),
            }
        }
        chosen
    }

    /// The sector that a changed state goes to, from the beginning of the flash, and the bytes of it. The sector that
    /// this state was read from stays as it is. Once the bytes are on the medium, [`FlashState::written`] is the state.
    pub fn encode(&self, digest: Digest) -> (u64, [u8; SECTOR]) {
        let mut sector = StateSector {
            magic: STATE_MAGIC,
            version: STATE_VERSION,
            reserved: 0,
            sequence: self.written().sequence,
            apps: self.apps.map(AppState::word),
            reserved_end: [0; 208],
            sha256: [0; 32],
        };
        sector.sha256 = digest(sector.as_bytes().get(..COVERED).unwrap_or_default());
        (STATE_SECTORS[self.sector.other().index()], zerocopy::transmute!(sector))
    }

    /// This state, after what [`FlashState::encode`] gave was written and flushed.
    #[must_use]
    pub fn written(&self) -> FlashState {
        // The number never comes to its end: that would take a write in each nanosecond for 580 years.
        FlashState { sequence: self.sequence.saturating_add(1), sector: self.sector.other(), ..*self }
    }

    /// How many states were written before this one.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

#[cfg(test)]
mod tests;
