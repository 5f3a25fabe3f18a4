//! Time, sleep and poll.

use core::time::Duration;

use libslop::abi::Readiness;
use libslop::abi::limits::DESCRIPTORS;
use libslop::abi::poll::Entry;
use libslop::abi::{Errno, STDERR, STDIN, STDOUT};
use libslop::{call, poll, time};

use crate::check::{Checks, Failed};

/// Longer than this no wait of a few milliseconds lasts, however slow the machine is.
const FAR_TOO_LONG: Duration = Duration::from_secs(20);

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    monotonic(checks)?;
    sleep(checks)?;
    poll_ready(checks)?;
    poll_timeouts(checks)?;
    poll_limits(checks)
}

fn now(checks: &mut Checks) -> Result<Duration, Failed> {
    checks.succeeds("the time", time::since_boot())
}

fn monotonic(checks: &mut Checks) -> Result<(), Failed> {
    let mut last = now(checks)?;
    for _ in 0..100 {
        let next = now(checks)?;
        checks.holds("time does not run backwards", next >= last)?;
        call::yield_now();
        last = next;
    }
    Ok(())
}

fn sleep(checks: &mut Checks) -> Result<(), Failed> {
    for ms in [0, 1, 20, 150] {
        let span = Duration::from_millis(ms);
        let start = now(checks)?;
        checks.succeeds("sleep", time::sleep(span))?;
        lasted(checks, "sleep", start, span)?;
    }
    Ok(())
}

/// Since `start` at least `least` has passed, and not far too much.
fn lasted(checks: &mut Checks, what: &str, start: Duration, least: Duration) -> Result<(), Failed> {
    let took = now(checks)? - start;
    checks.holds(what, took >= least && took < FAR_TOO_LONG)
}

fn entry(descriptor: i32, interest: Readiness) -> Entry {
    // The kernel has to set `ready` whatever stands there.
    Entry { descriptor, interest, ready: Readiness::from(u16::MAX) }
}

fn poll_ready(checks: &mut Checks) -> Result<(), Failed> {
    let mut set = [
        entry(STDOUT, Readiness::WRITABLE),
        entry(-1, Readiness::WRITABLE),
        entry(17, Readiness::READABLE),
        entry(STDERR, Readiness::WRITABLE | Readiness::READABLE),
        entry(DESCRIPTORS as i32, Readiness::READABLE),
    ];
    let start = now(checks)?;
    // Output of a moment ago may still fill the console.
    let mut writable = [entry(STDOUT, Readiness::WRITABLE)];
    checks.succeeds("poll the output", poll(&mut writable, None))?;
    let ready = checks.succeeds("poll a mixed set", poll(&mut set, None))?;
    checks.equal(
        "what is ready of a mixed set",
        set.map(|entry| entry.ready),
        [Readiness::WRITABLE, Readiness::NONE, Readiness::INVALID, Readiness::WRITABLE, Readiness::INVALID],
    )?;
    checks.equal("how much of a mixed set is ready", ready, 4)?;
    lasted(checks, "a ready set is not waited for", start, Duration::ZERO)
}

fn poll_timeouts(checks: &mut Checks) -> Result<(), Failed> {
    for ms in [0, 1, 60] {
        let span = Duration::from_millis(ms);
        let start = now(checks)?;
        let mut set = [entry(STDIN, Readiness::READABLE), entry(-5, Readiness::READABLE)];
        let ready = checks.succeeds("poll a silent console", poll(&mut set, Some(span)))?;
        checks.equal(
            "how much of a silent console is ready",
            (ready, set[0].ready | set[1].ready),
            (0, Readiness::NONE),
        )?;
        lasted(checks, "poll waits for the timeout", start, span)?;
        let start = now(checks)?;
        checks.equal("an empty set", poll(&mut [], Some(span)), Ok(0))?;
        lasted(checks, "an empty set waits too", start, span)?;
    }
    Ok(())
}

fn poll_limits(checks: &mut Checks) -> Result<(), Failed> {
    let mut set = [entry(-1, Readiness::READABLE); DESCRIPTORS + 1];
    checks.fails("a set longer than the table", poll(&mut set, Some(Duration::ZERO)), Errno::Invalid)?;
    checks.equal("a set as long as the table", poll(&mut set[..DESCRIPTORS], Some(Duration::ZERO)), Ok(0))
}
