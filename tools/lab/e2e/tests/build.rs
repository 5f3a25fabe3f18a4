//! `./just build`: kernel and flash change together or not at all, and what is wrong is told with the manifest's line.

use slopos_e2e::{machine, run};
use slopos_flash::Image;
use slopos_flash::key::PrivateKey;
use slopos_manifest::key::show_id;
use slopos_run::Transport;
use slopos_tree::files;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

/// A board of its own, whose files in build/ go with it.
struct Board {
    folder: tempfile::TempDir,
    name: String,
}

impl Board {
    /// What stands for the kernel and the flash of an earlier build, and the board's own manifest with one change.
    fn new(name: &str, old: &str, new: &str) -> Board {
        let board = Board { folder: tempfile::tempdir().expect("a folder"), name: name.to_owned() };
        for part in ["elf", "img"] {
            std::fs::write(board.file(part), "of an earlier build").expect("written");
            // Else the manifest could be as old as they are, by the file system's clock.
            let file = std::fs::File::options().write(true).open(board.file(part)).expect("opened");
            file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
        }
        board.change(old, new);
        board
    }

    /// Writes the board's own manifest with one change, newer than what was built.
    fn change(&self, old: &str, new: &str) {
        let own = std::fs::read_to_string(files::root().join("boards/qemu_q35/board.toml")).expect("the manifest");
        assert!(own.contains(old), "the test changes what is there");
        let text = own.replacen(old, new, 1).replacen("qemu_q35\"", &format!("{}\"", self.name), 1);
        std::fs::write(self.manifest(), text).expect("written");
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("board.toml")
    }

    fn file(&self, part: &str) -> PathBuf {
        files::root().join("build").join(format!("{}.{part}", self.name))
    }

    fn build(&self) -> Output {
        self.build_signed_with("")
    }

    /// Builds with this file of a private key, where there is one.
    fn build_signed_with(&self, key: &str) -> Output {
        let mut command = Command::new("./just");
        command.arg("build").arg(self.manifest()).current_dir(files::root()).env("SLOPOS_SIGNING_KEY", key);
        // The tests' own level would make another kernel.
        command.env_remove("DEFMT_LOG").output().expect("just runs")
    }

    /// Builds, which has to fail with these words, and leaves both files of the earlier build.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.build();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        for part in ["elf", "img"] {
            assert_eq!(read(&self.file(part)), b"of an earlier build", "{part}");
            assert!(!self.file(&format!("new.{part}")).exists(), "{part}");
        }
        said
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        for part in ["elf", "img"] {
            // Gone already where the test failed early.
            let _not_there = std::fs::remove_file(self.file(part));
        }
    }
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// Keys of one's own, the way of doc/security.md: unsigned at first, then signed, then with a stranger's program.
#[test]
fn a_board_runs_what_the_key_of_its_manifest_signed() {
    let webget = "[[process]]\nname = \"webget\"";
    let ours = format!("[flash]\nkeys = [\"keys/ours.pub\"]\nunsigned = \"warn\"\n\n{webget}");
    let board = Board::new("e2e_keys", webget, &ours);
    let keys = board.folder.path().join("keys");
    std::fs::create_dir(&keys).expect("made");
    let private = keys.join("ours.pem");
    let key = PrivateKey::generate().expect("a key");
    key.write(&private, false).expect("written");

    let boot = || run(machine(&board.name).network(Transport::None).append("ps; webget --help; exit"));
    let built = board.build();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success() && said.contains("flash: WARNING: nothing signs the programs"), "{said}");
    let report = boot();
    report.exits(0).shows("usage: webget").logs("flash: app webget runs UNSIGNED");
    report.logs("flash: programs that nobody has signed run on this board").lacks("DEVELOPMENT KEY");

    board.change(webget, &ours);
    let built = board.build_signed_with(private.to_str().expect("UTF-8"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let report = boot();
    report.exits(0).shows("usage: webget");
    let log = report.outcome.log.join("\n");
    assert!(!log.contains("UNSIGNED") && !log.contains("DEVELOPMENT"), "{log}");

    let mut image = Image::from_bytes(read(&board.file("img"))).expect("a flash map");
    let stranger = PrivateKey::development();
    image.sign(&stranger).expect("signed");
    std::fs::write(board.file("img"), image.bytes()).expect("written");
    let report = boot();
    report.shows("webget: has no usable image in the flash");
    let id = show_id(&stranger.public().id());
    report.logs(&format!("flash: app webget rejected: signed with key {id}, which this kernel does not hold"));
}

#[test]
fn an_app_without_a_program_is_told_before_anything_is_compiled() {
    let board = Board::new("e2e_no_app", "app = \"webget\"", "app = \"webgte\"");
    let line = 1 + std::fs::read_to_string(board.manifest())
        .expect("read")
        .lines()
        .take_while(|line| !line.starts_with("app ="))
        .count();
    let place = format!("{}:{line}: ", board.manifest().display());
    board.refused(&[&place, "there is no program `webgte`; did you mean `webget`?"]);
}

#[test]
fn an_app_that_is_too_large_is_told_with_the_line_to_change() {
    let board = Board::new("e2e_large_app", "ram = \"160 KiB\"", "ram = \"16 KiB\"");
    let said = board
        .refused(&["process `webget`: app `webget` needs ", "of the manifest from `ram = \"16 KiB\"` to `ram = \""]);
    assert!(!said.contains("slopos-board-qemu-q35"), "the kernel was compiled in vain:\n{said}");
}

#[test]
fn kernel_and_flash_change_together_or_not_at_all() {
    // The buffers fit, 4 times 1,040 KiB; the control blocks and what is shared do not.
    let board = Board::new("e2e_build", "network_budget = \"6 MiB\"", "network_budget = \"4160 KiB\"");
    board.refused(&["network_budget", "does not pass the audit"]);

    board.change("network_budget = \"6 MiB\"", "network_budget = \"7 MiB\"");
    let output = board.build();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(read(&board.file("elf")).starts_with(b"\x7fELF"));
    assert_eq!(read(&board.file("img")).len(), 1 << 20);
    // A second one finds nothing to do, and says nothing.
    let output = board.build();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
