//! RFC.md is true: each test that it names exists, and no rule is left without a test or a reason.

use std::collections::BTreeSet;
use std::process::Command;

const PAGE: &str = include_str!("../RFC.md");

/// The documents that must have a table.
const DOCUMENTS: [&str; 26] = [
    "RFC 9293", "RFC 1122", "RFC 5681", "RFC 6298", "RFC 6582", "RFC 9438", "RFC 2018", "RFC 6675", "RFC 2883",
    "RFC 7323", "RFC 5961", "RFC 6528", "RFC 6056", "RFC 3042", "RFC 6691", "RFC 8985", "RFC 5927", "RFC 3465",
    "RFC 826", "RFC 5227", "RFC 791", "RFC 768", "RFC 2131", "RFC 2132", "RFC 3396", "RFC 6842",
];

struct Row {
    document: &'static str,
    rule: &'static str,
    shown_by: &'static str,
}

/// The rows of all tables; a table follows the heading with its document.
fn rows() -> Vec<Row> {
    let mut document = "";
    let mut rows = Vec::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            document = heading.split(':').next().unwrap_or(heading);
        } else if let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            let cells: Vec<_> = cells.split('|').map(str::trim).collect();
            let [section, rule, shown_by] = cells[..] else { panic!("not three cells: {line}") };
            if section == "section" || section == "---" {
                continue;
            }
            assert!(!section.is_empty() && !rule.is_empty(), "{line}");
            rows.push(Row { document, rule, shown_by });
        }
    }
    rows
}

/// What stands in backquotes: the tests.
fn named(shown_by: &'static str) -> impl Iterator<Item = &'static str> {
    shown_by.split('`').skip(1).step_by(2).filter(|name| name.contains("::"))
}

/// The tests of this very program, as `cargo test` names them.
fn existing() -> BTreeSet<String> {
    let program = std::env::current_exe().unwrap();
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output().unwrap();
    assert!(listed.status.success());
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn each_named_test_exists() {
    let existing = existing();
    assert!(existing.contains("rfc::each_named_test_exists"), "the list is read as it is written");
    let missing: Vec<_> = rows()
        .into_iter()
        .flat_map(|row| named(row.shown_by).map(move |name| (row.document, name)))
        .filter(|(_, name)| !existing.contains(*name))
        .collect();
    assert!(missing.is_empty(), "named in RFC.md, but there is no such test: {missing:#?}");
}

#[test]
fn no_rule_lacks_both_test_and_reason() {
    for row in rows() {
        let reason = ["Not here: ", "Deviation: "].iter().find_map(|word| row.shown_by.strip_prefix(word));
        let has_reason = reason.is_some_and(|reason| reason.len() >= 10);
        assert!(has_reason || named(row.shown_by).next().is_some(), "{}: {}", row.document, row.rule);
    }
}

#[test]
fn each_document_has_its_table() {
    let documents: BTreeSet<_> = rows().into_iter().map(|row| row.document).collect();
    for document in DOCUMENTS {
        assert!(documents.contains(document), "{document}");
    }
}
