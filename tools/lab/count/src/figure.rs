//! What a run, or the difference of two, comes to for each unit.

use crate::layer::Layer;
use crate::symbols::Sorted;
use anyhow::{Result, bail};

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
    /// All of a run.
    pub fn of(name: &'static str, run: Sorted) -> Figure {
        Figure { name, run, base: Sorted::default(), units: 1 }
    }

    /// What the longer of two runs has more than the shorter one, for each of so many units.
    ///
    /// # Errors
    /// The longer run has no more.
    pub fn between(name: &'static str, [base, run]: [Sorted; 2], units: u64) -> Result<Figure> {
        let figure = Figure { name, run, base, units };
        if figure.compared() <= 0.0 {
            bail!("{name}: a longer run counted no more than a shorter one");
        }
        Ok(figure)
    }

    /// Instructions per unit.
    pub fn total(&self) -> f64 {
        self.per_unit(self.run.total(), self.base.total())
    }

    /// Instructions per unit in one layer.
    pub fn in_layer(&self, layer: Layer) -> f64 {
        self.per_unit(self.run.of(layer), self.base.of(layer))
    }

    /// Instructions per unit in the layers that are ours: what two builds are compared by.
    pub fn compared(&self) -> f64 {
        Layer::ALL.into_iter().filter(|layer| layer.is_ours()).map(|layer| self.in_layer(layer)).sum()
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
