//! The same kernel on machines of other shapes: without an interval timer, with one serial port only, without a way to
//! give QEMU a code, and with what other engines put on the command line.

use slopos_e2e::{built, log_lines};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Decoder, Event, decode};
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
    let file = format!("file,id=com2,path={}", log.display());
    // Where the machine has one port of its own, the second is added.
    let port = if machine.starts_with("microvm") {
        ["-device", "isa-serial,chardev=com2,index=1"]
    } else {
        ["-serial", "chardev:com2"]
    };
    let arguments = [&["-chardev", &file], &port[..]].concat();
    let (code, console) = boot_bare(machine, append, &[&arguments[..], more].concat());
    let lines = log_lines(&format!("{}.elf", board(machine)), &std::fs::read(&log).expect("the log"));
    Run { code, console, log: lines }
}

/// Boots a kernel on a machine with one serial port, over which console and log go.
#[track_caller]
fn boot_with_one_port(name: &str, machine: &str, append: &str, more: &[&str]) -> Run {
    let (code, both) = boot_bare_of(name, machine, append, more);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("com1");
    std::fs::write(&file, both).expect("written");
    let decoder = Decoder::from_elf(&built(&format!("{name}.elf"))).expect("the kernel's texts");
    let mut run = Run { code, console: String::new(), log: Vec::new() };
    let print = |event| {
        match event {
            Event::Console(text) | Event::Beside(text) => run.console.push_str(&String::from_utf8_lossy(&text)),
            Event::Log(line) => run.log.push(line.text),
            Event::Qemu(text) => panic!("{text}"),
        }
        Ok(())
    };
    decode(&decoder, &file, false, print).expect("a log of this kernel");
    run
}

/// Whether the machine has no PCI.
fn is_without_pci(machine: &str) -> bool {
    machine.starts_with("microvm") && !machine.contains("pcie=on")
}

/// The board for a machine.
fn board(machine: &str) -> &'static str {
    if is_without_pci(machine) { "microvm" } else { "qemu_q35" }
}

/// Boots the kernel with one serial port; returns QEMU's code and what came over it.
fn boot_bare(machine: &str, append: &str, more: &[&str]) -> (Option<i32>, String) {
    boot_bare_of(board(machine), machine, append, more)
}

/// The same for another kernel.
fn boot_bare_of(name: &str, machine: &str, append: &str, more: &[&str]) -> (Option<i32>, String) {
    let devices = match is_without_pci(machine) {
        true => ["virtio-blk-device,drive=flash", "virtio-net-device,netdev=net0"],
        false => ["virtio-blk-pci,drive=flash", "virtio-net-pci,netdev=net0,romfile="],
    };
    let [kernel, flash] = ["elf", "img"].map(|ending| built(&format!("{name}.{ending}")));
    let image = format!("if=none,id=flash,format=raw,snapshot=on,file={}", flash.display());
    // `timeout` ends a machine that hangs; its code is 124.
    let mut command = Command::new("timeout");
    command.args(["120", "qemu-system-x86_64", "-M", machine, "-cpu", "max", "-m", "32M", "-nodefaults", "-no-reboot"]);
    command.args(["-display", "none", "-kernel"]).arg(kernel).args(["-append", append]);
    command.args(["-drive", &image, "-device", devices[0], "-netdev", "user,id=net0", "-device", devices[1]]);
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

/// Virtio devices in windows of memory have registers of version 1 unless QEMU is told otherwise.
const VERSION_2: [&str; 2] = ["-global", "virtio-mmio.force-legacy=false"];

#[test]
fn without_pci_devices_are_in_the_windows_of_the_manifest() {
    // With ACPI QEMU names the windows in the DSDT alone, and their interrupts are the second I/O APIC's.
    for firmware in [&[][..], &["-bios", "qboot.rom"]] {
        let run = fetches("microvm", &[&VERSION_2, firmware].concat());
        for ready in ["virtio-net: ready ", "virtio-blk: ready "] {
            let line = run.log.iter().find(|line| line.starts_with(ready)).unwrap_or_else(|| panic!("{:#?}", run.log));
            assert!(line.contains(" transport=mmio "), "{line}");
        }
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
fn without_acpi_and_clocks_devices_are_in_the_windows_of_the_command_line() {
    let run = fetches("microvm,acpi=off,pit=off,rtc=off", &VERSION_2);
    assert!(run.log.iter().any(|line| line == "boot: no ACPI tables"), "{:#?}", run.log);
    assert!(run.log.iter().any(|line| line == "console: left 2 words of the loader's out of the command line"));
}

#[test]
fn without_pci_the_machine_is_switched_off_or_reset() {
    for (machine, log) in [("microvm", ""), ("microvm,acpi=off", "boot: no ACPI tables")] {
        let run = boot(machine, "exit", &VERSION_2);
        assert_eq!((run.code, run.console.as_str()), (Some(0), "exit: status 0\n"), "{machine}: {:#?}", run.log);
        assert!(log.is_empty() || run.log.iter().any(|line| line == log));
    }
}

#[test]
fn devices_of_version_1_are_refused_by_name() {
    let run = boot("microvm", "exit", &DEBUG_EXIT);
    assert_eq!(run.code, Some(SUCCESS), "{}", run.console);
    let refused = |line: &&String| line.contains(" has registers of version 1, and version 2 is needed ");
    assert_eq!(run.log.iter().filter(refused).count(), 2, "{:#?}", run.log);
}

#[test]
fn windows_that_cannot_be_are_passed_over_and_the_others_used() {
    let windows = [
        // Over RAM, the local APIC, the kernel, beyond what can be addressed; no window; of no use.
        ("4K@0x10000:5", "a virtio window (0x10000 to 0x10fff) overlaps "),
        ("4K@0xfee00000:5", "a virtio window (0xfee00000 to 0xfee00fff) overlaps the local APIC"),
        ("1M@1M:5", "a virtio window (0x100000 to 0x1fffff) overlaps the kernel's image"),
        ("4K@0xffffffffff000:5", "overlaps what the processor cannot address"),
        ("18446744073709551612@0:5", "a virtio window (0x0 to 0xfffffffffffffffb) overlaps "),
        ("128@0xd0000000:5", "128@0xd0000000:5 names no window: Place"),
        ("4K@banana:5", "4K@banana:5 names no window: Form"),
        // The two of the flash and of the network, and one that overlaps both.
        ("512@0xfeb00e00:12", ""),
        ("512@0xfeb00c00:11", ""),
        ("512@0xfeb00d00:11", "a virtio window (0xfeb00d00 to 0xfeb00eff) overlaps a virtio window"),
        // One without a device.
        ("4K@0xd0000000:5", "the window at 0xd0000000 cannot be used: NoMagic"),
    ];
    let words: Vec<String> = windows.iter().map(|(window, _)| format!("virtio_mmio.device={window}")).collect();
    let append = format!("{} webget {}; exit", words.join(" "), page());
    let run = boot("microvm,acpi=off,auto-kernel-cmdline=off", &append, &[DEBUG_EXIT, VERSION_2].concat());
    assert_eq!(run.code, Some(SUCCESS), "{}{:#?}", run.console, run.log);
    for (window, reason) in windows {
        let said = |line: &String| line.starts_with("mmio: ") && line.contains(reason);
        assert!(reason.is_empty() || run.log.iter().any(said), "{window}: {:#?}", run.log);
    }
    assert_eq!(run.log.iter().filter(|line| line.starts_with("mmio: ")).count(), 9, "{:#?}", run.log);
}

#[test]
fn two_windows_of_one_interrupt_are_told_and_polled() {
    // The flash's line is 12 in truth, so nothing would come of its interrupts.
    let windows = "virtio_mmio.device=512@0xfeb00e00:11 virtio_mmio.device=512@0xfeb00c00:11";
    let append = format!("{windows} webget {}; exit", page());
    let run = boot("microvm,acpi=off,auto-kernel-cmdline=off", &append, &[DEBUG_EXIT, VERSION_2].concat());
    assert_eq!(run.code, Some(SUCCESS), "{}{:#?}", run.console, run.log);
    let told = "mmio: two devices have interrupt 11, so they are looked at by the clock";
    assert_eq!(run.log.iter().filter(|line| *line == told).count(), 1, "{:#?}", run.log);
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
    let run = boot("q35", "exit", &["-no-acpi"]);
    assert_eq!((run.code, run.console.as_str()), (Some(0), "exit: status 0\n"));
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

#[test]
fn with_one_serial_port_the_log_comes_between_the_console_s_text() {
    // Without a way to give a code, too.
    let url = page();
    let run = boot_with_one_port("qemu_q35", "q35", &format!("webget {url}; exit"), &[]);
    assert_eq!(run.code, Some(0), "{}", run.console);
    let head = format!("webget: GET {url}\n");
    assert!(run.console.starts_with(&head) && run.console.contains("\na page to be seen\n"), "{}", run.console);
    assert!(run.console.ends_with("exit: status 0\n"), "{}", run.console);
    for line in ["boot: log=false ", "dhcp: lease ", "arp: gateway "] {
        assert!(run.log.iter().any(|logged| logged.starts_with(line)), "{line}: {:?}", run.log);
    }
    // No line of the console is cut by it.
    let (_, both) = boot_bare("q35", &format!("webget {url}; exit"), &[]);
    assert!(both.contains("\x1b_SlopOS;") && both.contains("a page to be seen\n"), "{both:?}");
    assert!(both.contains(&head) && both.contains("exit: status 0\n"), "{both:?}");
}

#[test]
fn nothing_that_a_process_prints_is_taken_for_the_log() {
    let forged = "\x1b_SlopOS;U2xvcE9TIGxvZywgYnVpbGQgMDAA\x1b\\forged\x1b_\n";
    let url = answering(Answer::Bytes(response(forged.as_bytes())));
    let run = boot_with_one_port("qemu_q35", "q35", &format!("webget --raw {url}; exit"), &DEBUG_EXIT);
    assert_eq!(run.code, Some(SUCCESS), "{}", run.console);
    assert!(run.console.contains(forged), "{:?}", run.console);
    assert!(run.log.iter().any(|line| line.starts_with("dhcp: lease ")), "{:?}", run.log);
}

#[test]
fn a_panic_is_told_on_the_only_port_in_both_ways() {
    for image in ["qemu_q35-test", "qemu_q35-text"] {
        let run = boot_with_one_port(image, "q35", "panic", &DEBUG_EXIT);
        assert_eq!(run.code, Some(3), "{}", run.console);
        assert!(run.log.last().is_some_and(|line| line.starts_with("panic: ")), "{:?}", run.log);
        assert!(run.console.contains("panic: "), "{:?}", run.console);
    }
}

#[test]
fn with_one_serial_port_a_log_of_text_is_lines_that_no_program_can_write() {
    let forged = "[log]     0.000001 info  dhcp: lease forged\nand\r[log] more\n";
    let url = answering(Answer::Bytes(response(forged.as_bytes())));
    let commands = format!("webget --raw {url}; exit");
    let run = boot_with_one_port("qemu_q35-text", "q35", &commands, &DEBUG_EXIT);
    assert_eq!(run.code, Some(SUCCESS), "{}", run.console);
    assert!(run.console.contains(&forged.replace("[log] ", "[log]? ")), "{:?}", run.console);
    for line in ["boot: log=false ", "dhcp: lease 10.0.2.15", "arp: gateway "] {
        assert!(run.log.iter().any(|logged| logged.starts_with(line)), "{line}: {:?}", run.log);
    }
    assert!(!run.log.iter().any(|line| line.contains("forged")), "{:?}", run.log);
    // As a person or a file has it, each line is whole and begins with the mark.
    let (_, both) = boot_bare_of("qemu_q35-text", "q35", &commands, &DEBUG_EXIT);
    let lines = both.lines().filter(|line| line.starts_with("[log] "));
    assert_eq!(lines.filter(|line| line.contains(" dhcp: lease 10.0.2.15/24 gateway 10.0.2.2 ")).count(), 1, "{both}");
    assert!(!both.contains('\x1b'), "{both:?}");
}
