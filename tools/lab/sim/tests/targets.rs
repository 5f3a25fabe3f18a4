//! The fuzz targets without a fuzzer: the corpus as it is, the corpus with a few bytes changed, and any bytes.
//! `./just fuzz` goes much further; this keeps the targets honest on machines without its toolchain.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use slopos_sim::targets::{ALL, Target};

/// Files of the corpus of a target.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A change of some bytes: at a place, with a value, and whether it replaces, inserts or removes.
type Edit = (prop::sample::Index, u8, u8);

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for (place, value, kind) in edits {
        let at = place.index(bytes.len() + 1);
        match kind % 4 {
            0 => bytes.insert(at, *value),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] = *value,
            _ => {}
        }
    }
    bytes
}

fn check((name, target): Target, cases: u32) {
    let files = corpus(name);
    assert!(!files.is_empty(), "{name} has no corpus");
    files.iter().for_each(|file| target(file));
    let strategy = (any::<prop::sample::Index>(), vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 0..6));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let changed = runner.run(&strategy, |(file, edits)| {
        target(&edited(file.get(&files).clone(), &edits));
        Ok(())
    });
    assert!(changed.is_ok(), "{name}: {changed:?}");
    let any = runner.run(&vec(any::<u8>(), 0..600), |bytes| {
        target(&bytes);
        Ok(())
    });
    assert!(any.is_ok(), "{name}: {any:?}");
}

#[test]
fn parsers_survive_any_bytes() {
    for target in ALL.into_iter().filter(|(name, _)| *name != "stack") {
        check(target, 3_000);
    }
}

#[test]
fn the_stack_survives_any_commands() {
    check(ALL[11], 1_500);
}

#[test]
fn every_target_is_a_target_of_the_fuzzer() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), ALL.len());
}
