//! From an address to the functions that its instruction belongs to, by the debug information of kernel and app.

use crate::layer::{self, Layer};
use crate::profile::Profile;
use anyhow::{Context, Result};
use slopos_elf::Code;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The programs of a run.
pub struct Symbols {
    kernel: Code,
    app: Code,
    /// What was found already: runs differ in few addresses, and finding takes longer than running.
    found: RefCell<HashMap<u64, (Layer, String)>>,
}

/// The instructions of a run, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// By layer.
    pub layers: BTreeMap<Layer, u64>,
    /// By function: the one that decided the layer.
    pub functions: BTreeMap<(Layer, String), u64>,
}

impl Sorted {
    /// All instructions.
    pub fn total(&self) -> u64 {
        self.layers.values().sum()
    }

    /// Those of one layer.
    pub fn of(&self, layer: Layer) -> u64 {
        self.layers.get(&layer).copied().unwrap_or(0)
    }
}

impl Symbols {
    /// Reads the kernel's ELF and the app's.
    ///
    /// # Errors
    /// A file cannot be read or is no ELF.
    pub fn open(kernel: &Path, app: &Path) -> Result<Symbols> {
        Ok(Symbols { kernel: Code::open(kernel)?, app: Code::open(app)?, found: RefCell::default() })
    }

    /// Sorts the instructions of a run by layer and function.
    ///
    /// # Errors
    /// The debug information is broken.
    pub fn sort(&self, profile: &Profile) -> Result<Sorted> {
        let mut sorted = Sorted::default();
        for (&address, count) in &profile.counts {
            let known = self.found.borrow().get(&address).cloned();
            let (layer, function) = match known {
                Some(place) => place,
                None => {
                    let place = self.place(address)?;
                    self.found.borrow_mut().insert(address, place.clone());
                    place
                }
            };
            *sorted.layers.entry(layer).or_default() += count.count;
            *sorted.functions.entry((layer, function)).or_default() += count.count;
        }
        Ok(sorted)
    }

    /// Instructions before the app first came into a function, inlined or not, whose name fits.
    ///
    /// # Errors
    /// The app never came into one, or its debug information is broken.
    pub fn before(&self, profile: &Profile, fits: impl Fn(&str) -> bool) -> Result<u64> {
        let mut first: Option<u64> = None;
        for (&address, count) in profile.counts.iter().filter(|(address, _)| self.app.contains(**address)) {
            if self.app.functions(address)?.iter().any(|name| fits(name)) {
                first = Some(first.map_or(count.before, |before| before.min(count.before)));
            }
        }
        first.context("the app never came into the function that was to be waited for")
    }

    /// The compiler that the kernel was built by, in its own words.
    ///
    /// # Errors
    /// The kernel has no debug information of `rustc`'s.
    pub fn compiler(&self) -> Result<&str> {
        self.kernel.compiler().context("the kernel's debug information does not name rustc")
    }

    fn place(&self, address: u64) -> Result<(Layer, String)> {
        let unnamed = || format!("{address:#x}");
        let owned = |name: Option<&str>| name.map_or_else(unnamed, str::to_owned);
        if self.kernel.contains(address) {
            let functions = self.kernel.functions(address)?;
            let (layer, name) = layer::of_kernel(&functions);
            Ok((layer, owned(name)))
        } else if self.app.contains(address) {
            let functions = self.app.functions(address)?;
            Ok((Layer::Process, owned(layer::of_process(&functions))))
        } else {
            // Neither program: what ran before the kernel.
            Ok((Layer::Firmware, "firmware".to_owned()))
        }
    }
}
