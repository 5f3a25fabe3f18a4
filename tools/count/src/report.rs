//! The table of counts, in Markdown.

use crate::layer::Layer;
use crate::symbols::Sorted;
use std::fmt::Write;

/// One figure: what is left of a run when another is taken away, for each of so many units.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The figure's name.
    pub name: &'static str,
    /// The run that does more.
    pub run: Sorted,
    /// The run that is taken away, to leave what only the first one does; empty where all of it counts.
    pub base: Sorted,
    /// What the rest is divided by.
    pub units: u64,
}

impl Figure {
    /// Instructions per unit.
    pub fn total(&self) -> f64 {
        self.per_unit(self.run.total(), self.base.total())
    }

    /// Instructions per unit in one layer.
    pub fn of(&self, layer: Layer) -> f64 {
        self.per_unit(self.run.of(layer), self.base.of(layer))
    }

    /// The functions with the most instructions per unit, the first one having the most.
    pub fn top(&self, count: usize) -> Vec<(Layer, &str, f64)> {
        let mut functions: Vec<_> = self
            .run
            .functions
            .iter()
            .map(|(key, &run)| {
                let base = self.base.functions.get(key).copied().unwrap_or(0);
                (key.0, key.1.as_str(), self.per_unit(run, base))
            })
            .collect();
        functions.sort_by(|left, right| right.2.total_cmp(&left.2));
        functions.truncate(count);
        functions
    }

    /// Two runs differ a little even where they do the same, so a difference may be negative.
    fn per_unit(&self, run: u64, base: u64) -> f64 {
        (run as f64 - base as f64) / self.units as f64
    }
}

/// A table of all figures by layer.
pub fn by_layer(figures: &[Figure]) -> String {
    let mut text = String::from("| layer |");
    for figure in figures {
        write!(text, " {} |", figure.name).expect("a String grows");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(figures.len()));
    for layer in Layer::ALL {
        write!(text, "\n| {} |", layer.name()).expect("a String grows");
        for figure in figures {
            write!(text, " {} |", number(figure.of(layer))).expect("a String grows");
        }
    }
    text.push_str("\n| **all** |");
    for figure in figures {
        write!(text, " **{}** |", number(figure.total())).expect("a String grows");
    }
    text.push('\n');
    text
}

/// A table of one figure's heaviest functions.
pub fn by_function(figure: &Figure, count: usize) -> String {
    let mut text = format!("| instructions, {} | share | layer | function |\n|---:|---:|---|---|\n", figure.name);
    for (layer, function, instructions) in figure.top(count) {
        let share = 100.0 * instructions / figure.total();
        writeln!(text, "| {} | {share:.1} % | {} | `{function}` |", number(instructions), layer.name())
            .expect("a String grows");
    }
    text
}

/// A number with commas between thousands; one decimal where it is small.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let text = format!("{value:.1}");
        return if text == "-0.0" { "0.0".to_owned() } else { text };
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let run = sorted(&[(Layer::Tcp, "a", 700), (Layer::Copy, "memcpy", 4_000), (Layer::Tcp, "b", 100)]);
        let base = sorted(&[(Layer::Tcp, "a", 300), (Layer::Copy, "memcpy", 10), (Layer::Boot, "c", 20)]);
        let figure = Figure { name: "per KiB", run, base, units: 10 };
        assert_eq!(figure.total(), 447.0);
        assert_eq!((figure.of(Layer::Tcp), figure.of(Layer::Boot)), (50.0, -2.0));
        assert_eq!(figure.top(2), [(Layer::Copy, "memcpy", 399.0), (Layer::Tcp, "a", 40.0)]);
        let table = by_layer(std::slice::from_ref(&figure));
        assert!(table.starts_with("| layer | per KiB |\n|---|---:|\n"), "{table}");
        assert!(table.contains("\n| tcp and sockets | 50.0 |\n"), "{table}");
        assert!(table.ends_with("\n| **all** | **447** |\n"), "{table}");
        assert!(by_function(&figure, 1).ends_with("\n| 399 | 89.3 % | copy and checksum | `memcpy` |\n"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.01, "0.0"),
            (99.94, "99.9"),
            (100.0, "100"),
            (1234.6, "1,235"),
            (-1_000_000.0, "-1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
