//! From an address in a program's code to the functions and source lines that it belongs to, through all inlining.

use addr2line::Loader;
use anyhow::{Context, Result, anyhow, ensure};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, SectionKind, SymbolKind};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// The code of an ELF with its debug information.
pub struct Code {
    loader: Loader,
    /// Addresses that it is loaded at.
    ranges: Vec<Range<u64>>,
    /// Its compiler, in the compiler's own words.
    compiler: Option<String>,
    /// Names of what is in its code, by address. An entry of assembly has no type, and no debug information.
    symbols: BTreeMap<u64, Vec<Symbol>>,
    sections: Vec<Section>,
}

/// A section of code.
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its first address.
    pub address: u64,
    /// What the file holds of it.
    pub bytes: Vec<u8>,
}

struct Symbol {
    name: String,
    is_function: bool,
}

/// A function that an address is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name without the compiler's hash, where the debug information has one.
    pub function: Option<String>,
    /// Its source file, as [`source_file`](crate::source_file) shortens it.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

impl Code {
    /// Reads an ELF.
    ///
    /// # Errors
    /// The file cannot be read or is no ELF.
    pub fn open(path: &Path) -> Result<Code> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Code::parse(&bytes, path).with_context(|| path.display().to_string())
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Code> {
        let file = object::File::parse(bytes)?;
        let segments = file.segments();
        let ranges = segments.map(|part| part.address()..part.address().saturating_add(part.size())).collect();
        let loader = Loader::new(path).map_err(|why| anyhow!("no debug information: {why}"))?;
        let strings = match file.section_by_name(".debug_str") {
            Some(section) => section.uncompressed_data()?,
            None => Cow::default(),
        };
        let is_code = |section: &object::Section<'_, '_>| section.kind() == SectionKind::Text;
        let code = file.sections().filter(is_code).map(|section| {
            let (name, bytes) = (section.name()?.to_owned(), section.data()?.to_vec());
            Ok(Section { name, address: section.address(), bytes })
        });
        let sections = code.collect::<Result<_>>()?;
        let mut symbols: BTreeMap<u64, Vec<Symbol>> = BTreeMap::new();
        for symbol in file.symbols() {
            let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
            if section.is_some_and(|section| is_code(&section)) {
                let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
                let is_function = symbol.kind() == SymbolKind::Text;
                symbols.entry(symbol.address()).or_default().push(Symbol { name, is_function });
            }
        }
        Ok(Code { loader, ranges, compiler: compiler(&strings), symbols, sections })
    }

    /// Whether an address is one that it is loaded at.
    pub fn contains(&self, address: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// The compiler that it was built by, in the compiler's own words; `None` without debug information of `rustc`'s.
    pub fn compiler(&self) -> Option<&str> {
        self.compiler.as_deref()
    }

    /// Its sections of code.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// What the debug information says about an address, the innermost of what was inlined first.
    ///
    /// # Errors
    /// The debug information is damaged.
    pub fn frames(&self, address: u64) -> Result<Vec<Frame>> {
        let damaged = |why: &dyn std::fmt::Display| anyhow!("debug information at {address:#x} is damaged: {why}");
        let mut found = Vec::new();
        let mut frames = self.loader.find_frames(address).map_err(|why| damaged(&why))?;
        while let Some(frame) = frames.next().map_err(|why| damaged(&why))? {
            let function = frame.function.map(|function| Ok(without_hash(&function.demangle()?)));
            let function = function.transpose().map_err(|why: gimli::Error| damaged(&why))?;
            let file = frame.location.as_ref().and_then(|place| place.file);
            let line = frame.location.as_ref().and_then(|place| place.line);
            found.push(Frame { function, file: file.map(|file| crate::source_file(file).to_owned()), line });
        }
        Ok(found)
    }

    /// The functions at an address, the innermost first; without debug information there, the symbol.
    ///
    /// # Errors
    /// The debug information is damaged.
    pub fn functions(&self, address: u64) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.frames(address)?.into_iter().filter_map(|frame| frame.function).collect();
        if names.is_empty()
            && let Some((_, here)) = self.symbols.range(..=address).next_back()
        {
            names.extend(here.last().map(|symbol| without_hash(&symbol.name)));
        }
        Ok(names)
    }

    /// Where functions are whose name begins so.
    ///
    /// # Errors
    /// There is none: the file is stripped, or the compiler calls them otherwise.
    pub fn functions_named(&self, beginnings: &[&str]) -> Result<BTreeMap<u64, &str>> {
        let fits = |name: &str| beginnings.iter().any(|beginning| name.starts_with(beginning));
        let all = self.symbols.iter().flat_map(|(address, here)| here.iter().map(|symbol| (*address, symbol)));
        let fitting = all.filter(|(_, symbol)| symbol.is_function && fits(&symbol.name));
        let found: BTreeMap<u64, &str> = fitting.map(|(address, symbol)| (address, symbol.name.as_str())).collect();
        ensure!(!found.is_empty(), "no symbol begins with {}: is it stripped?", beginnings.join(", "));
        Ok(found)
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
        let path = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let code = Code::parse(&bytes, &path).unwrap();
        let entry = object::File::parse(&*bytes).unwrap().entry();
        assert!(code.contains(entry));
        assert_eq!(code.functions(entry).unwrap(), ["_start"]);
        assert!(!code.contains(u64::MAX));
        assert!(code.compiler().unwrap().starts_with("1."));
    }
}
