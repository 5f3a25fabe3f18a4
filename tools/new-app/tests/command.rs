//! The command `new-app` in a tree that has no more than it looks at. The real tree, with builds and a boot, is in
//! tools/lab/e2e (tests/elsewhere.rs).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A manifest with comments in every place, and a table behind the processes.
const BOARD: &str = r#"# The first line.

[board] # of the board
name = "q35"
network_budget = "64 KiB"   # aligned
max_frame = 1514
flash_size = "544 KiB"

# Before the process.
[[process]]
name = "webget"
app = 'webget'
ram = "160 KiB"
stack = "32 KiB"
arguments = [
    "one",   # inside of a list
]

[process.network]
sockets = 1
receive = "16 KiB"
send = "16 KiB"
# Behind the last key of the process.

[[data]]
name = "scratch"
size = "64 KiB"
# The last line.
"#;

struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { folder: tempfile::tempdir().expect("a folder") };
        let root = tree.root();
        for folder in ["userland/apps/webget", "userland/libslop", "boards/q35"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::write(root.join("Cargo.lock"), "[[package]]\nname = \"heapless\"\n\n[[package]]\nname = \"webget\"\n")
            .expect("written");
        fs::write(root.join("boards/q35/board.toml"), BOARD).expect("written");
        tree
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("a folder").join("slopos")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_new-app"));
        command.current_dir(self.root()).args(arguments).env_remove("CARGO_TARGET_DIR");
        command.args(["--manifest", "boards/q35/board.toml"]).output().expect("new-app runs")
    }

    #[track_caller]
    fn begins(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {words}");
        assert_eq!(words, "");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Each file below the folder in which the tree lies, with what it holds; a folder without any counts as well.
    fn all(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    found.insert(path.clone(), None);
                    folders.push(path);
                } else {
                    found.insert(path.clone(), Some(fs::read(&path).expect("a file")));
                }
            }
        }
        found
    }

    /// The app is refused with these words, and nothing at all has changed.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], reason: &str) {
        let before = self.all();
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
        assert!(words.starts_with("new-app: ") && words.contains(reason), "{arguments:?}: {words}");
        assert_eq!(words.lines().count(), 1, "{words}");
        assert!(self.all() == before, "{arguments:?} was refused and changed something");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Takes what was put into BOARD out of `text`; what is left has to be BOARD to the last letter.
fn put_in(text: &str) -> String {
    let at = text.find("\n[[process]]\nname = \"banner\"").unwrap_or_else(|| panic!("no entry in:\n{text}"));
    let added = text.len() - BOARD.len();
    let entry = &text[at..at + added];
    assert_eq!(format!("{}{}", &text[..at], &text[at + added..]), BOARD);
    entry.to_owned()
}

#[test]
fn an_app_in_the_tree_gets_a_crate_and_an_entry_and_nothing_else_changes() {
    let tree = Tree::new();
    let before = tree.all();
    let said = tree.begins(&["banner"]);
    let commands: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(commands.len(), 3, "{said}");
    assert_eq!(commands[0], "./just build boards/q35/board.toml");
    assert!(commands[1].starts_with("python3 -c ") && commands[1].ends_with('&'), "{said}");
    assert_eq!(commands[2], "target/debug/run --image build/q35 --append 'banner; exit'");

    let app = tree.root().join("userland/apps/banner");
    assert!(read(&app.join("Cargo.toml")).contains("name = \"banner\""));
    assert!(read(&app.join("src/main.rs")).starts_with("//! `banner PORT`: "));
    let entry = put_in(&read(&tree.root().join("boards/q35/board.toml")));
    assert!(entry.contains("connect = [\"10.0.2.2/32:2222\"]"), "{entry}");
    assert!(!entry.contains("path"), "{entry}");

    let mut after = tree.all();
    after.retain(|path, _| !path.starts_with(&app));
    let manifest = tree.root().join("boards/q35/board.toml");
    after.insert(manifest, Some(BOARD.into()));
    assert!(after == before);
}

#[test]
fn an_app_outside_depends_on_this_tree_by_path_and_the_manifest_on_it() {
    let tree = Tree::new();
    let said = tree.begins(&["banner", "--outside", "../mine"]);
    let app = tree.root().join("../mine");
    assert!(said.starts_with(&tree.root().with_file_name("mine").display().to_string()), "{said}");
    let package = read(&app.join("Cargo.toml"));
    assert!(package.contains("libslop = { path = \"../slopos/userland/libslop\" }"), "{package}");
    assert!(package.contains("build = \"../slopos/userland/libslop/app_build.rs\""), "{package}");
    assert!(package.contains("\n[workspace]\n"), "{package}");
    assert!(read(&app.join(".cargo/config.toml")).contains("x86_64-unknown-none"));
    assert_eq!(read(&app.join(".gitignore")), "/target/\n");
    let entry = put_in(&read(&tree.root().join("boards/q35/board.toml")));
    assert!(entry.contains("app = \"banner\"\npath = \"../../../mine\"\n"), "{entry}");
    assert!(!tree.root().join("userland/apps/banner").exists());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let tree = Tree::new();
    tree.refuses(&["Banner"], "made of a to z");
    tree.refuses(&["heapless"], "`heapless` is a package already");
    tree.refuses(&["webget"], "`webget` is a package already");
    tree.refuses(&["help"], "that is a command of the process console");
    tree.refuses(&["scratch"], "cannot share one name in the flash");
    tree.refuses(&["banner", "--outside", "userland/banner"], "lies in the tree");
    tree.refuses(&["banner", "--outside", "../no/such/banner"], "the folder ");
    let mine = tree.root().join("../mine");
    fs::create_dir_all(&mine).expect("made");
    fs::write(mine.join("file"), "").expect("written");
    tree.refuses(&["banner", "--outside", "../mine"], "is there already, and not empty");
    tree.refuses(&["banner", "--outside", "../mine/file"], "is there already, and not empty");
    let app = tree.root().join("userland/apps/banner");
    fs::write(&app, "").expect("written");
    tree.refuses(&["banner"], "is there already");
}

#[test]
fn a_board_that_has_no_room_for_it_is_told_by_its_manifest() {
    let tree = Tree::new();
    let manifest = tree.root().join("boards/q35/board.toml");
    for (old, new, reason) in [
        ("544 KiB", "536 KiB", "with `banner`: map, state, two slots for each app, and data need"),
        ("network_budget = \"64 KiB\"", "network_budget = \"32 KiB\"", "with `banner`: boards/q35/board.toml:"),
        ("max_frame", "max_fram", "boards/q35/board.toml:6: [board] has no key `max_fram`"),
    ] {
        fs::write(&manifest, BOARD.replacen(old, new, 1)).expect("written");
        tree.refuses(&["banner"], reason);
    }
    fs::write(&manifest, BOARD.replacen("'webget'", "\"banner\"", 1)).expect("written");
    tree.refuses(&["banner"], "boards/q35/board.toml:10: a process has the name or the app `banner` already");
}

#[test]
fn what_cannot_be_completed_is_taken_back() {
    let tree = Tree::new();
    // A folder where the manifest's new text would be written.
    fs::create_dir(tree.root().join("boards/q35/.board.toml.new")).expect("made");
    tree.refuses(&["banner"], ".board.toml.new");
}

#[test]
fn an_app_is_formatted_whatever_its_name_is() {
    for name in ["a", "sixteen_letters_"] {
        let tree = Tree::new();
        tree.begins(&[name]);
        let main = tree.root().join(format!("userland/apps/{name}/src/main.rs"));
        // With the options of this tree, and with none.
        for options in [Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")), None] {
            let mut check = Command::new("rustfmt");
            check.args(["--check", "--edition", "2024"]).arg(&main);
            check.args(options.iter().flat_map(|folder| ["--config-path", folder]));
            let output = check.output().expect("rustfmt runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn the_book_shows_what_is_made() {
    let tree = Tree::new();
    tree.begins(&["banner"]);
    let book = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../doc/app.md")));
    let app = tree.root().join("userland/apps/banner");
    let entry = put_in(&read(&tree.root().join("boards/q35/board.toml")));
    for (language, text) in [
        ("toml", read(&app.join("Cargo.toml"))),
        ("rust", read(&app.join("src/main.rs"))),
        ("toml", entry.trim_start().to_owned()),
    ] {
        assert!(book.contains(&format!("```{language}\n{text}```\n")), "doc/app.md does not show:\n{text}");
    }
}
