//! What processes may ask for, and when the process console carries it out.

use super::*;
use crate::tests::{console_with, next, type_line};
use slopos_host_log::Token;
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Two processes that may ask; process 1 may not.
const FIRST: ProcessId = ProcessId::new(0);
const NOBODY: ProcessId = ProcessId::new(1);
const OTHER: ProcessId = ProcessId::new(2);

const ALLOWED: &[&str] = &["webget", "ps", "exit", "start", "kill", "sleep"];

/// The requests of a board with these processes.
pub(crate) fn requests<'a>() -> Requests<'a> {
    let request = || {
        let line = Box::leak(Box::new(RequestLine::new()));
        Some(Box::leak(Box::new(Request::new("metadata", ALLOWED, line))))
    };
    Requests::new(Grant::new(Box::leak(Box::new([request(), None, request()]))))
}

fn status(requests: &mut Requests<'_>, process: ProcessId) -> Result<Option<i32>, Errno> {
    let mut bytes = [0; 8];
    let count = requests.read(process, &mut bytes)?;
    Ok((count > 0).then(|| i32::from_le_bytes(bytes[..count].try_into().expect("four bytes"))))
}

/// Writes a command and asks for its status.
fn ask(requests: &mut Requests<'_>, process: ProcessId, command: &str) {
    assert_eq!(requests.write(process, command.as_bytes()), Ok(command.len()));
    assert_eq!(status(requests, process), Err(Errno::Again));
}

#[test]
fn a_process_without_the_key_reaches_nothing() {
    let mut requests = requests();
    for process in [NOBODY, ProcessId::new(3), ProcessId::new(63)] {
        assert_eq!(requests.open(process), Err(Errno::Access));
        assert_eq!(requests.write(process, b"ps"), Err(Errno::Access));
        assert_eq!(requests.read(process, &mut [0; 4]), Err(Errno::Access));
        assert_eq!(requests.readiness(process), Readiness::ERROR);
        assert_eq!(requests.figures(process, &Token), None);
        requests.forget(process);
    }
    assert_eq!(requests.open(FIRST), Ok(()));
    assert_eq!((requests.next(None), requests.has_ready()), (None, false));
}

#[test]
fn a_line_is_one_command_of_printable_ascii() {
    let mut requests = requests();
    let long = [b'x'; ASKED_COMMAND_MAX + 1];
    for wrong in [
        &b""[..],
        b"   ",
        b"ps;",
        b"ps; exit",
        b";ps",
        b"ps\nexit",
        b"ps\n",
        b"ps\r",
        b"ps\0",
        b"ps\x1b[A",
        b"ps\x7f",
        b"ps\tx",
        "ps \u{e4}".as_bytes(),
        b"ps \xff",
        b"webget \"",
        b"webget a\"b\"; exit",
        b"webget \"a;b\" ; exit",
        b"ps x",
        b"start",
        b"sleep soon",
        &long,
    ] {
        assert_eq!(requests.write(FIRST, wrong), Err(Errno::Invalid), "{:?}", String::from_utf8_lossy(wrong));
    }
    let longest = format!("webget {}", "x".repeat(ASKED_COMMAND_MAX - 7));
    for right in ["ps", " ps ", "webget \"a;b\" c", "\"ps\"", longest.as_str()] {
        assert_eq!(requests.write(FIRST, right.as_bytes()), Ok(right.len()), "{right}");
    }
}

#[test]
fn each_word_that_decides_has_to_be_named() {
    let mut requests = requests();
    for (command, allowed) in [
        ("webget http://10.0.2.2/", true),
        ("start webget", true),
        ("kill webget", true),
        ("exit", true),
        ("monitor", false),
        ("start monitor", false),
        ("kill monitor", false),
        ("restart webget", false),
        ("stop webget", false),
        ("poweroff", false),
        ("\"poweroff\"", false),
        ("log trace", false),
        ("webge", false),
        ("webgett", false),
        ("PS", false),
        ("panic", false),
    ] {
        let expected = if allowed { Ok(command.len()) } else { Err(Errno::Access) };
        assert_eq!(requests.write(FIRST, command.as_bytes()), expected, "{command}");
    }
}

#[test]
fn a_command_begins_when_its_status_is_asked_for() {
    let mut console = console_with("");
    next(&mut console, 0);
    assert_eq!(console.requests.write(FIRST, b"ps"), Ok(2));
    assert_eq!((next(&mut console, 0), console.has_more()), (None, false));
    assert_eq!(console.requests.write(FIRST, b"webget x"), Ok(8), "it takes the place of the one before");
    assert_eq!(status(&mut console.requests, FIRST), Err(Errno::Again));
    assert!(console.has_more());
    assert_eq!(next(&mut console, 0).as_deref(), Some("webget x"));
    assert_eq!(status(&mut console.requests, FIRST), Err(Errno::Again));
    assert_eq!(console.requests.write(FIRST, b"ps"), Err(Errno::Again));
    assert_eq!(console.requests.readiness(FIRST), Readiness::NONE);
    console.finished(7);
    assert_eq!(console.requests.take_ready().each().collect::<Vec<_>>(), [FIRST]);
    assert_eq!(console.requests.readiness(FIRST), Readiness::READABLE | Readiness::WRITABLE);
    assert_eq!(console.requests.read(FIRST, &mut [0; 3]), Err(Errno::Invalid), "nothing is lost");
    assert_eq!(status(&mut console.requests, FIRST), Ok(Some(7)));
    assert_eq!(status(&mut console.requests, FIRST), Ok(None));
    assert_eq!(console.requests.figures(FIRST, &Token), Some(Figures { allowed: ALLOWED, begun: 1 }));
}

#[test]
fn the_status_of_the_console_is_not_that_of_what_processes_ask_for() {
    let mut console = console_with("webget a; exit");
    console.network_ready(true, Instant::BOOT);
    assert_eq!(next(&mut console, 0).as_deref(), Some("webget a"));
    ask(&mut console.requests, FIRST, "ps");
    assert_eq!(next(&mut console, 0), None, "the console does one thing at a time");
    console.finished(3);
    assert_eq!(next(&mut console, 0).as_deref(), Some("exit"), "its own commands go first");
    assert_eq!(console.exit_code(), 19);
}

#[test]
fn exit_ends_with_the_status_of_the_process_s_last_command() {
    let mut console = console_with("");
    next(&mut console, 0);
    console.finished(3);
    next(&mut console, 0);
    for (command, code) in [("webget a", 16), ("exit", 20)] {
        ask(&mut console.requests, FIRST, command);
        assert_eq!(next(&mut console, 0).as_deref(), Some(command));
        assert_eq!(console.exit_code(), code);
        console.finished(4);
        assert_eq!(status(&mut console.requests, FIRST), Ok(Some(4)));
        next(&mut console, 0);
    }
    assert_eq!(console.exit_code(), 19, "of the console's own");
}

#[test]
fn a_process_in_the_foreground_is_served_while_it_waits_and_is_there_again_afterwards() {
    let mut console = console_with("metadata; exit");
    console.network_ready(true, Instant::BOOT);
    assert_eq!(next(&mut console, 0).as_deref(), Some("metadata"));
    console.run_in_foreground(FIRST);
    ask(&mut console.requests, OTHER, "ps");
    assert_eq!((next(&mut console, 0), console.has_more()), (None, false), "another waits");
    ask(&mut console.requests, FIRST, "webget a");
    assert!(console.has_more());
    assert_eq!(next(&mut console, 0).as_deref(), Some("webget a"));
    // What it runs may ask, too.
    console.run_in_foreground(OTHER);
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
    console.sleep_until(Instant::from_millis(5));
    assert_eq!(next(&mut console, 5), None);
    assert_eq!((console.foreground(), status(&mut console.requests, OTHER)), (Some(OTHER), Ok(Some(0))));
    console.finished(5);
    assert_eq!((console.foreground(), status(&mut console.requests, FIRST)), (Some(FIRST), Ok(Some(5))));
    console.finished(6);
    assert_eq!(next(&mut console, 5).as_deref(), Some("exit"));
    assert_eq!(console.exit_code(), 22);
}

#[test]
fn who_asks_in_the_background_comes_back_behind_what_it_had_run() {
    let mut console = console_with("");
    next(&mut console, 0);
    ask(&mut console.requests, FIRST, "webget a");
    assert_eq!(next(&mut console, 0).as_deref(), Some("webget a"));
    console.run_in_foreground(OTHER);
    ask(&mut console.requests, OTHER, "ps");
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
    console.finished(1);
    assert_eq!((console.foreground(), status(&mut console.requests, FIRST)), (Some(OTHER), Err(Errno::Again)));
    console.finished(2);
    assert_eq!((console.foreground(), status(&mut console.requests, FIRST)), (None, Ok(Some(2))));
}

#[test]
fn nobody_keeps_the_console_from_the_others_nor_from_a_person() {
    let mut console = console_with("");
    next(&mut console, 0);
    for round in 0..4 {
        ask(&mut console.requests, FIRST, "ps");
        ask(&mut console.requests, OTHER, "webget a");
        for expected in ["ps", "webget a"] {
            assert!(console.accepts_input(), "keys come first");
            assert_eq!(next(&mut console, 0).as_deref(), Some(expected), "round {round}");
            console.finished(0);
            assert_eq!(next(&mut console, 0), None, "the prompt comes first");
        }
        for process in [FIRST, OTHER] {
            assert_eq!(status(&mut console.requests, process), Ok(Some(0)));
        }
    }
    ask(&mut console.requests, FIRST, "ps");
    type_line(&mut console, "net; kill x\r");
    for expected in ["net", "kill x", ""] {
        let command = next(&mut console, 0);
        assert_eq!(command.as_deref().unwrap_or_default(), expected);
        if command.is_some() {
            console.finished(0);
        }
    }
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
}

#[test]
fn what_is_typed_stays_when_a_command_comes_between() {
    let mut console = console_with("");
    next(&mut console, 0);
    type_line(&mut console, "ne");
    ask(&mut console.requests, FIRST, "ps");
    let mut out = String::new();
    let begun = console.console.next(Instant::BOOT, &mut out, &mut console.requests).expect("a command");
    console.console.give_back(begun, &mut console.requests);
    assert_eq!(out, "\n", "its output begins a line");
    console.finished(0);
    out.clear();
    assert!(console.console.next(Instant::BOOT, &mut out, &mut console.requests).is_none());
    assert_eq!(out, "slopos> ne");
    type_line(&mut console, "t\r");
    assert_eq!(next(&mut console, 0).as_deref(), Some("net"));
}

#[test]
fn what_has_not_begun_is_forgotten_with_its_process_and_what_has_goes_on_for_nobody() {
    let mut console = console_with("");
    next(&mut console, 0);
    ask(&mut console.requests, FIRST, "ps");
    console.requests.forget(FIRST);
    assert_eq!((next(&mut console, 0), status(&mut console.requests, FIRST)), (None, Ok(None)));
    ask(&mut console.requests, FIRST, "webget a");
    assert_eq!(next(&mut console, 0).as_deref(), Some("webget a"));
    console.requests.forget(FIRST);
    assert_eq!(console.requests.write(FIRST, b"ps"), Err(Errno::Again), "the next run waits for it");
    console.finished(9);
    assert_eq!(console.requests.take_ready().len(), 1);
    assert_eq!(status(&mut console.requests, FIRST), Ok(None), "the status was another run's");
    assert_eq!(console.requests.write(FIRST, b"ps"), Ok(2));
    console.requests.forget(FIRST);
    let line = console.requests.grant.view(FIRST).ok().and_then(|request| request.line.as_ref());
    let kept = line.map(|line| line.is_empty());
    assert_eq!(kept, Some(true));
}

#[test]
fn a_process_that_asks_without_end_writes_few_lines_into_the_log() {
    let mut console = console_with("");
    next(&mut console, 0);
    let before = slopos_host_log::lines();
    for _ in 0..1_000 {
        ask(&mut console.requests, FIRST, "ps");
        next(&mut console, 0);
        console.finished(0);
        next(&mut console, 0);
        assert_eq!(status(&mut console.requests, FIRST), Ok(Some(0)));
    }
    let lines = slopos_host_log::lines() - before;
    assert!((1..50).contains(&lines), "{lines}");
}
