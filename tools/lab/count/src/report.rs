//! The table of counts, in Markdown.

use crate::change;
use crate::figure::Figure;
use crate::kept::Kept;
use crate::layer::Layer;
use slopos_lab::report::{Table, number};
use std::fmt::Write;

/// What the document is made of.
pub struct Tables<'a> {
    /// The board's name.
    pub board: &'a str,
    /// The compiler of the kernel.
    pub compiler: &'a str,
    /// What is kept of these figures.
    pub now: &'a Kept,
    /// What an earlier board's figures were, where such are kept.
    pub before: Option<&'a Kept>,
    /// Instructions from reset to the first bytes of a response.
    pub first_byte: u64,
    /// The figures that repeat.
    pub repeating: &'a [Figure],
    /// Those that vary.
    pub varying: &'a [Figure],
    /// Functions in the tables of functions.
    pub top: usize,
}

/// What a reader has to know about the figures of an earlier board.
const BEFORE: &str = "
## Before and now

The first board that worked from end to end, before anything was done about its speed, counted by this program with the
same compiler, peer and programs (COUNTS_BEFORE.json). It looked at every socket and process in each pass, took a pass of
the loop for each system call, and touched a received byte three times: to sum it, to copy it into the ring, and to copy
it to the process.

";

/// The tables with what a reader has to know about them.
pub fn document(tables: &Tables<'_>) -> String {
    let Tables { board, compiler, .. } = tables;
    let mut text = format!(
        "# Guest instructions of the board `{board}`

Written by `./just count --board {board} --output boards/{board}/COUNTS.md`. Counts do not depend on how busy the machine
is, so they show what a change to the code costs. They are no times: an instruction that exits to the device costs more
than a thousand others, and a repeated string instruction counts once for each round.

The kernel's compiler: rustc {compiler}.

From reset to the first bytes of a response in the hands of webget: **{} instructions**.

## What repeats

`./just test` counts these again, and fails where one has grown by more than 3 % since this file, and COUNTS.json
beside it, was written. What the firmware does is not compared.

{}
- **closed boot**: from reset through a second of sleep to the exit, without network and flash.
- **boot and one page**: from reset to the exit, with a page of one byte fetched and printed.
- **per system call**: GET_TIME_MS, called again and again by one process, with a silent network. The board is that of
  test.toml.
- **per context switch**: the same, but each of two processes yields to the other. A YIELD is part of it.
- **per KiB**: of a body that webget throws away; 5 MiB less 1 MiB, in bursts of 16 segments.
- **per request**: a connection, a page of 1 KiB thrown away, its head printed; 210 requests less 10.

The peer of the last two, and of the page, is a script that sends one burst, and the next when the board has
acknowledged it and waits. The closed boot repeats to the instruction, everything else here within 0.5 %.

The layer is that of the innermost function of ours, inlined or not. Copy and checksum are one layer, whoever
called them. A waiting processor carries out nothing, so *idle* is only the way into and out of waiting.

## What varies

The same against a server on the host: what waits for it, and how many segments come at once, is up to the host. Bulk
data, 64 MiB less 1 MiB, varies by about 1 %, requests, 1010 less 10, by about 3 %.

{}",
        number(tables.first_byte as f64),
        by_layer(tables.repeating),
        by_layer(tables.varying),
    );
    if let Some(before) = tables.before {
        let names: Vec<_> = tables.repeating.iter().map(|figure| figure.name).collect();
        write!(text, "{}{}", BEFORE, change::by_layer(before, tables.now, &names)).expect("a String grows");
    }
    for figure in tables.repeating.iter().filter(|figure| figure.units > 1) {
        let (name, table) = (figure.name, by_function(figure, tables.top));
        write!(text, "\n## By function, {name}\n\n{table}").expect("a String grows");
    }
    text
}

/// A table of all figures by layer.
pub fn by_layer(figures: &[Figure]) -> Table {
    let mut table = Table::new(&["layer"], figures.iter().map(|figure| figure.name));
    let mut row = |name: &str, cell: &dyn Fn(&Figure) -> String| {
        table.row([name.to_owned()].into_iter().chain(figures.iter().map(cell)));
    };
    for layer in Layer::ALL {
        row(layer.name(), &|figure| number(figure.in_layer(layer)));
    }
    row("**all**", &|figure| format!("**{}**", number(figure.total())));
    row("**without firmware**", &|figure| format!("**{}**", number(figure.compared())));
    table
}

/// A table of one figure's heaviest functions.
pub fn by_function(figure: &Figure, count: usize) -> Table {
    let mut table = Table::new(&[], [format!("instructions, {}", figure.name), "share".to_owned()]);
    table.column("layer", false);
    table.column("function", false);
    for (layer, function, instructions) in figure.top(count) {
        let share = format!("{:.1} %", 100.0 * instructions / figure.total());
        table.row([number(instructions), share, layer.name().to_owned(), format!("`{function}`")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Sorted;

    fn sorted(counts: &[(Layer, &str, u64)]) -> Sorted {
        let mut sorted = Sorted::default();
        for (layer, function, count) in counts {
            *sorted.layers.entry(*layer).or_default() += count;
            *sorted.functions.entry((*layer, (*function).to_owned())).or_default() += count;
        }
        sorted
    }

    #[test]
    fn a_figure_is_the_difference_of_two_runs_per_unit() {
        let run = sorted(&[
            (Layer::Tcp, "a", 700),
            (Layer::Copy, "memcpy", 4_000),
            (Layer::Tcp, "b", 100),
            (Layer::Firmware, "d", 200),
        ]);
        let base = sorted(&[(Layer::Tcp, "a", 300), (Layer::Copy, "memcpy", 10), (Layer::Boot, "c", 20)]);
        let figure = Figure { name: "per KiB", run, base, units: 10 };
        assert_eq!((figure.total(), figure.compared()), (467.0, 447.0));
        assert_eq!((figure.in_layer(Layer::Tcp), figure.in_layer(Layer::Boot)), (50.0, -2.0));
        assert_eq!(figure.top(2), [(Layer::Copy, "memcpy", 399.0), (Layer::Tcp, "a", 40.0)]);
        let table = by_layer(std::slice::from_ref(&figure)).to_string();
        assert!(table.starts_with("| layer | per KiB |\n|---|---:|\n"), "{table}");
        assert!(table.contains("\n| tcp and sockets | 50.0 |\n"), "{table}");
        assert!(table.ends_with("\n| **all** | **467** |\n| **without firmware** | **447** |\n"), "{table}");
        assert!(by_function(&figure, 1).to_string().ends_with("\n| 399 | 85.4 % | copy and checksum | `memcpy` |\n"));
    }
}
