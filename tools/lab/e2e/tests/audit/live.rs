//! What the audit sees of a running board, and of one that panicked.

use crate::kernel;
use slopos_audit::live::{Live, LiveGrant, look, look_at_board};
use slopos_audit::value::Space;
use slopos_audit::{Image, Memory};
use slopos_e2e::{Step, board, run, run_with_steps, test_board};
use slopos_lab::files;
use slopos_lab::servers::{Answer, answering, response};
use slopos_manifest::Expanded;
use slopos_run::{Transport, Verdict, verdict};
use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a board has for what it is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks at the board until `enough` has happened.
#[track_caller]
fn watch(image: &Image, manifest: &Expanded, socket: &Path, enough: impl Fn(&Live) -> bool) -> Live {
    let end = Instant::now() + LIMIT;
    loop {
        let live = look_at_board(image, manifest, socket).unwrap_or_else(|why| panic!("{why:#}"));
        assert_eq!(live.disagreements(), Vec::<String>::new());
        if enough(&live) {
            return live;
        }
        assert!(Instant::now() < end, "the board never came to what the test waits for\n{live:#?}");
    }
}

/// The network grant of webget.
fn grant(live: &Live) -> &LiveGrant {
    let webget = live.processes.iter().find(|process| process.name == "webget").expect("webget");
    &webget.grants[0]
}

#[test]
fn a_download_is_seen_from_outside_and_leaves_nothing_behind() {
    let (image, manifest) = kernel("qemu_q35");
    let (_, other_manifest) = kernel("qemu_q35-test");
    let (other, _) = kernel("qemu_q35-test");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("qmp");
    // What webget prints takes its time, so the rest of the body waits in the receive buffer.
    let body: Vec<u8> = files::bytes(1_500_000).iter().map(|byte| b'a' + byte % 26).collect();
    let url = answering(Answer::Bytes(response(&body)));
    let last = RefCell::new(None);
    let during = Box::new(|| {
        let full = |live: &Live| grant(live).sockets.iter().any(|socket| socket.receive_bytes > 0);
        let live = watch(&image, &manifest, &socket, full);
        let grant = grant(&live);
        let socket_of_it = grant.sockets.iter().find(|socket| socket.receive_bytes > 0).expect("the socket");
        assert_eq!(socket_of_it.phase, "Connected");
        assert!(["Established", "CloseWait"].contains(&socket_of_it.state.as_str()), "{socket_of_it:?}");
        assert!(socket_of_it.remote.starts_with("10.0.2.2:") && socket_of_it.local.starts_with("10.0.2.15:"));
        assert!(socket_of_it.in_use > socket_of_it.receive_bytes);
        assert!(socket_of_it.high_water >= socket_of_it.in_use && grant.high_water >= grant.in_use);
        assert_eq!((socket_of_it.receive_size, socket_of_it.send_size), (1_048_576, 16_384));
        let webget = live.processes.iter().find(|process| process.name == "webget").expect("webget");
        assert_eq!((webget.starts, webget.wins, webget.losses, webget.ledger), (1, 1, 0, 10));
        assert!(["Ready", "Waiting"].contains(&webget.state.as_str()), "{}", webget.state);
        assert!(live.counters.iter().any(|(name, count)| name == "tcp.established" && *count == 1));

        let refusal = look_at_board(&other, &other_manifest, &socket).expect_err("another build").to_string();
        assert!(refusal.contains("another build"), "{refusal}");
    });
    let after = Box::new(|| {
        // A connection that waits in TIME-WAIT for a minute keeps its record, and no byte of data.
        let over = |live: &Live| {
            let mut sockets = grant(live).sockets.iter();
            let is_over = sockets.all(|socket| socket.phase == "Free" || socket.state == "TimeWait");
            is_over && live.processes[0].state == "Stopped"
        };
        let live = watch(&image, &manifest, &socket, over);
        for socket in &grant(&live).sockets {
            assert_eq!((socket.receive_bytes, socket.out_of_order_bytes, socket.send_bytes), (0, 0, 0));
            assert!(socket.phase == "Orphan" || socket.in_use == 0, "{socket:?}");
        }
        *last.borrow_mut() = Some(live);
    });
    let steps: Vec<Step<'_>> = vec![("HTTP/1.1 200 OK", during), ("webget: done", after)];
    let board = board().monitor(&socket).append(format!("webget {url}; sleep 20; grants; exit"));
    let report = run_with_steps(board, steps);
    report.exits(0);

    // The kernel, asked on its console, says the same.
    let live = last.into_inner().expect("the board was looked at after the download");
    let (seen, said) = (grant(&live), report.grant("webget"));
    let seen = [seen.high_water, seen.denials, seen.drops, seen.recycled];
    assert_eq!(seen, ["high_water", "denials", "drops", "recycled"].map(|name| said.figure(name)));
    assert!(seen[0] > 0);
}

#[test]
fn a_panic_leaves_a_dump_that_can_be_looked_into() {
    let (image, manifest) = kernel("qemu_q35-test");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dump");
    let board = test_board().network(Transport::None).dump_on_panic(&file);
    let report = run(board.append("faults null-read; panic; exit"));
    assert_eq!(verdict(report.outcome.code), Verdict::Panic, "{}", report.all());
    let memory = Memory::of_dump(&file).unwrap_or_else(|why| panic!("{why:#}\n{}", report.all()));
    let live = look(&image, &manifest, &memory).unwrap_or_else(|why| panic!("{why:#}"));
    let process = |name: &str| live.processes.iter().find(|process| process.name == name).expect("a process");
    assert_eq!((process("faults").starts, process("faults").state.as_str()), (1, "Stopped"));
    assert_eq!(process("webget").starts, 0);
    assert!(process("webget").grants[0].sockets.iter().all(|socket| socket.phase == "Free"));
    let space = Space { image: &image, memory: &memory };
    let panicking = space.named("slopos_board_pc::panic::PANICKING").and_then(|value| value.truth());
    assert!(panicking.unwrap_or_else(|why| panic!("{why:#}")));

    let (other, other_manifest) = kernel("qemu_q35");
    assert!(look(&other, &other_manifest, &memory).is_err(), "a dump of another build was believed");
}

#[test]
fn a_board_that_does_not_panic_leaves_no_dump() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dump");
    run(test_board().network(Transport::None).dump_on_panic(&file).append("exit")).exits(0);
    assert!(!file.exists());
}

#[test]
fn where_no_board_runs_the_cure_is_named() {
    let (image, manifest) = kernel("qemu_q35");
    let refusal = look_at_board(&image, &manifest, Path::new("/nowhere/qmp")).expect_err("nobody answers");
    assert!(refusal.to_string().contains("./just run"), "{refusal:#}");
}
