//! What the network's secrets are drawn from: boots that are the same in all that the kernel can measure differ all the
//! same where there is a source of chance.

use slopos_e2e::{Report, board, device, has_pci, run, sent, test_board, test_flash};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Builder, Transport};
use std::path::Path;

/// A machine without RDRAND and RDSEED whose clocks count instructions: two boots measure the same.
fn without_chance(board: Builder) -> Builder {
    board.arguments(["-cpu", "qemu64", "-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm"])
}

/// The transaction of the first DHCP message, and the first port that a connection is made from.
#[derive(Debug, PartialEq, Eq)]
struct Drawn {
    transaction: [u8; 4],
    port: u16,
}

/// Where a page is. It is on the command line, so boots are the same only if it is.
fn page() -> String {
    answering(Answer::Bytes(response(b"a page\n")))
}

/// Boots a board, fetches a page, and tells what was drawn.
fn drawn(board: Builder, url: &str) -> (Drawn, Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("frames.pcap");
    let report = run(board.capture(&capture).append(format!("webget {url}; exit")));
    report.exits(0);
    let (mut transaction, mut port) = (None, None);
    for frame in sent(&capture) {
        // Behind Ethernet's 14 bytes and IP's 20: a UDP header of 8 bytes, then BOOTP; or TCP.
        match frame[23] {
            17 if transaction.is_none() => transaction = frame[46..50].try_into().ok(),
            6 if port.is_none() => port = Some(u16::from_be_bytes([frame[34], frame[35]])),
            _ => {}
        }
    }
    let (transaction, port) = (transaction.expect("a DHCP message"), port.expect("a TCP segment"));
    (Drawn { transaction, port }, report)
}

/// A board of test.toml, whose flash keeps a seed, with a flash of its own.
fn with_flash(folder: &Path) -> Builder {
    let image = folder.join("flash.img");
    if !image.exists() {
        std::fs::copy(test_flash(), &image).expect("a copy of the flash");
    }
    without_chance(test_board().flash(image).keep_flash(true))
}

#[test]
fn a_processor_without_a_generator_is_told_of_at_boot() {
    let (_, report) = drawn(without_chance(board()), &page());
    report.logs("boot: the processor has no RDRAND and no RDSEED").logs("boot: secrets are drawn from clocks alone");
    let (_, report) = drawn(board(), &page());
    report.lacks("RDRAND").lacks("clocks alone").logs("boot: secrets are drawn from processor=true");
}

#[test]
fn the_same_boots_differ_by_the_seed_that_the_flash_keeps() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = page();
    let boots = [(); 3].map(|()| drawn(with_flash(folder.path()), &url));
    for (_, report) in &boots {
        report.logs("boot: secrets are drawn from processor=false virtio-rng=false flash=true").lacks("clocks alone");
    }
    let [first, second, third] = boots.map(|(drawn, _)| drawn);
    assert!(first.transaction != second.transaction && second.transaction != third.transaction);
    assert!(first != second && second != third && first != third, "{first:?} {second:?} {third:?}");
    // From the same flash the same is drawn, so it was the seed that made the difference.
    let other = tempfile::tempdir().expect("a folder");
    let (again, _) = drawn(with_flash(other.path()), &url);
    assert_eq!(again.transaction, first.transaction);
}

#[test]
fn the_same_boots_differ_by_what_an_entropy_device_gives() {
    let url = page();
    for properties in if has_pci() { &["", ",disable-modern=on,disable-legacy=off"][..] } else { &[""] } {
        let device = device("rng") + properties;
        let [first, second] = [(); 2].map(|()| {
            let (drawn, report) = drawn(without_chance(board()).arguments(["-device", &device]), &url);
            report.logs("boot: secrets are drawn from processor=false virtio-rng=true flash=false");
            drawn
        });
        assert_ne!(first.transaction, second.transaction);
    }
}

#[test]
fn the_time_of_day_alone_makes_boots_differ() {
    let url = page();
    let at = |time: &str| {
        let clock = format!("base={time},clock=vm");
        let cpu = ["-cpu", "qemu64", "-icount", "shift=0,sleep=off", "-rtc", &clock];
        drawn(board().arguments(cpu), &url).0
    };
    let [first, again, later] = ["2026-01-01T00:00:00", "2026-01-01T00:00:00", "2026-01-01T00:00:02"].map(at);
    assert_eq!(first.transaction, again.transaction, "the boots are not the same otherwise");
    assert_ne!(first.transaction, later.transaction);
}

#[test]
fn an_entropy_device_that_never_answers_costs_a_moment() {
    // Its source is a socket that nobody writes to.
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("egd");
    let silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let chardev = format!("socket,id=egd,path={}", socket.display());
    let source = ["-chardev", &chardev, "-object", "rng-egd,id=silent,chardev=egd"];
    let device = device("rng") + ",rng=silent";
    let (_, report) = drawn(board().arguments(source).arguments(["-device", &device]), &page());
    report.logs("virtio-rng: no answer").logs("boot: secrets are drawn from processor=true virtio-rng=false");
    drop(silent);
}

/// A board whose entropy device has these options. What a test has to say comes after those of the boot.
fn with_entropy(device: &[&str]) -> Builder {
    test_board().network(Transport::None).arguments(device)
}

/// The figures of the line that a process of the program `random` ends with.
fn read_by(report: &Report, process: &str, name: &str) -> u64 {
    let start = format!("{process}: bytes=");
    let line = report.outcome.console.lines().find_map(|line| line.find(&start).map(|at| &line[at..]));
    let line = line.unwrap_or_else(|| panic!("no line of {process}\n{}", report.all()));
    let figure = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
    figure.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

#[test]
fn a_process_reads_random_bytes_as_many_at_a_time_as_its_grant_holds() {
    let ways = ["", ",disable-modern=on,disable-legacy=off", ",vectors=0"];
    for properties in if has_pci() { &ways[..] } else { &ways[..1] } {
        let report = run(with_entropy(&["-device", &(device("rng") + properties)])
            .append("random 65536; other 1024; random poll; grants; exit"));
        report.exits(0).lacks("virtio-rng: ");
        assert_eq!((read_by(&report, "random", "bytes"), read_by(&report, "random", "reads")), (65_536, 1_024));
        assert_eq!((read_by(&report, "other", "bytes"), read_by(&report, "other", "reads")), (1_024, 32));
        // 256 of each value are expected; a generator in which one comes twice as often is none.
        assert_eq!(read_by(&report, "random", "values"), 256);
        assert!(read_by(&report, "random", "most") < 512, "{}", report.all());
        report.shows("random: ready=1 read=64");
        report.shows("entropy bytes=64 held=0 delivered=65664 failures=0");
        report.shows("entropy bytes=32 held=0 delivered=1024 failures=0");
    }
}

#[test]
fn a_process_that_reads_for_ever_does_not_keep_another_from_its_random_bytes() {
    // The device gives 32 bytes in 20 ms, so that is what a round brings whoever has it, and both always want more.
    let source = ["-object", "rng-random,id=slow,filename=/dev/urandom"];
    let limited = device("rng") + ",rng=slow,max-bytes=32,period=20";
    let report = run(with_entropy(&source)
        .arguments(["-device", &limited])
        .append("start random ever; sleep 1; grants; other 1024; grants; kill random; exit"));
    report.exits(0);
    assert_eq!((read_by(&report, "other", "bytes"), read_by(&report, "other", "reads")), (1_024, 32));
    let delivered: Vec<u64> = report
        .outcome
        .console
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("entropy bytes=64 ")?.split_once("delivered=")?.1.split(' ').next()?.parse().ok()
        })
        .collect();
    let [before, after] = delivered[..] else { panic!("{delivered:?}\n{}", report.all()) };
    assert!(before > 0, "{}", report.all());
    // In the 32 rounds of the other the endless reader had 32, or one more at either end; the rest it had while the other
    // was started, or ended.
    let rounds = (after - before) / 32;
    assert!((30..=60).contains(&rounds), "{rounds} rounds\n{}", report.all());
}

#[test]
fn without_an_entropy_device_or_a_grant_a_process_is_told_so() {
    let report = run(with_entropy(&[]).append("random 1; exit"));
    report.exits(1).shows("random: the device failed or is not there");
    // `syscalls` tries to open it without a grant, and is told what it is told of any name.
    run(with_entropy(&["-device", &device("rng")]).append("syscalls; exit")).exits(0);
}

#[test]
fn a_process_waits_for_a_device_that_fell_silent_no_longer_than_half_a_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("egd");
    let silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let chardev = format!("socket,id=egd,path={}", socket.display());
    let source = ["-chardev", &chardev, "-object", "rng-egd,id=silent,chardev=egd"];
    let silent_device = device("rng") + ",rng=silent";
    let report = run(with_entropy(&source).arguments(["-device", &silent_device]).append("random 1; grants; exit"));
    report.exits(0).logs("virtio-rng: no answer").logs("virtio-rng: Timeout");
    report.shows("random: the device failed or is not there");
    report.shows("entropy bytes=64 held=0 delivered=0 failures=1");
    drop(silent);
}
