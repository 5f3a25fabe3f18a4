//! From an address to the functions that its instruction belongs to, by the debug information of kernel and app.

use crate::layer::{self, Layer};
use crate::profile::Profile;
use addr2line::Loader;
use anyhow::{Context, Result, anyhow};
use object::{Object, ObjectSegment};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// An ELF with debug information.
struct Program {
    loader: Loader,
    /// Addresses that it is loaded at.
    ranges: Vec<Range<u64>>,
}

impl Program {
    fn open(path: &Path) -> Result<Program> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
        let ranges = file.segments().map(|segment| segment.address()..segment.address() + segment.size()).collect();
        let loader = Loader::new(path).map_err(|why| anyhow!("{}: {why}", path.display()))?;
        Ok(Program { loader, ranges })
    }

    fn contains(&self, address: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// The functions at an address, the innermost first; without debug information there, the symbol.
    fn functions(&self, address: u64) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut frames = self.loader.find_frames(address).map_err(|why| anyhow!("{address:#x}: {why}"))?;
        while let Some(frame) = frames.next().map_err(|why| anyhow!("{address:#x}: {why}"))? {
            if let Some(function) = frame.function {
                names.push(without_hash(&function.demangle().map_err(|why| anyhow!("{address:#x}: {why}"))?));
            }
        }
        if names.is_empty()
            && let Some(symbol) = self.loader.find_symbol(address)
        {
            names.push(without_hash(&addr2line::demangle_auto(symbol.into(), None)));
        }
        Ok(names)
    }
}

/// A demangled name without the compiler's hash at its end.
fn without_hash(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((rest, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest.to_owned(),
        _ => name.to_owned(),
    }
}

/// The programs of a run.
pub struct Symbols {
    kernel: Program,
    app: Program,
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
        Ok(Symbols { kernel: Program::open(kernel)?, app: Program::open(app)? })
    }

    /// Sorts the instructions of a run by layer and function.
    ///
    /// # Errors
    /// The debug information is broken.
    pub fn sort(&self, profile: &Profile) -> Result<Sorted> {
        let mut sorted = Sorted::default();
        for (&address, count) in &profile.counts {
            let (layer, function) = self.place(address)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hash_is_cut_off() {
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::head"), "a::head");
        assert_eq!(without_hash("a::h0123456789abcdeg"), "a::h0123456789abcdeg");
    }

    #[test]
    fn the_functions_of_a_real_program_are_found() {
        let program = Program::open(&std::env::current_exe().unwrap()).unwrap();
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let entry = file.entry();
        assert!(program.contains(entry));
        assert_eq!(program.functions(entry).unwrap(), ["_start"]);
        assert!(!program.contains(u64::MAX));
    }
}
