//! The web as others serve it: long URLs, large heads, chunks with extensions, and bodies that pretend to be something
//! else.

use slopos_e2e::{Report, board, fetch, run};
use slopos_lab::files;
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::Transport;

/// Fetches the URL of a server that answers with the request's first line, by a command that the board is given so.
#[track_caller]
fn asks_for(length: usize, give: impl FnOnce(&str) -> Report) {
    let start = answering(Answer::RequestLine) + "key?X-Signature=";
    let url = format!("{start}{}", "a".repeat(length - start.len()));
    let path = &url[url.rfind("/key").expect("the path")..];
    let line = format!("GET {path} HTTP/1.1");
    let report = give(&format!("webget --sha256 {url}"));
    report.exits(0).shows(&format!("{}  {}", files::sha256(line.as_bytes()), line.len()));
}

#[test]
fn a_signed_url_of_1500_octets_fits_the_kernels_command_line() {
    asks_for(1_500, |command| run(board().append(format!("{command}; exit"))));
}

#[test]
fn the_kernels_command_line_is_taken_up_to_what_qemus_loader_gives() {
    // What QEMU's loader has room for, less the words around the URL.
    asks_for(4_095 - 30, |command| {
        let line = format!("{command}; exit");
        assert!(line.len() <= 4_095);
        run(board().append(line))
    });
}

#[test]
fn a_url_of_8000_octets_can_be_typed_and_is_fetched() {
    asks_for(8_000, |command| run(prompted().when("slopos> ", format!("{command}\r")).when("slopos> ", "exit\r")));
}

/// A board that prompts when it has its address.
fn prompted() -> slopos_run::Builder {
    board().append("sleep 0.01")
}

#[test]
fn a_line_longer_than_8_kib_is_not_begun() {
    let long = format!("webget {}", "x".repeat(9_000));
    let report = run(board()
        .network(Transport::None)
        .when("slopos> ", format!("{long}\r"))
        .when("slopos> ", "ps\r")
        .when("slopos> ", "exit\r"));
    report.exits(0).shows("the URL does not begin with http://");
}

#[test]
fn a_command_with_a_hundred_arguments_is_passed_on_whole() {
    let urls = vec![answering(Answer::Bytes(response(b"x"))); 100].join(" ");
    let report = run(board().append(format!("webget -o null {urls}; exit")));
    report.exits(0);
    assert_eq!(report.outcome.console.matches("webget: done status=200 count=1 bytes=1 ").count(), 100);
}

#[test]
fn arguments_that_a_small_stack_cannot_hold_are_refused_with_the_figures() {
    let command = format!("faults {}\r", "x".repeat(5_000));
    let board = slopos_e2e::test_board().network(Transport::None).when("slopos> ", command);
    let report = run(board.when("slopos> ", "exit\r"));
    report.exits(1).shows("faults: its name and arguments take ").shows(" bytes, and its stack has room for 4096");
}

fn chunked(chunks: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
}

#[test]
fn each_chunk_of_an_object_store_may_have_its_signature() {
    let chunk = format!("10;chunk-signature={}\r\n0123456789abcdef\r\n", "f".repeat(64));
    let report = fetch(board(), &format!("--sha256 {}", answering(Answer::Bytes(chunked(&chunk.repeat(3_000))))));
    report.exits(0).shows(&format!("{}  48000", files::sha256("0123456789abcdef".repeat(3_000).as_bytes())));
}

#[test]
fn a_hundred_fields_and_32_kib_of_head_are_shown() {
    let fields: String = (0..100).map(|number| format!("X-{number:02}: {}\r\n", "v".repeat(310))).collect();
    let head = format!("HTTP/1.2 200 OK\r\n{fields}Folded: one\r\n two\r\nContent-Length: 2\r\n\r\nhi");
    let report = fetch(board(), &answering(Answer::Bytes(head.into_bytes())));
    report.exits(0).shows("HTTP/1.1 200 OK\n").shows("Folded: one two\n").shows("X-99: vvv").shows("bytes=2 ");
}

#[test]
fn a_length_that_makes_no_sense_does_not_matter_without_a_body() {
    let reply = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: -5\r\n\r\n").into_bytes();
    for status in [204, 304] {
        fetch(board(), &answering(Answer::Bytes(reply(status)))).exits(0).shows(&format!("done status={status} "));
    }
    fetch(board(), &format!("-I {}", answering(Answer::Bytes(reply(200))))).exits(0);
    fetch(board(), &answering(Answer::Bytes(reply(200)))).exits(56).shows("Content-Length makes no sense");
}

/// A body that commands a terminal in each way that there is, and one line of honest text.
const CONTROLS: &[u8] =
    b"\x1b]0;title\x07\x1b[2J\x9b2J\xc2\x9b2J\xe2\x80\xae\rInterrupt tests passed.\0\x7f\ttab \xc3\xa4\n";

#[test]
fn control_characters_of_a_body_are_shown_escaped() {
    let report = fetch(board(), &answering(Answer::Bytes(response(CONTROLS))));
    report
        .exits(0)
        .shows("\\x1b]0;title\\x07\\x1b[2J\\x9b2J\\u{9b}2J\\u{202e}\\x0dInterrupt tests passed.\\x00\\x7f\ttab ä\n");
    report.shows(&format!("bytes={} ", CONTROLS.len()));
}

#[test]
fn a_raw_body_is_passed_on_as_it_is() {
    let mut console = Vec::new();
    let url = answering(Answer::Bytes(response(CONTROLS)));
    let outcome = board()
        .append(format!("webget --raw {url}; exit"))
        .run_with(|event| {
            if let slopos_run::Event::Console(bytes) = event {
                console.extend_from_slice(bytes);
            }
            Ok(())
        })
        .expect("QEMU runs");
    assert_eq!(outcome.code, 33);
    assert!(console.windows(CONTROLS.len()).any(|window| window == CONTROLS), "{}", outcome.console);
}

#[test]
fn a_terminals_report_is_never_a_command() {
    // What terminals answer to a body that asks for their title, their settings, their clipboard.
    let reports = "\x1b]lno-such-command\r\x1b\\\x1bP1$rno-such-command\r\x1b\\\x1b_no-such-command\r\x1b\\";
    let report =
        run(board().network(Transport::None).when("slopos> ", format!("{reports}help\r")).when("slopos> ", "exit\r"));
    report.exits(0).shows("sleep SECONDS").lacks("no-such-command");
}

#[test]
fn in_the_merged_log_a_body_cannot_pass_for_the_kernel() {
    let lease = "dhcp: lease 6.6.6.6/24 gateway 6.6.6.6";
    let body = format!("Interrupt tests passed.\n{lease}\nvirtio-net: ready mac=66:66\nerror: panic: x\nplain\n");
    let url = answering(Answer::Bytes(response(body.as_bytes())));
    let kernel = slopos_e2e::own(".elf");
    let likeness = slopos_run::Decoder::from_elf(&kernel).expect("the kernel's log").likeness();
    let mut printer = slopos_run::Printer::new(Vec::new(), slopos_run::Style::Lines, false).likeness(likeness);
    let board = board().append(format!("webget {url}; exit"));
    let outcome = board.run_with(|event| Ok(printer.event(event)?)).expect("QEMU runs");
    let log = String::from_utf8(printer.finish().expect("a vector takes all")).expect("text");
    assert_eq!(outcome.code, 33, "{log}");
    for line in body.lines().filter(|line| *line != "plain") {
        assert!(log.contains(&format!("\n| {line}\n")) && !log.contains(&format!("\n{line}\n")), "{line:?} in\n{log}");
    }
    // What is the kernel's, and what nobody could take for it, is as ever.
    for line in ["\nvirtio-net: ready mac=52:54:", "\ndhcp: lease 10.0.2.15/24 ", "\nHTTP/1.1 200 OK\n", "\nplain\n"] {
        assert!(log.contains(line), "{line:?} in\n{log}");
    }
    assert!(log.contains("\nwebget: done status=200 count=1 "), "{log}");
}
