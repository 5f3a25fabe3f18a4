//! doc/fleet/libvirt.xml, by a libvirt daemon of the test's own: its sockets, states and logs lie in the test's folder.

use crate::{log, placed, wait_for};
use slopos_audit::{Memory, live};
use slopos_e2e::typist::Typist;
use slopos_lab::servers::{Answer, answering, response};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A daemon, as somebody without privileges runs it: nothing of it is where the machine's own daemon has its things.
struct Daemon {
    folder: PathBuf,
    child: Child,
}

impl Daemon {
    fn start(folder: &Path) -> Daemon {
        let configuration = folder.join("config/libvirt");
        std::fs::create_dir_all(&configuration).expect("a folder");
        std::fs::create_dir(folder.join("run")).expect("a folder");
        // Otherwise a second daemon would keep the output of machines.
        std::fs::write(configuration.join("qemu.conf"), "stdio_handler = \"file\"\n").expect("its configuration");
        let output = std::fs::File::create(folder.join("libvirtd.log")).expect("a file");
        let mut command = unprivileged("libvirtd", folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().expect("libvirtd; tools/setup/servers.sh installs it");
        let daemon = Daemon { folder: folder.to_owned(), child };
        wait_for("an answer of libvirtd", || daemon.virsh(&["list"]).output().expect("virsh").status.success());
        daemon
    }

    fn virsh(&self, words: &[&str]) -> Command {
        let mut command = unprivileged("virsh", &self.folder);
        command.args(["--connect", "qemu:///session"]).args(words);
        command
    }

    /// Has virsh carry out a command; returns what it says.
    #[track_caller]
    fn does(&self, words: &[&str]) -> String {
        let output = self.virsh(words).output().expect("virsh");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        let daemon = std::fs::read_to_string(self.folder.join("libvirtd.log")).unwrap_or_default();
        assert!(output.status.success(), "virsh {words:?}: {said}{complained}\n--- libvirtd\n{daemon}");
        said
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It runs no more, unless the test fails.
        let _ended = self.virsh(&["destroy", "slopos"]).output();
        self.child.kill().and_then(|()| self.child.wait()).expect("the daemon is ours");
    }
}

/// A program of libvirt that keeps to this folder. As root it would take the machine's folders, so it believes that it is
/// somebody else.
fn unprivileged(program: &str, folder: &Path) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = Command::new(if root { "unshare" } else { program });
    if root {
        command.args(["--map-user=1000", "--map-group=1000", program]);
    }
    command.env("HOME", folder).env("XDG_RUNTIME_DIR", folder.join("run"));
    for (variable, name) in [("CONFIG", "config"), ("DATA", "data"), ("CACHE", "cache"), ("STATE", "state")] {
        command.env(format!("XDG_{variable}_HOME"), folder.join(name));
    }
    command
}

#[test]
fn a_domain_is_started_talked_to_dumped_audited_and_shut_down() {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let (folder, domain) = placed("libvirt.xml", &url);
    let folder = folder.path();
    std::fs::write(folder.join("domain.xml"), domain).expect("a file");
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let daemon = Daemon::start(folder);
    // By the schema that libvirt publishes.
    daemon.does(&["define", &at("domain.xml"), "--validate"]);
    daemon.does(&["start", "slopos"]);

    let mut person = Typist::at(&mut daemon.virsh(&["console", "slopos"]));
    person.sees("Connected to domain 'slopos'").types("\r").sees("slopos> ");
    person.types(&format!("webget {url}\r")).looks_until("a page behind this command", |screen| {
        let shown = screen.contents();
        let asked = shown.split_once("slopos> webget ").map(|(_, behind)| behind);
        asked.is_some_and(|shown| shown.contains("a page to be seen") && shown.contains("webget: done status=200"))
    });
    // Ctrl-] leaves the console, and the board goes on: who comes back finds it as it was.
    person.types("\x1d");
    assert!(person.sees_the_end().success(), "{}", person.screen());
    assert_eq!(daemon.does(&["domstate", "slopos"]).trim(), "running");
    let mut person = Typist::at(&mut daemon.virsh(&["console", "slopos"]));
    person
        .sees("Connected to domain 'slopos'")
        .types("ps\r")
        .looks_until("the processes, webget after two runs", |screen| {
            screen.contents().lines().any(|line| line.trim_start().starts_with("webget ") && line.contains("+20"))
        });
    let lines = log(folder, "slopos.log");
    for start in
        ["virtio-net: ready mac=52:54:00:", "virtio-blk: ready ", "dhcp: lease ", "arp: gateway 10.0.2.2 is-at "]
    {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start:?} is not in {lines:#?}");
    }

    daemon.does(&["dump", "--memory-only", "slopos", &at("dump")]);
    let (image, manifest) = slopos_audit::read(&folder.join("qemu_q35.elf")).expect("the kernel");
    let memory = Memory::of_dump(&folder.join("dump")).expect("a dump");
    let live = live::look(&image, &manifest, &memory).expect("the board's memory");
    assert_eq!(live.disagreements(), Vec::<String>::new());
    let webget = live.processes.iter().find(|process| process.name == "webget").expect("webget");
    // By the kernel's command line, and by the person.
    assert_eq!((webget.starts, webget.wins, webget.losses), (2, 2, 0));

    daemon.does(&["shutdown", "slopos"]);
    wait_for("the end of the domain", || daemon.does(&["domstate", "slopos", "--reason"]).contains("shut off"));
    // The machine was switched off from within, and not by force.
    assert_eq!(daemon.does(&["domstate", "slopos", "--reason"]).trim(), "shut off (shutdown)");
    // The console ends with the domain.
    person.sees_the_end();
    let lines = log(folder, "slopos.log");
    assert_eq!(lines.last().map(String::as_str), Some("power: the button was pressed, switching off"), "{lines:#?}");
    daemon.does(&["undefine", "slopos"]);
}
