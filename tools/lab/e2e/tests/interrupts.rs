//! Interrupt messages that no device was told to send, and lines that nobody claims.

use slopos_e2e::qtest::Qtest;
use slopos_e2e::{Report, attack_board, board, built, qtest, run_beside, run_with_steps};
use slopos_lab::servers::{Answer, answering};
use slopos_run::{Builder, Transport};
use std::sync::mpsc::{Receiver, channel};

/// How a message is delivered (Intel SDM volume 3, section 11.11.2): to a vector, to the one of lowest priority, as an
/// NMI, as if from the 8259.
const DELIVERIES: [u32; 4] = [0, 1, 4, 7];
/// Messages of a storm.
const STORM: u32 = 20_000;

/// A server with one short page.
fn page() -> String {
    answering(Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n".to_vec()))
}

/// Boots a board, does `deeds` beside it once the console has said `when`, and lets it go on when they are done.
///
/// The board is to wait for a key, so that it does not end before that.
fn beside(board: Builder, when: &str, deeds: impl FnOnce(&mut Qtest) + Send) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = qtest::Socket::new(folder.path());
    let board = socket.open(board);
    let (begin, begun) = channel();
    let (end, ended): (_, Receiver<()>) = channel();
    let work = move || {
        let mut registers = socket.connect()?;
        if begun.recv().is_ok() {
            deeds(&mut registers);
        }
        drop(end);
        Ok(())
    };
    let step = Box::new(move || {
        begin.send(()).expect("the thread waits");
        // It drops its end when the deeds are done.
        let _done = ended.recv();
    });
    run_beside(work, || run_with_steps(board, vec![(when, step)]))
}

fn send(board: &mut Qtest, data: u32) {
    board.message(data).unwrap_or_else(|why| panic!("{why:#}"));
}

fn every_vector(board: &mut Qtest) {
    for delivery in DELIVERIES {
        for vector in 0..=255 {
            // Edge and level, which stays to be ended.
            send(board, delivery << 8 | vector);
            send(board, 1 << 15 | 1 << 14 | delivery << 8 | vector);
        }
    }
}

#[test]
fn a_message_with_any_vector_leaves_an_idle_board_well() {
    let url = page();
    let board = board().append("sleep 3; help").when("exit  ", format!("webget {url}; exit\r"));
    // The prompt comes behind the answer; the board waits for the network and for keys while the messages come.
    let report = beside(board, "exit  ", every_vector);
    report.exits(0).shows("HTTP/1.1 200 OK").lacks("panic: ").logs("interrupt: nobody expected").logs("nmi: ignored");
}

#[test]
fn a_message_with_any_vector_leaves_a_busy_board_well() {
    let url = page();
    let board = attack_board()
        .append("start accomplice hog spin; start hostile hog call; help")
        .when("exit  ", format!("webget {url}; exit\r"));
    let report = beside(board, "exit  ", |board| (0..3).for_each(|_| every_vector(board)));
    report.exits(0).shows("HTTP/1.1 200 OK").lacks("panic: ").logs("interrupt: nobody expected");
}

#[test]
fn a_storm_of_messages_is_kept_out_and_the_board_goes_on() {
    let url = page();
    let board =
        attack_board().append("start accomplice hog spin; help").when("exit  ", format!("webget {url}; exit\r"));
    let report = beside(board, "exit  ", |board| (0..STORM).for_each(|_| send(board, 0x77)));
    report.exits(0).shows("HTTP/1.1 200 OK").lacks("panic: ").logs("interrupt: nobody expected vector 0x77");
    let told = report.outcome.log.iter().filter(|line| line.contains("nobody expected")).count();
    assert!(told < 30, "{told} lines\n{}", report.all());
}

/// QEMU's `edu` device (docs/specs/edu.rst in its sources): writing here raises its pin, and lowers it again.
const EDU: [u16; 1] = [0x11e8];
const EDU_VENDOR: u16 = 0x1234;
const EDU_RAISE: u64 = 0x60;
const EDU_LOWER: u64 = 0x64;

/// A network device that interrupts by pin, and a device without a driver whose pin is on the same line.
fn with_shared_line(board: Builder) -> Builder {
    board.network_properties("vectors=0,addr=0x4").arguments(["-device", "edu,addr=0x8"])
}

fn edu(board: &mut Qtest, register: u64) {
    let mut set = || -> anyhow::Result<()> {
        let device = board.find(EDU_VENDOR, &EDU)?;
        let base = u64::from(board.configuration(device, 0x10)? & !0xf);
        board.set_word(base + register, 1)
    };
    set().unwrap_or_else(|why| panic!("{why:#}"));
}

#[test]
fn a_held_line_that_nobody_claims_is_masked_and_the_network_goes_on() {
    let url = page();
    let board = with_shared_line(attack_board())
        .append("start accomplice hog spin; help")
        .when("exit  ", format!("webget {url}; sleep 1; webget {url}; exit\r"));
    let report = beside(board, "exit  ", |board| edu(board, EDU_RAISE));
    report.exits(0).logs("interrupt: nobody claims a line");
    assert_eq!(report.outcome.console.matches("webget: done status=200").count(), 2, "{}", report.all());
    let told = report.outcome.log.iter().filter(|line| line.contains("nobody claims a line")).count();
    assert!(told < 10, "{told} lines\n{}", report.all());
}

#[test]
fn a_held_line_of_the_flash_is_masked_though_the_network_sends_messages() {
    let url = page();
    let drive = format!("if=none,id=own,format=raw,snapshot=on,file={}", built("qemu_q35-attack.img").display());
    let board = attack_board()
        .disk(Transport::None)
        .arguments(["-drive", &drive, "-device", "virtio-blk-pci,drive=own,vectors=0,addr=0x5"])
        .arguments(["-device", "edu,addr=0x9"])
        .append("start accomplice hog spin; help")
        .when("exit  ", format!("webget {url}; hostile lines 1; exit\r"));
    let report = beside(board, "exit  ", |board| edu(board, EDU_RAISE));
    report.exits(0).shows("webget: done status=200").logs("interrupt: nobody claims a line");
}

#[test]
fn a_line_that_falls_again_brings_interrupts_again() {
    let url = page();
    let board =
        with_shared_line(attack_board()).append("help").when("exit  ", format!("sleep 2; webget {url}; exit\r"));
    let report = beside(board, "exit  ", |board| {
        edu(board, EDU_RAISE);
        std::thread::sleep(std::time::Duration::from_millis(200));
        edu(board, EDU_LOWER);
    });
    report.exits(0).shows("webget: done status=200");
}
