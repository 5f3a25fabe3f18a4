//! The audit as tables for a terminal.

use crate::audit::{Audit, DEVELOPMENT_KEY, NETWORK, ProcessAccount, Row};
use crate::live::{Live, LiveGrant, LiveProcess, LiveSocket};
use slopos_manifest::size;
use std::fmt::{Display, Formatter, Result};

/// Width of the first column.
const WHAT: usize = 60;

/// Shows an audit as text.
pub struct Text<'a>(pub &'a Audit);

impl Display for Text<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let audit = self.0;
        writeln!(out, "{}: board {}, build {}", audit.manifest, audit.board, audit.build_id)?;
        if audit.development_key {
            writeln!(out, "{DEVELOPMENT_KEY}")?;
        }
        for process in &audit.processes {
            account(out, process)?;
        }
        head(out, "shared network memory", audit.shared_bytes)?;
        rows(out, 1, &audit.shared)?;
        for owner in &audit.owners {
            head(out, &format!("{} ({})", owner.owner, owner.section), owner.bytes)?;
            rows(out, 1, &owner.rows)?;
        }
        totals(out, audit)?;
        match &audit.live {
            Some(live) => write!(out, "\n{}", LiveText(live)),
            None => Ok(()),
        }
    }
}

fn account(out: &mut Formatter<'_>, process: &ProcessAccount) -> Result {
    head(out, &format!("process {}", process.name), process.grant_bytes() + process.memory_bytes())?;
    if process.network().next().is_none() {
        writeln!(out, "  no network")?;
    }
    for grant in &process.grants {
        let kind = if grant.capsule == NETWORK { "network, " } else { "" };
        line(out, 1, &format!("{kind}capsule {}", grant.capsule), grant.bytes, "")?;
        rows(out, 2, &grant.rows)?;
    }
    line(out, 1, "own memory", process.memory_bytes(), "")?;
    rows(out, 2, &process.memory)
}

fn totals(out: &mut Formatter<'_>, audit: &Audit) -> Result {
    let asked = format!("{}:{}", audit.manifest, audit.budget_line);
    head(out, "totals", audit.writable_bytes + audit.padding_bytes)?;
    line(out, 1, "grants", audit.grant_bytes, "")?;
    line(out, 1, "shared network memory", audit.shared_bytes, "")?;
    line(out, 1, "network memory: grants + shared", audit.network_bytes(), "")?;
    line(out, 1, &format!("network_budget, {}", size::show(audit.budget_bytes)), audit.budget_bytes, &asked)?;
    match audit.budget_bytes.checked_sub(audit.network_bytes()) {
        Some(left) => line(out, 1, "left of the budget", left, "")?,
        None => line(out, 1, "over the budget", audit.network_bytes() - audit.budget_bytes, "")?,
    }
    line(out, 1, "padding between sections", audit.padding_bytes, "")?;
    line(out, 1, "unaccounted for", audit.unaccounted_bytes, "")
}

fn head(out: &mut Formatter<'_>, what: &str, bytes: u64) -> Result {
    writeln!(out)?;
    line(out, 0, what, bytes, "")
}

fn rows(out: &mut Formatter<'_>, depth: usize, rows: &[Row]) -> Result {
    for row in rows {
        line(out, depth, &multiplied(row), row.bytes, &row.asked_by)?;
    }
    Ok(())
}

/// What a row is, with the multiplication where there is one.
pub fn multiplied(row: &Row) -> String {
    match row.count {
        0 => row.what.clone(),
        count => format!("{}: {count} * {}", row.what, row.bytes / count),
    }
}

fn line(out: &mut Formatter<'_>, depth: usize, what: &str, bytes: u64, asked_by: &str) -> Result {
    let indent = 2 * depth;
    let text = format!("{:indent$}{what:<width$}{bytes:>10}  {asked_by}", "", width = WHAT - indent);
    writeln!(out, "{}", text.trim_end())
}

/// Shows live figures as text.
struct LiveText<'a>(&'a Live);

impl Display for LiveText<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for process in &self.0.processes {
            live_process(out, process)?;
        }
        writeln!(out, "the network stack since boot")?;
        for (name, count) in &self.0.counters {
            line(out, 1, name, *count, "")?;
        }
        Ok(())
    }
}

fn live_process(out: &mut Formatter<'_>, process: &LiveProcess) -> Result {
    let LiveProcess { name, state, starts, calls, denials, wins, losses, ledger, grants } = process;
    let state = state.to_lowercase();
    writeln!(
        out,
        "process {name} is {state}: {starts} starts, {calls} system calls, {denials} denials, ledger {ledger:+} \
         ({wins} won, {losses} lost)"
    )?;
    grants.iter().try_for_each(|grant| live_grant(out, grant))
}

fn live_grant(out: &mut Formatter<'_>, grant: &LiveGrant) -> Result {
    let LiveGrant { capsule, in_use, high_water, denials, drops, recycled, sockets, .. } = grant;
    writeln!(
        out,
        "  {capsule}: {in_use} bytes in use, high-water mark {high_water}, {denials} denials, {drops} drops, \
         {recycled} recycled"
    )?;
    sockets.iter().enumerate().try_for_each(|(index, socket)| live_socket(out, index, socket))
}

fn live_socket(out: &mut Formatter<'_>, index: usize, socket: &LiveSocket) -> Result {
    let LiveSocket { in_use, high_water, drops, .. } = socket;
    let figures = format!("{in_use} in use, high-water mark {high_water}, {drops} drops");
    if socket.phase == "Free" {
        return writeln!(out, "    socket {index}: free; {figures}");
    }
    writeln!(
        out,
        "    socket {index}: {}, {}, {} -> {}; {figures}; receive {}/{}, out of order {}, send {}/{}",
        socket.phase.to_lowercase(),
        socket.state,
        none(&socket.local),
        none(&socket.remote),
        socket.receive_bytes,
        socket.receive_size,
        socket.out_of_order_bytes,
        socket.send_bytes,
        socket.send_size
    )
}

/// An end of a connection, or a dash.
fn none(end: &str) -> &str {
    if end.is_empty() { "-" } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::GrantAccount;

    fn audit() -> Audit {
        let row = |what: &str, count, bytes, line: &str| Row { what: what.into(), count, bytes, asked_by: line.into() };
        let grant = GrantAccount {
            capsule: "net".into(),
            bytes: 1_000,
            rows: vec![row("receive buffers", 4, 900, "board.toml:25"), row("padding", 0, 100, "")],
        };
        let process = ProcessAccount { name: "webget".into(), line: 3, grants: vec![grant], memory: Vec::new() };
        let socket = LiveSocket { phase: "Connected".into(), state: "Established".into(), ..LiveSocket::default() };
        let grant = LiveGrant { capsule: "net".into(), in_use: 70, sockets: vec![socket], ..LiveGrant::default() };
        let live = LiveProcess { name: "webget".into(), ledger: -10, grants: vec![grant], ..LiveProcess::default() };
        Audit {
            manifest: "board.toml".into(),
            processes: vec![process],
            grant_bytes: 1_000,
            shared_bytes: 50,
            budget_bytes: 1_024,
            budget_line: 8,
            development_key: false,
            live: Some(Live { processes: vec![live], counters: vec![("arp.malformed".into(), 3)] }),
            ..Audit::default()
        }
    }

    #[test]
    fn a_table_shows_each_row_with_its_line() {
        let text = Text(&audit()).to_string();
        let line = |start: &str| {
            let found = text.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("{start:?} is missing in\n{text}")).split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(line("receive buffers"), ["receive", "buffers:", "4", "*", "225", "900", "board.toml:25"]);
        assert_eq!(line("padding"), ["padding", "100"]);
        assert_eq!(line("network_budget"), ["network_budget,", "1", "KiB", "1024", "board.toml:8"]);
        assert_eq!(line("over the budget"), ["over", "the", "budget", "26"]);
        assert_eq!(line("arp.malformed"), ["arp.malformed", "3"]);
        assert!(text.contains("ledger -10"), "{text}");
        assert!(text.contains("socket 0: connected, Established, - -> -"), "{text}");
    }
}
