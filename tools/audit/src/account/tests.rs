//! Audits of images that are put together by hand.

use super::*;
use slopos_elf::image::{Segment, Symbol};
use slopos_elf::types::{Field, Static, Type, Variant};
use slopos_manifest::parse;
use std::path::Path;

const MANIFEST: &str = r#"
[board]
name = "board"
network_budget = "64 KiB"
max_frame = 1514
flash_size = "1 MiB"
[[process]]
name = "web"
app = "web"
ram = "4 KiB"
stack = "4 KiB"
[process.network]
sockets = 2
receive = "4 KiB"
send = "1 KiB"
"#;

fn manifest() -> Expanded {
    Expanded::new(&parse(MANIFEST, Path::new("board.toml")).expect("right"), "board.toml")
}

/// Builds images; each static gets a type of its own.
struct Maker {
    image: Image,
    next: u64,
    types: usize,
}

impl Maker {
    fn new() -> Maker {
        let image = Image { segments: vec![segment()], ..Image::default() };
        Maker { image, next: 0x1_0000, types: 100 }
    }

    fn kind(&mut self, name: &str, size: u64, shape: Shape) -> TypeId {
        self.types += 1;
        self.image.types.insert(TypeId(self.types), Type { name: name.into(), size, shape });
        TypeId(self.types)
    }

    fn array(&mut self, element: TypeId, count: u64) -> TypeId {
        let size = self.image.types.get(element).map_or(0, |kind| kind.size) * count;
        self.kind("array", size, Shape::Array { element, count })
    }

    /// A cell with a flag behind what it holds.
    fn cell(&mut self, kind: TypeId) -> TypeId {
        let size = self.image.types.get(kind).map_or(0, |kind| kind.size);
        let field = Field { name: "val".into(), kind, offset: 0 };
        self.kind("static_cell::StaticCell<T>", size + 1, Shape::Structure(vec![field]))
    }

    /// A section with these statics, one behind the other.
    fn section(&mut self, name: &str, statics: &[(&str, TypeId)]) {
        let start = self.next;
        for &(name, kind) in statics {
            let size = self.image.types.get(kind).expect("a type").size;
            self.image.symbols.push(Symbol { name: name.into(), address: self.next, size });
            let declared = "board.rs:1".to_owned();
            let known = Static { name: name.into(), address: self.next, kind, alignment: Some(1), declared };
            self.image.types.statics.push(known);
            self.next += size;
        }
        let size = self.next - start;
        let section = Section { name: name.into(), address: start, size, alignment: 16, writable: true };
        self.image.sections.push(section);
        self.next = self.next.next_multiple_of(16);
    }
}

fn segment() -> Segment {
    Segment { address: 0x1_0000, physical: 0x1_0000, size: 0x10_0000, bytes: Vec::new() }
}

/// An image that is as the manifest has it, but for how many sockets and how large buffers it has.
fn made(sockets: u64, receive: u64) -> Maker {
    let mut maker = Maker::new();
    let byte = maker.kind("u8", 1, Shape::Number);
    let page = maker.array(byte, 4096);
    maker.section(
        ".process.web",
        &[("slopos_board_pc::process_0::RAM", page), ("slopos_board_pc::process_0::STACK", page)],
    );
    let assembler = maker.kind("slopos_net::tcp::receiver::assembler::Assembler", 20, Shape::Number);
    let timers = maker.kind("slopos_net::tcp::timers::Timers", 10, Shape::Number);
    let instant = maker.kind("slopos_kernel::time::Instant", 8, Shape::Number);
    let field = |name: &str, kind, offset| Field { name: name.into(), kind, offset };
    let time_wait = maker.kind("TimeWait", 16, Shape::Structure(vec![field("since", instant, 8)]));
    let variants = vec![Variant { value: Some(9), field: field("TimeWait", time_wait, 0) }];
    let life = maker.kind("Life", 16, Shape::Variants { tag: None, variants });
    let fields = vec![field("assembler", assembler, 0), field("timers", timers, 20), field("life", life, 32)];
    let socket = maker.kind("Socket", 100, Shape::Structure(fields));
    let control = maker.array(socket, sockets);
    let control = maker.cell(control);
    let set = maker.kind("SocketSet", 50, Shape::Number);
    let set = maker.cell(set);
    let one = maker.array(byte, receive);
    let receive = maker.array(one, sockets);
    let receive = maker.cell(receive);
    let one = maker.array(byte, 1024);
    let send = maker.array(one, sockets);
    let send = maker.cell(send);
    maker.section(
        ".grant.web.net",
        &[
            ("slopos_board_pc::process_0::RECEIVE", receive),
            ("slopos_board_pc::process_0::SEND", send),
            ("slopos_board_pc::process_0::CONTROL", control),
            ("slopos_board_pc::process_0::SET", set),
        ],
    );
    let ring = maker.array(byte, 2048);
    let rings = maker.kind("Rings", 4096, Shape::Structure(vec![field("receive", ring, 0), field("send", ring, 2048)]));
    let rings = maker.cell(rings);
    maker.section(".shared.net", &[("slopos_board_pc::RINGS", rings)]);
    maker
}

/// The audit without what these images do not have: the kernel's constants.
fn problems(audit: &Audit) -> Vec<&String> {
    audit.problems.iter().filter(|problem| !problem.contains("constants")).collect()
}

#[test]
fn every_byte_of_a_grant_has_a_row_and_a_line() {
    let audit = audit(&made(2, 4096).image, &manifest());
    assert_eq!(problems(&audit), Vec::<&String>::new());
    let grant = &audit.processes[0].grants[0];
    let rows: Vec<(&str, u64, u64, &str)> =
        grant.rows.iter().map(|row| (row.what.as_str(), row.count, row.bytes, row.asked_by.as_str())).collect();
    assert_eq!(
        rows,
        [
            ("receive buffers", 2, 8192, "board.toml:14"),
            ("send buffers", 2, 2048, "board.toml:15"),
            ("control blocks", 2, 124, "board.toml:13"),
            ("reassembly maps", 2, 40, "board.toml:13"),
            ("retransmission state", 2, 20, "board.toml:13"),
            ("TIME-WAIT records", 2, 16, "board.toml:13"),
            ("socket set", 0, 50, "board.toml:12"),
            ("flags of cells", 0, 4, "board.toml:12"),
        ]
    );
    assert_eq!((grant.bytes, audit.grant_bytes), (10_494, 10_494));
    assert_eq!((audit.shared_bytes, audit.unaccounted_bytes), (4097, 0));
    let shared: Vec<(&str, u64)> = audit.shared.iter().map(|row| (row.what.as_str(), row.bytes)).collect();
    let expected = [
        ("slopos_board_pc::RINGS.receive", 2048),
        ("slopos_board_pc::RINGS.send", 2048),
        ("slopos_board_pc::RINGS: flag of the cell and padding", 1),
    ];
    assert_eq!(shared, expected);
    let memory: Vec<(u64, &str)> =
        audit.processes[0].memory.iter().map(|row| (row.bytes, row.asked_by.as_str())).collect();
    assert_eq!(memory, [(4096, "board.toml:10"), (4096, "board.toml:11")]);
}

#[test]
fn one_byte_of_disagreement_is_told_with_its_line() {
    let found = audit(&made(2, 4097).image, &manifest());
    let told = problems(&found);
    assert!(
        told[0].contains("board.toml:14: the sum of `receive` of `web` is 8192 in the manifest and 8194"),
        "{told:?}"
    );
    assert!(told[1].contains("board.toml:14: each of `receive` of `web` is 4096 in the manifest and 4097"), "{told:?}");
    let found = audit(&made(3, 4096).image, &manifest());
    let told = problems(&found);
    assert!(told.iter().any(|told| told.contains("board.toml:13: `sockets` of `web` is 2 in the manifest and 3")));
}

#[test]
fn one_socket_more_changes_the_rows_of_its_process_alone() {
    let two = audit(&made(2, 4096).image, &manifest());
    let text = MANIFEST.replace("sockets = 2", "sockets = 3");
    let more = Expanded::new(&parse(&text, Path::new("board.toml")).expect("right"), "board.toml");
    let three = audit(&made(3, 4096).image, &more);
    assert_eq!(problems(&three), Vec::<&String>::new());
    assert_eq!(three.grant_bytes - two.grant_bytes, 4096 + 1024 + 100);
    assert_eq!((&three.shared, &three.owners), (&two.shared, &two.owners));
    assert_eq!(three.processes[0].memory, two.processes[0].memory);
}

#[test]
fn a_static_outside_an_owners_section_is_found_by_name() {
    for section in [".bss", ".data", ".owner.kernel"] {
        let mut maker = made(2, 4096);
        let kind = maker.kind("Buffer", 24, Shape::Number);
        maker.section(section, &[("slopos_net::planted::BUFFER", kind)]);
        let audit = audit(&maker.image, &manifest());
        assert_eq!(audit.unaccounted_bytes, 24);
        let told = problems(&audit);
        let expected = format!("in {section} have no owner: slopos_net::planted::BUFFER, declared at board.rs:1");
        assert!(told[0].contains(&expected), "{told:?}");
    }
}

#[test]
fn a_grant_or_a_process_of_nobody_is_unaccounted_for() {
    for section in [".grant.gone.net", ".process.gone", ".shared.disk"] {
        let mut maker = made(2, 4096);
        let kind = maker.kind("Buffer", 24, Shape::Number);
        maker.section(section, &[("slopos_board_pc::BUFFER", kind)]);
        let audit = audit(&maker.image, &manifest());
        assert_eq!(audit.unaccounted_bytes, 24, "{section}");
        assert!(!audit.passes());
    }
}

#[test]
fn a_process_without_network_has_no_grant() {
    let text = MANIFEST.split("[process.network]").next().expect("a head").to_owned();
    let without = Expanded::new(&parse(&text, Path::new("board.toml")).expect("right"), "board.toml");
    let found = audit(&made(2, 4096).image, &without);
    assert!(problems(&found)[0].contains("`web` has no [process.network], and the ELF has 10494 bytes"));
    let mut maker = made(2, 4096);
    maker.image.sections.retain(|section| !section.name.starts_with(".grant"));
    let found = audit(&maker.image, &manifest());
    assert!(problems(&found)[0].contains("`web` has [process.network], and the ELF no .grant.web.net"));
}

#[test]
fn random_bytes_have_an_account_that_the_network_is_not_charged_with() {
    let text = format!("{MANIFEST}[process.entropy]\nbuffer = \"32 B\"\n");
    let manifest = Expanded::new(&parse(&text, Path::new("board.toml")).expect("right"), "board.toml");
    let with = |bytes: u64| {
        let mut maker = made(2, 4096);
        let byte = maker.kind("u8", 1, Shape::Number);
        let random = maker.array(byte, bytes);
        let random = maker.cell(random);
        let region = maker.kind("Region", 48, Shape::Number);
        let region = maker.cell(region);
        let [random, region] =
            [("slopos_board_pc::process_0::RANDOM", random), ("slopos_board_pc::process_0::REGION", region)];
        maker.section(".grant.web.entropy", &[random, region]);
        audit(&maker.image, &manifest)
    };
    let found = with(32);
    assert_eq!(problems(&found), Vec::<&String>::new());
    let [network, random] = &found.processes[0].grants[..] else { panic!("{:?}", found.processes) };
    let rows: Vec<_> = random.rows.iter().map(|row| (row.what.as_str(), row.bytes, row.asked_by.as_str())).collect();
    assert_eq!(rows, [("random bytes", 33, "board.toml:17"), ("region", 49, "board.toml:17")]);
    assert_eq!((random.capsule.as_str(), random.bytes), (ENTROPY, 82));
    assert_eq!((found.grant_bytes, found.processes[0].network_bytes()), (network.bytes, network.bytes));
    assert_eq!(found.processes[0].grant_bytes(), network.bytes + 82);
    let told = problems(&with(64)).into_iter().cloned().collect::<String>();
    assert!(told.contains("board.toml:17: `buffer` of `web` is 32 in the manifest and 64 in the ELF"), "{told}");
    let missing = audit(&made(2, 4096).image, &manifest);
    assert!(problems(&missing)[0].contains("`web` has [process.entropy], and the ELF no .grant.web.entropy"));
}

#[test]
fn commands_that_a_process_may_ask_for_have_an_account_of_their_own() {
    let text = MANIFEST.replacen("[process.network]", "commands = [\"ps\"]\n[process.network]", 1);
    let manifest = Expanded::new(&parse(&text, Path::new("board.toml")).expect("right"), "board.toml");
    let line = manifest.processes[0].commands[0].1;
    let missing = audit(&made(2, 4096).image, &manifest);
    let told = format!("board.toml:{line}: `web` has `commands`, and the ELF no .grant.web.commands");
    assert!(problems(&missing).contains(&&told), "{:?}", problems(&missing));
    let mut maker = made(2, 4096);
    let sizes = [maker.kind("Line", 1032, Shape::Number), maker.kind("Request", 96, Shape::Number)];
    let [line_cell, request] = sizes.map(|kind| maker.cell(kind));
    let [line_cell, request] =
        [("slopos_board_pc::process_0::LINE", line_cell), ("slopos_board_pc::process_0::REQUEST", request)];
    maker.section(".grant.web.commands", &[line_cell, request]);
    let found = audit(&maker.image, &manifest);
    assert!(!problems(&found).contains(&&told));
    let [_, commands] = &found.processes[0].grants[..] else { panic!("{:?}", found.processes) };
    let rows: Vec<_> = commands.rows.iter().map(|row| (row.what.as_str(), row.bytes)).collect();
    assert_eq!((commands.capsule.as_str(), rows), (COMMANDS, vec![("command", 1033), ("request", 97)]));
}

#[test]
fn a_budget_that_is_exceeded_names_the_need_and_the_limit() {
    // 10,494 bytes of grants and 4,097 shared are 14,591, more than 14 KiB and less than 15.
    let with = |budget: &str| {
        let mut expanded = manifest();
        expanded.board.network_budget.value = size::parse(budget).expect("a size");
        audit(&made(2, 4096).image, &expanded)
    };
    assert_eq!(problems(&with("15 KiB")), Vec::<&String>::new());
    let over = with("14 KiB");
    let told = problems(&over);
    assert_eq!(
        told[0],
        "board.toml:4: network memory needs 14591 bytes (10494 of grants, 4097 shared); `network_budget` allows \
         14 KiB (14336 bytes)"
    );
}
