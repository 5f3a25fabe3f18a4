//! QEMU with kernels of a few instructions, so that the tool is tested without the board.

mod kernel;

use kernel::{COM1, COM2, FOR_EVER, exit, kernel, write_port};
use slopos_run::qmp::Qmp;
use slopos_run::{Event, Machine, TIMED_OUT, Transport, Verdict, verdict};
use std::time::{Duration, Instant};

/// Enough for a slow machine that does other things too.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn console_text_and_exit_code_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = [write_port(COM1, b"one\ntwo"), exit(16 + 22)].concat();
    let mut pieces = Vec::new();
    let outcome = Machine::builder(kernel(folder.path(), &code))
        .network(Transport::None)
        .timeout(LIMIT)
        .run_with(|event| {
            if let Event::Console(bytes) = event {
                pieces.extend_from_slice(bytes);
            }
            Ok(())
        })
        .expect("QEMU runs");
    assert_eq!(outcome.console, "one\ntwo");
    assert_eq!(pieces, b"one\ntwo");
    assert_eq!(outcome.code, 77);
    assert_eq!(verdict(outcome.code), Verdict::Exit(22));
    assert_eq!(outcome.log, Vec::<String>::new());
}

#[test]
fn what_is_typed_reaches_the_board_after_its_prompt() {
    let folder = tempfile::tempdir().expect("a folder");
    // Prompts with `>`, then echoes each byte; `q` ends it.
    let mut code = write_port(COM1, b">");
    code.extend([0xba, 0xfd, 0x03, 0, 0]); // again: mov edx, 0x3fd
    code.extend([0xec, 0xa8, 0x01, 0x74, 0xfb]); // wait: in al, dx; test al, 1; jz wait
    code.extend([0xba, 0xf8, 0x03, 0, 0, 0xec, 0xee]); // mov edx, 0x3f8; in al, dx; out dx, al
    code.extend([0x3c, b'q', 0x75, 0xeb]); // cmp al, 'q'; jne again
    code.extend(exit(16));
    let outcome = Machine::builder(kernel(folder.path(), &code))
        .network(Transport::None)
        .timeout(LIMIT)
        .when(">", "ab")
        .when("ab", "cq")
        .run()
        .expect("QEMU runs");
    assert_eq!((outcome.console.as_str(), outcome.code), (">abcq", 33));
}

#[test]
fn a_board_that_does_not_end_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let outcome = Machine::builder(kernel(folder.path(), &[&write_port(COM1, b"up\n")[..], &FOR_EVER].concat()))
        .network(Transport::None)
        .timeout(Duration::from_secs(4))
        .run()
        .expect("QEMU runs");
    assert_eq!(outcome.code, TIMED_OUT);
    assert_eq!(outcome.console, "up\n");
    assert!(begin.elapsed() < LIMIT);
}

#[test]
fn a_listener_that_fails_stops_the_board() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let refusal = Machine::builder(kernel(folder.path(), &[&write_port(COM1, b"up\n")[..], &FOR_EVER].concat()))
        .network(Transport::None)
        .timeout(LIMIT)
        .run_with(|_| Err(anyhow::anyhow!("no room on the disk")))
        .expect_err("the listener's error");
    assert_eq!(refusal.to_string(), "no room on the disk");
    assert!(begin.elapsed() < LIMIT);
}

#[test]
fn frames_without_a_decoder_are_not_lost_silently() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = [write_port(COM2, &[1, 2, 3]), exit(1)].concat();
    let outcome =
        Machine::builder(kernel(folder.path(), &code)).network(Transport::None).timeout(LIMIT).run().expect("runs");
    assert_eq!(verdict(outcome.code), Verdict::Panic);
    assert_eq!(outcome.log, ["run: 3 bytes on COM2 and no defmt data in the ELF to decode them with"]);
}

#[test]
fn every_kind_of_network_device_is_accepted_by_qemu() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = kernel(folder.path(), &exit(16));
    for transport in [Transport::Modern, Transport::Legacy, Transport::Transitional, Transport::None] {
        let outcome = Machine::builder(&path).network(transport).timeout(LIMIT).run().expect("QEMU runs");
        assert_eq!((outcome.code, outcome.qemu), (33, vec![]), "{transport:?}");
    }
    let capture = folder.path().join("frames, all.pcap");
    let outcome = Machine::builder(&path)
        .root_port(true)
        .network_properties("vectors=0,rx_queue_size=1024,host_mtu=1400")
        .capture(&capture)
        .timeout(LIMIT)
        .run()
        .expect("QEMU runs");
    assert_eq!((outcome.code, outcome.qemu), (33, vec![]));
    // The file header of the pcap format.
    assert_eq!(std::fs::read(capture).expect("a capture")[..4], 0xa1b2_c3d4_u32.to_le_bytes());
}

#[test]
fn the_flash_keeps_what_is_written_only_where_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = kernel(folder.path(), &exit(16));
    let flash = folder.path().join("flash.img");
    let board = || Machine::builder(&path).network(Transport::None).timeout(LIMIT).flash(&flash);
    let missing = board().run().expect_err("no image");
    assert!(missing.to_string().contains("flash.img; run ./just build"), "{missing}");
    std::fs::write(&flash, vec![0; 65_536]).expect("written");
    for keep in [false, true] {
        let outcome = board().keep_flash(keep).run().expect("QEMU runs");
        assert_eq!((outcome.code, outcome.qemu), (33, vec![]), "keep {keep}");
    }
}

#[test]
fn qemus_own_complaint_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = Machine::builder(kernel(folder.path(), &exit(16)))
        .arguments(["-no-such-option"])
        .timeout(LIMIT)
        .run()
        .expect("QEMU starts");
    assert_eq!(verdict(outcome.code), Verdict::NoWord);
    assert!(outcome.qemu.iter().any(|line| line.contains("no-such-option")), "{:?}", outcome.qemu);
}

#[test]
fn a_tool_can_speak_with_qemu_while_the_board_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("qmp");
    // What an earlier board has left there is no hindrance.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    let mut ran = None;
    let outcome = Machine::builder(kernel(folder.path(), &[&write_port(COM1, b"up\n")[..], &FOR_EVER].concat()))
        .network(Transport::None)
        .monitor(&socket)
        .timeout(LIMIT)
        .run_with(|event| {
            if let (Event::Console(_), None) = (event, ran) {
                let mut qemu = Qmp::connect(&socket)?;
                ran = Some(qemu.is_running()?);
                qemu.execute("quit", None)?;
            }
            Ok(())
        })
        .expect("QEMU runs");
    assert_eq!((ran, outcome.code), (Some(true), 0));
}

#[test]
fn a_panic_is_dumped_and_ends_as_it_would_have() {
    /// The port of QEMU's `pvpanic` device.
    const PVPANIC: u16 = 0x505;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dump");
    // The jump to the next instruction ends a block of code: there the processor stops.
    let code = [write_port(PVPANIC, &[1]), vec![0xeb, 0x00], exit(1)].concat();
    let board = |code: &[u8]| Machine::builder(kernel(folder.path(), code)).network(Transport::None).timeout(LIMIT);
    let outcome = board(&code).dump_on_panic(&file).run().expect("QEMU runs");
    assert_eq!(verdict(outcome.code), Verdict::Panic, "{outcome:?}");
    let dump = std::fs::read(&file).expect("a dump");
    assert!(dump.starts_with(b"\x7fELF") && dump.len() > 1 << 20, "{} bytes", dump.len());
    // The code itself is in it, for it is in memory.
    assert!(dump.windows(code.len()).any(|window| window == code));
    assert!(outcome.qemu.iter().any(|line| line.contains("the board's memory is in")), "{:?}", outcome.qemu);

    let outcome = board(&code).run().expect("QEMU runs");
    assert_eq!(verdict(outcome.code), Verdict::Panic, "without a file nothing is watched");
}
