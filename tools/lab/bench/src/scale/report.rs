//! The points' figures held against those of the first of their curve, for people and for machines.

use super::run::Sample;
use super::{Curve, Point, TOLERANCE, TOTALS};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use slopos_audit::Audit;
use slopos_count::figure::Figure;
use slopos_count::layer::Layer;
use slopos_lab::report::{Summary, Table, grown};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Functions that are named where a point takes more instructions than it may.
const NAMED: usize = 6;

/// The network memory of the board, by the audit of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes of one process's grant. All are alike.
    pub grant: u64,
    /// Sockets of one grant.
    pub sockets: u64,
    /// Bytes of one socket: buffers and control block.
    pub socket: u64,
    /// Bytes of a grant that are no socket's own.
    pub besides: u64,
    /// Bytes of all grants.
    pub grants: u64,
    /// Shared bytes of this board.
    pub shared: u64,
    /// Shared bytes of the board that it is held against, which has one process with a network.
    pub shared_of_small: u64,
}

impl Memory {
    /// Reads the audits of this board and of the small one.
    ///
    /// # Errors
    /// An audit does not pass, or the grants differ.
    pub fn of(audit: &Audit, small: &Audit) -> Result<Memory> {
        for audit in [audit, small] {
            ensure!(audit.passes(), "the audit of {}: {}", audit.board, audit.problems.join("; "));
        }
        let grants: Vec<_> = audit.processes.iter().flat_map(|process| &process.grants).collect();
        let first = grants.first().with_context(|| format!("{} has no grant", audit.board))?;
        ensure!(grants.iter().all(|grant| grant.bytes == first.bytes), "the grants of {} differ", audit.board);
        let sockets = first.rows.iter().map(|row| row.count).max().unwrap_or(0);
        // A row that is there once for each socket says so.
        let of_sockets: u64 = first.rows.iter().filter(|row| row.count > 0).map(|row| row.bytes).sum();
        let socket = of_sockets.checked_div(sockets).context("a grant without sockets")?;
        ensure!(socket * sockets == of_sockets, "the sockets of a grant differ");
        Ok(Memory {
            grant: first.bytes,
            sockets,
            socket,
            besides: first.bytes - of_sockets,
            grants: audit.grant_bytes,
            shared: audit.shared_bytes,
            shared_of_small: small.shared_bytes,
        })
    }

    /// Whether the grants are all that a board with more sockets has more.
    pub fn grows_by_the_grants(&self) -> bool {
        self.shared == self.shared_of_small
    }

    /// Bytes of the grants of so many processes.
    pub fn of_processes(&self, processes: u32) -> u64 {
        self.grant * u64::from(processes)
    }
}

/// How a point ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Both figures are within the tolerance of the first point's.
    Within,
    /// One is not.
    Beyond,
    /// Other work disturbed a run.
    Disturbed,
}

/// A point and its figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Sockets in all.
    pub sockets: u32,
    /// Processes that have them.
    pub processes: u32,
    /// MB/s: what the timed pairs come to.
    pub rate: Summary,
    /// The same of the longer runs alone, connections included.
    pub with_connections: Summary,
    /// The timed runs.
    pub samples: Vec<Sample>,
    /// Guest instructions per KiB.
    pub instructions: f64,
    /// The same by layer.
    pub layers: BTreeMap<&'static str, f64>,
    /// The rate in proportion to the first point's.
    pub rate_ratio: f64,
    /// The instructions in proportion to the first point's.
    pub instructions_ratio: f64,
    /// Bytes of the grants of its processes.
    pub grant_bytes: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// Where the instructions are beyond: what grew most per KiB since the first point, function and instructions.
    pub grown: Vec<(String, f64)>,
}

/// A curve and its rows.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What grows.
    pub name: &'static str,
    /// The points, the first one being what the others are held against.
    pub rows: Vec<Row>,
}

impl Measured {
    /// The rows of a curve's points.
    ///
    /// # Errors
    /// A point has no run.
    pub fn of(curve: &Curve, figures: &[(Point, Vec<Sample>, Figure)], memory: &Memory) -> Result<Measured> {
        let summary = |samples: &[Sample], of: fn(&Sample) -> f64| {
            Summary::of(&samples.iter().map(of).collect::<Vec<_>>()).context("no timed run")
        };
        let (_, first_samples, first) = figures.first().context("no point")?;
        let first_rate = summary(first_samples, |sample| sample.rate)?.median;
        let mut rows = Vec::new();
        for (point, samples, figure) in figures {
            let rate = summary(samples, |sample| sample.rate)?;
            let (rate_ratio, instructions_ratio) = (rate.median / first_rate, figure.compared() / first.compared());
            let beyond = instructions_ratio > 1.0 + TOLERANCE;
            let verdict = if samples.iter().any(|sample| sample.disturbed) {
                Verdict::Disturbed
            } else if beyond || rate_ratio < 1.0 - TOLERANCE {
                Verdict::Beyond
            } else {
                Verdict::Within
            };
            let layers = Layer::ALL.into_iter().filter(|layer| layer.is_ours());
            rows.push(Row {
                sockets: point.sockets,
                processes: point.processes,
                rate,
                with_connections: summary(samples, |sample| sample.with_connections)?,
                samples: samples.clone(),
                instructions: figure.compared(),
                layers: layers.map(|layer| (layer.name(), figure.in_layer(layer))).collect(),
                rate_ratio,
                instructions_ratio,
                grant_bytes: memory.of_processes(point.processes),
                verdict,
                grown: if beyond { most_grown(first, figure) } else { Vec::new() },
            });
        }
        Ok(Measured { name: curve.name, rows })
    }

    /// Whether every figure is believed.
    pub fn is_published(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != Verdict::Disturbed)
    }
}

/// The functions that take most more per KiB.
fn most_grown(first: &Figure, figure: &Figure) -> Vec<(String, f64)> {
    let functions = |figure: &Figure| {
        let all = figure.top(usize::MAX).into_iter();
        all.map(|(layer, name, count)| ((layer, name.to_owned()), count)).collect::<BTreeMap<_, _>>()
    };
    let grown = grown(&functions(first), &functions(figure), f64::NEG_INFINITY, NAMED);
    grown.into_iter().map(|((_, name), before, now)| (name, now - before)).collect()
}

/// The tables in Markdown, and what the audit says.
pub fn text(curves: &[Measured], memory: &Memory) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("a string takes all");
        text.push('\n');
    };
    for curve in curves {
        line(format_args!("By the number of {}:\n", curve.name));
        let numbers = ["sockets", "processes", "MB/s", "ratio", "connections too", "instructions per KiB", "ratio"];
        let mut table = Table::new(&[], numbers.into_iter().chain(["grant bytes", "bytes per socket"]));
        table.column("verdict", false);
        for row in &curve.rows {
            let verdict = match row.verdict {
                Verdict::Within => "within 10 %",
                Verdict::Beyond => "**beyond**",
                Verdict::Disturbed => "**disturbed**",
            };
            table.row([
                row.sockets.to_string(),
                row.processes.to_string(),
                row.rate.show(|rate| format!("{rate:.0}")),
                format!("{:.2}", row.rate_ratio),
                format!("{:.0}", row.with_connections.median),
                format!("{:.0}", row.instructions),
                format!("{:.2}", row.instructions_ratio),
                row.grant_bytes.to_string(),
                memory.socket.to_string(),
                verdict.to_owned(),
            ]);
        }
        line(format_args!("{}", format!("{table:#}").trim_end()));
        for row in curve.rows.iter().filter(|row| !row.grown.is_empty()) {
            line(format_args!("\n{} sockets in {} processes take more per KiB in:\n", row.sockets, row.processes));
            for (name, count) in &row.grown {
                line(format_args!("- {count:+.0} {name}"));
            }
        }
        line(format_args!(""));
    }
    let Memory { grant, sockets, socket, besides, grants, shared, shared_of_small } = memory;
    line(format_args!(
        "MB/s and instructions are what {} MiB take more than {} MiB; in the column behind, connections are in the rate.",
        TOTALS[1] >> 20,
        TOTALS[0] >> 20
    ));
    line(format_args!(
        "A grant has {grant} bytes: {sockets} sockets of {socket}, and {besides} besides. All grants have {grants}.\n\
         What is shared has {shared} bytes, and {shared_of_small} on the board with one network process: memory grows {}.",
        if memory.grows_by_the_grants() { "by exactly the grants" } else { "**by more than the grants**" }
    ));
    text
}

/// All of it as JSON.
///
/// # Errors
/// A figure is not a number, which no run gives.
pub fn json(curves: &[Measured], memory: &Memory) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        curves: &'a [Measured],
        memory: &'a Memory,
    }
    slopos_lab::report::json(&Report { curves, memory })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scale::CURVES;
    use slopos_audit::audit::{GrantAccount, ProcessAccount, Row as Item};
    use slopos_count::symbols::Sorted;

    /// A figure with so many instructions per KiB in one function of TCP, and ten in another.
    fn figure(instructions: u64) -> Figure {
        let mut run = Sorted::default();
        run.layers.insert(Layer::Tcp, instructions + 10);
        run.functions.insert((Layer::Tcp, "grows".to_owned()), instructions);
        run.functions.insert((Layer::Tcp, "stays".to_owned()), 10);
        Figure { name: "per KiB", run, base: Sorted::default(), units: 1 }
    }

    fn sample(rate: f64, disturbed: bool) -> Sample {
        Sample { rate, with_connections: rate / 2.0, other_load: 0.0, disturbed }
    }

    fn audit(grants: usize, shared_bytes: u64) -> Audit {
        let item = |what: &str, count, bytes| Item { what: what.to_owned(), count, bytes, ..Item::default() };
        let rows = vec![item("receive", 29, 290), item("control", 29, 29), item("set", 0, 7)];
        let grant = GrantAccount { capsule: "net".to_owned(), bytes: 326, rows };
        let process = ProcessAccount { grants: vec![grant], ..ProcessAccount::default() };
        Audit { processes: vec![process; grants], grant_bytes: 326 * grants as u64, shared_bytes, ..Audit::default() }
    }

    /// A curve whose last point takes 20 % more.
    pub fn measured() -> (Measured, Memory) {
        let memory = Memory::of(&audit(18, 50), &audit(1, 50)).expect("audits");
        let points = CURVES[0].points;
        let rows = [
            (points[0], vec![sample(100.0, false)], figure(90)),
            (points[1], vec![sample(91.0, false), sample(93.0, false)], figure(99)),
            (points[2], vec![sample(89.0, false)], figure(90)),
            (points[3], vec![sample(100.0, true)], figure(90)),
            (points[4], vec![sample(100.0, false)], figure(110)),
        ];
        (Measured::of(&CURVES[0], &rows, &memory).expect("rows"), memory)
    }

    #[test]
    fn each_point_is_held_against_the_first() {
        let (curve, memory) = measured();
        let verdicts: Vec<Verdict> = curve.rows.iter().map(|row| row.verdict).collect();
        use Verdict::{Beyond, Disturbed, Within};
        assert_eq!(verdicts, [Within, Within, Beyond, Disturbed, Beyond]);
        assert!(!curve.is_published());
        assert_eq!((curve.rows[1].rate_ratio, curve.rows[4].instructions_ratio), (0.92, 1.2));
        assert_eq!(curve.rows[4].grown, [("grows".to_owned(), 20.0), ("stays".to_owned(), 0.0)]);
        assert_eq!(curve.rows[4].grant_bytes, 18 * 326);
        let text = text(std::slice::from_ref(&curve), &memory);
        assert!(text.contains("512 sockets in 18 processes") && text.contains("- +20 grows"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json(&[curve], &memory).expect("JSON")).expect("JSON");
        assert_eq!(json["curves"][0]["rows"][4]["verdict"], "beyond");
    }

    #[test]
    fn memory_is_taken_apart_and_compared() {
        let memory = Memory::of(&audit(18, 50), &audit(1, 50)).expect("audits");
        assert_eq!((memory.sockets, memory.socket, memory.besides), (29, 11, 7));
        assert!(memory.grows_by_the_grants());
        assert!(!Memory::of(&audit(18, 51), &audit(1, 50)).expect("audits").grows_by_the_grants());
        let mut uneven = audit(2, 50);
        uneven.processes[1].grants[0].bytes = 1;
        assert!(Memory::of(&uneven, &audit(1, 50)).is_err());
        let failing = Audit { problems: vec!["a byte".to_owned()], ..audit(1, 50) };
        assert!(Memory::of(&failing, &audit(1, 50)).is_err());
    }
}
