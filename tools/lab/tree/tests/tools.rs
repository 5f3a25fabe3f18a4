//! What every tool's command line has, whichever it is.

use slopos_tree::{files, packages};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;

/// Every program below tools/, built.
static TOOLS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let root = files::root();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--message-format", "json"]).current_dir(&root).stderr(Stdio::inherit());
    for (package, _) in packages::tools(&root).expect("packages") {
        cargo.args(["-p", &package]);
    }
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "cargo could not build the tools");
    let built = String::from_utf8(output.stdout).expect("text");
    let messages = built.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    messages.filter_map(|message| Some(message.get("executable")?.as_str()?.into())).collect()
});

struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

fn ended(tool: &Path, arguments: &[&str], stdout: Stdio) -> Ended {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(files::root()).env("RUST_BACKTRACE", "1");
    let output = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().expect("the tool runs");
    let output = output.wait_with_output().expect("the tool ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Has every tool called, and collects what is wrong with each.
fn all(arguments: &[&str], check: impl Fn(&str, &Ended) -> bool) {
    assert!(TOOLS.len() >= 11, "{TOOLS:?}");
    let mut wrong = String::new();
    for tool in TOOLS.iter() {
        let name = tool.file_name().expect("a name").to_string_lossy();
        let ended = ended(tool, arguments, Stdio::piped());
        if !check(&name, &ended) || ended.stderr.contains("backtrace") {
            wrong += &format!("{name} {arguments:?}: {}\n{}{}\n", ended.status, ended.stdout, ended.stderr);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn good(ended: &Ended) -> bool {
    ended.status.success() && ended.stderr.is_empty()
}

#[test]
fn help_has_examples_and_the_exit_status_without_colours_in_a_pipe() {
    for option in ["--help", "-h"] {
        all(&[option], |name, ended| {
            let text = &ended.stdout;
            let examples = text.split_once("\nExamples:\n").map(|(_, examples)| examples).unwrap_or_default();
            let shown = examples.lines().take_while(|line| line.starts_with("  ")).collect::<Vec<_>>();
            let own = shown.iter().all(|line| line.split_whitespace().next() == Some(name));
            let wide = text.lines().any(|line| line.chars().count() > 120);
            let exits = text.contains("\nExit status:\n  0")
                || text.contains("\nExit status:\n  QEMU's own")
                || text.contains("\nExit status:\n  webget's own");
            good(ended) && !shown.is_empty() && own && exits && !wide && !text.contains('\x1b')
        });
    }
}

#[test]
fn the_version_is_the_workspace_s() {
    all(&["--version"], |name, ended| good(ended) && ended.stdout == format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn shells_get_completions_that_they_can_read() {
    for shell in ["bash", "zsh", "fish"] {
        all(&["--completions", shell], |name, ended| {
            good(ended) && ended.stdout.contains(name) && ended.stdout.contains("completions")
        });
    }
    // A recipe gives some tools arguments of its own.
    let run = TOOLS.iter().find(|tool| tool.ends_with("run")).expect("the tool is built");
    let asked = ended(run, &["--interactive", "--keep-flash=if-free", "--completions", "fish"], Stdio::piped());
    assert!(good(&asked) && asked.stdout.contains("complete -c run"), "{}", asked.stderr);
    for tool in TOOLS.iter() {
        let script = ended(tool, &["--completions", "bash"], Stdio::piped()).stdout;
        let read = Command::new("bash").args(["-n", "-c", &script]).output().expect("bash");
        assert!(read.status.success() && read.stderr.is_empty(), "{}: {read:?}", tool.display());
    }
}

#[test]
fn a_wrong_option_is_status_2_and_has_a_near_name() {
    all(&["--versoin"], |_, ended| {
        let said = &ended.stderr;
        ended.status.code() == Some(2)
            && ended.stdout.is_empty()
            && said.contains("--version")
            && said.contains("Usage:")
    });
    all(&["--completions", "bsh"], |_, ended| {
        ended.status.code() == Some(2) && ended.stderr.contains("similar value exists: 'bash'")
    });
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    std::io::pipe().expect("a pipe").1.into()
}

/// As for any program that does not handle SIGPIPE: a shell sees 141.
fn by_sigpipe(ended: &Ended) -> bool {
    use std::os::unix::process::ExitStatusExt;
    ended.status.signal() == Some(13) && ended.stderr.is_empty()
}

#[test]
fn a_closed_pipe_ends_a_tool_without_a_word() {
    for tool in TOOLS.iter() {
        for arguments in [&["--help"][..], &["--completions", "bash"]] {
            let ended = ended(tool, arguments, closed());
            assert!(by_sigpipe(&ended), "{} {arguments:?}: {} {}", tool.display(), ended.status, ended.stderr);
        }
    }
    for (name, arguments) in [
        ("manifest", &["--expand", "boards/qemu_q35/board.toml"][..]),
        ("bench", &["--list"]),
        ("sim", &["seed", "1", "--trace"]),
    ] {
        let tool = TOOLS.iter().find(|tool| tool.ends_with(name)).expect("the tool is built");
        let ended = ended(tool, arguments, closed());
        assert!(by_sigpipe(&ended), "{name}: {} {}", ended.status, ended.stderr);
    }
}

#[test]
fn a_full_disk_is_a_failure_with_a_line() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let tool = TOOLS.iter().find(|tool| tool.ends_with("manifest")).expect("the tool is built");
    let ended = ended(tool, &["--expand", "boards/qemu_q35/board.toml"], full.into());
    assert_eq!(
        (ended.status.code(), ended.stderr.as_str()),
        (Some(1), "manifest: stdout: No space left on device (os error 28)\n")
    );
}

#[test]
fn a_file_that_is_missing_is_named_in_one_line() {
    for (name, arguments, status) in [
        ("manifest", &["no/such.toml"][..], 1),
        ("audit", &["--image", "no/such"], 2),
        ("flash", &["list", "no/such.img"], 1),
        ("run", &["--image", "no/such"], 1),
        ("fetch", &["--image", "no/such"], 1),
        ("panics", &["no/such.elf"], 1),
        ("count", &["--apps", "no", "--image", "no/such"], 1),
        ("bench", &["--linux", "no/such", "boot"], 1),
        ("sim", &["commands", "no/such"], 1),
        ("tree", &["cycles", "slopos-nett"], 1),
    ] {
        let tool = TOOLS.iter().find(|tool| tool.ends_with(name)).expect("the tool is built");
        let ended = ended(tool, arguments, Stdio::piped());
        let said = &ended.stderr;
        let one = said.lines().count() == 1 && said.starts_with(&format!("{name}: "));
        assert!(ended.status.code() == Some(status) && one, "{name}: {} {said}", ended.status);
    }
}
