//! The page as a browser shows it: Chromium draws it, and the picture is measured.
//!
//! Without Chromium the test fails; `./just test` installs it where it can.

use slopos_audit::audit::{Audit, GrantAccount, ProcessAccount, Row};
use slopos_audit::html::{LEFT_COLOUR, SHARED_COLOUR, colour, page};
use slopos_audit::live::{Live, LiveGrant, LiveProcess, LiveSocket};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// What the browser is called on the systems that have one.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Size of the window, in pixels: wide enough for the page's own width.
const WINDOW: &str = "1140,1400";

/// An account with two processes, so that areas can be compared.
fn audit() -> Audit {
    let row = |what: &str, bytes| Row { what: what.into(), bytes, ..Row::default() };
    let process = |name: &str, receive, send| {
        let rows = vec![row("receive buffers", receive), row("send buffers", send)];
        let grant = GrantAccount { capsule: "net".into(), bytes: receive + send, rows };
        ProcessAccount { name: name.into(), line: 1, grants: vec![grant], memory: Vec::new() }
    };
    let socket = LiveSocket { phase: "Connected".into(), state: "Established".into(), ..LiveSocket::default() };
    let grant = LiveGrant { capsule: "net".into(), in_use: 9_000, sockets: vec![socket], ..LiveGrant::default() };
    let live =
        LiveProcess { name: "webget".into(), state: "Waiting".into(), grants: vec![grant], ..LiveProcess::default() };
    Audit {
        board: "qemu_q35".into(),
        processes: vec![process("webget", 300_000, 100_000), process("monitor", 150_000, 50_000)],
        shared: vec![row("rings", 200_000)],
        grant_bytes: 600_000,
        shared_bytes: 200_000,
        budget_bytes: 1_000_000,
        live: Some(Live { processes: vec![live], counters: Vec::new() }),
        ..Audit::default()
    }
}

/// The browser of this machine.
fn browser() -> &'static str {
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    NAMES.iter().find(runs).expect("no Chromium to show the page; tools/setup/browser.sh installs it")
}

/// How many pixels have each colour when the browser shows this file.
fn pixels(folder: &Path, file: &Path) -> HashMap<[u8; 3], u64> {
    let picture = folder.join("page.png");
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--force-device-scale-factor=1")
        .arg(format!("--window-size={WINDOW}"))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let picture = std::fs::File::open(&picture).unwrap_or_else(|why| panic!("no picture: {why}\n{words}"));
    let mut decoder = png::Decoder::new(std::io::BufReader::new(picture));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().expect("a picture");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a picture that fits memory")];
    let info = reader.next_frame(&mut bytes).expect("a picture");
    let mut counts = HashMap::new();
    for pixel in bytes[..info.buffer_size()].chunks_exact(info.color_type.samples()) {
        let [red, green, blue, ..] = *pixel else { panic!("a picture without colours") };
        *counts.entry([red, green, blue]).or_insert(0) += 1;
    }
    counts
}

/// The number of pixels of a colour as a style sheet writes it.
fn count(pixels: &HashMap<[u8; 3], u64>, colour: &str) -> f64 {
    let part = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour");
    pixels.get(&[part(1), part(3), part(5)]).copied().unwrap_or(0) as f64
}

#[test]
fn a_browser_shows_each_part_as_large_as_its_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page.html");
    std::fs::write(&file, page(&audit())).expect("written");
    let pixels = pixels(folder.path(), &file);
    let webget = count(&pixels, colour(0));
    // Borders and letters take a little of each area.
    let is_share = |other: f64, share: f64| (other / webget / share - 1.0).abs() < 0.1;
    assert!(webget > 100_000.0, "the picture of the memory is missing: {webget} pixels");
    assert!(is_share(count(&pixels, colour(1)), 0.5), "monitor has half of webget's bytes: {pixels:?}");
    assert!(is_share(count(&pixels, SHARED_COLOUR), 0.5), "half as much is shared");
    assert!(is_share(count(&pixels, LEFT_COLOUR), 0.5), "half as much is left");
}
