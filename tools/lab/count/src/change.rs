//! What a layer cost once, beside what it costs today.

use crate::kept::{Kept, KeptFigure};
use crate::layer::Layer;
use slopos_lab::report::{Table, number};

/// A table of the figures that are in both, by layer, in the order of `names`: once, and today.
pub fn by_layer(before: &Kept, now: &Kept, names: &[&str]) -> String {
    let both = |name: &&str| Some((before.figures.get(*name)?, now.figures.get(*name)?));
    let figures: Vec<_> = names.iter().filter_map(|name| Some((*name, both(name)?))).collect();
    let heads = figures.iter().flat_map(|(name, _)| [format!("{name}: before"), "now".to_owned()]);
    let mut table = Table::new(&["layer"], heads);
    let mut row = |name: &str, cell: &dyn Fn(&KeptFigure) -> Option<f64>| {
        let show = |figure| cell(figure).map_or("none".to_owned(), number);
        let cells = figures.iter().flat_map(|(_, (before, now))| [show(before), show(now)]);
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    for layer in Layer::ALL.into_iter().filter(|layer| layer.is_ours()) {
        row(layer.name(), &|figure| figure.layers.get(layer.name()).copied());
    }
    row("**all**", &|figure| Some(figure.instructions));
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_both_stand_side_by_side_layer_by_layer() {
        let kept = |layers: &[(&str, f64)], others: &[&str]| {
            let figure = KeptFigure {
                instructions: layers.iter().map(|(_, count)| count).sum(),
                layers: layers.iter().map(|&(name, count)| (name.to_owned(), count)).collect(),
                functions: [].into(),
            };
            let names = ["per KiB"].iter().chain(others);
            Kept { compiler: "c".to_owned(), figures: names.map(|name| (name.to_string(), figure.clone())).collect() }
        };
        let before = kept(&[("driver", 509.0), ("copy and checksum", 1_714.0)], &["per request"]);
        let now = kept(&[("driver", 217.0)], &["new"]);
        let table = by_layer(&before, &now, &["per request", "per KiB", "new"]);
        assert!(table.starts_with("| layer | per KiB: before | now |\n|---|---:|---:|\n"), "{table}");
        assert!(table.contains("\n| driver | 509 | 217 |\n"), "{table}");
        assert!(table.contains("\n| copy and checksum | 1,714 | none |\n"), "{table}");
        assert!(table.ends_with("\n| **all** | 2,223 | 217 |\n"), "{table}");
    }
}
