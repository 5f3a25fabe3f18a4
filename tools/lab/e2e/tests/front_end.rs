//! `fetch`, the front end of the board's webget: what it writes to standard output, to standard error and to files.

use slopos_e2e::built;
use slopos_e2e::typist::Typist;
use slopos_lab::files;
use slopos_lab::servers::moving::Steady;
use slopos_lab::servers::programs::Python;
use slopos_lab::servers::{Answer, answering, refusing, response};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The tool, which cargo puts two folders above the tests.
fn tool() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().and_then(Path::parent).expect("it lies in target/debug/deps");
    let tool = folder.join("fetch");
    assert!(tool.is_file(), "{} is missing; run ./just build first", tool.display());
    tool
}

/// A call of `fetch` with these arguments of webget, in a folder of its own.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool());
    command.args(["--timeout", "240", "--image"]).arg(built("qemu_q35.elf").with_extension(""));
    command.arg("--").args(arguments).current_dir(folder.path());
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn fetched(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("fetch runs")
}

/// What was written to standard error.
fn remarks(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[track_caller]
fn exits(output: &Output, status: i32) -> &Output {
    assert_eq!(output.status.code(), Some(status), "{}", remarks(output));
    output
}

fn serving(body: &[u8]) -> String {
    answering(Answer::Bytes(response(body)))
}

/// Every byte there is, and what commands a terminal, looks like a prompt or like the kernel's lines, or ends lines oddly.
fn awkward() -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    [&all[..], b"\x1b[2J\r\n\n\r\0\0slopos> exit\r\ndhcp: lease 6.6.6.6/24\nwebget: done status=200\n\xff\xfe"].concat()
}

#[test]
fn standard_output_is_the_body_byte_for_byte_and_standard_error_the_rest() {
    for body in [&b"text without an end of line"[..], &awkward(), b"", b"\n\n"] {
        let output = fetched(&folder(), &[&serving(body)]);
        assert_eq!(exits(&output, 0).stdout, body, "{}", remarks(&output));
        let remarks = remarks(&output);
        let place = |line: &str| {
            let place = remarks.lines().position(|found| found.starts_with(line));
            place.unwrap_or_else(|| panic!("no line {line:?} in\n{remarks}"))
        };
        assert!(place("virtio-net: ready") < place("dhcp: lease") && place("dhcp: lease") < place("webget: GET"));
        assert!(
            place("webget: GET") < place("HTTP/1.1 200 OK") && place("HTTP/1.1") < place("webget: done status=200")
        );
    }
}

#[test]
fn sixteen_mebibytes_arrive_on_standard_output() {
    let server = Python::new();
    let sha256 = server.file("file", 16 << 20);
    let output = fetched(&folder(), &[&server.url("file")]);
    assert_eq!(exits(&output, 0).stdout.len(), 16 << 20, "{}", remarks(&output));
    assert_eq!(files::sha256(&output.stdout), sha256);
    assert!(remarks(&output).contains("webget: done status=200 count=1 bytes=16777216 "));
}

#[test]
fn where_both_are_one_file_they_are_one_log_with_control_characters_escaped() {
    let folder = folder();
    let log = File::create(folder.path().join("log")).expect("a file");
    let other = log.try_clone().expect("a descriptor");
    let status = command(&folder, &[&serving(b"\x1b[2Jbody\n")]).stdout(log).stderr(other).status();
    assert_eq!(status.expect("fetch runs").code(), Some(0));
    let log = fs::read_to_string(folder.path().join("log")).expect("text");
    let expected = "HTTP/1.1 200 OK\nContent-Length: 9\n\n\\x1b[2Jbody\nwebget: done status=200 count=1 bytes=9 ";
    assert!(log.contains(expected) && log.contains("\ndhcp: lease "), "{log}");
}

#[test]
fn statuses_are_webgets_and_what_came_is_on_standard_output() {
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
    let output = fetched(&folder(), &[&answering(Answer::Bytes(missing))]);
    assert_eq!(exits(&output, 22).stdout, b"gone");
    let mut cut = response(&[b'x'; 1000]);
    cut.truncate(cut.len() - 500);
    assert_eq!(exits(&fetched(&folder(), &[&answering(Answer::Bytes(cut))]), 56).stdout, [b'x'; 500]);
    let output = fetched(&folder(), &[&refusing()]);
    assert!(exits(&output, 7).stdout.is_empty() && remarks(&output).contains("connection refused"));
}

#[test]
fn silent_means_the_body_alone() {
    let output = fetched(&folder(), &["-s", &serving(b"body")]);
    assert_eq!((&exits(&output, 0).stdout[..], &remarks(&output)[..]), (&b"body"[..], ""));
    let output = fetched(&folder(), &["-si", &serving(b"body")]);
    assert_eq!(exits(&output, 0).stdout, b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody");
    let output = fetched(&folder(), &["-sI", &answering(Answer::Bytes(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n".to_vec()))]);
    assert_eq!(exits(&output, 0).stdout, b"HTTP/1.1 200 OK\nA: b\n\n");
    let output = fetched(&folder(), &["-s", &refusing()]);
    assert_eq!((exits(&output, 7).stdout.len(), output.stderr.len()), (0, 0));
    let output = fetched(&folder(), &["-sS", &refusing()]);
    assert!(remarks(exits(&output, 7)).starts_with("webget: "), "{}", remarks(&output));
}

#[test]
fn each_url_goes_into_its_file_and_the_rest_to_standard_output() {
    let (folder, server) = (folder(), Python::new());
    let sha256 = server.file("named", 100_000);
    let body = awkward();
    let [one, named, rest] = [serving(&body), server.url("named?query=/x"), serving(b"rest")];
    let output = fetched(&folder, &["-o", "one", &one, "-O", &named, &rest]);
    assert_eq!(exits(&output, 0).stdout, b"rest", "{}", remarks(&output));
    assert_eq!(fs::read(folder.path().join("one")).expect("the file"), body);
    assert_eq!(files::sha256(&fs::read(folder.path().join("named")).expect("the file")), sha256);
}

#[test]
fn a_file_is_written_when_a_body_comes_and_goes_on_where_it_ended() {
    let folder = folder();
    let file = folder.path().join("file");
    let read = || fs::read(&file).expect("the file");
    fs::write(&file, "01234").expect("written");
    // What is no body of a file leaves it as it was.
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
    exits(&fetched(&folder, &["-o", "file", &answering(Answer::Bytes(missing.clone()))]), 22);
    exits(&fetched(&folder, &["-C", "-", "-o", "file", &answering(Answer::Bytes(missing))]), 22);
    exits(&fetched(&folder, &["-o", "file", &refusing()]), 7);
    exits(&fetched(&folder, &["-C", "-", "-o", "file", &serving(b"0123456789")]), 33);
    assert_eq!(read(), b"01234");
    let rest =
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789".to_vec();
    exits(&fetched(&folder, &["-C", "-", "-o", "file", &answering(Answer::Bytes(rest))]), 0);
    assert_eq!(read(), b"0123456789");
    let nothing =
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 3\r\n\r\nend".to_vec();
    exits(&fetched(&folder, &["-C", "-", "-o", "file", &answering(Answer::Bytes(nothing))]), 0);
    assert_eq!(read(), b"0123456789");
    exits(&fetched(&folder, &["-o", "file", &serving(b"")]), 0);
    assert_eq!(read(), b"");
}

#[test]
fn what_cannot_be_written_is_23_and_said_before_the_board_boots_where_that_can_be() {
    let output = fetched(&folder(), &["-o", "no/file", "http://10.0.2.2:1/"]);
    assert_eq!(remarks(exits(&output, 23)), "fetch: cannot write no/file: there is no folder no\n");
    let output = fetched(&folder(), &["-s", "-o", "/dev/full", &serving(b"body")]);
    assert!(remarks(exits(&output, 23)).starts_with("fetch: cannot write /dev/full: No space left"));
}

#[test]
fn a_command_that_is_too_long_for_the_loader_is_typed_and_leaves_no_trace_in_the_body() {
    let url = format!("{}{}", serving(b"body"), "x".repeat(5_000));
    let output = fetched(&folder(), &[&url]);
    assert_eq!(exits(&output, 0).stdout, b"body", "{}", remarks(&output));
}

#[test]
fn help_version_and_mistakes_need_no_board() {
    let asked = |argument: &str| {
        let mut command = Command::new(tool());
        command.args(["--image", "/nowhere", "--", argument]).output().expect("fetch runs")
    };
    let help = asked("--help");
    let text = String::from_utf8(exits(&help, 0).stdout.clone()).expect("text");
    assert!(text.starts_with(webget::options::HELP) && text.contains("-O, --remote-name"), "{text}");
    assert_eq!(exits(&asked("--version"), 0).stdout, format!("{}\n", webget::options::VERSION).as_bytes());
    let mistake = asked("--tiemout");
    assert!(remarks(exits(&mistake, 2)).starts_with("webget: unknown option --tiemout; did you mean --timeout?"));
    assert!(remarks(exits(&asked("-O"), 2)).contains("does not end with a file's name"));
}

#[test]
fn progress_is_one_line_on_the_terminal_while_the_body_goes_into_a_file() {
    let (folder, body) = (folder(), awkward().repeat(8_000));
    let server = Steady::serve(body.clone());
    let mut command = Command::new("sh");
    let line = "\"$0\" --timeout 240 --image \"$1\" -- \"$2\" > body; echo status $?";
    command.args(["-c", line]).arg(tool()).arg(built("qemu_q35.elf").with_extension("")).arg(server.url());
    let mut person = Typist::at(command.current_dir(folder.path()));
    person.sees("dhcp: lease").sees("webget: GET").sees(" s left");
    // The second one is written over the first.
    let first = person.screen();
    person.looks_until("another progress", |screen| screen.contents() != first);
    server.release();
    person.sees("webget: done status=200").sees("status 0");
    let screen = person.screen();
    assert_eq!(screen.lines().filter(|line| line.contains(" s left")).count(), 1, "{screen}");
    assert!(!screen.contains("\\x0d") && !screen.contains("| webget"), "{screen}");
    assert_eq!(fs::read(folder.path().join("body")).expect("the file"), body);
}

#[test]
fn a_terminal_alone_gets_one_log_without_progress_and_with_control_characters_escaped() {
    let folder = folder();
    let mut person = Typist::at(&mut command(&folder, &[&serving(b"\x1b[2Jbody\ndhcp: lease 6\n")]));
    person.sees("webget: done status=200");
    let screen = person.screen();
    assert!(screen.contains("\\x1b[2Jbody\n| dhcp: lease 6\nwebget: done"), "{screen}");
    assert!(screen.contains("\ndhcp: lease 10.0.2.15") && screen.contains("HTTP/1.1 200 OK\n"), "{screen}");
}
