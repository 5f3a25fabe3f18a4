//! Tells whether this machine may be one of several copies: it goes on from a snapshot, from which others can go on
//! too. All of them would have the same secrets, and with them sequence numbers, ports and transactions.
//!
//! Where the hypervisor keeps an identifier of the machine's generation (VMGenID), it has changed then; it is compared
//! in each pass of the loop and before each connection. Else, or where somebody has given two copies the same
//! identifier, a jump of the time of day tells it, looked for once in a second and before a connection. A copy that
//! goes on within [`JUMP_SECONDS`](slopos_q35::rtc::JUMP_SECONDS) of its snapshot, or whose time of day stood still
//! meanwhile, is not noticed without the identifier.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use slopos_kernel::time::{Duration, Instant};
use slopos_q35::acpi::GENERATION_BYTES;
use slopos_q35::rtc::{Jump, Rtc};
use slopos_registers::Hardware;
use slopos_x86_64::cpuid::Features;
use slopos_x86_64::entropy::{Renewal, gather};
use slopos_x86_64::paging::KernelSpace;
use slopos_x86_64::start_info::StartInfo;

/// How old the last look at the time of day may be when a connection is made. Each look takes some microseconds.
const LOOK_BEFORE_CONNECTION: Duration = Duration::from_millis(10);

/// The identifier of the machine's generation, as two words.
type Identifier = [AtomicU64; 2];
const _: () = assert!(size_of::<Identifier>() == GENERATION_BYTES);

/// The identifier, and what it was.
pub struct Generation {
    place: &'static Identifier,
    seen: [u64; 2],
}

impl Generation {
    /// The identifier that the firmware's tables place at this physical address, if that is memory.
    pub fn find(address: u64, info: &StartInfo, space: &mut KernelSpace) -> Option<Generation> {
        let last = address.checked_add(GENERATION_BYTES as u64 - 1)?;
        let is_memory = info.memory.iter().any(|range| {
            let end = range.start.saturating_add(range.length);
            (range.start..end).contains(&address) && (range.start..end).contains(&last)
        });
        if !is_memory {
            defmt::warn!("boot: the generation identifier should be at {=u64:#x}, and there is no memory", address);
            return None;
        }
        let place = space.map_constant(address, GENERATION_BYTES as u64)?.cast::<Identifier>();
        // SAFETY: just mapped, for ever, and aligned, as the tables' reader has checked; the hypervisor alone writes
        // it.
        let place = unsafe { &*place };
        let generation = Generation { place, seen: read(place) };
        defmt::info!("boot: a copy of this machine is told by the generation identifier at {=u64:#x}", address);
        Some(generation)
    }
}

fn read(place: &Identifier) -> [u64; 2] {
    [place[0].load(Relaxed), place[1].load(Relaxed)]
}

/// What tells copies apart.
pub struct Copies {
    generation: Option<Generation>,
    jump: Jump,
    /// When the time of day was looked at.
    looked: Instant,
    /// Draws new seeds, once there is a first one.
    renewal: Option<Renewal>,
}

impl Copies {
    /// Begins with the time of day, at `now`.
    pub fn new(generation: Option<Generation>, now: Instant) -> Copies {
        let mut jump = Jump::default();
        jump.note(clock().seconds(), now.as_micros());
        Copies { generation, jump, looked: now, renewal: None }
    }

    /// The first seed is drawn. What has happened until then counts when [`Copies::renew`] is called next.
    pub fn begin(&mut self, seed: &[u8; 32]) {
        self.renewal = Some(Renewal::new(seed));
    }

    /// Whether the hypervisor says that the machine is another than it was.
    #[inline]
    pub fn is_other_generation(&self) -> bool {
        self.generation.as_ref().is_some_and(|generation| read(generation.place) != generation.seen)
    }

    /// Whether [`Copies::renew`] is to be asked before a connection is made.
    pub fn is_look_due(&self, now: Instant) -> bool {
        self.is_other_generation() || now.since(self.looked) >= LOOK_BEFORE_CONNECTION
    }

    /// Another seed, if this may be a copy.
    #[inline(never)]
    pub fn renew(&mut self, now: Instant) -> Option<[u8; 32]> {
        let renewal = self.renewal.as_mut()?;
        let mut identifier = [0; 2];
        let mut other = false;
        if let Some(generation) = &mut self.generation {
            identifier = read(generation.place);
            other = core::mem::replace(&mut generation.seen, identifier) != identifier;
        }
        self.looked = now;
        let jumped = self.jump.note(clock().seconds(), now.as_micros());
        if !other && jumped.is_none() {
            return None;
        }
        let [first, second] = identifier.map(u64::to_le_bytes);
        let extra = [&clock().registers()[..], &first, &second, &now.as_micros().to_le_bytes()];
        let gathered = gather(&Features::detect(), &extra);
        match jumped {
            Some(seconds) if !other => defmt::warn!(
                "net: new secrets from processor={=bool}, because the time of day has jumped by {=i64} s",
                gathered.processor,
                seconds
            ),
            _ => defmt::warn!(
                "net: new secrets from processor={=bool}, because the generation identifier has changed",
                gathered.processor
            ),
        }
        Some(renewal.draw(&gathered))
    }
}

fn clock() -> Rtc<Hardware> {
    // SAFETY: nobody else uses the clock's ports between the two accesses of a register.
    unsafe { Rtc::new(Hardware) }
}
