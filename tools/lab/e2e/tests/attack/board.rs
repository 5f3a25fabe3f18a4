//! A board under attack: what runs beside the attacks, and what is checked of all of them.

use slopos_e2e::{Report, Step, attack_board, run_with_steps};
use slopos_lab::files;
use slopos_lab::servers::moving::Steady;
use slopos_run::Builder;

/// Bytes of the download beside the attacks.
pub const DOWNLOAD: usize = 16 << 20;
/// What the console says when it waits for a command.
pub const PROMPT: &str = "slopos> ";
/// The seed of the guard's secret, as attack.toml has it.
pub const SECRET: &str = "77";

/// Not an attack: the attacker looks whether its own grant holds anything. Not counted as one.
pub const CHECK: &str = "grants";

/// Longest line that is typed: the console takes 512 bytes.
const LINE: usize = 480;

/// How many attacks there were, and how many ended as they should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub carried_out: usize,
    pub contained: usize,
}

impl Count {
    /// Takes another group's attacks in.
    pub fn add(&mut self, other: Count) {
        self.carried_out += other.carried_out;
        self.contained += other.contained;
    }
}

/// How an attack must end.
#[derive(Clone, Debug)]
pub enum End {
    /// The process is ended for one of these exceptions.
    Killed(&'static [&'static str]),
    /// The attack checks its own answers, and finds them right.
    Contained,
}

/// An attack of the process `hostile`.
#[derive(Clone, Debug)]
pub struct Attack {
    /// The attack and its arguments, as typed behind `hostile`.
    pub command: String,
    /// How it must end.
    pub end: End,
}

/// An attack that the process does not survive.
pub fn killed(command: impl Into<String>, by: &'static [&'static str]) -> Attack {
    Attack { command: command.into(), end: End::Killed(by) }
}

/// An attack that comes to nothing.
pub fn contained(command: impl Into<String>) -> Attack {
    Attack { command: command.into(), end: End::Contained }
}

/// Carries attacks out one after the other, on one board, beside one download and the guard.
#[track_caller]
pub fn carry_out(attacks: &[Attack]) -> (Count, Report) {
    let body = files::bytes(DOWNLOAD);
    let sha256 = files::sha256(&body);
    let server = Steady::serve(body);
    let lines = typed(attacks);
    let mut board = beside(&server);
    for line in &lines {
        board = board.when(PROMPT, format!("{line}\r"));
    }
    // The prompt behind the last line says that all attacks are over; only then may the download end.
    let mut steps: Vec<Step<'_>> = (0..lines.len()).map(|_| (PROMPT, Box::new(|| ()) as Box<dyn FnOnce()>)).collect();
    steps.push((PROMPT, Box::new(|| server.release())));
    let board = board.when("webget: done status=200", format!("sleep 1; hostile {CHECK}; grants; exit\r"));
    let report = run_with_steps(board, steps);
    let count = count_contained(&[attacks, &[contained(CHECK)]].concat(), &report);
    report.exits(0);
    others_are_well(&report, &sha256);
    (count, report)
}

/// The board with the guard, and a download that lasts until the server lets it end.
pub fn beside(server: &Steady) -> Builder {
    attack_board().append(format!("start guard; start webget --sha256 {}", server.url()))
}

/// What must hold of those who did nothing, and of the attacker's grant.
#[track_caller]
pub fn others_are_well(report: &Report, sha256: &str) {
    report.shows(&format!("{sha256}  {DOWNLOAD}"));
    guard_is_well(report);
    grants_are_back(report);
}

/// The guard's secret was looked at behind the attacks as well, and never found changed.
#[track_caller]
pub fn guard_is_well(report: &Report) {
    report.shows("guard: the secret is at ").shows("guard: intact ").lacks("NOT CONTAINED").lacks("panic: ");
}

/// The processes whose grants are looked at. Those without a network have none, and so nothing in use.
const PROCESSES: [&str; 5] = ["hostile", "accomplice", "crasher", "guard", "webget"];

/// No process holds anything of its network grant, TIME-WAIT records excepted: where the attacker has such,
/// `hostile grants` has just found that all it holds are these.
#[track_caller]
pub fn grants_are_back(report: &Report) {
    let last = report.outcome.console.rsplit("hostile: begins ").next().unwrap_or_default();
    let checked = last.starts_with("grants") && last.contains("hostile: contained grants");
    for process in PROCESSES.into_iter().filter(|process| !(checked && *process == "hostile")) {
        let grant = report.grant(process);
        let held = (grant.figure("in_use"), grant.figure("sockets"));
        assert_eq!(held, (0, 0), "{process} still holds bytes or sockets\n{}", report.all());
    }
}

/// The attacks as lines for the console.
fn typed(attacks: &[Attack]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for attack in attacks {
        let command = format!("hostile {}", attack.command);
        assert!(command.len() <= LINE, "{command}");
        if line.len() + 2 + command.len() > LINE {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(&command);
    }
    lines.push(line);
    lines
}

/// Compares what was said with how each attack must end.
#[track_caller]
fn count_contained(attacks: &[Attack], report: &Report) -> Count {
    let mut reports = report.outcome.log.iter().filter(|line| line.contains("process hostile: killed by "));
    let mut begun = report.outcome.console.split("hostile: begins ").skip(1);
    let mut count = Count::default();
    let mut wrong = Vec::new();
    for attack in attacks {
        let Attack { command, end } = attack;
        let Some(said) = begun.next().and_then(|said| said.strip_prefix(command.as_str())) else {
            wrong.push(format!("{command}: was not begun"));
            continue;
        };
        let attacks = usize::from(command != CHECK);
        count.carried_out += attacks;
        let verdict = match end {
            End::Contained if said.contains("hostile: contained ") => Ok(()),
            End::Contained => Err("was not contained".to_owned()),
            End::Killed(_) if !said.contains("hostile: killed") => Err("was not killed".to_owned()),
            End::Killed(by) => match reports.next() {
                Some(line) if by.iter().any(|name| line.contains(&format!("killed by {name}"))) => Ok(()),
                Some(line) => Err(format!("should be killed by {by:?}: {line}")),
                None => Err("has no report in the log".to_owned()),
            },
        };
        match verdict {
            Ok(()) => count.contained += attacks,
            Err(why) => wrong.push(format!("{command}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), report.all());
    assert_eq!(begun.next(), None, "more attacks than there should be");
    assert_eq!(reports.next(), None, "more reports than there should be");
    count
}
