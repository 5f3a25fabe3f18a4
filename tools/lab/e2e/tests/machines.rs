//! The same kernel on machines of other shapes: without an interval timer, with one serial port only, without a way to
//! give QEMU a code, and with what other engines put on the command line.

use slopos_e2e::built;
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Decoded, Decoder};
use std::process::{Command, Stdio};

/// QEMU's code for the status 0 of `exit`.
const SUCCESS: i32 = 33;

/// A machine by QEMU's words, and what came of a run.
struct Run {
    code: Option<i32>,
    console: String,
    log: Vec<String>,
}

/// Boots the kernel on a machine, with these arguments and a second serial port for the log.
#[track_caller]
fn boot(machine: &str, append: &str, more: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("com2");
    // Not by `-serial`, for microvm would have no second port then.
    let port = format!("file,id=log,path={}", log.display());
    let arguments = ["-chardev", &port, "-device", "isa-serial,index=1,chardev=log"];
    let (code, console) = boot_bare(machine, append, &[&arguments[..], more].concat());
    let decoder = Decoder::from_elf(&built("qemu_q35.elf")).expect("the kernel's texts");
    let decoded = decoder.stream().push(&std::fs::read(&log).expect("the log"));
    let line = |decoded| match decoded {
        Decoded::Line(line) => Some(line.text),
        Decoded::Text(_) => None,
    };
    Run { code, console, log: decoded.into_iter().filter_map(line).collect() }
}

/// Boots the kernel with its console alone; returns QEMU's code and what the console said.
fn boot_bare(machine: &str, append: &str, more: &[&str]) -> (Option<i32>, String) {
    let image = format!("if=none,id=flash,format=raw,snapshot=on,file={}", built("qemu_q35.img").display());
    // `timeout` ends a machine that hangs; its code is 124.
    let mut command = Command::new("timeout");
    command.args(["120", "qemu-system-x86_64", "-M", machine, "-cpu", "max", "-m", "32M", "-nodefaults", "-no-reboot"]);
    command.args(["-display", "none", "-kernel"]).arg(built("qemu_q35.elf")).args(["-append", append]);
    command.args(["-drive", &image, "-device", "virtio-blk-pci,drive=flash"]);
    command.args(["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="]);
    command.args(["-serial", "stdio"]).args(more).stdin(Stdio::null());
    let output = command.output().expect("QEMU runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A page on the host, and its address for the board.
fn page() -> String {
    answering(Answer::Bytes(response(b"a page to be seen\n")))
}

const DEBUG_EXIT: [&str; 2] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// Fetches a page on a machine that gives QEMU a code.
#[track_caller]
fn fetches(machine: &str, more: &[&str]) -> Run {
    let url = page();
    let run = boot(machine, &format!("webget {url}; exit"), &[&DEBUG_EXIT[..], more].concat());
    assert_eq!(run.code, Some(SUCCESS), "{}{:#?}", run.console, run.log);
    assert!(run.console.contains("a page to be seen"), "{}", run.console);
    run
}

#[test]
fn without_an_interval_timer_the_clocks_are_set_all_the_same() {
    fetches("q35,pit=off", &[]);
}

#[test]
fn the_older_pc_has_the_same_parts() {
    fetches("pc", &[]);
}

/// What the log says of interrupts of the network device.
fn interrupts(run: &Run) -> Option<&str> {
    run.log.iter().find(|line| line.starts_with("virtio-net: ready"))?.split_once("interrupts=").map(|(_, how)| how)
}

#[test]
fn devices_that_the_firmware_has_not_placed_are_given_addresses_above_4_gib() {
    // There is no table with configuration space, either: the DSDT has its address.
    let run = fetches("microvm,pcie=on", &[]);
    let placed: Vec<&String> = run.log.iter().filter(|line| line.starts_with("pci: BAR")).collect();
    assert_eq!(placed.len(), 4, "{:#?}", run.log);
    assert!(placed.iter().any(|line| line.ends_with("is placed at 0xc000000000")), "{placed:#?}");
    assert_eq!(interrupts(&run), Some("msix"));
}

#[test]
fn the_firmware_may_have_placed_devices_above_4_gib() {
    // A device that fits nowhere below has SeaBIOS move all registers that can be above.
    let run = fetches("q35", &["-device", "pci-testdev,membar=8G"]);
    assert_eq!(interrupts(&run), Some("msix"));
}

#[test]
fn pins_are_known_on_two_chipsets_and_elsewhere_devices_are_polled() {
    for (machine, how, polled) in [("q35", "intx", 0), ("pc", "intx", 0), ("microvm,pcie=on", "none", 2)] {
        let vectors = ["-global", "virtio-net-pci.vectors=0", "-global", "virtio-blk-pci.vectors=0"];
        let run = fetches(machine, &vectors);
        assert_eq!(interrupts(&run), Some(how), "{machine}");
        let lines = run.log.iter().filter(|line| line.ends_with("so it is polled")).count();
        assert_eq!(lines, polled, "{machine}: {:#?}", run.log);
    }
}

#[test]
fn one_of_several_processors_is_used() {
    for machine in ["q35", "pc", "microvm,pcie=on"] {
        let run = fetches(machine, &["-smp", "4"]);
        let said = "boot: one processor is used, of 4; the others stay asleep";
        assert!(run.log.iter().any(|line| line == said), "{machine}: {:#?}", run.log);
    }
}

#[test]
fn without_a_way_to_give_a_code_the_machine_is_switched_off() {
    for (machine, commands, status) in [("q35", "exit", 0), ("pc", "no-such-command; exit", 111)] {
        let run = boot(machine, commands, &[]);
        assert_eq!(run.code, Some(0), "{machine}: {}", run.console);
        assert!(run.console.ends_with(&format!("exit: status {status}\n")), "{machine}: {:?}", run.console);
    }
}

#[test]
fn a_machine_that_gives_a_code_says_nothing_more_about_it() {
    let run = boot("q35", "exit", &DEBUG_EXIT);
    assert_eq!((run.code, run.console.as_str()), (Some(SUCCESS), ""));
}

#[test]
fn without_power_management_it_is_reset() {
    // QEMU ends at a reset, for it was told not to start again.
    let (code, console) = boot_bare("q35", "exit", &["-no-acpi"]);
    assert_eq!((code, console.as_str()), (Some(0), "exit: status 0\n"));
}

#[test]
fn a_person_can_switch_it_off_and_start_it_anew() {
    // With a device for the code, too: these two never use it. QEMU ends at a reset, for it was told not to start again.
    for command in ["poweroff", "reboot"] {
        let run = boot("q35", command, &DEBUG_EXIT);
        assert_eq!((run.code, run.console.as_str()), (Some(0), ""), "{command}");
    }
}

#[test]
fn words_of_other_engines_are_no_commands() {
    let url = page();
    let line = format!(
        "console=ttyS0 reboot=k panic=1 pci=off webget {url}; exit root=/dev/vda ro virtio_mmio.device=4K@0xd0000000:5"
    );
    let run = boot("q35", &line, &DEBUG_EXIT);
    assert_eq!(run.code, Some(SUCCESS), "{}", run.console);
    assert!(run.log.iter().any(|line| line == "console: left 7 words of the loader's out of the command line"));
    let run = boot("q35", "quiet -- exit", &DEBUG_EXIT);
    assert_eq!(run.code, Some(SUCCESS), "{}", run.console);
}
