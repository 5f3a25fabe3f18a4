//! The screens that `./just screens` makes: each is there and shows what it is for.

use slopos_tree::{files, packages};
use std::process::Command;

#[test]
fn the_screens_show_what_a_person_sees() {
    let root = files::root();
    // The tests' own level would make another kernel.
    let output = Command::new("./just").arg("screens").current_dir(&root).env_remove("DEFMT_LOG").output();
    let output = output.expect("just runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let screen = |name: &str| {
        let file = root.join("build/screens").join(name).with_extension("txt");
        std::fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
    };
    let console = screen("console");
    assert!(console.contains("help lists commands") && console.contains("slopos> help"), "{console}");
    assert!(console.lines().any(|line| line.split_whitespace().eq(["sleep", "sockets", "start", "stop"])), "{console}");
    let progress = screen("webget-progress");
    assert!(progress.contains('%') && !progress.contains("status 0"), "{progress}");
    assert!(screen("webget").contains("status 0"));
    assert!(screen("recipes").contains("[check]"));
    for (_, tool) in packages::tools(&root).expect("packages") {
        let help = screen(&format!("help-{tool}"));
        assert!(help.contains("Examples:") && help.contains("Exit status:"), "{tool}:\n{help}");
    }
}
