//! The difference between two audits: what a change costs, for a review.

use crate::audit::{Audit, ProcessAccount};
use crate::memory::total;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The differences as text, `new` minus `old`.
pub fn compare(old: &Audit, new: &Audit) -> String {
    let mut text = format!("compared with build {} of {}\n", old.build_id, old.manifest);
    let mut changed = false;
    let mut add = |what: &str, old: u64, new: u64| {
        if old != new {
            changed = true;
            let difference = i128::from(new) - i128::from(old);
            writeln!(text, "{what:<56}{old:>10} -> {new:>10}  {difference:>+9}").expect("a String grows");
        }
    };
    for name in in_order(&old.processes, &new.processes, |process| &process.name) {
        let (before, after) = (process(old, name), process(new, name));
        let network = |found: Option<&ProcessAccount>| found.map_or(0, ProcessAccount::network_bytes);
        let memory = |found: Option<&ProcessAccount>| found.map_or(0, ProcessAccount::memory_bytes);
        add(&format!("process {name}: network"), network(before), network(after));
        let rows = |found: Option<&ProcessAccount>| -> Vec<(String, u64)> {
            let grants = found.into_iter().flat_map(|process| &process.grants);
            grants
                .flat_map(|grant| grant.rows.iter().map(|row| (format!("{}: {}", grant.capsule, row.what), row.bytes)))
                .collect()
        };
        let (before_rows, after_rows) = (rows(before), rows(after));
        for row in in_order(&before_rows, &after_rows, |(what, _)| what) {
            let bytes =
                |rows: &[(String, u64)]| total(rows.iter().filter(|(what, _)| what == row).map(|(_, bytes)| *bytes));
            add(&format!("  {row}"), bytes(&before_rows), bytes(&after_rows));
        }
        add(&format!("process {name}: own memory"), memory(before), memory(after));
    }
    for what in in_order(&old.shared, &new.shared, |row| &row.what) {
        let bytes = |audit: &Audit| total(audit.shared.iter().filter(|row| row.what == what).map(|row| row.bytes));
        add(&format!("shared: {what}"), bytes(old), bytes(new));
    }
    for section in in_order(&old.owners, &new.owners, |owner| &owner.section) {
        let bytes = |audit: &Audit| total(audit.owners.iter().filter(|o| o.section == section).map(|o| o.bytes));
        add(&format!("owner {section}"), bytes(old), bytes(new));
    }
    add("grants", old.grant_bytes, new.grant_bytes);
    add("shared network memory", old.shared_bytes, new.shared_bytes);
    add("network memory", old.network_bytes(), new.network_bytes());
    add("network_budget", old.budget_bytes, new.budget_bytes);
    add("unaccounted for", old.unaccounted_bytes, new.unaccounted_bytes);
    if !changed {
        text.push_str("no byte of difference\n");
    }
    text
}

fn process<'a>(audit: &'a Audit, name: &str) -> Option<&'a ProcessAccount> {
    audit.processes.iter().find(|process| process.name == name)
}

/// The names of both lists, each once: first those of the new one, then those that are gone.
fn in_order<'a, T>(old: &'a [T], new: &'a [T], name: impl Fn(&'a T) -> &'a String) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    new.iter().chain(old).map(name).map(String::as_str).filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{GrantAccount, Row};

    fn audit(processes: &[(&str, u64)]) -> Audit {
        let process = |&(name, bytes): &(&str, u64)| {
            let row = Row { what: "receive buffers".into(), bytes, ..Row::default() };
            let grant = GrantAccount { capsule: "net".into(), bytes, rows: vec![row] };
            ProcessAccount { name: name.into(), line: 1, grants: vec![grant], memory: Vec::new() }
        };
        let grant_bytes = processes.iter().map(|(_, bytes)| bytes).sum();
        Audit { processes: processes.iter().map(process).collect(), grant_bytes, ..Audit::default() }
    }

    #[test]
    fn what_is_the_same_is_not_listed() {
        assert!(compare(&audit(&[("a", 5)]), &audit(&[("a", 5)])).ends_with("no byte of difference\n"));
    }

    #[test]
    fn each_difference_is_listed_by_process() {
        let text = compare(&audit(&[("a", 100), ("gone", 7)]), &audit(&[("new", 9), ("a", 164)]));
        let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["process", "new:", "network", "0", "->", "9", "+9"]);
        assert!(lines.contains(&vec!["process", "a:", "network", "100", "->", "164", "+64"]), "{text}");
        assert!(lines.contains(&vec!["net:", "receive", "buffers", "100", "->", "164", "+64"]), "{text}");
        assert!(lines.contains(&vec!["process", "gone:", "network", "7", "->", "0", "-7"]), "{text}");
        assert!(lines.contains(&vec!["grants", "107", "->", "173", "+66"]), "{text}");
    }
}
