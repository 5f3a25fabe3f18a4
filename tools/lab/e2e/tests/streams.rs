//! Standard output and standard error: one stream on COM1, or two where the kernel's command line asks for it.

use slopos_e2e::{Report, attack_board, board, fetch, run, test_board};
use slopos_lab::servers::programs::Python;
use slopos_run::{Builder, Transport, Verdict, verdict};

/// What a line of 115,200 baud carries, in bytes a second.
const SLOW: u32 = 11_500;

fn hostile() -> Builder {
    attack_board().network(Transport::None)
}

/// The lines that `hostile both COUNT` writes to one of its descriptors.
fn lines(descriptor: &str, count: usize) -> Vec<String> {
    (1..=count).map(|line| format!("{descriptor} {line} of {count}")).collect()
}

/// Checks that no line of the log was lost.
#[track_caller]
fn lost_nothing(report: &Report) {
    report.lacks("lines were lost").lacks("COM2");
}

#[test]
fn without_the_word_com1_has_both_in_the_order_in_which_they_were_written() {
    let report = run(hostile().append("hostile both 50; exit"));
    let both = lines("output", 50).into_iter().zip(lines("beside", 50)).flat_map(|(one, other)| [one, other]);
    let said = report.exits(0).outcome.console.lines().filter(|line| !line.starts_with("hostile: "));
    assert_eq!(said.collect::<Vec<_>>(), both.collect::<Vec<_>>());
    assert_eq!(report.outcome.beside, "");
}

#[test]
fn with_the_word_com1_has_standard_output_and_nothing_else() {
    let report = run(hostile().append("stderr=log hostile both 50; nonsense; help; exit"));
    report.exits(0);
    assert_eq!(report.outcome.console, lines("output", 50).join("\n") + "\n", "{}", report.all());
    let beside = &report.outcome.beside;
    let expected = format!(
        "hostile: begins both 50\n{}\nhostile: contained both\nnonsense: no such command",
        lines("beside", 50).join("\n")
    );
    assert!(beside.starts_with(&expected), "{beside}");
    assert!(beside.contains("webget") || beside.contains("kill"), "help is there too\n{beside}");
    lost_nothing(&report);
}

#[test]
fn the_word_is_one_at_the_beginning_only() {
    let report = run(hostile().append("stderr=log; exit"));
    report.exits(111).shows("stderr=log: no such command or process");
    let report = run(hostile().append("stderr=com3 ps; exit"));
    report.exits(111).shows("stderr=com3: no such command or process");
}

#[test]
fn the_prompt_and_what_is_typed_are_beside_the_output() {
    let board = hostile().append("stderr=log").when("slopos> ", "hostile both 3\r").when("slopos> ", "exit\r");
    let report = run(board);
    assert_eq!(report.exits(0).outcome.console, lines("output", 3).join("\n") + "\n", "{}", report.all());
    assert!(report.outcome.beside.contains("slopos> hostile both 3"), "{}", report.all());
}

#[test]
fn much_text_for_a_slow_log_is_lost_nowhere_and_starves_nobody() {
    let count = 120;
    let board = hostile().line_rates(None, Some(SLOW)).append(format!(
        "stderr=log start accomplice murmur 64; hostile both {count}; hostile lines 500; kill accomplice; exit"
    ));
    let report = run(board);
    let text = &report.exits(0).outcome.beside;
    let own: Vec<_> = text.lines().filter(|line| line.starts_with("beside")).collect();
    assert_eq!(own, lines("beside", count), "{}", report.all());
    assert!(text.lines().all(|line| !line.contains("#") || line == "#".repeat(63)), "a line is cut\n{text}");
    // As many bytes of the other between the first and the last, and what the ring holds.
    let (first, last) =
        (text.find("beside 1 ").expect("the first"), text.find(&format!("beside {count} ")).expect("the last"));
    let bytes: usize = own.iter().map(|line| line.len() + 1).sum();
    assert!(last - first < 2 * bytes + 2 * 4096, "{bytes} of {} bytes", last - first);
    // Who writes to descriptor 1 alone does not wait for the log.
    assert_eq!(report.outcome.console.lines().filter(|line| line.contains("modest line")).count(), 500);
    lost_nothing(&report);
}

#[test]
fn a_slow_reader_gets_the_output_to_its_last_byte() {
    // Slower than the second after which `exit` gives a port up that takes nothing.
    let board = hostile().line_rates(Some(100), Some(100)).append("stderr=log hostile both 40; exit");
    let report = run(board);
    assert_eq!(report.exits(0).outcome.console, lines("output", 40).join("\n") + "\n", "{}", report.all());
    let beside = lines("beside", 40).join("\n");
    assert_eq!(report.outcome.beside, format!("hostile: begins both 40\n{beside}\nhostile: contained both\n"));
}

#[test]
fn a_panic_leaves_com1_to_standard_output() {
    let report = run(test_board().network(Transport::None).append("stderr=log panic"));
    assert_eq!(verdict(report.outcome.code), Verdict::Panic, "{}", report.all());
    assert_eq!(report.outcome.console, "", "{}", report.all());
    report.logs("panic: ");
}

#[test]
fn webget_leaves_out_what_is_there_already() {
    let server = Python::new();
    let _digest = server.file("file", 1_000);
    // Python's server sends no parts; nginx does, in tests/webget.rs.
    fetch(board(), &format!("-C 10 {}", server.url("file"))).exits(33).shows("the server sends no parts");
    let report = fetch(board(), &format!("-f {}", server.url("nothing")));
    report.exits(22).shows(" 404 ").lacks("</html>").lacks("</body>");
}
