//! The picture of the README: the layers, and what each of them holds.

use crate::svg::Svg;

/// The picture, as an SVG file.
pub fn draw() -> String {
    let mut svg =
        Svg::new(840, "The layers of SlopOS: processes, kernel, capsules, chips, and the board that joins them");
    let cell = |svg: &mut Svg, class: &str, (x, y, width): (i32, i32, i32), title: &str, below: &str| {
        svg.rectangle(class, x, y, width, 52);
        svg.centred("title", x + width / 2, y + 22, title);
        svg.centred("small", x + width / 2, y + 40, below);
    };
    let layer = |svg: &mut Svg, y: i32, name: &str, what: &[&str]| {
        svg.text("title", 16, y + 18, name);
        for (below, line) in (1..).zip(what) {
            svg.text("small", 16, y + 18 + 15 * below, line);
        }
    };

    layer(&mut svg, 14, "userland/", &["ring 3: own page tables,", "own RAM, own stack"]);
    cell(&mut svg, "user", (190, 14, 200), "webget", "HTTP/1.1 client");
    cell(&mut svg, "user", (410, 14, 200), "monitor", "watches a page");
    cell(&mut svg, "user", (630, 14, 200), "your app", "libslop, no unsafe");

    svg.path("line", &[(16, 84), (830, 84)]);
    svg.text("small", 190, 100, "system calls: numbers, errors, rights and limits stand once, in kernel/abi");
    for x in [290, 510, 730] {
        svg.path("line", &[(x, 66), (x, 84)]);
    }

    layer(&mut svg, 112, "kernel/", &["ring 0: no hardware,", "no unsafe, no alloc"]);
    cell(
        &mut svg,
        "strong",
        (190, 112, 640),
        "kernel",
        "processes, scheduler, system calls, descriptors, grants, capabilities, ledger",
    );
    for (x, name) in
        [(290, "Objects: what a descriptor names"), (510, "Readers: who waits for bytes"), (730, "Processor")]
    {
        svg.path("line", &[(x, 164), (x, 200)]);
        svg.text("small", x + 6, 186, name);
    }

    layer(&mut svg, 200, "capsules/", &["no hardware, no unsafe:", "bytes and time go in"]);
    cell(&mut svg, "box", (190, 200, 250), "net", "ARP, DHCP, TCP, sockets");
    cell(&mut svg, "box", (450, 200, 90), "storage", "flash");
    cell(&mut svg, "box", (550, 200, 110), "consoles, log", "serial lines");
    svg.path("line", &[(730, 200), (730, 270)]);
    svg.path("line", &[(315, 252), (315, 288)]);
    svg.path("line", &[(495, 252), (495, 288)]);
    svg.text("small", 321, 274, "frames, sectors and bytes,");
    svg.text("small", 501, 274, "carried by the board");

    layer(&mut svg, 288, "chips/", &["registers by the data sheet;", "unsafe, in small pieces"]);
    cell(&mut svg, "hard", (190, 288, 200), "virtio", "network, block, entropy");
    cell(&mut svg, "hard", (400, 288, 210), "q35", "UART, PCI, ACPI, I/O APIC");
    cell(&mut svg, "hard", (620, 288, 210), "x86_64", "traps, page tables, timer");
    svg.path("line", &[(730, 270), (730, 288)]);

    layer(&mut svg, 358, "boards/", &["the only place where all", "know each other"]);
    cell(&mut svg, "box", (190, 358, 310), "board.toml", "decides sizes and rights, before boot");
    cell(&mut svg, "box", (510, 358, 320), "main.rs and the loop", "introduce the parts and carry between them");
    svg.finish(424)
}
