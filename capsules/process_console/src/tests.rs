//! The process console as a whole.

use super::*;
use crate::completion::tests::PROCESSES;
use core::ops::DerefMut;
use std::boxed::Box;
use std::string::String;

const GREETING: &str = "Hello.\n";

/// A console and the requests of the processes, on a board on which only process 0 and process 2 may ask for commands.
pub(crate) struct Console<'a> {
    pub console: ProcessConsole<'a>,
    pub requests: Requests<'a>,
}

impl<'a> Deref for Console<'a> {
    type Target = ProcessConsole<'a>;

    fn deref(&self) -> &ProcessConsole<'a> {
        &self.console
    }
}

impl DerefMut for Console<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.console
    }
}

impl<'a> Console<'a> {
    fn next(&mut self, now: Instant, out: &mut impl Write) -> Option<Begun<'a>> {
        self.console.next(now, out, &mut self.requests)
    }

    fn give_back(&mut self, command: Begun<'a>) {
        self.console.give_back(command, &mut self.requests);
    }

    pub fn finished(&mut self, status: i32) {
        self.console.finished(status, &mut self.requests);
    }

    pub fn has_more(&self) -> bool {
        self.console.has_more(&self.requests)
    }
}

pub(crate) fn console_with(script: &str) -> Console<'_> {
    let memory = Box::leak(Box::new(Memory::new()));
    let console = ProcessConsole::new(script, GREETING, memory, &PROCESSES);
    Console { console, requests: requests::tests::requests() }
}

pub(crate) fn next(console: &mut Console<'_>, millis: u64) -> Option<String> {
    let command = console.next(Instant::from_millis(millis), &mut String::new())?;
    let text = String::from(&*command);
    console.give_back(command);
    Some(text)
}

pub(crate) fn type_line(console: &mut Console<'_>, text: &str) -> String {
    let mut echo = String::new();
    for byte in text.bytes() {
        console.input(byte, &mut echo);
    }
    echo
}

#[test]
fn the_script_waits_for_the_network_or_for_two_minutes() {
    let mut console = console_with("webget http://10.0.2.2/; exit");
    console.network_ready(false, Instant::from_millis(119_999));
    assert_eq!(next(&mut console, 119_999), None);
    assert_eq!(console.next_deadline(), Some(Instant::from_millis(120_000)));
    console.network_ready(false, Instant::from_millis(120_000));
    assert_eq!(next(&mut console, 120_000).as_deref(), Some("webget http://10.0.2.2/"));
    let mut console = console_with("exit");
    console.network_ready(true, Instant::from_millis(1));
    assert_eq!(next(&mut console, 1).as_deref(), Some("exit"));
}

#[test]
fn commands_follow_each_other_when_the_one_before_has_ended() {
    let mut console = console_with("a; b");
    console.network_ready(true, Instant::BOOT);
    assert_eq!(next(&mut console, 0).as_deref(), Some("a"));
    assert_eq!(next(&mut console, 0), None, "nothing begins while a command is carried out");
    console.run_in_foreground(ProcessId::new(0));
    assert_eq!(next(&mut console, 1), None);
    console.finished(3);
    assert_eq!(next(&mut console, 2).as_deref(), Some("b"));
    assert_eq!(console.exit_code(), 19);
}

#[test]
fn a_status_out_of_range_counts_as_111() {
    for (status, code) in [(0, 16), (22, 38), (111, 127), (112, 127), (200, 127), (-1, 127), (i32::MIN, 127)] {
        let mut console = console_with("");
        console.finished(status);
        assert_eq!(console.exit_code(), code);
    }
}

#[test]
fn sleep_ends_by_itself_with_status_0() {
    let mut console = console_with("");
    console.finished(5);
    console.sleep_until(Instant::from_millis(100));
    assert_eq!(next(&mut console, 99), None);
    assert_eq!(console.exit_code(), 21);
    assert_eq!(next(&mut console, 100), None);
    assert_eq!(console.exit_code(), 16);
}

#[test]
fn typed_lines_are_split_like_scripts() {
    let mut console = console_with("");
    type_line(&mut console, "ps; net\r");
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
    console.finished(0);
    assert_eq!(next(&mut console, 0).as_deref(), Some("net"));
    console.finished(0);
    assert_eq!(next(&mut console, 0), None);
}

#[test]
fn semicolons_without_commands_leave_the_prompt() {
    for line in [";\r", ";;\r", " ; ; \r", "   \r", "\r"] {
        let mut console = console_with("");
        type_line(&mut console, line);
        while next(&mut console, 0).is_some_and(|command| command.is_empty()) {
            console.finished(0);
        }
        assert!(console.accepts_input() && !console.has_more(), "{line:?}");
    }
}

#[test]
fn what_is_typed_while_a_process_runs_is_the_process_s() {
    let mut console = console_with("");
    let id = ProcessId::new(2);
    console.run_in_foreground(id);
    assert_eq!(console.input(b'x', &mut String::new()), Input::ForProcess(b'x'));
    assert_eq!(console.input(3, &mut String::new()), Input::Interrupt(id));
}

#[test]
fn the_prompt_is_written_once() {
    let mut console = console_with("");
    let mut out = String::new();
    console.next(Instant::BOOT, &mut out);
    console.next(Instant::BOOT, &mut out);
    assert_eq!(out, [GREETING, PROMPT].concat());
    console.finished(0);
    console.next(Instant::BOOT, &mut out);
    assert_eq!(out, [GREETING, PROMPT, PROMPT].concat());
}

#[test]
fn a_script_is_not_greeted_nor_is_who_types_behind_it() {
    let mut console = console_with("ps");
    let mut out = String::new();
    console.network_ready(true, Instant::BOOT);
    let command = console.next(Instant::BOOT, &mut out).unwrap();
    console.give_back(command);
    console.finished(0);
    console.next(Instant::BOOT, &mut out);
    assert_eq!(out, PROMPT);
}

#[test]
fn choices_are_listed_before_anything_else_is_typed_or_begun() {
    let mut console = console_with("");
    next(&mut console, 0);
    type_line(&mut console, "st\t");
    assert_eq!(console.input(b'\t', &mut String::new()), Input::ListChoices);
    assert!(!console.accepts_input() && !console.has_more());
    let (mut list, mut prompt) = (String::new(), String::new());
    console.list_choices(&mut list).unwrap();
    assert_eq!(list, "start             stop              stumbler\n");
    assert!(console.next(Instant::BOOT, &mut prompt).is_none() && prompt.is_empty());
    console.choices_listed();
    assert!(console.next(Instant::BOOT, &mut prompt).is_none() && console.accepts_input());
    assert_eq!(prompt, [PROMPT, "st"].concat());
    type_line(&mut console, "o\t monitor\r");
    assert_eq!(next(&mut console, 0).as_deref(), Some("stop  monitor"));
}

#[test]
fn control_l_clears_the_screen_and_shows_the_line_again() {
    let mut console = console_with("");
    next(&mut console, 0);
    assert_eq!(type_line(&mut console, "ps\x0c"), ["ps", CLEAR, PROMPT, "ps"].concat());
}

#[test]
fn keys_wait_while_a_command_prints() {
    let mut console = console_with("");
    type_line(&mut console, "ps\r");
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
    assert!(!console.accepts_input());
    console.finished(0);
    assert!(!console.accepts_input(), "the prompt comes first");
    assert_eq!(next(&mut console, 0), None);
    assert!(console.accepts_input());
}

#[test]
fn a_command_that_is_too_long_is_an_unknown_one() {
    let long = "x".repeat(LINE_MAX + 1) + "; b";
    let mut console = console_with(&long);
    console.network_ready(true, Instant::BOOT);
    let line = next(&mut console, 0).unwrap();
    assert!(matches!(Command::parse(&line), Ok(Command::Start { name: "<too-long>", .. })));
    console.finished(STATUS_UNKNOWN);
    assert_eq!(next(&mut console, 0).as_deref(), Some("b"));
}

#[test]
fn a_command_of_8_kib_is_carried_out_whether_it_was_typed_or_is_in_the_script() {
    let command = format!("webget http://10.0.2.2/{}", "x".repeat(LINE_MAX - 23));
    assert_eq!(command.len(), 8 * 1024);
    let script = format!(" {command} ; exit");
    let mut console = console_with(&script);
    console.network_ready(true, Instant::BOOT);
    assert_eq!(next(&mut console, 0), Some(command.clone()));
    console.finished(0);
    assert_eq!(next(&mut console, 0).as_deref(), Some("exit"));
    console.finished(0);
    type_line(&mut console, &(command.clone() + "\r"));
    assert_eq!(next(&mut console, 0), Some(command));
}

#[test]
fn nothing_can_be_typed_while_a_typed_command_is_on_loan() {
    let mut console = console_with("");
    type_line(&mut console, "a; b\r");
    let begun = console.next(Instant::BOOT, &mut String::new()).unwrap();
    assert_eq!(&*begun, "a");
    assert!(!console.accepts_input() && !console.has_more());
    console.give_back(begun);
    console.finished(0);
    assert!(!console.accepts_input() && console.has_more());
    assert_eq!(next(&mut console, 0).as_deref(), Some("b"));
    console.finished(0);
    assert_eq!(next(&mut console, 0), None);
    assert!(console.accepts_input());
}

#[test]
fn a_report_whose_beginning_a_process_read_is_no_command_behind_its_end() {
    let mut console = console_with("");
    console.run_in_foreground(ProcessId::new(0));
    for byte in *b"\x1b]0;exit" {
        console.input(byte, &mut String::new());
    }
    console.finished(0);
    type_line(&mut console, "\rkill webget\r\x07ps\r");
    assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
}
