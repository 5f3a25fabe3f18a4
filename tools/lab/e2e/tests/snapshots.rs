//! A board that goes on twice from the same snapshot: both have the same memory, and share no secret of the network.

use slopos_e2e::{Report, Step, board, run, run_with_steps, sent};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::Builder;
use slopos_run::qmp::Qmp;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the board says before the snapshot is taken; then it sleeps.
const BEFORE: &str = "SlopOS 0.";
/// More seconds than the time of day may be off without being a jump.
const LATER: Duration = Duration::from_secs(4);

/// How long a board may take.
const LIMIT: Duration = Duration::from_secs(90);

/// The source port and the initial sequence number of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Begun {
    port: u16,
    number: u32,
}

/// A board that greets, sleeps, and fetches a page.
fn sleeper(url: &str, more: &[&str]) -> Builder {
    board().append(format!("version; sleep 5; webget {url}; exit")).timeout(LIMIT).arguments(more.iter().copied())
}

/// Writes a snapshot of the board to this file while it sleeps.
fn snapshot(board: Builder, folder: &Path) {
    let socket = folder.join("qmp");
    let write = || {
        let mut qmp = Qmp::connect(&socket).expect("a monitor");
        let mut ask = |command: &str, arguments| qmp.execute(command, arguments).expect(command);
        // The board is not stopped before, or those that go on would be as well.
        let uri = format!("exec:cat > {}", folder.join("snapshot").display());
        ask("migrate", Some(serde_json::json!({ "uri": uri })));
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = ask("query-migrate", None);
            match answer["status"].as_str() {
                Some("completed") => break,
                Some("failed") => panic!("{answer}"),
                _ => assert!(Instant::now() < limit, "{answer}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        ask("quit", None);
    };
    let steps: Vec<Step<'_>> = vec![(BEFORE, Box::new(write))];
    run_with_steps(board.monitor(&socket), steps);
}

/// Goes on from the snapshot until the page is fetched.
fn go_on(board: Builder, folder: &Path) -> (Begun, Report) {
    let capture = folder.join("frames.pcap");
    let incoming = format!("exec:cat {}", folder.join("snapshot").display());
    let report = run(board.capture(&capture).arguments(["-incoming", &incoming]));
    report.exits(0).shows("a page\n");
    // Behind Ethernet's 14 bytes and IP's 20, a SYN.
    let syn = sent(&capture).into_iter().find(|frame| frame[23] == 6 && frame[47] & 0x12 == 0x02).expect("a SYN");
    let begun = Begun {
        port: u16::from_be_bytes([syn[34], syn[35]]),
        number: u32::from_be_bytes([syn[38], syn[39], syn[40], syn[41]]),
    };
    (begun, report)
}

/// A snapshot of a board with the first arguments, from which one goes on with each of the others.
fn twice(first: &[&str], others: [&[&str]; 2], later: Duration) -> [(Begun, Report); 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let url = answering(Answer::Bytes(response(b"a page\n")));
    snapshot(sleeper(&url, first), folder.path());
    std::thread::sleep(later);
    others.map(|more| go_on(sleeper(&url, more), folder.path()))
}

#[track_caller]
fn differ([(first, report), (second, _)]: &[(Begun, Report); 2]) {
    assert!(first.port != second.port && first.number != second.number, "{first:?} {second:?}\n{}", report.all());
}

#[test]
fn copies_are_told_by_the_generation_identifier() {
    let device = |last: u8| format!("vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb8{last}");
    let [first, second, third] = [1, 2, 3].map(device);
    // The clock that stands still with the machine shows that it is the identifier alone.
    let machine = |device| ["-rtc", "clock=vm", "-device", device];
    let copies = twice(&machine(&first), [&machine(&second), &machine(&third)], Duration::ZERO);
    for (_, report) in &copies {
        report.logs("net: new secrets from processor=true, because the generation identifier has changed");
    }
    differ(&copies);
}

#[test]
fn copies_are_told_by_the_time_of_day() {
    let copies = twice(&[], [&[], &[]], LATER);
    for (_, report) in &copies {
        report.logs("net: new secrets from processor=true, because the time of day has jumped by");
    }
    differ(&copies);
}

#[test]
fn copies_with_the_same_generation_identifier_are_told_by_the_time_of_day() {
    let device: &[&str] = &["-device", "vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"];
    let copies = twice(device, [device, device], LATER);
    for (_, report) in &copies {
        report.logs("net: new secrets from processor=true, because the time of day has jumped by");
    }
    differ(&copies);
}

#[test]
fn without_an_identifier_and_with_a_clock_that_stands_still_copies_are_the_same() {
    // What SECURITY.md says cannot be told; and it shows that these tests would see it.
    let still: &[&str] = &["-rtc", "clock=vm"];
    let [(first, report), (second, _)] = twice(still, [still, still], Duration::ZERO);
    report.lacks("net: new secrets");
    assert_eq!(first.port, second.port);
}
