//! Reads what the compiler and the linker left in an ELF of this system: memory, symbols, types, source lines.
//!
//! [`Image`] is a kernel as it lies in memory, with the types of its statics ([`types`]); it is strict, for the audit
//! counts by it. [`Code`] answers what an address in a program's code belongs to.
#![forbid(unsafe_code)]

pub mod code;
pub mod image;
pub mod types;

pub use code::{Code, Frame};
pub use image::Image;
pub use types::Types;

/// Bytes as two hexadecimal digits each.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A source file's name as it says enough: from the root of the tree or of the language's library; of a package of
/// others, from its own folder; of what a build script wrote the bare file. The builds for the bare machine give each
/// of them a folder that is the same everywhere (tools/setup/rustc_remapped.sh).
pub fn source_file(path: &str) -> &str {
    if let Some(path) = path.strip_prefix("/slopos/").or_else(|| path.strip_prefix("/crates/")) {
        return path;
    }
    if let Some((_, written)) = path.strip_prefix("/out/").and_then(|path| path.split_once('/')) {
        return written;
    }
    let library = path.find("/library/").filter(|_| path.starts_with('/'));
    library.map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_has_a_short_name() {
        assert_eq!(source_file("boards/pc/src/system.rs"), "boards/pc/src/system.rs");
        assert_eq!(source_file("/slopos/userland/libslop/src/call.rs"), "userland/libslop/src/call.rs");
        assert_eq!(source_file("/crates/static_cell-2.1.1/src/lib.rs"), "static_cell-2.1.1/src/lib.rs");
        assert_eq!(source_file("/out/slopos-board-pc/processes.rs"), "processes.rs");
    }

    #[test]
    fn the_librarys_paths_begin_at_the_library() {
        assert_eq!(source_file("/rustc/0123/library/core/src/option.rs"), "library/core/src/option.rs");
        assert_eq!(source_file("/rust/library/core/src/option.rs"), "library/core/src/option.rs");
        assert_eq!(source_file("main.rs"), "main.rs");
    }
}
