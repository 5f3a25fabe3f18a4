//! Whether other work disturbed a run: the processors' busy time, less what our own processes used of it.

use anyhow::{Context, Result, anyhow};
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::time::{Duration, Instant};

/// Most of one core that other work may take during a run. One core in a hundred is always busy with the clock and
/// the like; a compiler takes a whole one.
const ALLOWED_SHARE: f64 = 0.05;

/// How long to wait at most for a quiet machine before a disturbed run is made again.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// How long one look at the machine takes that finds out whether it is quiet.
const GLANCE: Duration = Duration::from_millis(500);

/// What other work may take in any case. The idle time is counted in hundredths of a second on each core, so that a
/// short run would seem disturbed by the rounding alone.
const ROUNDING: Duration = Duration::from_millis(30);

/// The kernel's unit of time in /proc/stat: USER_HZ, 100 on every architecture that QEMU's x86 guests are run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Watches a run.
#[derive(Debug)]
pub struct Meter {
    servers: Vec<u32>,
    begin: Reading,
}

/// One look at the clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    /// Time in which processors had nothing to do, of all of them.
    idle: Duration,
    processors: u32,
    /// Time that our own processes have used.
    own: Duration,
}

/// What happened on the machine during a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// How long it took.
    pub wall: Duration,
    /// What our own processes used, on all processors together.
    pub own: Duration,
    /// What others used, the hypervisor below included: it takes processors that are not idle.
    pub others: Duration,
}

impl Load {
    /// How much of one core others took; 1 is all of it.
    pub fn share(&self) -> f64 {
        self.others.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }

    /// Whether that is too much for the run's figure to be believed.
    pub fn disturbed(&self) -> bool {
        self.others > ROUNDING + self.wall.mul_f64(ALLOWED_SHARE)
    }
}

impl Meter {
    /// Begins to watch. `servers` are processes of ours that live longer than the run; programs that the run starts and
    /// waits for are found without being named.
    ///
    /// # Errors
    /// The kernel does not tell, or a server is gone.
    pub fn start(servers: &[u32]) -> Result<Meter> {
        Ok(Meter { servers: servers.to_vec(), begin: read(servers)? })
    }

    /// The end of the run. Programs that it started have to have been waited for.
    ///
    /// # Errors
    /// As [`Meter::start`].
    pub fn finish(self) -> Result<Load> {
        let end = read(&self.servers)?;
        Ok(between(&self.begin, &end))
    }
}

/// Makes a run until nothing disturbs it, but no more than `retries` times again. The run says whether it was
/// disturbed; its servers are gone when it returns, so that they are not taken for others while a quiet machine is
/// waited for.
///
/// # Errors
/// The run's; or the kernel does not tell how busy the machine is.
pub fn undisturbed<T>(retries: u32, mut run: impl FnMut() -> Result<(T, bool)>) -> Result<T> {
    let mut left = retries;
    loop {
        let (result, disturbed) = run()?;
        if !disturbed || left == 0 {
            return Ok(result);
        }
        left -= 1;
        wait_for_quiet(QUIET_LIMIT)?;
    }
}

/// Waits until other work leaves the machine alone, but no longer than the limit.
fn wait_for_quiet(limit: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        let meter = Meter::start(&[])?;
        std::thread::sleep(GLANCE);
        if !meter.finish()?.disturbed() {
            break;
        }
    }
    Ok(())
}

fn between(begin: &Reading, end: &Reading) -> Load {
    let wall = end.at.saturating_duration_since(begin.at);
    let busy = (wall * end.processors).saturating_sub(end.idle.saturating_sub(begin.idle));
    let own = end.own.saturating_sub(begin.own);
    Load { wall, own, others: busy.saturating_sub(own) }
}

fn read(servers: &[u32]) -> Result<Reading> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let at = Instant::now();
    let (idle, processors) = idle_time(&text).context("/proc/stat has no idle time")?;
    let mut own = used(UsageWho::RUSAGE_SELF)? + used(UsageWho::RUSAGE_CHILDREN)?;
    for pid in servers {
        own += run_time(*pid)?;
    }
    Ok(Reading { at, idle, processors, own })
}

/// The idle time of all processors, and how many they are (proc(5), /proc/stat).
fn idle_time(stat: &str) -> Option<(Duration, u32)> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = all.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    // Behind user, nice and system: idle, and idle with input or output under way.
    let idle = ticks.get(3)? + ticks.get(4)?;
    let processors = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Some((Duration::from_secs_f64(idle as f64 / TICKS_PER_SECOND), u32::try_from(processors).ok()?))
}

/// What this process, or its children that have ended, have used.
fn used(who: UsageWho) -> Result<Duration> {
    let usage = getrusage(who).context("getrusage")?;
    let microseconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs());
    Ok(Duration::from_micros(microseconds.iter().sum()))
}

/// What a process with one thread has used.
fn run_time(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).context("a server has ended")?;
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.ok_or_else(|| anyhow!("/proc/{pid}/schedstat says {text:?}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn reading(at: Instant, idle: u32, own: u32) -> Reading {
        Reading { at, idle: MS * idle, processors: 2, own: MS * own }
    }

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        let begin = Instant::now();
        let load = between(&reading(begin, 5_000, 700), &reading(begin + 1000 * MS, 5_600, 1_900));
        assert_eq!(load, Load { wall: 1000 * MS, own: 1200 * MS, others: 200 * MS });
        assert!((load.share() - 0.2).abs() < 1e-9);
        // Idle time is rounded, so that there can seem to be more of it than there was.
        let load = between(&reading(begin, 5_000, 700), &reading(begin + 1000 * MS, 6_010, 1_700));
        assert_eq!(load.others, Duration::ZERO);
    }

    #[test]
    fn a_few_percent_are_allowed_and_rounding_is() {
        let load = |wall, others| Load { wall: MS * wall, own: Duration::ZERO, others: MS * others };
        assert!(!load(2_000, 130).disturbed());
        assert!(load(2_000, 131).disturbed());
        assert!(!load(100, 35).disturbed(), "rounding");
        assert!(load(100, 36).disturbed());
    }

    #[test]
    fn idle_time_is_read_from_the_kernels_text() {
        let text =
            "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 5 10 15 200 25 3 3 4 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\nintr 1 2\n";
        assert_eq!(idle_time(text), Some((Duration::from_millis(4_500), 2)));
        assert_eq!(idle_time("intr 1 2\n"), None);
        assert_eq!(idle_time("cpu  1 2 x 4 5\n"), None);
        assert_eq!(idle_time("cpu  1 2 3\n"), None);
    }

    #[test]
    fn our_own_work_is_not_other_work() {
        let meter = Meter::start(&[]).expect("a reading");
        let begin = Instant::now();
        let mut count = 0_u64;
        while begin.elapsed() < 100 * MS {
            count += 1;
        }
        let load = meter.finish().expect("a reading");
        assert!(count > 0 && load.wall >= 100 * MS);
        // Other tests run beside this one, in the same process: their time is ours too.
        assert!(load.own > 10 * MS, "{load:?}");
    }

    #[test]
    fn waiting_for_quiet_has_a_limit() {
        let begin = Instant::now();
        wait_for_quiet(Duration::ZERO).expect("no need to look");
        assert!(begin.elapsed() < GLANCE);
        wait_for_quiet(GLANCE).expect("a look");
        assert!(begin.elapsed() >= GLANCE, "one look is taken");
    }

    #[test]
    fn a_server_that_has_ended_is_an_error() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        child.wait().expect("it ends");
        assert!(Meter::start(&[child.id()]).is_err());
        assert!(run_time(std::process::id()).expect("ourselves") > Duration::ZERO);
    }

    #[test]
    fn a_disturbed_run_is_made_again_as_often_as_is_said() {
        let mut runs = 0;
        let last = undisturbed(0, || {
            runs += 1;
            Ok((runs, true))
        });
        assert_eq!(last.expect("no error"), 1, "no retry");
        assert_eq!(undisturbed(5, || Ok((7, false))).expect("no error"), 7);
        assert!(undisturbed::<()>(5, || anyhow::bail!("it failed")).is_err());
    }
}
