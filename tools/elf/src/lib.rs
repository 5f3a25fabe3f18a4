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
/// others, from its own folder; of what a build script wrote the bare file, for its folder's name changes from build to
/// build.
pub fn source_file(path: &str) -> &str {
    if let Some((_, written)) = path.split_once("/out/") {
        return written;
    }
    if let Some((_, path)) = path.split_once("/registry/src/") {
        // The registry's own name is in front of the package's.
        return path.split_once('/').map_or(path, |(_, path)| path);
    }
    let folders = ["/library/", "/kernel/", "/capsules/", "/chips/", "/boards/"];
    let start = folders.iter().filter_map(|folder| path.find(folder)).min().filter(|_| path.starts_with('/'));
    start.map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_has_a_short_name() {
        assert_eq!(source_file("boards/qemu_q35/src/main.rs"), "boards/qemu_q35/src/main.rs");
        assert_eq!(source_file("/x/registry/src/index/static_cell-2.1.1/src/lib.rs"), "static_cell-2.1.1/src/lib.rs");
        assert_eq!(source_file("/x/target/build/board-0123/out/processes.rs"), "processes.rs");
    }

    #[test]
    fn paths_begin_at_the_workspace_or_the_library() {
        assert_eq!(source_file("/somewhere/src/kernel/src/grant.rs"), "kernel/src/grant.rs");
        assert_eq!(source_file("/usr/src/rustc-1.0/library/core/src/option.rs"), "library/core/src/option.rs");
        assert_eq!(source_file("/cache/registry/src/mirror/heapless-0.9/src/vec.rs"), "heapless-0.9/src/vec.rs");
        assert_eq!(source_file("main.rs"), "main.rs");
    }
}
