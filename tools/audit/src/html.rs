//! The audit as one page that needs nothing else: a picture of the memory, the tables, and what a board held.
//!
//! `maud` escapes every text, so a name from a manifest or from memory cannot become markup, and the page forbids
//! itself to load anything.

use crate::audit::{Audit, DEVELOPMENT_KEY, Row};
use crate::live::{Live, LiveGrant, LiveProcess, LiveSocket};
use crate::memory::total;
use crate::text::multiplied;
use crate::treemap::{Rectangle, divide};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours of the processes, in their order and then again from the start: told apart by colour-blind readers too
/// (Paul Tol, "bright").
const COLOURS: [&str; 6] = ["#4477aa", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee6677"];
/// The colour of what is shared.
pub const SHARED_COLOUR: &str = "#999999";
/// The colour of what is left of the budget.
pub const LEFT_COLOUR: &str = "#e8e8e8";

/// Size of the picture.
const WIDTH: f64 = 1040.0;
const HEIGHT: f64 = 520.0;
/// Height of a group's caption.
const CAPTION: f64 = 20.0;
/// Width of a letter, about; texts that would not fit are left out, for each tile tells its name to the pointer.
const LETTER: f64 = 6.4;

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 1060px; margin: 2em auto;
       padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; }
h2 { font-size: 1.15em; margin-top: 2em; }
.build { color: #666; font-size: .85em; overflow-wrap: anywhere; }
.verdict { padding: .6em 1em; border-radius: 4px; margin: 1em 0; }
.passes { background: #e3f3e6; }
.fails { background: #fbe3e3; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; pointer-events: none; }
table { border-collapse: collapse; width: 100%; font-size: .9em; }
th, td { text-align: left; padding: .2em .8em .2em 0; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.sum td { font-weight: 600; border-bottom: 1px solid #999; padding-top: .9em; }
tr.sum .key { display: inline-block; width: .9em; height: .9em; margin-right: .5em; vertical-align: -.1em; }
td.source { color: #666; }
.bar { background: #e8e8e8; height: .7em; position: relative; margin: .3em 0 1em; }
.bar span { position: absolute; left: 0; top: 0; bottom: 0; }
.bar .mark { background: #bbb; }
";

/// The page.
pub fn page(audit: &Audit) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width";
                title { "Network memory of " (audit.board) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Network memory of " (audit.board) }
                p .build { "Manifest " (audit.manifest) ", kernel build " (audit.build_id) }
                @if audit.development_key {
                    p { strong { (DEVELOPMENT_KEY) } }
                }
                (verdict(audit))
                (picture(audit))
                @if let Some(live) = &audit.live { (live_figures(live)) }
                h2 { "Who holds what, and why" }
                (tables(audit))
            }
        }
    };
    page.into_string()
}

/// The colour of the process at this place in the manifest.
pub fn colour(process: usize) -> &'static str {
    COLOURS[process % COLOURS.len()]
}

fn verdict(audit: &Audit) -> Markup {
    let used = audit.network_bytes();
    let sums = format!(
        "{} of the {} bytes that the board allows for the network are given out",
        number(used),
        number(audit.budget_bytes)
    );
    html! {
        @if audit.passes() {
            p .verdict.passes { (sums) ". Every one of them belongs to a process or is shared; none is unaccounted for." }
        } @else {
            div .verdict.fails {
                p { (sums) ". The audit does not pass:" }
                ul { @for problem in &audit.problems { li { (problem) } } }
            }
        }
    }
}

/// Some memory of one owner, for the picture.
struct Group {
    name: String,
    colour: &'static str,
    tiles: Vec<(String, u64)>,
}

impl Group {
    fn new(name: &str, colour: &'static str, rows: &[Row]) -> Group {
        // In the picture the modules around a static's name only take room.
        let name_of = |row: &Row| row.what.rsplit("::").next().unwrap_or(&row.what).to_owned();
        let mut tiles: Vec<(String, u64)> = rows.iter().map(|row| (name_of(row), row.bytes)).collect();
        tiles.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Group { name: name.to_owned(), colour, tiles }
    }

    fn bytes(&self) -> u64 {
        total(self.tiles.iter().map(|(_, bytes)| *bytes))
    }
}

/// The network memory: a rectangle for each process, one for what is shared, one for what is left.
fn picture(audit: &Audit) -> Markup {
    let processes = audit.processes.iter().enumerate().flat_map(|(index, process)| {
        let grants = process.network();
        grants
            .map(move |grant| Group::new(&format!("{} ({})", process.name, grant.capsule), colour(index), &grant.rows))
    });
    let mut groups: Vec<Group> = processes.collect();
    groups.push(Group::new("shared", SHARED_COLOUR, &audit.shared));
    let left = audit.budget_bytes.saturating_sub(audit.network_bytes());
    groups.push(Group { name: "left of the budget".into(), colour: LEFT_COLOUR, tiles: vec![("free".into(), left)] });
    groups.retain(|group| group.bytes() > 0);
    groups.sort_by_key(|group| std::cmp::Reverse(group.bytes()));
    let weights: Vec<u64> = groups.iter().map(Group::bytes).collect();
    let whole = Rectangle { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Network memory by process and use" {
            @for (group, area) in groups.iter().zip(divide(&weights, whole)) { (group_markup(group, area)) }
        }
    }
}

fn group_markup(group: &Group, area: Rectangle) -> Markup {
    let caption = format!("{}: {}", group.name, number(group.bytes()));
    let inner = area.inside(0.0, CAPTION.min(area.height));
    let weights: Vec<u64> = group.tiles.iter().map(|(_, bytes)| *bytes).collect();
    let single = group.tiles.len() == 1;
    html! {
        g {
            (rectangle(area, group.colour, 3.0, &caption))
            @if !single {
                @for ((name, bytes), tile) in group.tiles.iter().zip(divide(&weights, inner)) {
                    (rectangle(tile, group.colour, 1.0, &format!("{}, {name}: {}", group.name, number(*bytes))))
                    (label(tile, 14.0, name, ink(group.colour), false))
                    (label(tile, 28.0, &number(*bytes), ink(group.colour), false))
                }
            }
            (label(area, 15.0, &caption, ink(group.colour), true))
        }
    }
}

fn rectangle(area: Rectangle, colour: &str, border: f64, title: &str) -> Markup {
    html! {
        rect x=(short(area.x)) y=(short(area.y)) width=(short(area.width)) height=(short(area.height))
            fill=(colour) stroke="#ffffff" stroke-width=(border) { title { (title) } }
    }
}

/// A text in a rectangle, if it fits.
fn label(area: Rectangle, down: f64, text: &str, ink: &str, strong: bool) -> Markup {
    let fits = text.chars().count() as f64 * LETTER + 10.0 < area.width && down + 4.0 < area.height;
    let weight = if strong { "600" } else { "400" };
    html! {
        @if fits {
            text x=(short(area.x + 6.0)) y=(short(area.y + down)) fill=(ink) font-weight=(weight) { (text) }
        }
    }
}

/// Black or white, whichever reads better on this colour.
fn ink(colour: &str) -> &'static str {
    let channel = |at: usize| u32::from_str_radix(colour.get(at..at + 2).unwrap_or("00"), 16).unwrap_or(0);
    // Relative luminance by the weights of ITU-R BT.709, times 10,000.
    let luminance = 2126 * channel(1) + 7152 * channel(3) + 722 * channel(5);
    if luminance > 140 * 10_000 { "#000000" } else { "#ffffff" }
}

fn short(length: f64) -> String {
    format!("{length:.2}")
}

/// A number with its thousands apart.
fn number(count: u64) -> String {
    let digits = count.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let mut parts = vec![digits[..first].to_owned()];
    parts.extend(digits.as_bytes()[first..].chunks(3).map(|chunk| String::from_utf8_lossy(chunk).into_owned()));
    parts.join(",")
}

fn tables(audit: &Audit) -> Markup {
    html! {
        table {
            tr { th { "memory" } th .number { "bytes" } th { "asked for by" } }
            @for (index, process) in audit.processes.iter().enumerate() {
                @for grant in process.network() {
                    (sum(&format!("{}, network ({})", process.name, grant.capsule), grant.bytes, colour(index)))
                    (rows(&grant.rows))
                }
                @if process.network().next().is_none() { (sum(&format!("{}, no network", process.name), 0, colour(index))) }
            }
            (sum("shared by all", audit.shared_bytes, SHARED_COLOUR))
            (rows(&audit.shared))
            (sum("left of the budget", audit.budget_bytes.saturating_sub(audit.network_bytes()), LEFT_COLOUR))
        }
        h2 { "Everything else that can be written" }
        table {
            tr { th { "memory" } th .number { "bytes" } th { "asked for by" } }
            @for (index, process) in audit.processes.iter().enumerate() {
                (sum(&format!("{}, its own", process.name), process.memory_bytes(), colour(index)))
                (rows(&process.memory))
            }
            @for owner in &audit.owners {
                (sum(&format!("{} ({})", owner.owner, owner.section), owner.bytes, LEFT_COLOUR))
                (rows(&owner.rows))
            }
            (sum("padding between sections", audit.padding_bytes, LEFT_COLOUR))
            (sum("unaccounted for", audit.unaccounted_bytes, "#ee0000"))
        }
    }
}

fn sum(name: &str, bytes: u64, colour: &str) -> Markup {
    html! {
        tr .sum {
            td { span .key style=(format!("background: {colour}")) {} (name) }
            td .number { (number(bytes)) }
            td {}
        }
    }
}

fn rows(rows: &[Row]) -> Markup {
    html! {
        @for row in rows {
            tr { td { (multiplied(row)) } td .number { (number(row.bytes)) } td .source { (row.asked_by) } }
        }
    }
}

fn live_figures(live: &Live) -> Markup {
    html! {
        h2 { "What the board holds now" }
        @for (index, process) in live.processes.iter().enumerate() { (live_process(index, process)) }
        @if !live.counters.is_empty() {
            h2 { "What the network has seen since boot" }
            table {
                @for (name, count) in &live.counters { tr { td { (name) } td .number { (number(*count)) } } }
            }
        }
    }
}

fn live_process(index: usize, process: &LiveProcess) -> Markup {
    html! {
        p {
            strong { (process.name) } ": " (process.state.to_lowercase()) ", " (process.starts) " starts, "
            (process.denials) " denials, ledger " (format!("{:+}", process.ledger))
            " (" (process.wins) " won, " (process.losses) " lost)"
        }
        @for grant in &process.grants {
            (bar(grant, colour(index)))
            table {
                tr {
                    th { "socket" } th { "state" } th { "from" } th { "to" } th .number { "to read" }
                    th .number { "behind a gap" } th .number { "to send" } th .number { "in use" }
                    th .number { "high-water mark" } th .number { "drops" }
                }
                @for (index, socket) in grant.sockets.iter().enumerate() { (live_socket(index, socket)) }
            }
        }
    }
}

/// How much of a grant is in use, and how much ever was.
fn bar(grant: &LiveGrant, colour: &str) -> Markup {
    let size = total(grant.sockets.iter().flat_map(|socket| [socket.receive_size, socket.send_size]));
    let part = |bytes: u64| format!("{:.1}%", 100.0 * bytes as f64 / size.max(bytes).max(1) as f64);
    html! {
        p { (number(grant.in_use)) " bytes in use, high-water mark " (number(grant.high_water)) ", "
            (grant.denials) " denials, " (grant.drops) " drops, " (grant.recycled) " recycled" }
        div .bar {
            span .mark style=(format!("width: {}", part(grant.high_water))) {}
            span style=(format!("width: {}; background: {colour}", part(grant.in_use))) {}
        }
    }
}

fn live_socket(index: usize, socket: &LiveSocket) -> Markup {
    let state = match socket.phase.as_str() {
        "Free" => "free".to_owned(),
        "Connected" => socket.state.clone(),
        phase => format!("{}, {}", phase.to_lowercase(), socket.state),
    };
    html! {
        tr {
            td { (index) } td { (state) } td { (socket.local) } td { (socket.remote) }
            td .number { (number(socket.receive_bytes)) } td .number { (number(socket.out_of_order_bytes)) }
            td .number { (number(socket.send_bytes)) } td .number { (number(socket.in_use)) }
            td .number { (number(socket.high_water)) } td .number { (number(socket.drops)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{GrantAccount, ProcessAccount};

    fn audit() -> Audit {
        let row = |what: &str, bytes| Row { what: what.into(), bytes, ..Row::default() };
        let rows = vec![row("receive buffers", 300_000), row("<script>alert(1)</script>", 1)];
        let grant = GrantAccount { capsule: "net".into(), bytes: 300_001, rows };
        let process = ProcessAccount { name: "webget".into(), line: 1, grants: vec![grant], memory: Vec::new() };
        Audit {
            board: "board & co".into(),
            processes: vec![process],
            shared: vec![row("rings", 100_000)],
            grant_bytes: 300_001,
            shared_bytes: 100_000,
            budget_bytes: 1_000_000,
            ..Audit::default()
        }
    }

    #[test]
    fn a_kernel_that_trusts_the_development_key_is_told_of() {
        assert!(!page(&audit()).contains("DEVELOPMENT KEY"));
        assert!(page(&Audit { development_key: true, ..audit() }).contains(DEVELOPMENT_KEY));
    }

    #[test]
    fn names_do_not_become_markup() {
        let page = page(&audit());
        assert!(page.contains("board &amp; co"));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    }

    #[test]
    fn a_page_refers_to_nothing_outside() {
        let page = page(&audit());
        assert!(page.contains("default-src 'none'"));
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "the page has {outside}");
        }
    }

    #[test]
    fn what_is_wrong_stands_at_the_top() {
        let failing = Audit { problems: vec!["24 bytes have no owner".into()], ..audit() };
        let page = page(&failing);
        assert!(page.find("24 bytes have no owner").expect("the problem") < page.find("<svg").expect("the picture"));
        assert!(!page.contains("none is unaccounted for"));
    }

    #[test]
    fn thousands_stand_apart() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_048_576, "1,048,576")] {
            assert_eq!(number(count), text);
        }
    }

    #[test]
    fn ink_reads_on_each_colour() {
        assert_eq!((ink(LEFT_COLOUR), ink("#4477aa")), ("#000000", "#ffffff"));
    }
}
