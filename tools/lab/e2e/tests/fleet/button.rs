//! ACPI's power button, as QEMU's `system_powerdown` presses it: what a hypervisor sends to have a guest end in order.

use slopos_e2e::{Report, Step, board, run_with_steps};
use slopos_lab::servers::{Answer, answering};
use slopos_run::qmp::Qmp;
use std::path::Path;

fn press(monitor: &Path) {
    let mut qemu = Qmp::connect(monitor).unwrap_or_else(|why| panic!("{why:#}"));
    qemu.execute("system_powerdown", None).unwrap_or_else(|why| panic!("{why:#}"));
}

/// Has commands run on a machine until the console has said a text, then presses the button.
#[track_caller]
fn pressed_at(text: &str, machine: &str, commands: &str) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = folder.path().join("qmp");
    let mut board = board().monitor(&monitor).arguments(["-M", machine]);
    if !commands.is_empty() {
        board = board.append(commands);
    }
    let steps: Vec<Step<'_>> = vec![(text, Box::new(|| press(&monitor)))];
    let report = run_with_steps(board, steps);
    // QEMU's own code for a machine that was switched off: the way to give one was not taken.
    assert_eq!(report.outcome.code, 0, "{}", report.all());
    report.logs("power: the button was pressed, switching off").lacks("panic: ");
    report
}

#[test]
fn it_ends_a_board_whose_console_waits_for_a_person() {
    for machine in ["q35", "pc"] {
        pressed_at("slopos> ", machine, "");
    }
}

#[test]
fn it_ends_a_board_whose_program_waits_and_runs_no_further_command() {
    let url = answering(Answer::Silence);
    pressed_at("webget: GET ", "q35", &format!("webget {url}; webget --help; exit")).lacks("Usage").lacks("usage");
}
