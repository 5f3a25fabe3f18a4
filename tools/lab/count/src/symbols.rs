//! From an address to the functions that its instruction belongs to, by the debug information of kernel and app.

use crate::layer::{self, Layer};
use crate::profile::Profile;
use addr2line::Loader;
use anyhow::{Context, Result, anyhow};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// x86's instruction for a loop that looks again and again.
const PAUSE: [u8; 2] = [0xf3, 0x90];

/// An ELF with debug information.
struct Program {
    loader: Loader,
    /// Addresses that it is loaded at.
    ranges: Vec<Range<u64>>,
    /// Its compiler, in the compiler's own words.
    compiler: Option<String>,
    /// Symbols of its code, by address. An entry of assembly has no type in them, and no debug information.
    symbols: BTreeMap<u64, String>,
    /// Addresses of what looks like the instruction `pause` in its code.
    pauses: Vec<u64>,
}

impl Program {
    fn open(path: &Path) -> Result<Program> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
        let ranges = file
            .segments()
            .map(|segment| segment.address()..segment.address().saturating_add(segment.size()))
            .collect();
        let loader = Loader::new(path).map_err(|why| anyhow!("{}: {why}", path.display()))?;
        let strings = match file.section_by_name(".debug_str") {
            Some(section) => section.uncompressed_data().with_context(|| path.display().to_string())?,
            None => Cow::default(),
        };
        let mut pauses = Vec::new();
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let code = section.data().with_context(|| path.display().to_string())?;
            pauses.extend(code.windows(2).zip(section.address()..).filter(|(two, _)| *two == PAUSE).map(|(_, at)| at));
        }
        let mut symbols = BTreeMap::new();
        for symbol in file.symbols() {
            let in_code = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
            if in_code.is_some_and(|section| section.kind() == SectionKind::Text) {
                let name = symbol.name().with_context(|| path.display().to_string())?;
                symbols.insert(symbol.address(), name.to_owned());
            }
        }
        Ok(Program { loader, ranges, compiler: compiler(&strings), symbols, pauses })
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
            && let Some((_, symbol)) = self.symbols.range(..=address).next_back()
        {
            names.push(without_hash(&addr2line::demangle_auto(symbol.into(), None)));
        }
        Ok(names)
    }
}

/// The compiler among the strings of debug information: `clang LLVM (rustc version 1.96.0 (ac68faa20 2026-05-25))`.
fn compiler(strings: &[u8]) -> Option<String> {
    let text =
        strings.split(|&byte| byte == 0).find_map(|text| str::from_utf8(text).ok()?.split_once("(rustc version "));
    text.map(|(_, version)| version.strip_suffix(')').unwrap_or(version).to_owned())
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
        Ok(Symbols { kernel: Program::open(kernel)?, app: Program::open(app)?, found: RefCell::default() })
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

    /// Where the kernel waits for what QEMU does in the host's time: the instructions `pause` in loops that look again
    /// and again. Not all of these need be instructions: what looks like one is listed too.
    ///
    /// # Errors
    /// The debug information is broken.
    pub fn busy_waits(&self) -> Result<Vec<u64>> {
        let mut waits = Vec::new();
        for &address in &self.kernel.pauses {
            if self.kernel.functions(address)?.iter().any(|function| layer::waits_for_host(function)) {
                waits.push(address);
            }
        }
        Ok(waits)
    }

    /// The compiler that the kernel was built by, in its own words.
    ///
    /// # Errors
    /// The kernel has no debug information of `rustc`'s.
    pub fn compiler(&self) -> Result<&str> {
        self.kernel.compiler.as_deref().context("the kernel's debug information does not name rustc")
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
    fn the_compiler_is_named_as_it_names_itself() {
        let strings = b"core\0clang LLVM (rustc version 1.96.0 (ac68faa20 2026-05-25) (built from a tarball))\0rest";
        assert_eq!(compiler(strings).as_deref(), Some("1.96.0 (ac68faa20 2026-05-25) (built from a tarball)"));
        assert_eq!(compiler(b"GNU C17 12.2.0\0"), None);
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
        assert!(program.compiler.unwrap().starts_with("1."));
    }
}
