use super::*;

/// A crate of these files; the first is its root. Answers its dependencies as `from -> to`.
fn edges(methods: Methods, files: &[(&str, &str)]) -> Vec<String> {
    let graph = graph(methods, files);
    let name = |file: usize| graph.files[file].display().to_string();
    graph.edges.keys().map(|&(from, to)| format!("{} -> {}", name(from), name(to))).collect()
}

fn graph(methods: Methods, files: &[(&str, &str)]) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, source).unwrap();
    }
    read(folder.path(), Path::new(files[0].0), methods).unwrap()
}

#[test]
fn imports_and_paths_of_every_kind_count() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
        ("a.rs", "pub struct A; pub const LIMIT: u8 = 1; pub fn f() {}"),
        ("b.rs", "use crate::a::A;"),
        ("c.rs", "fn f(x: super::a::A) {}"),
        ("d.rs", "use super::a; fn f() { g!(1 + a::LIMIT) }"),
        ("e.rs", "fn f() { match 1 { crate::a::LIMIT => {} _ => {} } }"),
    ];
    assert_eq!(edges(Methods::Ignored, &files), ["b.rs -> a.rs", "c.rs -> a.rs", "d.rs -> a.rs", "e.rs -> a.rs"]);
}

#[test]
fn a_re_export_leads_to_the_file_behind_it() {
    let files = [
        ("lib.rs", "pub mod parts; mod user;"),
        ("parts/mod.rs", "mod one; mod two; pub use one::One; pub(crate) use self::two::*;"),
        ("parts/one.rs", "pub struct One;"),
        ("parts/two.rs", "pub struct Two; fn f(_: super::One) {}"),
        ("user.rs", "use crate::parts::{One, Two};"),
    ];
    assert_eq!(
        edges(Methods::Ignored, &files),
        ["parts/two.rs -> parts/one.rs", "user.rs -> parts/one.rs", "user.rs -> parts/two.rs"]
    );
}

#[test]
fn parent_and_child_that_use_each_other_are_a_cycle() {
    let files = [
        ("lib.rs", "pub struct Error; mod child; pub fn f() { child::g() }"),
        ("child.rs", "pub fn g() -> super::Error { super::Error }"),
    ];
    let graph = graph(Methods::Ignored, &files);
    assert_eq!(graph.cycles(|_| true), [[PathBuf::from("child.rs"), PathBuf::from("lib.rs")]]);
    assert_eq!(graph.cycles(|file| file.ends_with("child.rs")), Vec::<Vec<PathBuf>>::new());
    let explained = graph.explain(&graph.files);
    assert_eq!(explained, ["lib.rs -> child.rs: g", "child.rs -> lib.rs: Error"]);
}

#[test]
fn tests_documentation_and_other_crates_do_not_count() {
    let files = [
        ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests { use crate::a::A; } #[cfg(all(test, unix))] use a::A;"),
        ("a.rs", "use core::b::A as C; /// [`super::b::B`]\n pub struct A; pub(super) fn f() {}"),
        ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
    ];
    assert_eq!(edges(Methods::Ignored, &files), Vec::<String>::new());
}

#[test]
fn an_inline_module_is_part_of_its_file() {
    let files = [
        ("lib.rs", "mod a; mod inner { pub struct I; fn f() { super::a::f(); super::inner::g() } pub fn g() {} }"),
        ("a.rs", "pub fn f() {} use crate::inner::I;"),
    ];
    assert_eq!(edges(Methods::Ignored, &files), ["lib.rs -> a.rs", "a.rs -> lib.rs"]);
}

#[test]
fn a_method_apart_from_its_type_counts_when_asked() {
    let files = [
        ("lib.rs", "mod a; mod b; pub struct S; impl S { fn f(&self) { self.only(); self.common() } }"),
        ("a.rs", "use super::S; impl S { pub fn only(&self) {} pub fn common(&self) {} }"),
        ("b.rs", "struct T; impl T { fn common(&self) {} }"),
    ];
    assert_eq!(edges(Methods::Ignored, &files), ["a.rs -> lib.rs"]);
    assert_eq!(edges(Methods::Apart, &files), ["lib.rs -> a.rs", "a.rs -> lib.rs"]);
}

#[test]
fn a_missing_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lib.rs"), "mod gone;").unwrap();
    let error = read(folder.path(), Path::new("lib.rs"), Methods::Ignored).err().unwrap();
    assert_eq!(error.to_string(), "lib.rs: `mod gone;` has no file");
}
