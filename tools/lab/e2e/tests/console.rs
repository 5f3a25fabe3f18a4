//! The process console, as a person at a terminal meets it, and what its commands tell of a live board.

use object::Object;
use serde_json::json;
use slopos_e2e::typist::{Typist, key};
use slopos_e2e::{board, name, own, run, test_board};
use slopos_lab::servers::loopback::{finish, serve, take_head};
use slopos_lab::servers::{response, url};
use slopos_run::Transport;
use slopos_run::qmp::Qmp;
use slopos_tree::files;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

/// The tool `run`.
fn tool() -> Command {
    let mut run = Command::new(env!("CARGO"));
    run.current_dir(files::root()).args(["run", "--quiet", "-p", "slopos-run", "--bin", "run", "--"]);
    run
}

/// A person at a board: "" is that of board.toml, "-test" that of test.toml and so on.
fn person(board: &str, options: &[&str]) -> Typist {
    let image = own(&format!("{board}.elf")).with_extension("");
    let mut run = tool();
    Typist::at(run.args(["--interactive", "--status", "--image"]).arg(image).args(options))
}

#[test]
fn a_person_is_greeted_edits_a_line_and_leaves() {
    let mut person = person("", &["--net", "none"]);
    person.sees("SlopOS 0.2 (").sees("), help lists commands, Ctrl-A x quits\n").sees_row("slopos> _");
    person.types("hxelp").types(key::HOME).types(key::RIGHT).types(key::DELETE).sees_row("slopos> h_elp");
    person.types(key::END).types(key::LEFT).types("\x7f").sees_row("slopos> he_p");
    person.types("l\r").sees("APP [ARGUMENT...]").sees_row("slopos> _");
    // The first Ctrl-A is for `run`, as in QEMU's own console.
    person.types("two words\x01\x01").sees_row("slopos> _two words");
    person.types("\x0b").sees_row("slopos> _");
    person.types("upt\t").sees_row("slopos> uptime _").types("\r").sees("up 00:0");
    person.types(key::UP).types(key::UP).sees_row("slopos> help_").types(key::DOWN).sees_row("slopos> uptime _");
    person.types(key::DOWN).sees_row("slopos> _");
    person.types("s\t\t").sees("\nsleep             sockets           start             stop\n").sees_row("slopos> s_");
    person.types("ta\tw\t").sees_row("slopos> start webget _");
    person.types("\x15x\x0c").looks_until("an empty screen", |screen| {
        screen.cursor_position().0 == 0 && screen.contents().trim_end() == "slopos> x"
    });
    let long: String = (0..200).map(|index| char::from(b'a' + index % 26)).collect();
    let end = &long[150..];
    person.types("\x15").types(&long).looks_until("the end of a long line, in one row", |screen| {
        let shown = screen.contents();
        screen.cursor_position().0 == 0 && shown.starts_with("slopos> <") && shown.trim_end().ends_with(end)
    });
    person.types("\x15nonsense\r").sees("nonsense: no such command or process; help lists them");
    person.types("ps\r").sees("ENDED").sees_row("slopos> _");
    person.types("exit\r");
    assert!(person.sees_the_end().success());
}

#[test]
fn a_command_that_a_process_asks_for_comes_between_the_keys_of_a_person_and_loses_none() {
    let typed = Arc::new(Barrier::new(2));
    let gate = typed.clone();
    let port = serve(move |mut stream| {
        take_head(&mut stream)?;
        gate.wait();
        stream.write_all(&response(b"#slopos\nuptime\nsleep 0.2\n"))?;
        finish(stream)
    });
    let mut person = person("-attack", &[]);
    let start = format!("start metadata --format openstack {}\r", url(port, ""));
    person.sees_row("slopos> _").types(&start).sees("metadata: asking").types("upt");
    typed.wait();
    person.sees("metadata: done commands=2 failed=0").sees("\nslopos> upt").types("ime\r");
    person.looks_until("what metadata asked for, and what was typed", |screen| {
        screen.contents().matches("up 00:0").count() == 2
    });
    person.sees_row("slopos> _").types("exit\r");
    assert!(person.sees_the_end().success());
}

#[test]
fn lines_of_the_log_come_above_the_prompt_and_what_is_typed_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("qmp");
    let mut person = person("-test", &["--qmp", &socket.to_string_lossy()]);
    person.sees("arp: gateway").sees_row("slopos> _").types("hel").types(key::LEFT).sees_row("slopos> he_l");
    let mut monitor = Qmp::connect(&socket).expect("a monitor");
    monitor.execute("set_link", Some(json!({ "name": "net0", "up": false }))).expect("a link");
    person.sees("net: link down\nslopos> hel").sees_row("slopos> he_l");
    person.types(key::END).types("p\r").sees("make the kernel panic").sees_row("slopos> _");
    person.types("faults null-read\r").sees("killed by #PF page fault").sees_row("slopos> _");
    person.types("ps\r").sees(" page fault\n").types("\x01x");
    person.sees_the_end();
}

/// How the table of `sockets` begins.
const SOCKETS: &str = "PROCESS          STATE        REMOTE";

/// The words of the last row of a table that begins with this process.
#[track_caller]
fn row<'t>(text: &'t str, head: &str, process: &str) -> Vec<&'t str> {
    let table = text.rsplit_once(head).unwrap_or_else(|| panic!("no table {head:?} in\n{text}")).1;
    let row = table.lines().skip(1).find(|line| line.split_whitespace().next() == Some(process));
    let row = row.unwrap_or_else(|| panic!("no {process} below {head:?} in\n{text}"));
    assert!(row.len() <= 100, "{row}");
    row.split_whitespace().collect()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";

/// A server that answers with the beginning of a page, and then waits for its client's end.
fn stalling() -> u16 {
    serve(|mut stream| {
        take_head(&mut stream)?;
        stream.write_all(HEAD.as_bytes())?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    })
}

#[test]
fn commands_tell_of_a_live_connection_and_stop_ends_it_in_order() {
    let port = stalling();
    let commands =
        "sleep 1; sockets; arp; lease; ledger; ps; uptime; version; stop webget; sleep 0.5; ps; sockets; exit";
    let report = run(board().append(format!("start webget -o null {}; {commands}", url(port, ""))));
    report.exits(0);
    let text = &report.outcome.console;
    let (first, last) = text.split_once("\nup 00:00:").expect("the time since boot");
    let socket = row(first, SOCKETS, "webget");
    let [_, state, remote, rtt, window, again, sent, received] = socket[..] else { panic!("{socket:?}") };
    assert_eq!((state, remote, again), ("ESTABLISHED", format!("10.0.2.2:{port}").as_str(), "0"), "{text}");
    assert!(rtt.parse::<f64>().is_ok_and(|millis| millis > 0.0 && millis < 1_000.0), "{rtt}");
    assert!(window.parse::<u32>().is_ok_and(|bytes| bytes >= 1_460), "{window}");
    assert!(sent.parse::<u32>().is_ok_and(|bytes| bytes > 20), "{sent}");
    assert_eq!(received, HEAD.len().to_string());
    report.shows("ADDRESS         STATION           STATE\n10.0.2.2        52:55:0a:00:02:02 ");
    report.shows(" gateway\n");
    report.shows("address 10.0.2.15/24 gateway 10.0.2.2\nserver 10.0.2.2 state BOUND\nrenewed in 4319");
    assert_eq!(row(first, "PROCESS           CONNECTED", "webget"), ["webget", "1", "0", "+10"]);
    let process = row(first, "PROCESS          STATE    STATUS", "webget");
    let [_, state, status, calls, descriptors, _, ledger, cpu, restarts, ram, stack, ended] = process[..] else {
        panic!("{process:?}")
    };
    assert_eq!((state, status, descriptors, ledger), ("waiting", "-", "4", "+10"), "{text}");
    assert!(calls.parse::<u32>().is_ok_and(|calls| calls > 2) && cpu.ends_with('%'), "{process:?}");
    assert_eq!((restarts, ram, ended), ("0", "160K", "-"));
    assert!(stack.ends_with('K') && stack != "32K", "{stack}");
    let kernel = std::fs::read(own(".elf")).expect("the kernel");
    let kernel = object::File::parse(&*kernel).expect("an ELF");
    let id = kernel.build_id().expect("a note").expect("a build id");
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    report.shows("SlopOS 0.2.0 revision ").shows(&format!("\nbuild id {id}\n"));
    let name = name();
    report.shows(&format!("board {name} manifest boards/{name}/board.toml\n"));

    let process = row(last, "PROCESS          STATE    STATUS", "webget");
    assert_eq!((process[1], process[2], process.last()), ("stopped", "110", Some(&"stopped")), "{last}");
    let socket = row(last, SOCKETS, "webget");
    assert_eq!(socket[1], "TIME-WAIT", "both sides have closed the connection, we first\n{last}");
    report.lacks("help lists commands");
}

#[test]
fn restart_begins_anew_and_kill_resets_what_is_open() {
    let url = url(stalling(), "");
    let report = run(board().append(format!(
        "restart webget -o null {url}; sleep 1; restart webget -o null {url}; sleep 1; ps; sockets; kill webget; \
         uptime; ps; sockets; stop webget; exit"
    )));
    // What does not run cannot be stopped.
    report.exits(1).shows("webget: does not run");
    let text = &report.outcome.console;
    let (first, last) = text.split_once("\nup 00:00:").expect("the time since boot");
    let process = row(first, "PROCESS          STATE    STATUS", "webget");
    assert_eq!((process[1], process[8], process.last()), ("waiting", "1", Some(&"-")), "{text}");
    let process = row(last, "PROCESS          STATE    STATUS", "webget");
    assert_eq!((process[1], process[2], process.last()), ("stopped", "110", Some(&"killed")), "{text}");
    let states = |text: &str| {
        let table = text.rsplit_once(SOCKETS).expect("the connections").1;
        let rows = table.lines().filter_map(|line| line.strip_prefix("webget ")?.split_whitespace().next());
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut before = states(first);
    before.sort();
    assert_eq!(before, ["ESTABLISHED", "TIME-WAIT"], "one was closed in order\n{first}");
    assert_eq!(states(last), [""; 0], "a process that is killed keeps nothing\n{last}");
}

#[test]
fn the_log_s_level_is_set_while_the_board_runs() {
    let passed = "Interrupt tests passed.";
    let quiet = run(test_board().network(Transport::None).append("log error; test; exit"));
    quiet.exits(0).shows("log level error\n").lacks(passed);
    let log = &quiet.outcome.log;
    assert!(log.iter().any(|line| line.starts_with("process ")), "errors stay\n{}", quiet.all());
    let loud = run(test_board().network(Transport::None).append("log error; log info; test; exit"));
    loud.exits(0).logs(passed);
    let wrong = run(test_board().network(Transport::None).append("log loud; exit"));
    wrong.exits(2).shows("usage: log [trace|debug|info|warn|error]");
}

#[test]
fn what_a_pipe_types_is_answered_before_the_run_ends() {
    for (typed, answers, status) in [
        ("uptime; exit\n", 1, 0),
        ("uptime\r", 1, 0),
        ("uptime\nuptime", 2, 0),
        ("sleep 1\nuptime\nnonsense; exit\nuptime\n", 1, 111),
    ] {
        let mut run = tool();
        run.args(["--interactive", "--net", "none"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut run = run.spawn().expect("the tool runs");
        run.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("it takes input");
        let output = run.wait_with_output().expect("its end");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            (text.matches("up 00:0").count(), output.status.code()),
            (answers, Some(status)),
            "{typed:?}: {text}"
        );
    }
}
