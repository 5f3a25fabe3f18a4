//! Descriptors that were guessed or closed, rights that were given up, remotes that were never granted.

use core::net::Ipv4Addr;
use core::time::Duration;

use libslop::abi::Readiness;
use libslop::abi::limits::DESCRIPTORS;
use libslop::abi::poll::Entry;
use libslop::abi::{Errno, Rights, STDERR, STDIN, STDOUT, Syscall};
use libslop::{Region, Socket, SocketFlags, call, poll};

use crate::check::{self, Failed, Words};
use hostile::random::Random;

/// Numbers above the console's that are guessed one after the other: more than a hundred uses of each index.
const GUESSES: u64 = 4096;
/// Numbers that are guessed at random.
const RANDOM_GUESSES: u32 = 20_000;
/// How often an index is given out, closed and given out again.
const REUSES: u32 = 1_000;
/// The region that the manifest gives to this program.
const SCRATCH: &str = "scratch";

/// `descriptors`: guesses numbers, uses closed ones, and fills the table.
pub fn descriptors(_: &mut Words) -> Result<(), Failed> {
    (3..GUESSES).try_for_each(is_bad)?;
    let mut random = Random::new(0);
    for _ in 0..RANDOM_GUESSES {
        let number = random.number();
        is_bad(number | 1 << 31)?;
        is_bad(number)?;
    }
    reuse()?;
    fill()
}

/// No call takes this number for a descriptor.
fn is_bad(number: u64) -> Result<(), Failed> {
    let mut byte = [0u8];
    let memory = hazard::address_mut(&mut byte);
    for (what, call, arguments) in [
        ("read a guess", Syscall::Read.number(), [number, memory, 1, 0]),
        ("write a guess", Syscall::Write.number(), [number, memory, 1, 0]),
        ("connect a guess", Syscall::Connect.number(), [number, 0, 1, 1]),
        ("restrict a guess", Syscall::Restrict.number(), [number, 0, 0, 0]),
        ("close a guess", Syscall::Close.number(), [number, 0, 0, 0]),
    ] {
        check::raw_refused(what, call, arguments, Errno::BadDescriptor)?;
    }
    let Ok(descriptor) = i32::try_from(number) else { return Ok(()) };
    let mut set = [Entry { descriptor, interest: Readiness::READABLE, ready: Readiness::NONE }];
    check::equal("poll a guess", poll(&mut set, Some(Duration::ZERO)), Ok(1))?;
    check::equal("what a guess is ready for", set[0].ready, Readiness::INVALID)
}

/// A number that was closed stays bad while others use its index.
fn reuse() -> Result<(), Failed> {
    let mut stale = [None; 8];
    for round in 0..REUSES {
        let socket = check::succeeds("open a socket", Socket::stream(SocketFlags::default()))?;
        let number = socket.descriptor().number();
        for old in stale.into_iter().flatten() {
            check::holds("a number is given out twice", old != number)?;
            is_bad(old as u64)?;
        }
        check::succeeds("close a socket", socket.close())?;
        is_bad(number as u64)?;
        stale[round as usize % stale.len()] = Some(number);
    }
    Ok(())
}

/// The table gives out what it has and no more, and takes it back.
fn fill() -> Result<(), Failed> {
    for _ in 0..3 {
        let mut open = [const { None }; DESCRIPTORS];
        for place in open.iter_mut().skip(3) {
            *place = Some(check::succeeds("open a region", Region::open(SCRATCH))?);
        }
        let socket = Socket::stream(SocketFlags::default()).map(|_| ());
        check::refused("a socket beyond the table", socket, Errno::TooManyOpen)?;
        check::refused("a region beyond the table", Region::open(SCRATCH).map(|_| ()), Errno::TooManyOpen)?;
        for region in open.into_iter().flatten() {
            check::succeeds("close a region", region.close())?;
        }
    }
    Ok(())
}

/// `rights`: uses what it gave up, and asks for it back.
pub fn rights(_: &mut Words) -> Result<(), Failed> {
    let socket = check::succeeds("open a socket", Socket::stream(SocketFlags::default()))?;
    let number = socket.descriptor().number();
    check::equal(
        "give up connecting",
        socket.descriptor().restrict(Rights::READ | Rights::WRITE),
        Ok(Rights::READ | Rights::WRITE),
    )?;
    for kept in [Rights::ALL, Rights::CONNECT, Rights::READ | Rights::WRITE | Rights::CONNECT] {
        let left = check::succeeds("ask for all rights", socket.descriptor().restrict(kept))?;
        check::equal("a right comes back", left & Rights::CONNECT, Rights::NONE)?;
        check::refused("connect without the right", call::connect(number, 0x0a00_0202, 80, 1), Errno::BadDescriptor)?;
    }
    let unknown = [number as u64, 8, 0, 0];
    check::raw_refused("a right that there is not", Syscall::Restrict.number(), unknown, Errno::Invalid)?;
    check::refused("write to the input", call::write(STDIN, b"x"), Errno::BadDescriptor)?;
    for output in [STDOUT, STDERR] {
        check::refused("read from the output", call::read(output, &mut [0]), Errno::BadDescriptor)?;
        check::refused("connect the console", call::connect(output, 0x0a00_0202, 80, 1), Errno::BadDescriptor)?;
    }
    check::equal("give up the input", call::restrict(STDIN, Rights::NONE), Ok(Rights::NONE))?;
    check::refused("read without the right", call::read(STDIN, &mut [0]), Errno::BadDescriptor)?;
    check::equal("ask for the input", call::restrict(STDIN, Rights::ALL), Ok(Rights::NONE))
}

/// Remotes that no manifest here grants. None of them is anybody's: a packet that leaves all the same hurts nobody.
const OUTSIDE: [Ipv4Addr; 6] = [
    Ipv4Addr::new(10, 0, 3, 2),
    Ipv4Addr::new(10, 0, 1, 255),
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(198, 51, 100, 7),
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::BROADCAST,
];

/// `remotes URL`: connects to where it may not, and tries to widen what it has narrowed. Nobody listens at the URL.
pub fn remotes(words: &mut Words) -> Result<(), Failed> {
    let url = words.url()?;
    let (address, port) = (url.address, url.port);
    let other_port = if port == 1 { 2 } else { port - 1 };
    let before = check::succeeds("ask for the grant", call::grant_info())?.denials;
    let mut denials = 0;
    let mut denied = |address, port| {
        denials += 1;
        check::refused("connect without authority", connect(address, port), Errno::Access)
    };
    for outside in OUTSIDE {
        for port in [1, 80, 443, 65_535] {
            denied(outside, port)?;
        }
    }
    check::refused("connect with authority", connect(address, port), Errno::ConnectionRefused)?;

    for (prefix, first, last) in [(33, 1, 2), (255, 1, 2), (32, 0, 1), (32, 2, 1)] {
        let result = call::restrict_connect(address.to_bits(), prefix, first, last);
        check::refused("narrow to what makes no sense", result, Errno::Invalid)?;
    }
    check::succeeds("narrow to one port", call::restrict_connect(address.to_bits(), 32, port, port))?;
    check::refused("connect to what is left", connect(address, port), Errno::ConnectionRefused)?;
    denied(address, other_port)?;
    check::succeeds("narrow to everybody", call::restrict_connect(0, 0, 1, 65_535))?;
    check::succeeds("narrow to the neighbours", call::restrict_connect(address.to_bits(), 24, 1, 65_535))?;
    denied(address, other_port)?;
    denied(Ipv4Addr::new(10, 0, 2, 3), port)?;
    check::refused("connect to what is left", connect(address, port), Errno::ConnectionRefused)?;
    check::succeeds("narrow to nobody", call::restrict_connect(Ipv4Addr::new(192, 0, 2, 0).to_bits(), 24, 1, 65_535))?;
    denied(address, port)?;
    denied(Ipv4Addr::new(192, 0, 2, 1), port)?;
    let after = check::succeeds("ask for the grant", call::grant_info())?.denials;
    check::equal("each denial is counted", after - before, denials)
}

fn connect(address: Ipv4Addr, port: u16) -> Result<(), libslop::Error> {
    Socket::stream(SocketFlags::default())?.connect(address, port, Some(Duration::from_secs(10)))
}
