//! What the calls for sockets hand on, and when they wait.

use crate::fixture::{Fixture, fixture};
use crate::support::MEMORY;
use slopos_abi::limits::DESCRIPTORS;
use slopos_abi::poll::{self, Entry};
use slopos_abi::{Endpoint, Errno, Readiness, RemoteRange, Rights, SocketFlags, Syscall};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::syscall::CONNECT_LIMIT;
use slopos_kernel::time::{Duration, Instant};
use zerocopy::{FromBytes, IntoBytes};

const NONBLOCK: u64 = SocketFlags { nonblock: true, nodelay: false, keepalive: false }.bits();
const WAITS: u64 = SocketFlags { nonblock: false, nodelay: true, keepalive: true }.bits();

/// Keeps these rights; those that are left.
fn restrict(fixture: &mut Fixture, descriptor: u64, keep: Rights) -> Option<Result<Rights, Errno>> {
    let left = fixture.call(Syscall::Restrict, &[descriptor, keep.bits().into()]);
    left.map(|left| left.map(|left| Rights::try_from(left).unwrap()))
}

/// A socket with these flags.
fn open(fixture: &mut Fixture, flags: u64) -> u64 {
    fixture.call(Syscall::Socket, &[1, flags]).unwrap().unwrap()
}

#[test]
fn a_socket_of_another_kind_or_with_flags_that_do_not_exist_is_invalid() {
    let mut fixture = fixture();
    for (kind, flags) in [(0, 0), (2, 0), (u64::MAX, 0), (1, 8), (1, 1 << 63), (1, 15), (2, 8)] {
        assert_eq!(fixture.call(Syscall::Socket, &[kind, flags]), Some(Err(Errno::Invalid)), "{kind} {flags}");
    }
    assert_eq!(fixture.objects.sockets, 0);
    for flags in 0..8 {
        open(&mut fixture, flags);
    }
    assert_eq!(fixture.objects.sockets, 8);
}

#[test]
fn a_nonblocking_socket_answers_at_once_and_another_waits() {
    for (flags, waits) in [(NONBLOCK, false), (WAITS, true)] {
        for call in [Syscall::Read, Syscall::Write, Syscall::Connect] {
            let mut fixture = fixture();
            let descriptor = open(&mut fixture, flags);
            fixture.objects.full = true;
            fixture.objects.connect = vec![Err(Errno::Again), Err(Errno::Again), Ok(())];
            let arguments = match call {
                Syscall::Connect => [descriptor, 1, 80, 0],
                _ => [descriptor, MEMORY, 3, 0],
            };
            let expected = if waits { None } else { Some(Err(Errno::Again)) };
            assert_eq!(fixture.call(call, &arguments), expected, "{call:?} of a socket with flags {flags}");
            if !waits {
                continue;
            }
            assert_eq!(fixture.kernel.next_deadline(), None, "the object knows until when");
            fixture.kernel.wake(ProcessSet::ALL);
            assert_eq!(fixture.step(1), None, "it still waits");
            (fixture.objects.full, fixture.objects.input) = (false, b"abc".to_vec());
            fixture.kernel.wake(ProcessSet::ALL);
            assert_eq!(fixture.step(2), Some(Ok(if call == Syscall::Connect { 0 } else { 3 })));
        }
    }
}

#[test]
fn a_connect_tries_as_long_as_the_caller_says_or_the_protocol_does() {
    let mut fixture = fixture();
    let descriptor = open(&mut fixture, NONBLOCK);
    for (timeout_ms, limit) in [(0, CONNECT_LIMIT), (1, Duration::from_millis(1)), (7_000, Duration::from_secs(7))] {
        fixture.objects.connect = vec![Err(Errno::Again)];
        fixture.call(Syscall::Connect, &[descriptor, 0x0a00_0203, 65_535, timeout_ms]);
        let remote = Endpoint { address: [10, 0, 2, 3].into(), port: 65_535 };
        assert_eq!(fixture.objects.connecting.take(), Some((remote, Instant::BOOT + limit)));
    }
}

#[test]
fn only_what_the_manifest_denies_is_a_denial_and_each_socket_of_it_is_logged_within_a_budget() {
    let mut fixture = fixture();
    let before = slopos_host_log::lines();
    fixture.objects.out_of_sockets = true;
    for _ in 0..100 {
        assert_eq!(fixture.call(Syscall::Socket, &[1, 0]), Some(Err(Errno::TooManyOpen)));
    }
    let denials = |fixture: &Fixture| fixture.kernel.process(ProcessId::new(0)).unwrap().denials;
    assert_eq!((denials(&fixture), slopos_host_log::lines() - before), (0, 0));
    fixture.objects.without_network = true;
    for _ in 0..100 {
        assert_eq!(fixture.call(Syscall::Socket, &[1, 0]), Some(Err(Errno::Access)));
    }
    assert_eq!(denials(&fixture), 100);
    assert_eq!(slopos_host_log::lines() - before, slopos_kernel::log_budget::LOG_BURST as usize);
}

#[test]
fn nothing_is_moved_where_nothing_is_asked_for() {
    let mut fixture = fixture();
    let descriptor = open(&mut fixture, 0);
    fixture.objects.full = true;
    for call in [Syscall::Read, Syscall::Write] {
        assert_eq!(fixture.call(call, &[descriptor, MEMORY, 0]), Some(Ok(0)));
    }
}

#[test]
fn a_closed_descriptor_is_let_go_of_once_and_named_no_longer() {
    let mut fixture = fixture();
    let descriptor = open(&mut fixture, 0);
    assert_eq!(fixture.call(Syscall::Close, &[descriptor]), Some(Ok(0)));
    assert_eq!(fixture.objects.closed, 1);
    for call in [Syscall::Close, Syscall::Read, Syscall::Write, Syscall::Connect] {
        assert_eq!(fixture.call(call, &[descriptor, MEMORY, 1, 0]), Some(Err(Errno::BadDescriptor)));
    }
    assert_eq!(fixture.objects.closed, 1);
}

#[test]
fn only_giving_up_writing_shuts_the_write_side_and_only_once() {
    let mut fixture = fixture();
    let descriptor = open(&mut fixture, 0);
    for (keep, left, shut_down) in [
        (Rights::READ | Rights::WRITE, Rights::READ | Rights::WRITE, 0),
        (Rights::ALL, Rights::READ | Rights::WRITE, 0),
        (Rights::WRITE, Rights::WRITE, 0),
        (Rights::READ, Rights::NONE, 1),
        (Rights::NONE, Rights::NONE, 1),
    ] {
        assert_eq!(restrict(&mut fixture, descriptor, keep), Some(Ok(left)));
        assert_eq!(fixture.objects.shut_down, shut_down, "keeping {keep:?}");
    }
    let other = open(&mut fixture, 0);
    for (keep, shut_down) in [(Rights::READ | Rights::CONNECT, 2), (Rights::READ, 2), (Rights::NONE, 2)] {
        assert_eq!(restrict(&mut fixture, other, keep), Some(Ok(keep)));
        assert_eq!(fixture.objects.shut_down, shut_down, "keeping {keep:?}");
    }
    assert_eq!(restrict(&mut fixture, 99, Rights::NONE), Some(Err(Errno::BadDescriptor)));
}

#[test]
fn the_connect_list_may_be_narrowed_to_one_port_of_one_address_or_to_all() {
    let mut fixture = fixture();
    for (prefix, first_port, last_port) in [(32, 443, 443), (0, 1, 65_535)] {
        let arguments = [0x0a00_0202, prefix, first_port, last_port];
        assert_eq!(fixture.call(Syscall::RestrictConnect, &arguments), Some(Ok(0)));
        let range = fixture.objects.restricted.pop().unwrap();
        let [first_port, last_port] = [first_port, last_port].map(|port| port as u16);
        assert_eq!(range, RemoteRange { address: [10, 0, 2, 2].into(), prefix: prefix as u8, first_port, last_port });
    }
}

/// Asks for one descriptor's readiness; answers what the call says and what was found.
fn poll(
    fixture: &mut Fixture,
    interest: Readiness,
    found: Readiness,
    timeout_ms: u64,
) -> (Option<Result<u64, Errno>>, Readiness) {
    let entry = Entry { descriptor: 0, interest, ready: Readiness::NONE };
    fixture.cpu.memory[0][..8].copy_from_slice(entry.as_bytes());
    fixture.objects.ready = found;
    let result = fixture.call(Syscall::Poll, &[MEMORY, 1, timeout_ms]);
    (result, Entry::read_from_bytes(&fixture.cpu.memory[0][..8]).unwrap().ready)
}

#[test]
fn poll_tells_of_errors_and_hangups_whether_they_are_asked_for_or_not() {
    let mut fixture = fixture();
    let always = Readiness::ERROR | Readiness::HANGUP;
    for interest in [
        Readiness::NONE,
        Readiness::READABLE,
        Readiness::ERROR,
        Readiness::HANGUP,
        always | Readiness::READABLE,
        u16::MAX.into(),
    ] {
        for found in [Readiness::ERROR, Readiness::HANGUP, always] {
            assert_eq!(poll(&mut fixture, interest, found, 0), (Some(Ok(1)), found), "{interest:?} {found:?}");
        }
    }
    assert_eq!(poll(&mut fixture, Readiness::READABLE, Readiness::WRITABLE, 0), (Some(Ok(0)), Readiness::NONE));
}

#[test]
fn poll_waits_until_its_timeout_or_for_ever() {
    let mut fixture = fixture();
    assert_eq!(poll(&mut fixture, Readiness::READABLE, Readiness::NONE, 50).0, None);
    assert_eq!(fixture.kernel.next_deadline(), Some(Instant::from_millis(50)));
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(49), None);
    assert_eq!(fixture.kernel.next_deadline(), Some(Instant::from_millis(50)), "as the first try fixed it");
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(50), Some(Ok(0)));
    fixture.kernel.wake_expired(Instant::from_millis(50));
    assert_eq!(poll(&mut fixture, Readiness::READABLE, Readiness::NONE, poll::FOREVER).0, None);
    assert_eq!(fixture.kernel.next_deadline(), None);
    fixture.objects.ready = Readiness::READABLE;
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(1_000_000), Some(Ok(1)));
}

#[test]
fn poll_takes_as_many_entries_as_there_can_be_descriptors() {
    let mut fixture = fixture();
    let entries = [Entry { descriptor: 1, interest: Readiness::WRITABLE, ready: Readiness::NONE }; DESCRIPTORS];
    fixture.cpu.memory[0][..size_of_val(&entries)].copy_from_slice(entries.as_bytes());
    fixture.objects.ready = Readiness::WRITABLE;
    let count = DESCRIPTORS as u64;
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY, count, 0]), Some(Ok(count)));
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY, count + 1, 0]), Some(Err(Errno::Invalid)));
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY + 4096 - 8, 2, 0]), Some(Err(Errno::Fault)));
}
