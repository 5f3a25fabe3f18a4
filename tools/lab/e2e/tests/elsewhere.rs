//! A copy of the tree in another folder, with other folders for cargo and for what is built: the same bytes come of it, and
//! it takes apps from inside and outside.

use slopos_dist::{Board, pack};
use slopos_e2e::{Report, run};
use slopos_new_app::{Request, plan};
use slopos_run::Machine;
use slopos_tree::files;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BOARD: &str = "boards/qemu_q35/board.toml";

/// A copy of the tree's sources, and a home of its own.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    /// Copies the sources of the tree, not what was built of them.
    fn new() -> Copy {
        let copy = Copy { folder: tempfile::tempdir().expect("a folder") };
        let (tree, root) = (files::root(), copy.root());
        for file in files::all(&tree).expect("the tree's files") {
            let to = root.join(&file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            fs::copy(tree.join(&file), &to).unwrap_or_else(|why| panic!("{}: {why}", to.display()));
        }
        // The same compiler, and the same downloads by another way. Git finds the history of the tree, for the revision.
        fs::create_dir_all(root.join("build")).expect("made");
        for file in ["toolchain.env", "setup.stamp"] {
            let to = root.join("build").join(file);
            fs::copy(tree.join("build").join(file), to).expect("./just setup was run");
        }
        link(&tree.join("build/toolchain"), &root.join("build/toolchain"));
        fs::create_dir_all(copy.cargo_home()).expect("made");
        link(&cargo_home().join("registry"), &copy.cargo_home().join("registry"));
        let git = Command::new("git").current_dir(&tree).args(["rev-parse", "--absolute-git-dir"]).output();
        if let Some(git) = git.ok().filter(|output| output.status.success()) {
            let folder = String::from_utf8(git.stdout).expect("UTF-8");
            fs::write(root.join(".git"), format!("gitdir: {folder}")).expect("written");
        }
        copy
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("a/copy of the tree")
    }

    fn cargo_home(&self) -> PathBuf {
        self.folder.path().join("home/.cargo")
    }

    /// What cargo makes.
    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// Runs a script of tools/setup in the copy.
    fn script(&self, name: &str, arguments: &[&str]) {
        let rustup = std::env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from);
        let mut command = Command::new(self.root().join("tools/setup").join(name));
        command.args(arguments).current_dir("/").env("HOME", self.folder.path().join("home"));
        command.env("CARGO_HOME", self.cargo_home()).env("CARGO_TARGET_DIR", self.output()).env("RUSTUP_HOME", rustup);
        // What `cargo test` tells its tests is no business of a build.
        for variable in [
            "DEFMT_LOG",
            "SLOPOS_TOOLCHAIN",
            "RUSTUP_TOOLCHAIN",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION",
        ] {
            command.env_remove(variable);
        }
        // The tools that it builds are used once.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0").env("GIT_OPTIONAL_LOCKS", "0");
        let output = command.output().expect("the script runs");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}\n{words}", String::from_utf8_lossy(&output.stdout));
        // Cargo says so where something is not as it should be, and goes on.
        assert!(!words.contains("warning:"), "{name}: {words}");
    }

    fn run(&self, commands: &str) -> Report {
        let board = Machine::image(&self.root().join("build/qemu_q35")).timeout(Duration::from_secs(240));
        run(board.append(commands))
    }
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map(PathBuf::from).expect("a home")
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

fn link(target: &Path, at: &Path) {
    std::os::unix::fs::symlink(target, at).unwrap_or_else(|why| panic!("{}: {why}", at.display()));
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Whether `bytes` hold `text` anywhere.
fn hold(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// One test, for its second half changes the copy whose bytes the first one compares.
#[test]
fn a_copy_of_the_tree_gives_the_same_bytes_and_takes_new_apps() {
    let copy = Copy::new();
    copy.script("build.sh", &[BOARD]);
    the_same_bytes(&copy);
    new_apps(&copy);
}

/// What came of a tree: what is passed on, and the apps with their debug information.
fn made(root: &Path, output: &Path) -> BTreeMap<String, Vec<u8>> {
    let apps = output.join("bare-apps/x86_64-unknown-none/release");
    let kernel = root.join("build/qemu_q35.elf");
    let board =
        Board { root: root.to_owned(), manifest: root.join(BOARD), kernel, apps: apps.clone(), development: true };
    let packed = pack(&board, "0").unwrap_or_else(|why| panic!("{}: {why:#}", root.display()));
    let mut files = packed.files;
    files.insert(packed.name, packed.bytes);
    for app in ["webget", "monitor", "syscalls"] {
        files.insert(app.to_owned(), read(&apps.join(app)));
    }
    files
}

fn the_same_bytes(copy: &Copy) {
    let tree = files::root();
    let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree.join("target"), PathBuf::from);
    let (here, there) = (made(&tree, &output), made(&copy.root(), &copy.output()));
    assert!(here.keys().eq(there.keys()), "{:?} {:?}", here.keys(), there.keys());
    // No folder of this machine is in them.
    let folders = [&tree, &home(), &cargo_home(), &copy.root(), copy.folder.path()];
    for (name, bytes) in here {
        assert!(bytes == there[&name], "{name} differs: was the tree built from these sources, by ./just build?");
        for folder in folders {
            let folder = format!("{}/", folder.to_str().expect("UTF-8"));
            assert!(!hold(&bytes, &folder), "{name} holds {folder}");
        }
    }
}

fn new_apps(copy: &Copy) {
    let root = copy.root();
    let manifest = root.join(BOARD);
    let before = fs::read_to_string(&manifest).expect("a manifest");
    let outside = copy.folder.path().join("mine");
    let mut folders = vec![];
    for (name, outside) in [("inside", None), ("outside", Some(outside.clone()))] {
        let request = Request { name: name.to_owned(), outside, manifest: manifest.clone() };
        let plan = plan(&root, &request).unwrap_or_else(|why| panic!("{name}: {why:#}"));
        plan.carry_out().unwrap_or_else(|why| panic!("{name}: {why:#}"));
        folders.push(plan.folder);
    }
    // All lines of before are there still, in their order.
    let after = fs::read_to_string(&manifest).expect("a manifest");
    let mut lines = after.lines();
    for line in before.lines() {
        assert!(lines.any(|found| found == line), "the manifest lost the line {line:?}");
    }

    // A server that greets each of the two; its port takes the place of the one in the entries.
    let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = server.local_addr().expect("bound").port();
    fs::write(&manifest, after.replace("2222", &port.to_string())).expect("written");
    std::thread::spawn(move || {
        for (number, guest) in server.incoming().enumerate() {
            let mut guest = guest.expect("a connection");
            guest.write_all(format!("greeting {number}\n").as_bytes()).expect("sent");
        }
    });
    copy.script("build.sh", &[BOARD]);
    let report = copy.run("inside; outside; outside 9; exit");
    report.shows("greeting 0").shows("greeting 1").shows("outside: the manifest does not allow it").exits(1);
    report.logs("net: process outside may not connect to 10.0.2.2:9");

    // A new version alone, which the kernel takes as it is.
    let kernel = read(&root.join("build/qemu_q35.elf"));
    let main = folders[1].join("src/main.rs");
    let text = fs::read_to_string(&main).expect("a program");
    fs::write(&main, text.replace("usage: outside PORT", "once more: outside PORT")).expect("written");
    copy.script("flash.sh", &["outside"]);
    assert!(read(&root.join("build/qemu_q35.elf")) == kernel, "./just flash changed the kernel");
    copy.run("outside none; exit").shows("once more: outside PORT").exits(2);

    // An entry whose crate is gone is told with its line, before anything is built.
    fs::remove_dir_all(&outside).expect("removed");
    let output =
        Command::new(copy.output().join("debug/manifest")).current_dir(&root).args(["--outside", BOARD]).output();
    let output = output.expect("manifest runs");
    let words = String::from_utf8_lossy(&output.stderr);
    let line = 1 + after.lines().position(|line| line == "name = \"outside\"").expect("the entry");
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("{BOARD}:{}: `path` of process `outside`: there is no ", line - 1)), "{words}");
}
