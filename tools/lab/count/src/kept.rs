//! The figures that are kept in the tree, and the comparison with those of today.

use crate::figure::Figure;
use crate::layer::Layer;
use serde::{Deserialize, Serialize};
use slopos_lab::report::{grown, number};
use std::collections::BTreeMap;
use std::fmt::Write;

/// By how much a figure may grow, or shrink, before it is worth a word: 3 %.
const TOLERANCE: f64 = 0.03;

/// Functions with a smaller part of a figure than this are not kept by name.
const SMALLEST_PART: f64 = 0.005;

/// How many functions a complaint names, and how much of the growth has to be a function's to be named.
const NAMED: usize = 8;
const NAMED_PART: f64 = 0.05;

/// What the tree keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The compiler of the kernel, in its own words. Another one makes other figures.
    pub compiler: String,
    /// Figures that repeat, by their name.
    pub figures: BTreeMap<String, KeptFigure>,
}

/// A figure, in instructions per unit. The firmware's are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFigure {
    /// All of it.
    pub instructions: f64,
    /// By layer.
    pub layers: BTreeMap<String, f64>,
    /// By function, the heavier ones.
    pub functions: BTreeMap<String, f64>,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// For a person, line by line.
    pub text: String,
    /// Whether a figure grew too much, or is not in both.
    pub failed: bool,
}

impl KeptFigure {
    /// What is kept of a figure.
    pub fn of(figure: &Figure) -> KeptFigure {
        let instructions = figure.compared();
        let layers = Layer::ALL.into_iter().filter(|layer| layer.is_ours());
        let mut functions: BTreeMap<String, f64> = BTreeMap::new();
        for (layer, function, part) in figure.top(usize::MAX) {
            if layer.is_ours() && part >= SMALLEST_PART * instructions {
                // A function may have parts in two layers, for who called it.
                *functions.entry(function.to_owned()).or_default() += tenths(part);
            }
        }
        KeptFigure {
            instructions: tenths(instructions),
            layers: layers.map(|layer| (layer.name().to_owned(), tenths(figure.in_layer(layer)))).collect(),
            functions,
        }
    }
}

impl Kept {
    /// What is to be kept of these figures.
    pub fn of(compiler: &str, figures: &[Figure]) -> Kept {
        let figures = figures.iter().map(|figure| (figure.name.to_owned(), KeptFigure::of(figure))).collect();
        Kept { compiler: compiler.to_owned(), figures }
    }

    /// Compares the figures of today with these. That one compiler made both is up to the caller.
    pub fn compare(&self, today: &Kept) -> Comparison {
        let mut comparison = Comparison { text: String::new(), failed: false };
        for (name, now) in &today.figures {
            match self.figures.get(name) {
                Some(before) => comparison.figure(name, before, now),
                None => comparison
                    .fail(&format!("{name}: {} instructions, and no figure is kept", number(now.instructions))),
            }
        }
        for name in self.figures.keys().filter(|name| !today.figures.contains_key(*name)) {
            comparison.fail(&format!("{name}: is kept, and no longer counted"));
        }
        comparison
    }
}

impl Comparison {
    fn figure(&mut self, name: &str, before: &KeptFigure, now: &KeptFigure) {
        let change = now.instructions / before.instructions - 1.0;
        let numbers = format!(
            "{name}: {} instructions, {} are kept: {:+.1} %",
            number(now.instructions),
            number(before.instructions),
            100.0 * change
        );
        if now.instructions <= before.instructions * (1.0 + TOLERANCE) {
            let note = if now.instructions < before.instructions * (1.0 - TOLERANCE) {
                ", which is worth keeping"
            } else {
                ""
            };
            self.line(&format!("{numbers}{note}"));
            return;
        }
        self.fail(&format!("{numbers}, more than {:.0} %", 100.0 * TOLERANCE));
        let least = NAMED_PART * (now.instructions - before.instructions);
        let numbers = |before, now| format!("  {:>8} to {:>8}", number(before), number(now));
        for (layer, before, now) in grown(&before.layers, &now.layers, least, NAMED) {
            self.line(&format!("{} {layer}", numbers(before, now)));
        }
        for (function, before, now) in grown(&before.functions, &now.functions, least, NAMED) {
            self.line(&format!("{} `{function}`", numbers(before, now)));
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.text, "{text}").expect("a String grows");
    }

    fn fail(&mut self, text: &str) {
        self.failed = true;
        self.line(text);
    }
}

/// A figure to a tenth of an instruction, so that the file stays readable.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Sorted;

    fn kept(figures: &[(&str, f64, f64)]) -> Kept {
        let figure = |&(name, tcp, copy): &(&str, f64, f64)| {
            let figure = KeptFigure {
                instructions: tcp + copy,
                layers: [("tcp".to_owned(), tcp), ("copy".to_owned(), copy)].into(),
                functions: [("slopos_net::tcp::f".to_owned(), tcp), ("memcpy".to_owned(), copy)].into(),
            };
            (name.to_owned(), figure)
        };
        Kept { compiler: "1.96.0".to_owned(), figures: figures.iter().map(figure).collect() }
    }

    #[test]
    fn a_figure_that_grew_by_more_than_3_percent_fails_and_says_where() {
        let before = kept(&[("per KiB", 400.0, 600.0), ("per request", 500.0, 500.0)]);
        let comparison = before.compare(&kept(&[("per KiB", 405.0, 627.0), ("per request", 530.0, 500.0)]));
        assert!(comparison.failed);
        let lines: Vec<&str> = comparison.text.lines().collect();
        assert_eq!(lines[0], "per KiB: 1,032 instructions, 1,000 are kept: +3.2 %, more than 3 %");
        assert_eq!(lines[1], "       600 to      627 copy");
        assert_eq!(lines[2], "       400 to      405 tcp");
        assert_eq!(lines[3], "       600 to      627 `memcpy`");
        assert_eq!(lines[4], "       400 to      405 `slopos_net::tcp::f`");
        let small = before.compare(&kept(&[("per KiB", 401.0, 700.0), ("per request", 500.0, 500.0)]));
        assert!(!small.text.contains("tcp"), "grew by next to nothing: {}", small.text);
        assert_eq!(lines[5..], ["per request: 1,030 instructions, 1,000 are kept: +3.0 %"]);
    }

    #[test]
    fn a_figure_that_shrank_is_told_and_passes() {
        let before = kept(&[("per KiB", 400.0, 600.0)]);
        let comparison = before.compare(&kept(&[("per KiB", 360.0, 600.0)]));
        let expected = "per KiB: 960 instructions, 1,000 are kept: -4.0 %, which is worth keeping\n";
        assert_eq!(comparison, Comparison { text: expected.to_owned(), failed: false });
        assert_eq!(before.compare(&before).text, "per KiB: 1,000 instructions, 1,000 are kept: +0.0 %\n");
    }

    #[test]
    fn a_figure_of_one_side_alone_fails() {
        let (one, both) = (kept(&[("per KiB", 400.0, 600.0)]), kept(&[("per KiB", 400.0, 600.0), ("new", 1.0, 1.0)]));
        assert!(one.compare(&both).failed);
        assert!(both.compare(&one).failed);
        assert!(!both.compare(&both).failed);
        // Nor can a kept figure that is nothing let everything pass.
        assert!(kept(&[("per KiB", 0.0, 0.0)]).compare(&one).failed);
    }

    #[test]
    fn what_is_kept_is_read_back_and_has_what_repeats() {
        let mut run = Sorted::default();
        for (layer, function, count) in [
            (Layer::Tcp, "a", 900),
            (Layer::Copy, "memcpy", 97),
            (Layer::Tcp, "small", 3),
            (Layer::Firmware, "firmware", 5_000),
        ] {
            *run.layers.entry(layer).or_default() += count;
            run.functions.insert((layer, function.to_owned()), count);
        }
        let figure = Figure { name: "closed boot", run, base: Sorted::default(), units: 1 };
        let kept = Kept::of("1.96.0 (x)", &[figure]);
        let boot = &kept.figures["closed boot"];
        assert_eq!((boot.instructions, boot.layers["tcp and sockets"]), (1_000.0, 903.0));
        assert_eq!(boot.functions, [("a".to_owned(), 900.0), ("memcpy".to_owned(), 97.0)].into());
        assert!(!boot.layers.contains_key("firmware"));
        let text = serde_json::to_string_pretty(&kept).expect("written");
        assert_eq!(serde_json::from_str::<Kept>(&text).expect("read"), kept);
    }
}
