//! doc/fleet/nomad.hcl: QEMU with the arguments that Nomad's driver makes of it (drivers/qemu/driver.go in Nomad's
//! sources), stopped as the driver stops a task.

use crate::{log, placed, wait_for};
use serde::Deserialize;
use slopos_lab::servers::{Answer, answering, response};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// A job, with the keys that Nomad knows and the file uses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    job: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    r#type: String,
    group: BTreeMap<String, Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    count: u32,
    task: BTreeMap<String, Task>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    driver: String,
    config: Config,
    resources: Resources,
    kill_timeout: String,
}

/// What the driver takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    image_path: String,
    drive_interface: String,
    accelerator: String,
    graceful_shutdown: bool,
    args: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    memory: u32,
}

/// The only task of the file.
fn task(text: &str) -> Task {
    let mut file: File = hcl::from_str(text).unwrap_or_else(|why| panic!("nomad.hcl: {why}"));
    let mut job = file.job.remove("slopos").expect("a job");
    assert_eq!(job.r#type, "service");
    let mut group = job.group.remove("boards").expect("a group");
    assert_eq!(group.count, 1);
    let task = group.task.remove("slopos").expect("a task");
    assert!(file.job.is_empty() && job.group.is_empty() && group.task.is_empty());
    assert_eq!(task.driver, "qemu");
    // The bounds of the driver.
    assert!((128..=4_000_000).contains(&task.resources.memory));
    assert!(task.config.graceful_shutdown && task.kill_timeout == "10s");
    task
}

#[test]
fn a_task_fetches_a_page_and_stops_when_it_is_told_to() {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let (folder, text) = placed("nomad.hcl", &url);
    let Task { config, resources, .. } = task(&text);
    let monitor = folder.path().join("qemu-monitor.sock");
    let console = folder.path().join("stdout");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", &format!("type=pc,accel={}", config.accelerator), "-name", "qemu_q35.img"]);
    qemu.args(["-m", &format!("{}M", resources.memory)]);
    qemu.args(["-drive", &format!("file={},if={}", config.image_path, config.drive_interface), "-nographic"]);
    qemu.args(["-monitor", &format!("unix:{},server,nowait", monitor.display())]).args(&config.args);
    let output = std::fs::File::create(&console).expect("a file");
    qemu.current_dir(folder.path()).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
    let mut qemu = qemu.spawn().expect("QEMU");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("a page", || {
            let said = std::fs::read_to_string(&console).expect("the task's output");
            said.contains("a page to be seen") && said.contains("webget: done status=200")
        });
        // The driver closes the connection at once. QEMU may find it closed before it has read, so the test does not.
        let mut stream = UnixStream::connect(&monitor).expect("a monitor");
        stream.write_all(b"system_powerdown\n").expect("a monitor that listens");
        wait_for("the end of the task", || qemu.try_wait().expect("QEMU is ours").is_some());
    }));
    if let Err(why) = ended {
        qemu.kill().and_then(|()| qemu.wait()).expect("QEMU is ours");
        std::panic::resume_unwind(why);
    }
    assert_eq!(qemu.wait().expect("QEMU is ours").code(), Some(0));
    let lines = log(folder.path(), "slopos.log");
    assert_eq!(lines.last().map(String::as_str), Some("power: the button was pressed, switching off"), "{lines:#?}");
}
