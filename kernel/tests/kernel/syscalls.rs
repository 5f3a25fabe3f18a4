//! What each system call does, and what it refuses.

use crate::fixture::{Fixture, fixture};
use crate::support::{MEMORY, kernel_of};
use slopos_abi::flash::AppVersion;
use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo, network};
use slopos_abi::limits::DESCRIPTORS;
use slopos_abi::poll::{self, Entry};
use slopos_abi::{ENTROPY_NAME, Errno, Readiness, RemoteRange, Rights, SocketFlags, Syscall};
use slopos_host_log::Token;
use slopos_kernel::objects::{Object, SocketId, SocketIndex};
use slopos_kernel::process::ConsoleAccess;
use slopos_kernel::process::ProcessId;
use slopos_kernel::process::ProcessSet;
use slopos_kernel::process::{Configuration, Restart};
use slopos_kernel::processor::Call;
use slopos_kernel::processor::Trap;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::Instant;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

const READ: u64 = Rights::READ.bits() as u64;
const WRITE: u64 = Rights::WRITE.bits() as u64;
const ALL: u64 = Rights::ALL.bits() as u64;
const NONBLOCK: u64 = SocketFlags { nonblock: true, nodelay: false, keepalive: false }.bits();

#[test]
fn unknown_numbers_are_enosys() {
    let mut fixture = fixture();
    for number in [2, 131, 255, 256, u64::MAX] {
        assert_eq!(fixture.call(number, &[]), Some(Err(Errno::NoSuchCall)));
    }
}

#[test]
fn bad_pointers_are_efault_and_nothing_is_consumed() {
    let mut fixture = fixture();
    fixture.objects.input = b"data".to_vec();
    for (address, length) in [(0, 1), (MEMORY, 4097), (MEMORY + 4000, 100), (u64::MAX, 2), (MEMORY, u64::MAX)] {
        assert_eq!(fixture.call(Syscall::Read, &[0, address, length]), Some(Err(Errno::Fault)));
        assert_eq!(fixture.call(Syscall::Write, &[1, address, length]), Some(Err(Errno::Fault)));
    }
    assert_eq!(fixture.objects.input, b"data");
    assert!(fixture.objects.output.is_empty());
}

#[test]
fn the_console_is_denied_where_the_manifest_does_not_grant_it() {
    const fn granted(console: ConsoleAccess) -> Configuration {
        let (arguments, opens): (&[&str], &[&str]) = (&[], &[]);
        let restart = Restart::Never;
        Configuration {
            name: "p",
            app: "app",
            minimum_version: AppVersion::new(0),
            arguments,
            start_at_boot: false,
            opens,
            restart,
            priority: 3,
            console,
        }
    }
    static GRANTED: [[Configuration; 1]; 3] =
        [[granted(ConsoleAccess::None)], [granted(ConsoleAccess::Output)], [granted(ConsoleAccess::Input)]];
    for (configurations, reads, writes, denials) in
        [(&GRANTED[0], false, false, 3), (&GRANTED[1], false, true, 1), (&GRANTED[2], true, true, 0)]
    {
        let mut fixture = fixture();
        fixture.kernel = kernel_of(configurations);
        fixture.cpu.start_all(&mut fixture.kernel);
        fixture.objects.input = b"key".to_vec();
        for (number, call, allowed) in
            [(0, Syscall::Read, reads), (1, Syscall::Write, writes), (2, Syscall::Write, writes)]
        {
            let expected = if allowed { Ok(3) } else { Err(Errno::Access) };
            assert_eq!(fixture.call(call, &[number, MEMORY, 3]), Some(expected));
        }
        assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().denials, denials);
        assert_eq!(fixture.call(Syscall::Read, &[1, MEMORY, 3]), Some(Err(Errno::BadDescriptor)), "the wrong way");
    }
}

#[test]
fn a_read_without_data_blocks_until_woken() {
    let mut fixture = fixture();
    assert_eq!(fixture.call(Syscall::Read, &[0, MEMORY, 10]), None);
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(1), None);
    fixture.objects.input = b"hello".to_vec();
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(2), Some(Ok(5)));
    assert_eq!(&fixture.cpu.memory[0][..5], b"hello");
}

#[test]
fn what_a_read_waits_for_can_be_put_into_its_buffer_and_nothing_else_can() {
    let mut fixture = fixture();
    let socket = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    let object = Object::Socket(SocketIndex(1));
    let length = |fixture: &mut Fixture, object: Object, range: Range<usize>| {
        let Fixture { kernel, cpu, .. } = fixture;
        kernel.waiting_reader(ProcessId::new(0), &object, range, cpu, &Token).map(|buffer| buffer.len())
    };
    assert_eq!(length(&mut fixture, object, 0..1), None, "it does not wait");
    assert_eq!(fixture.call(Syscall::Read, &[socket, MEMORY + 100, 10]), None);
    for wanted in [Object::Socket(SocketIndex(0)), Object::Console] {
        assert_eq!(length(&mut fixture, wanted, 0..1), None, "it waits for another object");
    }
    for outside in [0..11, 10..11, 5..5, usize::MAX..usize::MAX, 1..usize::MAX] {
        assert_eq!(length(&mut fixture, object, outside), None);
    }
    assert_eq!(length(&mut fixture, object, 0..10), Some(10));
    let Fixture { kernel, cpu, .. } = &mut fixture;
    kernel.waiting_reader(ProcessId::new(0), &object, 4..6, cpu, &Token).unwrap().fill(7);
    assert_eq!(fixture.cpu.memory[0].iter().position(|&byte| byte == 7), Some(104));
    // Woken, it is still in its read until it runs.
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(length(&mut fixture, object, 0..10), Some(10));
    fixture.objects.input = b"!".to_vec();
    assert_eq!(fixture.step(1), Some(Ok(1)));
    assert_eq!(length(&mut fixture, object, 0..1), None);
    assert_eq!(fixture.call(Syscall::Sleep, &[socket, MEMORY, 10]), None);
    assert_eq!(length(&mut fixture, object, 0..1), None, "another call with the same arguments");
    fixture.kernel.kill(ProcessId::new(0), &mut fixture.objects, Instant::BOOT, &Token);
    assert_eq!(length(&mut fixture, object, 0..1), None);
}

#[test]
fn a_read_that_was_delivered_to_is_complete_without_asking_the_capsule() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    let socket = SocketId { process: ProcessId::new(0), index: SocketIndex(1) };
    let deliver = |fixture: &mut Fixture, written: &[u8], length: usize| {
        let Fixture { kernel, cpu, .. } = fixture;
        let mut readers = kernel.readers(cpu, &Token);
        let buffer = readers.buffer(socket, written.len());
        let has_room = buffer.map(|buffer| buffer.copy_from_slice(written)).is_some();
        readers.deliver(socket, length);
        has_room
    };
    assert!(!deliver(&mut fixture, b"abc", 3), "it does not wait");
    assert_eq!(fixture.call(Syscall::Read, &[descriptor, MEMORY + 100, 10]), None);
    assert!(deliver(&mut fixture, b"abc", 3));
    assert!(deliver(&mut fixture, b"damaged", 0), "what is written and not delivered means nothing");
    assert!(deliver(&mut fixture, b"defg", 4));
    assert!(!deliver(&mut fixture, b"hijk", 4), "there is room for three more");
    // What the capsule has besides is for the next read.
    fixture.objects.input = b"!".to_vec();
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(1), Some(Ok(7)));
    assert_eq!(&fixture.cpu.memory[0][100..107], b"abcdefg");
    assert_eq!(fixture.objects.input, b"!");
    assert_eq!(fixture.call(Syscall::Read, &[descriptor, MEMORY + 100, 10]), Some(Ok(1)));
}

#[test]
fn what_was_delivered_ends_with_the_process() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    let socket = SocketId { process: ProcessId::new(0), index: SocketIndex(1) };
    assert_eq!(fixture.call(Syscall::Read, &[descriptor, MEMORY, 10]), None);
    let Fixture { kernel, cpu, objects, .. } = &mut fixture;
    for other in [SocketIndex(0), SocketIndex(2)] {
        let other = SocketId { index: other, ..socket };
        assert_eq!(kernel.readers(cpu, &Token).buffer(other, 1), None, "it waits for another socket");
    }
    kernel.readers(cpu, &Token).deliver(socket, 3);
    kernel.kill(ProcessId::new(0), objects, Instant::BOOT, &Token);
    assert_eq!(kernel.readers(cpu, &Token).buffer(socket, 1), None);
    kernel.readers(cpu, &Token).deliver(socket, 3);
}

#[test]
fn a_connect_is_booked_once_whether_it_wins_or_times_out() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, NONBLOCK]).unwrap().unwrap();
    let connect = [descriptor, 0x0a00_0202, 80, 0];
    fixture.objects.connect = vec![Err(Errno::Again), Ok(()), Ok(())];
    assert_eq!(fixture.call(Syscall::Connect, &connect), Some(Err(Errno::Again)));
    assert_eq!(fixture.ledger(), 0);
    assert_eq!(fixture.call(Syscall::Connect, &connect), Some(Ok(0)));
    assert_eq!(fixture.call(Syscall::Connect, &connect), Some(Ok(0)));
    assert_eq!(fixture.ledger(), 10);
    let second = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    fixture.objects.connect = vec![Err(Errno::TimedOut)];
    assert_eq!(fixture.call(Syscall::Connect, &[second, 1, 80, 0]), Some(Err(Errno::TimedOut)));
    assert_eq!(fixture.ledger(), 0);
}

#[test]
fn a_denied_connect_counts_as_denial_and_not_in_the_ledger() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    fixture.objects.connect = vec![Err(Errno::Access)];
    assert_eq!(fixture.call(Syscall::Connect, &[descriptor, 1, 80, 0]), Some(Err(Errno::Access)));
    assert_eq!(fixture.ledger(), 0);
    assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().denials, 1);
}

#[test]
fn connect_refuses_numbers_that_are_no_address_or_port() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    for (address, port) in [(1 << 32, 80), (1, 0), (1, 65_536)] {
        assert_eq!(fixture.call(Syscall::Connect, &[descriptor, address, port, 0]), Some(Err(Errno::Invalid)));
    }
}

#[test]
fn giving_up_writing_is_a_half_close_and_cannot_be_taken_back() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    assert_eq!(fixture.call(Syscall::Restrict, &[descriptor, READ]), Some(Ok(READ)));
    assert_eq!(fixture.objects.shut_down, 1);
    assert_eq!(fixture.call(Syscall::Restrict, &[descriptor, ALL]), Some(Ok(READ)));
    assert_eq!(fixture.call(Syscall::Write, &[descriptor, MEMORY, 1]), Some(Err(Errno::BadDescriptor)));
    assert_eq!(fixture.call(Syscall::Restrict, &[descriptor, 8]), Some(Err(Errno::Invalid)));
}

#[test]
fn exit_closes_every_descriptor() {
    let mut fixture = fixture();
    fixture.call(Syscall::Socket, &[1, 0]);
    assert_eq!(fixture.call(Syscall::Exit, &[7]), None);
    let process = fixture.kernel.process(ProcessId::new(0)).unwrap();
    assert_eq!((process.status(), process.open_descriptors()), (Some(7), 0));
    assert_eq!(fixture.objects.closed, 4);
    assert!(fixture.objects.abandoned.is_empty());
    assert_eq!(fixture.objects.exited, [0]);
}

fn poll_set(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.as_bytes().to_vec()).collect()
}

#[test]
fn poll_reports_what_is_ready_and_flags_what_is_not_open() {
    let mut fixture = fixture();
    let entries = [
        Entry { descriptor: 1, interest: Readiness::WRITABLE, ready: Readiness::NONE },
        Entry { descriptor: 9, interest: Readiness::READABLE, ready: Readiness::NONE },
        Entry { descriptor: -1, interest: Readiness::READABLE, ready: Readiness::ALL },
    ];
    fixture.cpu.memory[0][..24].copy_from_slice(&poll_set(&entries));
    fixture.objects.ready = Readiness::WRITABLE | Readiness::READABLE;
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY, 3, poll::FOREVER]), Some(Ok(2)));
    let ready = |index: usize| Entry::read_from_bytes(&fixture.cpu.memory[0][index * 8..][..8]).unwrap().ready;
    assert_eq!((ready(0), ready(1), ready(2)), (Readiness::WRITABLE, Readiness::INVALID, Readiness::NONE));
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY, 33, 0]), Some(Err(Errno::Invalid)));
}

#[test]
fn poll_times_out_with_zero() {
    let mut fixture = fixture();
    fixture.cpu.memory[0][..8].copy_from_slice(&poll_set(&[Entry {
        descriptor: 0,
        interest: Readiness::READABLE,
        ready: Readiness::NONE,
    }]));
    assert_eq!(fixture.call(Syscall::Poll, &[MEMORY, 1, 20]), None);
    fixture.kernel.wake_expired(Instant::from_millis(20));
    assert_eq!(fixture.step(20), Some(Ok(0)));
}

#[test]
fn only_regions_of_the_manifest_can_be_opened() {
    let mut fixture = fixture();
    fixture.cpu.memory[0][..7].copy_from_slice(b"scratch");
    fixture.cpu.memory[0][8..14].copy_from_slice(b"secret");
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY, 7]), Some(Ok(3)));
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY + 8, 6]), Some(Err(Errno::NotFound)));
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY, 4000]), Some(Err(Errno::NotFound)));
}

#[test]
fn the_entropy_device_is_opened_to_be_read_and_no_more() {
    let mut fixture = fixture();
    fixture.cpu.memory[0][..7].copy_from_slice(ENTROPY_NAME.as_bytes());
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY, 7]), Some(Ok(3)));
    assert_eq!(fixture.call(Syscall::Restrict, &[3, 7]), Some(Ok(Rights::READ.bits().into())));
    fixture.objects.input = b"random".to_vec();
    assert_eq!(fixture.call(Syscall::Read, &[3, MEMORY, 4]), Some(Ok(4)));
    assert_eq!(fixture.call(Syscall::Write, &[3, MEMORY, 4]), Some(Err(Errno::BadDescriptor)));
    assert_eq!(fixture.call(Syscall::Sync, &[3]), Some(Err(Errno::BadDescriptor)));
}

#[test]
fn a_full_descriptor_table_asks_nothing_of_the_network() {
    let mut fixture = fixture();
    while let Some(Ok(_)) = fixture.call(Syscall::Socket, &[1, 0]) {}
    assert_eq!(fixture.objects.sockets, DESCRIPTORS as u16 - 3);
    assert_eq!(fixture.call(Syscall::Socket, &[1, 0]), Some(Err(Errno::TooManyOpen)));
    assert_eq!(fixture.objects.sockets, DESCRIPTORS as u16 - 3);
}

#[test]
fn the_connect_list_is_narrowed_to_a_range_that_makes_sense() {
    let mut fixture = fixture();
    let network = 0x0a00_0200;
    assert_eq!(fixture.call(Syscall::RestrictConnect, &[network, 24, 80, 90]), Some(Ok(0)));
    let range = RemoteRange { address: [10, 0, 2, 0].into(), prefix: 24, first_port: 80, last_port: 90 };
    assert_eq!(fixture.objects.restricted, [range]);
    for bad in [
        [1 << 32, 24, 80, 90],
        [network, 33, 80, 90],
        [network, 256, 80, 90],
        [network, 24, 0, 90],
        [network, 24, 90, 80],
        [network, 24, 80, 65_536],
    ] {
        assert_eq!(fixture.call(Syscall::RestrictConnect, &bad), Some(Err(Errno::Invalid)), "{bad:?}");
    }
    assert_eq!(fixture.objects.restricted.len(), 1);
}

#[test]
fn grant_info_is_followed_by_as_many_sockets_as_there_is_room_for() {
    let mut fixture = fixture();
    let (grant, socket) = (size_of::<GrantInfo>() as u64, size_of::<SocketInfo>() as u64);
    for (room, written) in [
        (0, 0),
        (8, 8),
        (grant, grant),
        (grant + socket - 1, grant),
        (grant + socket, grant + socket),
        (grant + 5 * socket, grant + 2 * socket),
    ] {
        assert_eq!(fixture.call(Syscall::GrantInfo, &[MEMORY, room]), Some(Ok(written)), "room for {room}");
    }
    let second = SocketInfo::read_from_bytes(&fixture.cpu.memory[0][(grant + socket) as usize..][..socket as usize]);
    assert_eq!(second.unwrap().local_port, 1_001);
}

#[test]
fn net_info_tells_a_process_without_network_nothing_of_others_traffic() {
    for without_network in [false, true] {
        let mut fixture = fixture();
        fixture.objects.without_network = without_network;
        let size = size_of::<NetInfo>() as u64;
        assert_eq!(fixture.call(Syscall::NetInfo, &[MEMORY, size]), Some(Ok(size)));
        let info = NetInfo::read_from_bytes(&fixture.cpu.memory[0][..size as usize]).unwrap();
        let traffic = [
            info.receive_frames,
            info.receive_bytes,
            info.receive_dropped,
            info.transmit_frames,
            info.transmit_bytes,
            info.retransmits,
        ];
        assert_eq!(traffic, if without_network { [0; 6] } else { [1, 2, 3, 4, 5, 6] });
        assert_eq!((info.address, info.lease_seconds), ([10, 0, 2, 15], 60), "the address is no secret");
        assert_eq!(info.flags, network::DEVICE | network::LINK);
    }
}

#[test]
fn a_process_that_asks_for_what_it_may_not_have_writes_a_line_a_second() {
    let mut fixture = fixture();
    fixture.objects.without_network = true;
    let before = slopos_host_log::lines();
    for millisecond in 0..10_000 {
        let calls = [(Syscall::Socket.number(), [1, 0]), (Syscall::Open.number(), [MEMORY, 4])];
        let (number, arguments) = calls[millisecond as usize % 2];
        let mut all = [0; 6];
        all[..2].copy_from_slice(&arguments);
        fixture.cpu.traps[0].push_back(Trap::SystemCall(Call { number, arguments: all }));
        assert!(matches!(fixture.step(millisecond), Some(Err(_))));
    }
    // Each line may come with another that says how many were left out.
    let lines = slopos_host_log::lines() - before;
    assert!((8..=2 * (8 + 10)).contains(&lines), "{lines} lines");
    assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().denials, 10_000);
}

#[test]
fn sync_waits_for_the_device_and_needs_the_right_to_write() {
    let mut fixture = fixture();
    fixture.objects.synced = vec![Err(Errno::Again), Err(Errno::Again), Ok(()), Err(Errno::Io)];
    assert_eq!(fixture.call(Syscall::Sync, &[1]), None);
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(0), None, "it still waits");
    fixture.kernel.wake(ProcessSet::ALL);
    assert_eq!(fixture.step(0), Some(Ok(0)));
    assert_eq!(fixture.call(Syscall::Sync, &[1]), Some(Err(Errno::Io)));
    assert_eq!(fixture.call(Syscall::Sync, &[0]), Some(Err(Errno::BadDescriptor)), "it may only be read");
    assert_eq!(fixture.call(Syscall::Sync, &[9]), Some(Err(Errno::BadDescriptor)));
}

#[test]
fn what_waits_to_be_written_can_be_had_from_its_buffer_and_nothing_else_can() {
    let mut fixture = fixture();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    let object = Object::Socket(SocketIndex(1));
    fixture.cpu.memory[0][100..110].copy_from_slice(b"0123456789");
    let part = |fixture: &mut Fixture, object: Object, range: Range<usize>| {
        let Fixture { kernel, cpu, .. } = fixture;
        kernel.waiting_writer(ProcessId::new(0), &object, range, cpu, &Token).map(<[u8]>::to_vec)
    };
    assert_eq!(part(&mut fixture, object, 0..1), None, "it does not wait");
    fixture.objects.full = true;
    assert_eq!(fixture.call(Syscall::Write, &[descriptor, MEMORY + 100, 10]), None);
    assert_eq!(part(&mut fixture, object, 0..10).unwrap(), b"0123456789");
    assert_eq!(part(&mut fixture, object, 4..6).unwrap(), b"45");
    assert_eq!(part(&mut fixture, object, 9..10).unwrap(), b"9");
    for outside in [0..11, 10..11, 5..5, usize::MAX..usize::MAX, 1..usize::MAX] {
        assert_eq!(part(&mut fixture, object, outside), None);
    }
    assert_eq!(part(&mut fixture, Object::Console, 0..1), None, "it waits for another object");
    let Fixture { kernel, cpu, .. } = &mut fixture;
    let reader = kernel.waiting_reader(ProcessId::new(0), &object, 0..1, cpu, &Token);
    assert_eq!(reader, None, "it does not wait to read");
}

#[test]
fn a_denied_console_hides_no_other_descriptor_and_is_said_once() {
    let mut fixture = fixture();
    fixture.kernel = kernel_of(&WITHOUT_CONSOLE);
    fixture.cpu.start_all(&mut fixture.kernel);
    fixture.objects.input = b"data".to_vec();
    let before = slopos_host_log::lines();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    for call in [Syscall::Read, Syscall::Write] {
        assert_eq!(fixture.call(call, &[descriptor, MEMORY, 4]), Some(Ok(4)));
        assert_eq!(fixture.call(call, &[9, MEMORY, 4]), Some(Err(Errno::BadDescriptor)));
    }
    assert_eq!(slopos_host_log::lines(), before);
    for _ in 0..3 {
        assert_eq!(fixture.call(Syscall::Write, &[1, MEMORY, 4]), Some(Err(Errno::Access)));
    }
    assert_eq!(slopos_host_log::lines(), before + 1);
    // What it closed is not denied, but no longer there.
    assert_eq!(fixture.call(Syscall::Close, &[1]), Some(Ok(0)));
    assert_eq!(fixture.call(Syscall::Write, &[1, MEMORY, 4]), Some(Err(Errno::BadDescriptor)));
    assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().denials, 3);
}

#[test]
fn a_command_that_is_not_allowed_is_a_denial_and_is_logged_within_a_budget() {
    let mut fixture = fixture();
    let before = slopos_host_log::lines();
    let descriptor = fixture.call(Syscall::Socket, &[1, 0]).unwrap().unwrap();
    fixture.objects.denies_commands = true;
    for _ in 0..100 {
        assert_eq!(fixture.call(Syscall::Write, &[descriptor, MEMORY, 4]), Some(Err(Errno::Access)));
    }
    assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().denials, 100);
    assert_eq!(slopos_host_log::lines() - before, slopos_kernel::log_budget::LOG_BURST as usize);
}

#[test]
fn a_name_that_only_begins_like_a_granted_one_opens_nothing() {
    let mut fixture = fixture();
    fixture.kernel = kernel_of(&WITHOUT_CONSOLE);
    fixture.cpu.start_all(&mut fixture.kernel);
    fixture.cpu.memory[0][..17].copy_from_slice(b"sixteen letters!?");
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY, 17]), Some(Err(Errno::NotFound)));
    assert_eq!(fixture.call(Syscall::Open, &[MEMORY, 15]), Some(Err(Errno::NotFound)));
    let descriptor = fixture.call(Syscall::Open, &[MEMORY, 16]).unwrap().unwrap();
    let both = READ | WRITE;
    assert_eq!(fixture.call(Syscall::Restrict, &[descriptor, ALL]), Some(Ok(both)));
}

static WITHOUT_CONSOLE: [Configuration; 1] = [Configuration {
    name: "p",
    app: "app",
    minimum_version: AppVersion::new(0),
    arguments: &[],
    start_at_boot: false,
    opens: &["sixteen letters!"],
    restart: Restart::Never,
    priority: 3,
    console: ConsoleAccess::None,
}];

#[test]
fn each_call_is_counted_and_the_time_is_that_since_boot() {
    let mut fixture = fixture();
    for millis in [0, 7, 12_345] {
        fixture.cpu.traps[0].push_back(Trap::SystemCall(Call { number: Syscall::Time.number(), arguments: [0; 6] }));
        assert_eq!(fixture.step(millis), Some(Ok(millis)));
    }
    assert_eq!(fixture.kernel.process(ProcessId::new(0)).unwrap().calls, 3);
}
