//! The guests, and one run of one of them: boot, fetch, end.

use crate::console::{Done, Listener};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use slopos_run::{Accelerator, Builder, Event, Machine, Outcome, Verdict, verdict};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest run. The slowest, small requests over a wire that loses, take some twenty seconds.
const LIMIT: Duration = Duration::from_secs(180);

/// Longest run with unusual memory: too little of it mostly means that nothing happens at all.
const SHORT_LIMIT: Duration = Duration::from_secs(30);

/// Linux's device without offloads: neither checksums nor segmentation in either direction, one frame to a buffer.
const OFFLOADS_OFF: &str = "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,\
                            host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,mrg_rxbuf=off";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guest {
    /// The board of `./just build`.
    Slopos,
    /// Debian's Linux with a network device that offloads nothing.
    Linux,
    /// The same with the device's offloads as QEMU has them.
    LinuxOffloads,
}

impl Guest {
    /// As a person reads it.
    pub fn title(self) -> &'static str {
        match self {
            Guest::Slopos => "SlopOS",
            Guest::Linux => "Linux",
            Guest::LinuxOffloads => "Linux, offloads on",
        }
    }

    /// Its memory where the memory is not what is measured.
    fn memory(self) -> &'static str {
        match self {
            Guest::Slopos => "16M",
            // Linux's limits of socket buffers grow with its memory; here they do not hold it back.
            Guest::Linux | Guest::LinuxOffloads => "256M",
        }
    }
}

/// Where the guests' files are.
#[derive(Clone, Debug)]
pub struct Images {
    /// The board's files without their endings.
    pub board: PathBuf,
    /// The folder that tools/setup/linux.sh has filled.
    pub linux: PathBuf,
}

/// What a guest has to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// From where.
    pub url: String,
    /// How often, with a connection each.
    pub count: u32,
    /// The body's length in bytes.
    pub length: u64,
}

/// What a run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// From QEMU's start to the first byte of the first response.
    pub boot: Duration,
    /// What the guest says of the transfer.
    pub done: Done,
    /// How long the transfer took by the host's clock.
    pub host: Duration,
}

/// How far the guest's clock and the host's may differ: a part of the time, and what the console takes to tell.
const CLOCK: (f64, Duration) = (0.05, Duration::from_millis(30));

impl Run {
    /// Whether guest and host agree on how long the transfer took. They do not where the guest's clock is wrong, or
    /// where the console was held up.
    pub fn clocks_agree(&self) -> bool {
        let host = self.host.as_secs_f64();
        (host - self.done.seconds).abs() <= host * CLOCK.0 + CLOCK.1.as_secs_f64()
    }
}

/// A guest on a link, ready to be booted.
#[derive(Clone, Debug)]
pub struct Bench<'a> {
    /// The guests' files.
    pub images: &'a Images,
    /// Who.
    pub guest: Guest,
    /// What its network device is connected to, as QEMU's `-netdev` takes it, without an id.
    pub netdev: String,
    /// What it fetches.
    pub job: &'a Job,
    /// Its memory in MiB, where it is not the guest's usual one.
    pub memory: Option<u32>,
}

impl Bench<'_> {
    /// Boots the guest, has it fetch, and waits for its end.
    ///
    /// # Errors
    /// It did not boot, or did not receive what it had to.
    pub fn run(&self) -> Result<Run> {
        let mut console = Listener::default();
        let outcome = self.machine().run_with(|event| {
            if let Event::Console(bytes) = event {
                console.hear(bytes, Instant::now());
            }
            Ok(())
        })?;
        self.check(&outcome, &console).with_context(|| last_words(self.guest, &outcome))
    }

    fn machine(&self) -> Builder {
        let Job { url, count, .. } = self.job;
        let fetch = format!("-o null --count {count} {url}");
        let machine = match self.guest {
            Guest::Slopos => Machine::image(&self.images.board).append(format!("webget {fetch}; exit")),
            Guest::Linux | Guest::LinuxOffloads => {
                let initramfs = self.images.linux.join("initramfs").into_os_string();
                Machine::builder(self.images.linux.join("vmlinux"))
                    .arguments([OsString::from("-initrd"), initramfs])
                    .append(format!("console=ttyS0 quiet panic=-1 -- {fetch}"))
            }
        };
        let machine = if self.guest == Guest::Linux { machine.network_properties(OFFLOADS_OFF) } else { machine };
        let memory = self.memory.map_or_else(|| self.guest.memory().to_owned(), |size| format!("{size}M"));
        let limit = if self.memory.is_some() { SHORT_LIMIT } else { LIMIT };
        machine.netdev(self.netdev.clone()).memory(memory).accelerator(Accelerator::Tcg).timeout(limit)
    }

    fn check(&self, outcome: &Outcome, console: &Listener) -> Result<Run> {
        let well = match self.guest {
            Guest::Slopos => verdict(outcome.code) == Verdict::Exit(0),
            // It switches the machine off, which says nothing of how it went.
            Guest::Linux | Guest::LinuxOffloads => outcome.code == 0 && outcome.console.contains("guest: status 0"),
        };
        if !well {
            bail!("it ended with code {}", outcome.code);
        }
        let (done, host) = console.result()?;
        let Job { count, length, .. } = self.job;
        let expected = u64::from(*count) * length;
        if done.status != 200 || done.count != *count || done.bytes != expected {
            bail!("{count} responses with {expected} bytes were wanted, and it has {done:?}");
        }
        Ok(Run { boot: console.boot(outcome.started)?, done, host })
    }
}

/// The end of all that a guest said.
fn last_words(guest: Guest, outcome: &Outcome) -> String {
    let all = outcome.words();
    let lines: Vec<&str> = all.lines().collect();
    let begin = lines.len().saturating_sub(25);
    format!("{} failed; its last words:\n{}", guest.title(), lines[begin..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: i32, console: &str) -> Outcome {
        let (log, qemu) = (vec!["panic".to_owned()], Vec::new());
        Outcome {
            code,
            stopped: None,
            started: Instant::now(),
            console: console.to_owned(),
            beside: String::new(),
            log,
            log_times: Vec::new(),
            qemu,
        }
    }

    #[test]
    fn a_run_counts_only_where_all_was_received() {
        let images = Images { board: "b".into(), linux: "l".into() };
        let job = Job { url: "http://10.0.2.2/".to_owned(), count: 2, length: 10 };
        let check = |guest, code, bytes: u32, text: &str| {
            let bench = Bench { images: &images, guest, netdev: "user".to_owned(), job: &job, memory: None };
            let said = format!(
                "webget: GET x\nHTTP/1.1 200 OK\nwebget: done status=200 count=2 bytes={bytes} seconds=0.5\n{text}\n"
            );
            let mut console = Listener::default();
            console.hear(said.as_bytes(), Instant::now());
            bench.check(&outcome(code, &said), &console)
        };
        assert_eq!(check(Guest::Slopos, 33, 20, "").expect("well").done.bytes, 20);
        assert!(check(Guest::Slopos, 0, 20, "").is_err(), "nothing booted");
        assert!(check(Guest::Slopos, 33, 19, "").is_err(), "a byte is missing");
        assert!(check(Guest::Linux, 0, 20, "guest: status 0").is_ok());
        assert!(check(Guest::Linux, 0, 20, "guest: status 1").is_err());
        assert!(check(Guest::LinuxOffloads, 124, 20, "guest: status 0").is_err(), "it did not end");
    }

    #[test]
    fn clocks_may_differ_by_what_the_console_takes() {
        let run = |guest, host| {
            let done = Done { status: 200, count: 1, bytes: 1, seconds: guest };
            Run { boot: Duration::ZERO, done, host: Duration::from_millis(host) }.clocks_agree()
        };
        assert!(run(1.0, 1_050) && run(1.0, 970) && run(0.1, 130));
        assert!(!run(1.0, 1_200) && !run(1.0, 800) && !run(0.1, 200));
    }

    #[test]
    fn last_words_are_the_last() {
        let console: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let words = last_words(Guest::Slopos, &outcome(3, &console));
        assert!(words.contains("line 99") && words.ends_with("panic") && !words.contains("line 50"), "{words}");
    }
}
