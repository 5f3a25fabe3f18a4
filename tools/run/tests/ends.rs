//! How a run ends that the board does not end: by signals, by the end of its input, by a kernel that does not boot. And
//! that nothing is left behind.

#[path = "kernel/mod.rs"]
mod kernel;

use kernel::{COM1, FOR_EVER, exit, kernel, write_port};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what has to come: enough for a slow machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kernel's prompt, as the board has it.
const PROMPT: &[u8] = b"slopos> ";

/// A folder with a kernel of this code and an empty flash.
fn folder(code: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    kernel(folder.path(), code);
    std::fs::write(folder.path().join("kernel.img"), vec![0; 65_536]).expect("written");
    folder
}

/// A kernel that says its prompt and waits for ever.
fn prompting() -> Vec<u8> {
    [&write_port(COM1, PROMPT)[..], &FOR_EVER].concat()
}

/// The `run` command on the folder's kernel. Signals are not ignored, as those of a job in the background may be.
fn run(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_run"), "--image"]);
    command.arg(folder.join("kernel")).args(["--net", "none"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("run runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// How such a run ends by itself.
fn output_of(folder: &tempfile::TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    output(&mut run(folder.path(), arguments))
}

/// Starts a run and waits until its board has said its prompt.
fn start(command: &mut Command) -> Child {
    let mut child = command.spawn().expect("run runs");
    let mut said = vec![0; PROMPT.len()];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("the prompt");
    assert_eq!(said, PROMPT);
    child
}

/// Sends a signal to a process.
fn send(signal: &str, process: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status();
    assert!(sent.expect("a shell").success());
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have this text in their command line: the board's QEMU names its folder.
fn running(text: &Path) -> usize {
    let text = text.to_str().expect("a name").as_bytes();
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .filter(|line| line.starts_with(b"qemu") && line.windows(text.len()).any(|part| part == text))
        .count()
}

#[test]
fn a_signal_stops_the_board_and_ends_the_run_as_signals_do() {
    for (name, number) in [("TERM", 15), ("HUP", 1), ("INT", 2)] {
        let folder = folder(&prompting());
        let socket = folder.path().join("monitor");
        let mut child = start(
            run(folder.path(), &["--interactive", "--qmp", socket.to_str().expect("a name")]).stdin(Stdio::piped()),
        );
        assert!(socket.exists());
        assert_eq!(running(folder.path()), 1);
        send(name, child.id());
        let status = child.wait().expect("its end");
        assert_eq!(status.signal(), Some(number), "{name}: {status}");
        assert!(!socket.exists(), "{name}");
        assert_eq!(running(folder.path()), 0, "{name}");
    }
}

/// A run at a terminal of its own, with the terminal's other end.
fn at_terminal(folder: &Path) -> (Child, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
    grantpt(&person).and_then(|()| unlockpt(&person)).expect("a terminal of our own");
    let name = ptsname(&person, Vec::new()).expect("its name").into_string().expect("text");
    let end = File::options().read(true).write(true).open(name).expect("its other end");
    // As a shell's child, whose terminal tells it when it hangs up.
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_run"), "--net", "none", "--interactive", "--image"]);
    command.arg(folder.join("kernel")).stdin(end.try_clone().expect("another descriptor"));
    let child = command.stdout(end.try_clone().expect("another descriptor")).stderr(end).spawn().expect("setsid runs");
    let mut person = File::from(person);
    let mut said = Vec::new();
    while !said.ends_with(PROMPT) {
        let mut byte = [0];
        person.read_exact(&mut byte).expect("the prompt");
        said.push(byte[0]);
    }
    (child, person)
}

/// Whether the terminal edits lines and echoes keys, as a shell's does.
fn is_ordinary(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).expect("its settings").local_modes;
    modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

#[test]
fn a_signal_sets_the_terminal_back() {
    let folder = folder(&prompting());
    let (mut child, mut person) = at_terminal(folder.path());
    assert!(!is_ordinary(&person), "each key is the board's");
    // Control-C is a key like any other.
    person.write_all(b"\x03").expect("typed");
    send("TERM", child.id());
    assert_eq!(child.wait().expect("its end").signal(), Some(15));
    assert!(is_ordinary(&person));

    let (mut child, mut person) = at_terminal(folder.path());
    person.write_all(b"\x01x").expect("typed");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert!(is_ordinary(&person));
}

#[test]
fn a_terminal_that_hangs_up_ends_the_run() {
    let folder = folder(&prompting());
    let (mut child, person) = at_terminal(folder.path());
    drop(person);
    assert_eq!(child.wait().expect("its end").signal(), Some(1));
    until("QEMU ends", || running(folder.path()) == 0);
    assert!(!folder.path().join("kernel.qmp").exists());
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = folder(&prompting());
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_run"), "--net", "none", "--interactive"]);
    command.arg("--image").arg(folder.path().join("kernel")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = start(&mut command);
    send("HUP", child.id());
    // The next one is seen after it.
    send("TERM", child.id());
    assert_eq!(child.wait().expect("its end").signal(), Some(15));
}

#[test]
fn a_run_whose_reader_reads_no_more_can_be_ended() {
    let folder = folder(&[&write_port(COM1, PROMPT)[..], &write_port(COM1, b"more")[..], &[0xeb, 0xed]].concat());
    // It writes until the pipe is full, for nobody reads it.
    let mut child = start(run(folder.path(), &[]).stderr(Stdio::null()));
    std::thread::sleep(Duration::from_secs(1));
    send("TERM", child.id());
    assert_eq!(child.wait().expect("its end").signal(), Some(15));
    until("QEMU ends", || running(folder.path()) == 0);
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_hinders_the_next() {
    let folder = folder(&prompting());
    let socket = folder.path().join("kernel.qmp");
    let board = || run(folder.path(), &["--interactive", "--keep-flash"]);
    let mut child = start(board().stdin(Stdio::piped()));
    assert!(socket.exists());
    send("KILL", child.id());
    child.wait().expect("its end");
    until("QEMU ends", || running(folder.path()) == 0);
    until("the socket goes", || !socket.exists());
    let (code, output, words) = output(&mut board());
    assert_eq!((code, output.as_str(), words.as_str()), (Some(0), "slopos> \n", ""));
}

#[test]
fn the_end_of_the_input_ends_an_interactive_run_once_the_board_has_its_prompt() {
    let folder = folder(&prompting());
    let mut child = start(run(folder.path(), &["--interactive"]).stdin(Stdio::piped()));
    assert!(folder.path().join("kernel.qmp").exists());
    assert!(child.try_wait().expect("a child").is_none(), "it runs as long as there may be input");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert!(!folder.path().join("kernel.qmp").exists());

    let mut child = start(run(folder.path(), &["--interactive"]).stdin(Stdio::piped()));
    child.stdin.as_mut().expect("a pipe").write_all(b"\x01x").expect("typed");
    assert_eq!(child.wait().expect("its end").code(), Some(0), "Ctrl-A x");
}

#[test]
fn an_interactive_run_has_the_status_of_the_last_command() {
    for (status, code) in [(0, 0), (7, 7), (111, 111)] {
        let folder = folder(&exit(16 + status));
        assert_eq!(output(&mut run(folder.path(), &["--interactive"])), (Some(code), String::new(), String::new()));
    }
}

#[test]
fn a_second_board_runs_beside_the_first() {
    let folder = folder(&prompting());
    let flash = folder.path().join("kernel.img");
    let mut first = start(run(folder.path(), &["--interactive", "--keep-flash"]).stdin(Stdio::piped()));
    let board = |keep: &str| output(&mut run(folder.path(), &["--interactive", keep]));
    assert_eq!(board("--keep-flash=never"), (Some(0), "slopos> \n".into(), String::new()));

    let holder = format!("process {} ({} --image ", first.id(), env!("CARGO_BIN_EXE_run"));
    let (code, _, words) = board("--keep-flash");
    assert_eq!(code, Some(1));
    assert!(words.starts_with(&format!("run: {} is in use by {holder}", flash.display())), "{words}");
    assert!(words.contains("run without --keep-flash"), "{words}");

    let (code, output, words) = board("--keep-flash=if-free");
    assert_eq!((code, output.as_str()), (Some(0), "slopos> \n"));
    assert!(words.contains(&holder) && words.contains("what this board writes there is lost at its end"), "{words}");

    // The monitor is still the first one's.
    assert!(folder.path().join("kernel.qmp").exists());
    drop(first.stdin.take());
    assert_eq!(first.wait().expect("its end").code(), Some(0));
    assert_eq!(board("--keep-flash=if-free"), (Some(0), "slopos> \n".into(), String::new()));
    // The last of several wins, so that an option can be added to those of a recipe.
    let twice = output_of(&folder, &["--interactive", "--keep-flash=if-free", "--keep-flash"]);
    assert_eq!(twice.0, Some(0), "{}", twice.2);
}

#[test]
fn too_little_memory_is_said_with_what_is_needed() {
    let folder = folder(&exit(16));
    // The kernel lies at 1 MiB.
    for arguments in [&["--memory", "1M"][..], &["--", "-m", "1M"]] {
        let (code, output, words) = output_of(&folder, arguments);
        assert_eq!((code, output.as_str()), (Some(1), ""));
        assert!(words.contains("kernel.elf cannot boot: it needs 2 MiB of memory"), "{words}");
        assert!(words.contains("the board would have 1 MiB"), "{words}");
    }
    assert_eq!(output_of(&folder, &["--memory", "2M"]).0, Some(33));
}

#[test]
fn what_is_no_kernel_is_refused() {
    let folder = folder(&exit(16));
    let kernel = folder.path().join("kernel.elf");
    let bootable = std::fs::read(&kernel).expect("a kernel");

    std::fs::write(&kernel, "#!/bin/sh\n").expect("written");
    let (code, output, words) = output_of(&folder, &[]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(words.contains("kernel.elf is no kernel: expected a 64-bit ELF file"), "{words}");

    // The note's type is another one's: QEMU would boot nothing, and end with 0 as if all were well.
    let mut unbootable = bootable;
    let note = unbootable.windows(4).position(|bytes| bytes == b"Xen\0").expect("the note");
    unbootable[note - 4] = 17;
    std::fs::write(&kernel, unbootable).expect("written");
    let (code, output, words) = output_of(&folder, &[]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(words.contains("kernel.elf cannot boot: the PVH note with the 32-bit entry is missing"), "{words}");

    std::fs::remove_file(&kernel).expect("removed");
    let (code, _, words) = output_of(&folder, &[]);
    assert_eq!(code, Some(1));
    assert!(words.contains("kernel.elf; ./just build makes it"), "{words}");
}

#[test]
fn a_qemu_that_ends_by_itself_is_no_success() {
    // The keyboard controller's reset, which QEMU takes as the end (-no-reboot), with code 0.
    let reset = [&write_port(COM1, b"up\n")[..], &write_port(0x64, &[0xfe]), &FOR_EVER].concat();
    let folder = folder(&reset);
    for arguments in [&[][..], &["--status"], &["--interactive"]] {
        let (code, output, words) = output_of(&folder, arguments);
        assert_eq!((code, output.as_str()), (Some(125), "up\n"), "{arguments:?}");
        assert!(
            words.contains("QEMU ended with code 0 before the board exited, which is code 33 or higher"),
            "{words}"
        );
    }
    let silent = self::folder(&[&write_port(0x64, &[0xfe])[..], &FOR_EVER].concat());
    let (code, _, words) = output_of(&silent, &[]);
    assert_eq!(code, Some(125));
    assert!(words.contains("the board has said nothing") && words.contains("needs 2 MiB of memory"), "{words}");
}
