//! What the commands print.

use super::*;
use slopos_abi::flash::{NextStart, Reason, Slot};
use slopos_kernel::process::{Configuration, ConsoleAccess, Restart};
use std::string::String;
use std::vec::Vec;

static CONFIGURATION: Configuration = Configuration {
    name: "name_of_16_bytes",
    app: "app",
    minimum_version: slopos_abi::flash::AppVersion::new(0),
    arguments: &[],
    start_at_boot: false,
    opens: &[],
    restart: Restart::Never,
    priority: 3,
    console: ConsoleAccess::Input,
};

/// What `print` writes.
fn printed(print: impl FnOnce(&mut String) -> Result) -> String {
    let mut text = String::new();
    print(&mut text).unwrap();
    text
}

#[test]
fn a_grant_is_one_line_that_scripts_can_read() {
    let info = GrantInfo { bytes: 9, in_use: 2, high_water: 5, sockets: 4, sockets_in_use: 1, ..GrantInfo::default() };
    let text = printed(|out| grant("webget", &info, out));
    assert_eq!(text, "webget bytes=9 in_use=2 high_water=5 denials=0 drops=0 recycled=0 sockets=1/4\n");
}

#[test]
fn help_has_a_line_for_each_command() {
    let text = printed(|out| help(false, out));
    let words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let commands = CommandName::ALL.into_iter().filter(|command| !command.is_for_tests()).map(CommandName::word);
    assert_eq!(words, commands.chain(["APP"]).collect::<Vec<_>>());
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    let more = printed(|out| help(true, out));
    assert!(more.lines().any(|line| line.starts_with("panic ")) && more.lines().count() == text.lines().count() + 2);
}

#[test]
fn the_version_names_what_the_image_was_made_from() {
    let known = Version {
        version: "0.2.0",
        revision: "0123456789ab",
        build_id: &[0, 0x1f, 0xff],
        board: "qemu_q35",
        manifest: "boards/qemu_q35/board.toml",
    };
    assert_eq!(
        printed(|out| version(&known, out)),
        "SlopOS 0.2.0 revision 0123456789ab\nbuild id 001fff\nboard qemu_q35 manifest boards/qemu_q35/board.toml\n"
    );
}

#[test]
fn the_time_since_boot_is_told_as_clocks_do() {
    let told = |millis| printed(|out| uptime(Duration::from_millis(millis), out));
    assert_eq!(told(59_999), "up 00:00:59.999\n");
    assert_eq!(told(86_400_000 - 1), "up 23:59:59.999\n");
    assert_eq!(told(3 * 86_400_000 + 3_661_001), "up 3 d 01:01:01.001\n");
}

#[test]
fn the_log_s_level_is_told_with_what_the_image_lacks() {
    let told = |level, least| printed(|out| log_level(level, least, out));
    assert_eq!(told(LogLevel::Warn, LogLevel::Info), "log level warn\n");
    assert_eq!(told(LogLevel::Info, LogLevel::Info), "log level info\n");
    assert_eq!(
        told(LogLevel::Trace, LogLevel::Info),
        "log level info; this image has no lines below info, see DEFMT_LOG\n"
    );
}

#[test]
fn processes_stand_in_columns_of_one_row() {
    let mut known = Process::new(&CONFIGURATION);
    known.calls = 1_234_567;
    known.starts = 3;
    known.busy = Duration::from_millis(1_234);
    let usage = Usage { uptime: Duration::from_secs(100), ram: 160 << 10, stack_high_water: 3_300 };
    let text = printed(|out| process(&known, usage, true, out));
    assert_eq!(
        text,
        "PROCESS          STATE    STATUS   CALLS FDS DENIALS LEDGER   CPU RESTARTS  RAM STACK ENDED\n\
         name_of_16_bytes no-image      - 1234567   0       0     +0  1.2%        2 160K  3.2K -\n"
    );
    let room = text.lines().map(str::len).max().unwrap() - "ENDED".len() + "fault".len().max(WORDS_MAX);
    assert!(room <= 100, "{room}");
    known.busy = usage.uptime;
    assert!(printed(|out| process(&known, usage, false, out)).contains("  100%"));
}

#[test]
fn a_version_on_trial_or_taken_back_is_told_below_the_table() {
    let state = AppState::confirmed_in(Slot::First);
    let shown = |state| printed(|out| trial("webget", Some("0.3.0"), state, out));
    assert_eq!(shown(state), "");
    let waiting = state.activate();
    assert_eq!(shown(waiting), "webget: version 0.3.0 loaded; one on trial waits for its first start\n");
    let NextStart::Trial(begun) = waiting.next_start() else { panic!("no trial") };
    assert_eq!(shown(begun), "webget: version 0.3.0 loaded; one is on trial, start 1 of 3\n");
    assert_eq!(shown(begun.confirm()), "");
    assert_eq!(shown(begun.revert(Reason::Fault)), "webget: version 0.3.0; a newer one was reverted: it faulted\n");
}

#[test]
fn sizes_have_three_digits_at_most() {
    for (bytes, shown) in [
        (0, "   0"),
        (999, " 999"),
        (1_000, "0.9K"),
        (1_024, "1.0K"),
        (10_188, "9.9K"),
        (10_240, " 10K"),
        (1_023_999, "999K"),
        (1 << 20, "1.0M"),
        (2 << 20, "2.0M"),
    ] {
        assert_eq!(printed(|out| size(bytes, 4, out)), shown, "{bytes}");
        assert_eq!(printed(|out| size(bytes, 5, out)), std::format!(" {shown}"), "{bytes}");
    }
}

#[test]
fn how_a_run_ended_is_told_in_words() {
    let fault = |name| Fault { name, error: 0, address: 0, instruction: 0, stack: 0 };
    let words = |name| ended(Some(Ending::Faulted), Some(&fault(name)));
    assert_eq!(words("#PF page fault"), Ended::Because("page fault"));
    assert_eq!(words("#UD invalid opcode"), Ended::Because("invalid opcode"));
    assert_eq!(words("#GP general protection"), Ended::Fault("#GP"));
    assert_eq!(words("NMI"), Ended::Because("fault"));
    assert_eq!(words("reserved 15"), Ended::Because("fault"));
    assert_eq!(ended(None, None), Ended::Not);
    for (ending, word) in [(Ending::Exited, "exited"), (Ending::Stopped, "stopped"), (Ending::Killed, "killed")] {
        assert_eq!(ended(Some(ending), None), Ended::Because(word));
    }
}

#[test]
fn the_ledger_tells_wins_and_losses_apart() {
    let mut known = Process::new(&CONFIGURATION);
    known.ledger.win();
    known.ledger.win();
    known.ledger.lose();
    let text = printed(|out| ledger(&known, true, out));
    assert_eq!(
        text,
        "PROCESS           CONNECTED  TIMED OUT    BALANCE\nname_of_16_bytes          2          1        +10\n"
    );
}
