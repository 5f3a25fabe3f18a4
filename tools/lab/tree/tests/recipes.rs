//! The recipes of the justfile, as a person sees them, and the scripts behind them.

use slopos_tree::files;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Calls a program in the tree. No board can be built: setup refuses such a toolchain.
fn call(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(files::root()).env("SLOPOS_TOOLCHAIN", "nowhere").stdin(Stdio::null());
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_list_of_recipes_fits_a_terminal_and_is_in_groups() {
    let list = text(&call("./just", &[]).stdout);
    let wide: Vec<_> = list.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "over 100 columns:\n{}", wide.join("\n"));
    let dump = call("./just", &["--dump", "--dump-format", "json"]);
    let dump: serde_json::Value = serde_json::from_slice(&dump.stdout).expect("JSON");
    let recipes = dump["recipes"].as_object().expect("recipes");
    assert!(recipes.len() > 20);
    for (name, recipe) in recipes.iter().filter(|(name, _)| *name != "default") {
        let attributes = recipe["attributes"].as_array().expect("attributes");
        assert!(attributes.iter().any(|attribute| attribute.get("group").is_some()), "{name} is in no group");
        assert!(recipe["doc"].is_string(), "{name} has no comment");
        // A tool has said what is wrong; its status needs no second message.
        let calls = recipe["body"].to_string();
        let quiet = attributes.iter().any(|attribute| attribute == "no-exit-message");
        assert!(quiet || !calls.contains("tools/"), "{name} passes a status on without [no-exit-message]");
    }
}

#[test]
fn nothing_is_built_to_list_or_to_help() {
    for (arguments, shown) in [
        (&["bench", "--list"][..], "boot "),
        (&["bench", "scale", "--help"], "sockets"),
        (&["run", "--help"], "--append"),
        (&["webget", "--help"], "webget"),
        (&["audit", "--help"], "--compare"),
        (&["count", "--help"], "--check"),
        (&["panics", "--help"], "--forbid"),
        (&["flash", "--help"], "flash.sh"),
        (&["build", "--help"], "build.sh"),
        (&["manifest", "--help"], "--expand"),
        (&["fuzz", "--list"], "tcp_options"),
        (&["fuzz", "--help"], "TARGET"),
        (&["mutants", "--help"], "FOLDER"),
    ] {
        let output = call("./just", arguments);
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && printed.contains(shown), "{arguments:?}: {printed}{said}");
    }
    // That shows something: what does build ends here, with one line.
    let output = call("./just", &["audit"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "setup: SLOPOS_TOOLCHAIN is auto, rustup or debian, not nowhere\n");
}

#[test]
fn a_target_of_the_fuzzer_that_is_not_there_is_told_with_those_that_are() {
    for target in ["tpc", "../corpus", ""] {
        let output = call("./just", &["fuzz", target]);
        assert_eq!(output.status.code(), Some(2), "{target}");
        assert!(text(&output.stderr).contains("there are: arp dhcp"), "{output:?}");
    }
    assert_eq!(call("./just", &["fuzz", "tcp", "soon"]).status.code(), Some(2));
}

/// Has `shown` of tools/setup/common.sh call a cargo that is a script of these lines.
fn shown(cargo: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("cargo");
    std::fs::write(&program, format!("#!/bin/sh\n{cargo}\n")).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("made a program");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("a PATH"));
    let script = "set -eu; . tools/setup/common.sh; shown build; echo and on";
    let root = files::root();
    Command::new("sh").args(["-c", script]).current_dir(Path::new(&root)).env("PATH", path).output().expect("sh")
}

#[test]
fn cargo_speaks_where_it_compiles_and_is_silent_where_it_does_not() {
    let finished = "echo '    Finished `dev` profile [unoptimized + debuginfo] target(s) in 0.06s' >&2";
    let output = shown(finished);
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), "and on\n".into(), String::new())
    );
    let coloured = r"printf '\033[1m\033[92m    Finished\033[0m `dev` profile [optimized] target(s) in 1m 06s\n' >&2";
    assert_eq!(text(&shown(coloured).stderr), "");
    let output = shown(&format!("echo '   Compiling x v1' >&2; echo made; {finished}"));
    assert_eq!(
        (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
        ("made\nand on\n", "   Compiling x v1\n")
    );
}

#[test]
fn a_failure_of_cargo_passes_with_its_words() {
    let output = shown("echo 'error: no' >&2; exit 101");
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(101), String::new(), "error: no\n".into())
    );
}
