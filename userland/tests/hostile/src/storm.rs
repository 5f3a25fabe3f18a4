//! Every system call with random numbers, pointers and lengths.
//!
//! The seed decides each call, so a run can be repeated; only what the network answers differs. A few arguments are
//! bent so that the storm goes on: no call may block for long, overwrite memory that is the process's own to have
//! overwritten, or print.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use libslop::abi::limits::DESCRIPTORS;
use libslop::abi::{Errno, Rights, STDERR, STDIN, STDOUT, SocketFlags, SocketKind, Syscall, USER_BASE, USER_END};
use libslop::{call, eprintln};

use crate::check::{self, Failed, Words};
use hostile::random::Random;

/// Words on either side of the arena that no call may change.
const BAND: usize = 64;
/// Words of the arena: memory that the kernel is given to write to.
const ARENA: usize = 512;
/// More bytes than any call writes that takes a length larger than what it has.
const LARGEST_INFO: u64 = 1024;
/// How many calls go by between two looks at what must not have changed.
const INTERVAL: u64 = 256;
/// Descriptors that are remembered to be used again, open or not.
const REMEMBERED: usize = 16;

/// The memory that is given to the kernel, between two bands that are not.
static MEMORY: [AtomicU64; BAND + ARENA + BAND] = [const { AtomicU64::new(0) }; BAND + ARENA + BAND];

/// The calls there are, but EXIT, which would end the storm, and RESTRICT_CONNECT, which would soon leave nothing.
const CALLS: [Syscall; 13] = [
    Syscall::Yield,
    Syscall::Sleep,
    Syscall::Open,
    Syscall::Close,
    Syscall::Read,
    Syscall::Write,
    Syscall::Time,
    Syscall::Socket,
    Syscall::Connect,
    Syscall::Poll,
    Syscall::NetInfo,
    Syscall::GrantInfo,
    Syscall::Restrict,
];

/// The flag that every socket of the storm has: a connect must not block for long.
const NONBLOCK: u64 = SocketFlags { nonblock: true, nodelay: false, keepalive: false }.bits();

/// Every errno there is: the only negative answers.
const ERRNOS: [Errno; 14] = [
    Errno::NotFound,
    Errno::Io,
    Errno::BadDescriptor,
    Errno::Again,
    Errno::Access,
    Errno::Fault,
    Errno::Invalid,
    Errno::TooManyOpen,
    Errno::ReadOnly,
    Errno::BrokenPipe,
    Errno::NoSuchCall,
    Errno::ConnectionReset,
    Errno::TimedOut,
    Errno::ConnectionRefused,
];

/// What the answers were.
#[derive(Default)]
struct Tally {
    succeeded: u64,
    failed: [u64; ERRNOS.len()],
}

impl Tally {
    /// Takes an answer; it has to be a number or a known errno.
    fn take(&mut self, answer: i64, number: u64) -> Result<(), Failed> {
        if answer >= 0 {
            self.succeeded += 1;
            return Ok(());
        }
        match ERRNOS.iter().position(|errno| errno.to_return() == answer) {
            Some(index) => self.failed[index] += 1,
            None => return check::fails(format_args!("call {number} answers {answer}, which is no errno")),
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ok={}", self.succeeded)?;
        for (errno, count) in ERRNOS.iter().zip(self.failed).filter(|(_, count)| *count > 0) {
            write!(formatter, " {}={count}", errno.symbol())?;
        }
        Ok(())
    }
}

/// `storm SEED COUNT URL`: that many calls. The one remote that the storm may reach is the URL's.
pub fn storm(words: &mut Words) -> Result<(), Failed> {
    let (seed, count, url) = (words.number()?, words.number()?, words.url()?);
    check::succeeds("narrow to one", call::restrict_connect(url.address.to_bits(), 32, url.port, url.port))?;
    // What could block forever, or print, is given up.
    check::succeeds("give up the input", call::restrict(STDIN, Rights::NONE))?;
    check::succeeds("give up the output", call::restrict(STDOUT, Rights::NONE))?;
    let mut storm = Storm {
        random: Random::new(seed),
        remote: (u64::from(url.address.to_bits()), url.port.into()),
        remembered: [0; REMEMBERED],
    };
    fill_bands();
    let mut tally = Tally::default();
    let mut last_time = check::succeeds("the time", call::time_ms())?;
    for turn in 0..count {
        let number = storm.number();
        let arguments = storm.arguments(number);
        let (answer, kept) = hazard::call_checked(number, &arguments);
        tally.take(answer, number)?;
        check::holds("a call changed a register that it must keep", kept)?;
        if matches!(Syscall::try_from(number), Ok(Syscall::Socket | Syscall::Open)) && answer >= 0 {
            storm.remember(answer as u64);
        }
        if turn % INTERVAL == 0 {
            last_time = sane(last_time)?;
        }
    }
    sane(last_time)?;
    eprintln!("hostile: storm seed={seed} calls={count} {tally}");
    narrow_at_random(&mut storm.random)
}

/// A word of the bands.
fn band(index: usize) -> u64 {
    (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn bands() -> impl Iterator<Item = (usize, &'static AtomicU64)> {
    MEMORY.iter().enumerate().filter(|(index, _)| !(BAND..BAND + ARENA).contains(index))
}

fn fill_bands() {
    bands().for_each(|(index, word)| word.store(band(index), Relaxed));
}

/// The process's own state is what it was: memory, time, grant. Returns the time.
fn sane(last_time: u64) -> Result<u64, Failed> {
    let intact = bands().all(|(index, word)| word.load(Relaxed) == band(index));
    check::holds("a call wrote where it was not asked to", intact)?;
    let time = check::succeeds("the time", call::time_ms())?;
    check::holds("time runs backwards", time >= last_time)?;
    let grant = check::succeeds("ask for the grant", call::grant_info())?;
    check::holds("more sockets are in use than there are", grant.sockets_in_use <= grant.sockets)?;
    check::holds("more is in use than the grant has", grant.in_use <= grant.bytes)?;
    Ok(time)
}

/// The call that the storm leaves out, a thousand times at the end.
fn narrow_at_random(random: &mut Random) -> Result<(), Failed> {
    let mut tally = Tally::default();
    for _ in 0..1_000 {
        let mut arguments: [u64; 6] = core::array::from_fn(|_| random.number() >> random.below(64));
        if random.once_in(2) {
            arguments[0] &= u64::from(u32::MAX);
            arguments[1] %= 40;
            arguments[2] %= 70_000;
            arguments[3] %= 70_000;
        }
        let (answer, kept) = hazard::call_checked(Syscall::RestrictConnect.number(), &arguments);
        tally.take(answer, Syscall::RestrictConnect.number())?;
        check::holds("a call changed a register that it must keep", kept)?;
    }
    eprintln!("hostile: storm narrowed {tally}");
    Ok(())
}

/// What decides the next call.
struct Storm {
    random: Random,
    /// Address and port that may be connected to.
    remote: (u64, u64),
    remembered: [u64; REMEMBERED],
}

impl Storm {
    fn remember(&mut self, descriptor: u64) {
        let place = self.random.below(REMEMBERED as u64) as usize;
        self.remembered[place] = descriptor;
    }

    /// The call's number: mostly one there is.
    fn number(&mut self) -> u64 {
        let known = CALLS[self.random.below(CALLS.len() as u64) as usize].number();
        let number = match self.random.below(32) {
            0 => self.random.number(),
            1 => self.random.below(256),
            2 => known | 1 << 32,
            3 => known | 1 << 63,
            _ => known,
        };
        if matches!(Syscall::try_from(number), Ok(Syscall::Exit | Syscall::RestrictConnect)) { known } else { number }
    }

    /// Arguments that fit the call's kinds of argument, or not at all.
    fn arguments(&mut self, number: u64) -> [u64; 6] {
        let mut arguments: [u64; 6] = core::array::from_fn(|_| self.anything());
        if !self.random.once_in(4) {
            let (pointer, length) = self.memory();
            let descriptor = self.descriptor();
            let fitting = match Syscall::try_from(number) {
                Ok(Syscall::Open) => [pointer, length.min(20), 0, 0],
                Ok(Syscall::Read | Syscall::Write) => [descriptor, pointer, length, 0],
                Ok(Syscall::Connect) if self.random.once_in(2) => {
                    [descriptor, self.remote.0, self.remote.1, self.random.below(50)]
                }
                Ok(Syscall::Connect) => [descriptor, self.anything(), self.random.below(70_000), self.random.below(50)],
                Ok(Syscall::Poll) => [pointer, length / 8, 0, 0],
                Ok(Syscall::NetInfo | Syscall::GrantInfo) => [pointer, length, 0, 0],
                Ok(Syscall::Socket) => [self.random.below(3), self.random.below(16), 0, 0],
                Ok(Syscall::Restrict) => [descriptor, self.random.below(10), 0, 0],
                _ => [descriptor, pointer, length, 0],
            };
            arguments[..4].copy_from_slice(&fitting);
        }
        self.bend(number, &mut arguments);
        arguments
    }

    /// Changes what would end the storm, make it wait, or let the kernel rightly overwrite this program.
    fn bend(&mut self, number: u64, arguments: &mut [u64; 6]) {
        let [first, second, third, ..] = arguments;
        match Syscall::try_from(number) {
            Ok(Syscall::Sleep) => *first = u64::from(self.random.once_in(64)),
            Ok(Syscall::Poll) => *third = u64::from(self.random.once_in(64)),
            Ok(Syscall::Socket) if *first == SocketKind::Stream as u64 => *second |= NONBLOCK,
            // The last words of this program are said by this descriptor.
            Ok(Syscall::Close | Syscall::Restrict | Syscall::Write) if *first == STDERR as u64 => {
                *first = STDOUT as u64;
            }
            _ => {}
        }
    }

    /// A number that may be anything.
    fn anything(&mut self) -> u64 {
        match self.random.below(6) {
            0 => self.random.below(8),
            1 => self.random.below(70_000),
            2 => 1 << self.random.below(64),
            3 => (1_u64 << self.random.below(64)).wrapping_neg(),
            _ => outside(self.random.number()),
        }
    }

    /// A descriptor's number: open, closed, or none at all.
    fn descriptor(&mut self) -> u64 {
        match self.random.below(8) {
            0 => self.random.below(2 * DESCRIPTORS as u64),
            1 => self.anything(),
            _ => self.remembered[self.random.below(REMEMBERED as u64) as usize],
        }
    }

    /// An address and a length: of the arena, of code, or of what is not the process's.
    fn memory(&mut self) -> (u64, u64) {
        let huge = outside(self.random.number());
        let length = [0, 1, 8, 64, 4096, 1 << 31, u64::MAX, huge][self.random.below(8) as usize];
        let address = match self.random.below(10) {
            0 => self.random.below(4096),
            1 => 0xffff_ffff_8010_0000 + self.random.below(16 << 20),
            2 => 0xffff_8000_0000_0000 + self.random.below(1 << 30),
            3 => outside(self.random.number()),
            4 => hazard::code_address() + self.random.below(256),
            5 => USER_END - 4096 - self.random.below(16),
            6 => USER_BASE - self.random.below(16),
            _ => {
                // What lies after the arena is the process's own too, so what is written has to end in it. Of a length
                // that cannot be right NET_INFO and GRANT_INFO still take what they need.
                let bytes = 8 * ARENA as u64;
                let wrong = length > USER_END;
                let offset = self.random.below(if wrong { bytes - LARGEST_INFO } else { bytes });
                let length = if wrong { length } else { length.min(bytes - offset) };
                return (hazard::address(&MEMORY[BAND]) + offset, length);
            }
        };
        // At the stack's end and after the code lies more of the process.
        match address {
            USER_BASE..USER_END if length < USER_END => (address, length.clamp(16, 64)),
            _ => (address, length),
        }
    }
}

/// The number, or one beyond the process's addresses where it would be among them.
fn outside(number: u64) -> u64 {
    if (USER_BASE..USER_END).contains(&number) { number + USER_END } else { number }
}
