//! A process that crashes, is started again, and crashes.

use crate::board::{Count, DOWNLOAD, PROMPT, grants_are_back, guard_is_well};
use slopos_e2e::{attack_board, run};
use slopos_lab::servers::programs::Python;

/// Seconds for which it goes on beside the download. With pauses of 0.2, 0.4 and then 0.8 seconds that is room for five
/// crashes at least; without them it would be thousands.
const SECONDS: usize = 4;

/// Its pauses grow, so that the others keep the processor; a kill ends it for good.
pub fn attacks() -> Count {
    let server = Python::new();
    let sha256 = server.file("file", DOWNLOAD);
    let fetch = format!("webget --sha256 {}", server.url("file"));
    let script = format!("start guard; start crasher; {fetch}; sleep {SECONDS}; kill crasher; ps");
    let report = run(attack_board().append(script).when(PROMPT, "sleep 2; grants; exit\r"));
    report.exits(0).shows(&format!("{sha256}  {DOWNLOAD}")).lacks("survived");
    let (before, after) = report.outcome.console.split_once("PROCESS").expect("the table of ps");
    let crashes = before.matches("crasher: begins instruction ud2").count();
    // The download takes its time as well, so the upper limit is generous.
    assert!((5..=12 * SECONDS).contains(&crashes), "{crashes} crashes\n{}", report.all());
    assert_eq!(after.matches("crasher: begins").count(), 0, "it began again after the kill\n{}", report.all());
    let reports = report.outcome.log.iter().filter(|line| line.contains("process crasher: killed by #UD")).count();
    assert_eq!(reports, crashes, "{}", report.all());
    guard_is_well(&report);
    grants_are_back(&report);
    Count { carried_out: 1, contained: 1 }
}
