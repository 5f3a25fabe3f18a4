//! What a manifest may say, and how a wrong one is refused.

use super::*;
use std::path::Path;

/// A manifest that is right, to be made wrong in one place by each test.
const RIGHT: &str = r#"
[board]
name = "board"
network_budget = "1 MiB"
max_frame = 1514
flash_size = "1 MiB"

[[process]]
name = "webget"
app = "webget"
ram = "128 KiB"
stack = "32 KiB"
arguments = ["--quiet"]
flash = ["scratch"]

[process.network]
sockets = 4
receive = "64 KiB"
send = "16 KiB"
connect = ["10.0.2.0/24:80,8000-8999", "0.0.0.0/0:443"]

[process.entropy]
buffer = "64 B"

[[process]]
name = "clock"
app = "clock"
ram = "4 KiB"
stack = "4 KiB"
start = "boot"
restart = { backoff = "100 ms", maximum = "10 s" }
priority = 0
console = "none"

[[data]]
name = "scratch"
size = "64 KiB"
file = "scratch.bin"
"#;

fn parse_text(text: &str) -> Result<Manifest, Error> {
    parse(text, Path::new("boards/here.toml"))
}

/// Refuses RIGHT with `old` replaced by `new`; the message has to name the line of the change and hold `reason`.
#[track_caller]
fn refused(old: &str, new: &str, reason: &str) {
    let start = RIGHT.find(old).expect("the test changes a text that is there");
    let text = RIGHT.replacen(old, new, 1);
    let error = parse_text(&text).expect_err("a wrong manifest was taken");
    assert!(error.message.contains(reason), "{error}");
    let first = 1 + RIGHT[..start].matches('\n').count();
    let last = first + new.matches('\n').count();
    assert!((first..=last).contains(&error.line), "line {} not in {first}..={last}: {error}", error.line);
    assert!(error.to_string().starts_with(&format!("boards/here.toml:{}: ", error.line)), "{error}");
}

#[test]
fn a_right_manifest_is_read_in_full() {
    let manifest = parse_text(RIGHT).expect("a right manifest");
    assert_eq!(
        manifest.board,
        Board {
            name: "board".into(),
            network_budget: 1 << 20,
            network_budget_line: 4,
            max_frame: 1514,
            max_frame_line: 5,
            selftest: false,
            on_panic: OnPanic::Halt,
            log: LogForm::Frames,
            watchdog: None,
            machine: Machine::Q35,
            mmio: None,
            flash_size: 1 << 20,
            flash_size_line: 6
        }
    );
    let line = |number: usize| RIGHT.lines().nth(number - 1).expect("a line");
    let [webget, clock] = &manifest.processes[..] else { panic!("two processes") };
    assert_eq!((webget.name.as_str(), webget.ram, webget.stack), ("webget", 128 << 10, 32 << 10));
    assert_eq!((webget.start, clock.start), (Start::Command, Start::Boot));
    let backoff = Restart::Backoff { first: Duration::from_millis(100), maximum: Duration::from_secs(10) };
    assert_eq!((webget.restart, clock.restart), (Restart::Never, backoff));
    assert_eq!((webget.priority, clock.priority), (PRIORITY_DEFAULT, 0));
    assert_eq!((webget.console, clock.console), (ConsoleAccess::Output, ConsoleAccess::None));
    assert_eq!((line(webget.ram_line), line(clock.stack_line)), ("ram = \"128 KiB\"", "stack = \"4 KiB\""));
    assert_eq!(webget.arguments, ["--quiet"]);
    assert_eq!(webget.flash, ["scratch"]);
    assert_eq!(line(webget.line), "[[process]]");
    let network = webget.network.as_ref().expect("a network");
    assert_eq!((network.sockets, network.receive, network.send), (4, 64 << 10, 16 << 10));
    assert_eq!(network.buffer_bytes(), 4 * (80 << 10));
    assert_eq!(line(network.line), "[process.network]");
    assert_eq!(line(network.sockets_line), "sockets = 4");
    assert_eq!((line(network.receive_line), line(network.send_line)), ("receive = \"64 KiB\"", "send = \"16 KiB\""));
    assert_eq!(network.connect.len(), 3);
    let second = RemoteRange { address: [10, 0, 2, 0].into(), prefix: 24, first_port: 8000, last_port: 8999 };
    assert_eq!(network.connect[1].remote, second);
    assert!(line(network.connect[1].line).starts_with("connect = "));
    assert_eq!((clock.network.as_ref(), clock.entropy), (None, None));
    let entropy = webget.entropy.expect("random bytes");
    assert_eq!((entropy.buffer, line(entropy.line)), (64, "[process.entropy]"));
    assert_eq!(line(entropy.buffer_line), "buffer = \"64 B\"");
    assert_eq!(
        manifest.data,
        [Data {
            name: "scratch".into(),
            size: 64 << 10,
            size_line: 37,
            file: Some("boards/scratch.bin".into()),
            purpose: Purpose::Processes
        }]
    );
}

#[test]
fn the_kernels_seed_is_kept_in_one_region_that_no_process_may_open() {
    const SEED: &str = "\n[[data]]\nname = \"seed\"\nsize = \"512 B\"\nuse = \"seed\"\n";
    assert_eq!(parse_text(RIGHT).expect("right").seed(), None);
    let manifest = parse_text(&format!("{RIGHT}{SEED}")).expect("right");
    assert_eq!(manifest.seed().map(|region| region.name.as_str()), Some("seed"));
    for (text, why) in [
        (format!("{RIGHT}{SEED}{}", SEED.replace("name = \"seed\"", "name = \"other\"")), "there is one seed"),
        (format!("{RIGHT}{}", SEED.replace("use = \"seed\"", "use = \"sead\"")), "it can be \"seed\""),
        (format!("{RIGHT}{SEED}file = \"seed.bin\"\n"), "a seed is secret"),
        (
            format!("{RIGHT}{SEED}").replace("flash = [\"scratch\"]", "flash = [\"seed\"]"),
            "the data region `seed` holds the kernel's seed",
        ),
    ] {
        let error = parse_text(&text).expect_err("wrong").to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_file_is_named_whether_it_is_missing_or_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("board.toml");
    let missing = load(&path).expect_err("no such file");
    assert_eq!((missing.line, missing.path.as_path()), (0, path.as_path()));
    assert!(missing.to_string().contains("board.toml: cannot be read"), "{missing}");
    std::fs::write(&path, RIGHT).expect("written");
    assert_eq!(load(&path).expect("right").processes.len(), 2);
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    refused(
        "network_budget =",
        "network_buget =",
        "[board] has no key `network_buget`; did you mean `network_budget`?",
    );
    refused("stack =", "stak =", "did you mean `stack`?");
    refused("sockets =", "socket =", "did you mean `sockets`?");
    refused("size = \"64", "sise = \"64", "did you mean `size`?");
    refused("[[data]]", "[[date]]", "did you mean `data`?");
}

#[test]
fn a_suggestion_is_not_a_guess() {
    let error = parse_text(&RIGHT.replacen("start =", "zzzzzz =", 1)).expect_err("unknown");
    assert!(error.message.ends_with("[[process]] has no key `zzzzzz`"), "{error}");
}

#[test]
fn a_missing_key_is_named_at_its_table() {
    let error = parse_text(&RIGHT.replacen("app = \"clock\"\n", "", 1)).expect_err("no app");
    assert_eq!(error.message, "[[process]] lacks the key `app`");
    assert_eq!(RIGHT.lines().nth(error.line - 1), Some("[[process]]"));
    assert!(parse_text("").expect_err("nothing").message.contains("[board]"));
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    refused("max_frame = 1514", "max_frame = = 1514", "");
    refused("max_frame = 1514", "max_frame = 1514\nmax_frame = 1514", "duplicate key");
}

#[test]
fn names_are_short_plain_and_unique() {
    refused("name = \"clock\"", "name = \"webget\"", "second process has the name `webget`");
    refused("name = \"clock\"", "name = \"a_name_of_17_byte\"", "17 bytes; 1 to 16 fit");
    refused("name = \"clock\"", "name = \"\"", "0 bytes; 1 to 16 fit");
    refused("name = \"clock\"", "name = \"Clock\"", "holds 'C'");
    refused("app = \"clock\"", "app = \"clock.elf\"", "holds '.'");
    refused("name = \"board\"", "name = \"../board\"", "holds '.'");
    refused("name = \"clock\"", "name = \"wall-clock\"", "holds a hyphen");
    let twice = format!("{RIGHT}\n[[data]]\nname = \"scratch\"\nsize = \"512 B\"\n");
    assert!(parse_text(&twice).expect_err("twice").message.contains("second data region has the name `scratch`"));
    refused(
        "[[process]]\nname = \"clock\"\napp = \"clock\"",
        "[[process]]\nname = \"clock\"\napp = \"scratch\"",
        "share",
    );
}

#[test]
fn a_process_is_not_named_like_a_command_of_the_console() {
    for command in slopos_abi::CommandName::ALL {
        let name = format!("name = \"{}\"", command.word());
        refused("name = \"clock\"", &name, "that is a command of the process console");
    }
    // An app is not run by its name.
    assert!(parse_text(&RIGHT.replacen("app = \"clock\"", "app = \"log\"", 1)).is_ok());
}

#[test]
fn a_size_has_a_unit() {
    refused("ram = \"128 KiB\"", "ram = 131072", "needs a unit; did you mean \"131072 B\"");
    refused("ram = \"128 KiB\"", "ram = \"128 KB\"", "not a size");
    refused("ram = \"128 KiB\"", "ram = true", "not a boolean");
}

#[test]
fn memory_is_whole_pages_inside_the_window() {
    refused("ram = \"4 KiB\"", "ram = \"5 KiB\"", "whole pages of 4 KiB, 8 KiB say");
    refused("ram = \"4 KiB\"", "ram = \"0 KiB\"", "whole pages");
    refused("stack = \"4 KiB\"", "stack = \"1 B\"", "whole pages");
    // 2 MiB less two guard pages and 4 KiB of stack is 2036 KiB: the last that fits.
    assert!(parse_text(&RIGHT.replacen("ram = \"4 KiB\"", "ram = \"2036 KiB\"", 1)).is_ok());
    refused("ram = \"4 KiB\"", "ram = \"2040 KiB\"", "more than the 2 MiB of a process's addresses");
    refused("ram = \"4 KiB\"", "ram = \"17179869183 GiB\"", "more than the 2 MiB");
}

#[test]
fn arguments_fit_the_block_that_carries_them() {
    let long = |length: usize| format!("arguments = [\"{}\"]", "a".repeat(length));
    // `webget` and its NUL take 7 bytes, the argument's NUL one more.
    assert!(parse_text(&RIGHT.replacen("arguments = [\"--quiet\"]", &long(8_185), 1)).is_ok());
    let words = "need 8194 bytes; a process with this stack is started with at most 8193";
    refused("arguments = [\"--quiet\"]", &long(8_186), words);
    refused("\"--quiet\"", "\"\\u0000\"", "NUL");
    refused("[\"--quiet\"]", "\"--quiet\"", "list of texts");
    refused("[\"--quiet\"]", "[3]", "text in quotes");
}

#[test]
fn a_process_starts_at_boot_or_by_command() {
    refused("start = \"boot\"", "start = \"bot\"", "did you mean `boot`?");
}

#[test]
fn a_restart_waits_no_shorter_than_it_says_and_not_for_ever() {
    let right = "restart = { backoff = \"100 ms\", maximum = \"10 s\" }";
    refused(right, "restart = \"nevr\"", "did you mean `never`?");
    refused(right, "restart = \"always\"", "is \"never\" or { backoff");
    refused(right, "restart = true", "is \"never\" or { backoff");
    refused("backoff =", "backof =", "`restart` has no key `backof`; did you mean `backoff`?");
    refused(", maximum = \"10 s\"", "", "`restart` lacks the key `maximum`");
    refused("\"100 ms\"", "\"100\"", "not a span of time");
    refused("\"100 ms\"", "\"0 ms\"", "`backoff` is 0 ms; it has to be 1 ms to 60 min");
    refused("\"10 s\"", "\"61 min\"", "`maximum` is 61 min; it has to be 1 ms to 60 min");
    refused("\"10 s\"", "\"99 ms\"", "`maximum` is 99 ms, less than the first wait of 100 ms");
}

#[test]
fn there_are_eight_priorities() {
    refused("console = \"none\"", "console = \"imput\"", "did you mean `input`?");
    refused("console = \"none\"", "console = true", "`console`");
    refused("priority = 0", "priority = 8", "`priority` is 8; it has to be 0 to 7");
    refused("priority = 0", "priority = -1", "`priority` is -1");
    refused("priority = 0", "priorty = 0", "did you mean `priority`?");
}

#[test]
fn whom_a_process_may_connect_to_is_said_once() {
    refused("0.0.0.0/0:443", "0.0.0.0/0:80", "0.0.0.0/0:80 overlaps 10.0.2.0/24:80 of line");
    refused("0.0.0.0/0:443", "10.0.2.7:8999-9000", "10.0.2.7/32:8999-9000 overlaps 10.0.2.0/24:8000-8999");
    refused("0.0.0.0/0:443", "0.0.0.0/0:443,440-450", "0.0.0.0/0:440-450 overlaps 0.0.0.0/0:443");
    assert!(parse_text(&RIGHT.replacen("0.0.0.0/0:443", "10.0.3.0/24:80", 1)).is_ok());
}

#[test]
fn a_process_opens_regions_that_exist() {
    refused("flash = [\"scratch\"]", "flash = [\"scrach\"]", "no data region `scrach`; did you mean `scratch`?");
    refused("flash = [\"scratch\"]", "flash = [\"scratch\", \"scratch\"]", "named twice");
}

#[test]
fn network_numbers_have_limits() {
    refused("sockets = 4", "sockets = 0", "`sockets` is 0; it has to be 1 to 29");
    refused("sockets = 4", "sockets = 30", "`sockets` is 30; it has to be 1 to 29");
    refused("sockets = 4", "sockets = -1", "`sockets` is -1");
    refused("sockets = 4", "sockets = \"4\"", "`sockets` is a string");
    refused("receive = \"64 KiB\"", "receive = \"1023 B\"", "it has to be 1 KiB to 1 GiB");
    refused("send = \"16 KiB\"", "send = \"2 GiB\"", "it has to be 1 KiB to 1 GiB");
    refused("0.0.0.0/0:443", "0.0.0.0/33:443", "prefix 33");
    refused("0.0.0.0/0:443", "0.0.0.0/0:443-80", "443-80 is empty");
}

#[test]
fn random_bytes_have_a_buffer_with_limits_and_a_name_of_their_own() {
    let buffer = "buffer = \"64 B\"";
    refused(
        buffer,
        "buffer = \"65 B\"",
        "process `webget`: `buffer` of its entropy is 65 B; it has to be 16 B to 64 B",
    );
    refused(buffer, "buffer = \"15 B\"", "it has to be 16 B to 64 B");
    refused(buffer, "buffers = \"64 B\"", "[process.entropy] has no key `buffers`; did you mean `buffer`?");
    refused("[process.entropy]\nbuffer = \"64 B\"", "[process.entropy]", "[process.entropy] lacks the key `buffer`");
    refused("name = \"scratch\"", "name = \"entropy\"", "cannot be called `entropy`");
    let text = Expanded::new(&parse_text(RIGHT).expect("right"), "board.toml").to_string();
    let shown: Vec<_> = text.lines().filter(|line| line.contains("  entropy ")).collect();
    assert!(matches!(shown[..], [line] if line.contains("64 bytes") && line.contains("line ")), "{text}");
}

#[test]
fn the_network_stays_within_its_budget() {
    // Four sockets of 64 KiB and 16 KiB are 320 KiB.
    assert!(parse_text(&RIGHT.replacen("network_budget = \"1 MiB\"", "network_budget = \"320 KiB\"", 1)).is_ok());
    let error = parse_text(&RIGHT.replacen("network_budget = \"1 MiB\"", "network_budget = \"319 KiB\"", 1))
        .expect_err("too little");
    assert!(
        error.message.contains("needs 320 KiB (327680 bytes); `network_budget` on line 4 allows 319 KiB"),
        "{error}"
    );
    assert_eq!(RIGHT.lines().nth(error.line - 1), Some("[[process]]"));
}

#[test]
fn the_largest_frame_has_limits() {
    refused("max_frame = 1514", "max_frame = 589", "`max_frame` is 589; it has to be 590 to 9018");
    refused("max_frame = 1514", "max_frame = 9019", "it has to be 590 to 9018");
}

#[test]
fn the_flash_is_whole_sectors() {
    refused("flash_size = \"1 MiB\"", "flash_size = \"1000 B\"", "whole sectors");
    refused("flash_size = \"1 MiB\"", "flash_size = \"1 KiB\"", "at least 12 KiB for its map");
    refused("flash_size = \"1 MiB\"", "flash_size = \"4096 GiB\"", "its map can count");
    refused("size = \"64 KiB\"", "size = \"100 B\"", "whole sectors of 512 bytes");
}

#[test]
fn sixty_four_processes_fit_and_no_more() {
    let head = &RIGHT[..RIGHT.find("[[process]]").expect("a process")];
    let with = |count: usize| {
        let processes: String = (0..count)
            .map(|n| format!("[[process]]\nname = \"p{n}\"\napp = \"p\"\nram = \"4 KiB\"\nstack = \"4 KiB\"\n"))
            .collect();
        parse_text(&format!("{head}{processes}"))
    };
    assert_eq!(with(64).expect("64 fit").processes.len(), 64);
    assert!(with(65).expect_err("65").message.contains("at most 64"));
    assert!(with(0).expect_err("none").message.contains("nothing to run"));
}

#[test]
fn tables_are_told_from_lists() {
    assert!(
        parse_text("board = 3").expect_err("a number").message.contains("[board] has to be a table, not an integer")
    );
    refused("[[data]]", "[data]", "write [[data]]");
}

#[test]
fn the_boards_of_this_tree_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards/qemu_q35");
    let board = load(folder.join("board.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(!board.board.selftest);
    let test = load(folder.join("test.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(test.board.selftest);
    for manifest in [&board, &test] {
        let expanded = Expanded::new(manifest, "board.toml");
        assert_eq!(Expanded::from_json(&expanded.to_json()), Ok(expanded));
    }
    assert_ne!(board.board.name, test.board.name, "one image would overwrite the other");
    for name in ["board.toml", "test.toml"] {
        let microvm = load(folder.join("../microvm").join(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((microvm.board.machine, microvm.board.machine.folder()), (Machine::MicroVm, "microvm"));
        let expanded = Expanded::new(&microvm, name);
        assert_eq!(Expanded::from_json(&expanded.to_json()), Ok(expanded));
    }
}

#[test]
fn what_follows_a_panic_is_one_of_three_words() {
    let with = |word: &str| {
        parse_text(&RIGHT.replace("max_frame = 1514", &format!("max_frame = 1514\non_panic = \"{word}\"")))
    };
    assert_eq!(with("halt").expect("right").board.on_panic, OnPanic::Halt);
    assert_eq!(with("reboot").expect("right").board.on_panic, OnPanic::Reboot);
    assert_eq!(with("poweroff").expect("right").board.on_panic, OnPanic::PowerOff);
    let error = with("rebot").expect_err("no such word").to_string();
    assert!(error.contains("not \"rebot\"") && error.contains("`reboot`?"), "{error}");
}

#[test]
fn a_log_is_frames_unless_the_manifest_wants_text() {
    let with = |line: &str| parse_text(&RIGHT.replace("max_frame = 1514", &format!("max_frame = 1514\n{line}")));
    for (line, form, kept) in [
        ("", LogForm::Frames, false),
        ("log = \"frames\"", LogForm::Frames, false),
        ("log = \"text\"", LogForm::Text, true),
    ] {
        let manifest = with(line).expect("right");
        assert_eq!(manifest.board.log, form);
        let expanded = Expanded::new(&manifest, "board.toml");
        assert_eq!(expanded.to_json().contains("\"log\":\"text\""), kept, "a kernel of frames is as it was");
        assert!(expanded.to_string().contains(&format!("log             {}", form.word())));
    }
    let error = with("log = \"txet\"").unwrap_err().to_string();
    assert!(error.contains("`log` is \"frames\" or \"text\", not \"txet\"; did you mean `text`?"), "{error}");
}

#[test]
fn a_watchdog_has_a_timeout_that_the_hardware_can_count() {
    let with = |span: &str| {
        parse_text(&RIGHT.replace("max_frame = 1514", &format!("max_frame = 1514\nwatchdog = \"{span}\"")))
    };
    for (text, seconds) in [("3 s", 3), ("5000 ms", 5), ("20 min", 1_200)] {
        let manifest = with(text).expect("right");
        assert_eq!(manifest.board.watchdog, Some(Duration::from_secs(seconds)));
        let expanded = Expanded::new(&manifest, "board.toml");
        assert_eq!(expanded.board.watchdog_ms, Some(seconds * 1_000));
        assert_eq!(Expanded::from_json(&expanded.to_json()).as_ref(), Ok(&expanded));
        assert!(expanded.to_string().contains("watchdog"));
    }
    for text in ["2999 ms", "0 s", "21 min"] {
        let error = with(text).expect_err("out of bounds").to_string();
        assert!(error.contains("it has to be 3 s to 20 min"), "{error}");
    }
    let error = with("soon").expect_err("no span").to_string();
    assert!(error.contains("`watchdog`: \"soon\" is not a span of time"), "{error}");
}

#[test]
fn windows_are_for_a_machine_without_pci_and_have_room() {
    let with = |machine: &str, table: &str| {
        let machine = format!("max_frame = 1514\nmachine = \"{machine}\"");
        let text =
            RIGHT.replace("max_frame = 1514", &machine).replacen("\n[[", &format!("\n[board.mmio]\n{table}\n[["), 1);
        parse_text(&text).map(|manifest| manifest.board)
    };
    let right = "address = 0xfeb00000\nsize = \"512 B\"\ncount = 24\ninterrupt = 24";
    let board = with("microvm", right).expect("right");
    assert_eq!(board.machine, Machine::MicroVm);
    assert_eq!(board.mmio, Some(Mmio { address: 0xfeb0_0000, size: 512, count: 24, interrupt: 24 }));
    let wrong = |machine: &str, old: &str, new: &str, reason: &str| {
        let error = with(machine, &right.replace(old, new)).expect_err("a wrong manifest was taken").to_string();
        assert!(error.contains(reason), "{error}");
    };
    wrong("q35", "", "", "elsewhere devices are on PCI");
    wrong("micro", "", "", "not \"micro\"");
    wrong("microvn", "", "", "did you mean `microvm`?");
    wrong("microvm", "512 B", "128 B", "256 at least");
    wrong("microvm", "512 B", "510 B", "a multiple of 4");
    wrong("microvm", "0xfeb00000", "0xfeb00001", "a multiple of 4");
    wrong("microvm", "0xfeb00000", "0xfffffffffffff000", "room for all windows");
    wrong("microvm", "count = 24", "count = 0", "1 to 32");
    wrong("microvm", "count = 24", "count = 33", "1 to 32");
    wrong("microvm", "interrupt = 24", "irq = 24", "has no key `irq`");
    wrong("microvm", "interrupt = 24", "", "lacks the key `interrupt`");
}

#[test]
fn an_app_without_a_program_is_refused_at_its_line() {
    let manifest = parse_text(RIGHT).expect("a right manifest");
    let check = |programs: &[&str]| {
        let programs: Vec<_> = programs.iter().map(|name| (*name).to_owned()).collect();
        manifest.check_programs(Path::new("board.toml"), &programs)
    };
    assert_eq!(check(&["clock", "webget", "other"]), Ok(()));
    let error = check(&["clok", "webget"]).expect_err("no clock");
    assert_eq!(RIGHT.lines().nth(error.line - 1), Some("app = \"clock\""));
    assert_eq!(error.message, "process `clock`: there is no program `clock`; did you mean `clok`?");
}

#[test]
fn a_program_of_elsewhere_is_in_one_folder_and_not_looked_for_in_the_tree() {
    let text = RIGHT.replacen("app = \"clock\"", "app = \"clock\"\npath = \"../clock\"", 1);
    let manifest = parse_text(&text).expect("a right manifest");
    assert_eq!(manifest.processes[1].path, Some("boards/../clock".into()));
    assert_eq!(manifest.check_programs(Path::new("board.toml"), &["webget".to_owned()]), Ok(()));
    let second =
        "\n[[process]]\nname = \"two\"\napp = \"clock\"\npath = \"../other\"\nram = \"4 KiB\"\nstack = \"4 KiB\"\n";
    let error = parse_text(&format!("{text}{second}")).expect_err("two folders");
    // Where the process begins: before its name.
    let line = text.lines().take_while(|line| *line != "name = \"clock\"").count();
    assert_eq!(error.message, format!("app `clock` has another `path` in process `clock` on line {line}"));
    parse_text(&format!("{text}{}", second.replace("other", "clock"))).expect("the same folder twice");
}

#[test]
fn commands_are_words_of_the_board() {
    const KEY: &str = "priority = 0\n";
    let with = |words: &str| RIGHT.replacen(KEY, &format!("{KEY}commands = {words}\n"), 1);
    let manifest = parse_text(&with("[\"webget\",\n\"ps\", \"clock\"]")).expect("right");
    let [webget, clock] = &manifest.processes[..] else { panic!("two processes") };
    assert_eq!((webget.command_words(), clock.command_words()), (vec![], vec!["webget", "ps", "clock"]));
    let first = clock.commands[0].line;
    assert_eq!(clock.commands.iter().map(|command| command.line - first).collect::<Vec<_>>(), [0, 1, 1]);
    let expanded = Expanded::new(&manifest, "here.toml");
    assert_eq!(expanded.processes[1].commands.len(), 3);
    assert!(expanded.to_string().contains(&format!("commands        {:<64}line {}", "ps", first + 1)), "{expanded}");
    assert!(!expanded.processes[0].to_string().contains("commands"));
    for (words, reason) in [
        ("[\"webgett\"]", "neither a command nor a process `webgett`; did you mean `webget`?"),
        ("[\"webget http://10.0.2.2/\"]", "neither a command nor a process"),
        ("[\"test\"]", "neither a command nor a process `test`"),
        ("[\"\"]", "neither a command nor a process ``"),
        ("[\"ps\", \"ps\"]", "names `ps` twice"),
        ("[]", "leave it out"),
        ("\"ps\"", "has to be a list of texts"),
        ("[1]", "has to be a text in quotes"),
    ] {
        refused(KEY, &format!("{KEY}commands = {words}\n"), reason);
    }
    let tests = with("[\"test\"]").replacen("[[process]]", "selftest = true\n[[process]]", 1);
    assert!(parse_text(&tests).is_ok());
    refused("name = \"scratch\"", "name = \"commands\"", "open the way to the process console");
}

/// The lines of a manifest that say something, from its first process on.
fn processes(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.skip_while(|line| *line != "[[process]]").collect()
}

#[test]
fn both_boards_are_tested_and_attacked_by_the_same_processes() {
    let tests = (include_str!("../../../boards/qemu_q35/test.toml"), include_str!("../../../boards/microvm/test.toml"));
    let attacks =
        (include_str!("../../../boards/qemu_q35/attack.toml"), include_str!("../../../boards/microvm/attack.toml"));
    for (first, second) in [tests, attacks] {
        assert!(processes(first).len() > 50);
        assert_eq!(processes(first), processes(second));
    }
}
