//! A network device that falls silent while the board runs: it reads as ones, or is told otherwise by somebody else.

use anyhow::Context;
use slopos_e2e::qtest::{Function, Qtest};
use slopos_e2e::{Report, board, qtest, run_with_steps};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Builder, Transport};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The command register of a PCI function, and its bits for memory and for ports.
const COMMAND: u8 = 0x04;
const MEMORY: u32 = 2;
const PORTS: u32 = 1;
/// The network device's identities.
const NETWORK: [u16; 2] = [0x1000, 0x1041];
/// QEMU's PCI Express root port.
const ROOT_PORT: (u16, u16) = (0x1b36, 0x000c);

/// Boots a board that carries out `commands`, and does `work` beside it once it has its lease and says "no such".
fn run_beside(board: Builder, commands: &str, work: impl FnOnce(&mut Qtest) -> anyhow::Result<()> + Send) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = qtest::Socket::new(folder.path());
    let board = socket.open(board.append(format!("begin; {commands}")));
    let (begin, begun) = channel();
    let work = move || {
        let mut registers = socket.connect()?;
        begun.recv().context("the board begins")?;
        work(&mut registers)
    };
    let step = Box::new(move || begin.send(()).expect("somebody waits"));
    slopos_e2e::run_beside(work, || run_with_steps(board, vec![("begin: no such command", step)]))
}

/// Changes bits of a function's command register.
fn command(board: &mut Qtest, function: Function, clear: u32, set: u32) -> anyhow::Result<()> {
    // The upper half are status bits that writing ones would clear.
    let value = board.configuration(function, COMMAND)? & 0xffff;
    board.set_configuration(function, COMMAND, value & !clear | set)
}

/// Lines of the log that are about the device.
fn lines(report: &Report) -> Vec<&str> {
    report.outcome.log.iter().filter(|line| line.starts_with("virtio-net: ")).map(String::as_str).collect()
}

/// A device whose port passes nothing on for nine seconds is told of once, and used again after that.
#[track_caller]
fn is_lost_and_comes_back(transport: Transport, space: u32, condition: &str, broken: &str) {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let commands = format!("sleep 8; net; sleep 9; net; webget {url}; exit");
    let report = run_beside(board().root_port(true).network(transport), &commands, move |registers| {
        // The kernel does not touch the port.
        let port = registers.find(ROOT_PORT.0, &[ROOT_PORT.1])?;
        command(registers, port, space, 0)?;
        std::thread::sleep(Duration::from_secs(9));
        command(registers, port, 0, space)
    });
    report.exits(0).shows(&format!("device: {condition}, next try in ")).shows("a page to be seen");
    let lines = lines(&report);
    assert!(lines[1].starts_with(&format!("virtio-net: broken: {broken}")), "{}", report.all());
    assert!(lines.last().is_some_and(|line| line.starts_with("virtio-net: ready ")), "{}", report.all());
    // One line for each change of its state, not for each try.
    assert!((3..=4).contains(&lines.len()), "{}", report.all());
}

#[test]
fn a_device_that_reads_as_ones_is_gone_and_comes_back_when_it_returns() {
    is_lost_and_comes_back(Transport::Legacy, PORTS, "gone", "Gone");
}

#[test]
fn a_device_that_reads_as_zeros_has_failed_and_comes_back_when_it_returns() {
    // QEMU reads memory that nobody answers at as zeros.
    is_lost_and_comes_back(Transport::Modern, MEMORY, "failed", "Stopped");
}

/// A device that somebody else has told not to answer answers again a moment later, and fetches a page.
#[track_caller]
fn answers_again(transport: Transport, work: impl FnOnce(&mut Qtest, Function) -> anyhow::Result<()> + Send) {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let commands = format!("sleep 5; net; webget {url}; exit");
    let report = run_beside(board().network(transport), &commands, move |registers| {
        let device = registers.find(0x1af4, &NETWORK)?;
        work(registers, device)
    });
    report.exits(0).shows("device has ").shows("a page to be seen");
    assert_eq!(lines(&report).len(), 3, "{}", report.all());
}

#[test]
fn a_device_whose_memory_was_switched_off_is_switched_on_again() {
    answers_again(Transport::Modern, |registers, device| command(registers, device, MEMORY, 0));
}

#[test]
fn a_legacy_device_whose_ports_were_switched_off_is_switched_on_again() {
    answers_again(Transport::Legacy, |registers, device| command(registers, device, PORTS | MEMORY, 0));
}

#[test]
fn a_device_that_forgot_where_it_was_is_told_again() {
    answers_again(Transport::Modern, |registers, device| {
        command(registers, device, 7, 0)?;
        (0..6).try_for_each(|bar| registers.set_configuration(device, 0x10 + 4 * bar, 0))
    });
}

#[test]
fn a_device_that_is_switched_off_again_and_again_is_not_reset_again_and_again() {
    let report = run_beside(board(), "sleep 12; net; exit", |registers| {
        let device = registers.find(0x1af4, &NETWORK)?;
        for _ in 0..1_000 {
            command(registers, device, MEMORY, 0)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    });
    report.exits(0);
    // In ten seconds of pauses that double there is room for seven tries; each may be told as started and as broken.
    let lines = lines(&report);
    assert!((2..=20).contains(&lines.len()), "{} lines\n{}", lines.len(), report.all());
}
