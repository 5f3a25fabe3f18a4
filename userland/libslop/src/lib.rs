//! What a process of SlopOS is built on: its entry point, the system calls, and safe types over both.
//!
//! ```text
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! #![forbid(unsafe_code)]
//!
//! libslop::entry!(run);
//!
//! fn run(arguments: libslop::Arguments) -> i32 {
//!     libslop::println!("{} says hello", arguments.name());
//!     0
//! }
//! ```
//!
//! Nothing is allocated: a process has its segments and its stack. Streams have the traits of `embedded-io`, which
//! is exported again here as [`io`]. [`call`] holds the system calls themselves, safe to use but for what the type
//! system cannot say about numbers.
#![no_std]

mod arguments;
pub mod call;
mod commands;
mod descriptor;
mod entropy;
#[cfg(target_os = "none")]
mod entry;
mod error;
mod gather;
mod poll;
pub mod raw;
mod socket;
mod standard;
pub mod text;
pub mod time;

// The copies that compiled code calls by name: every program gets them with this library.
use slopos_memory as _;

pub use arguments::Arguments;
pub use commands::Commands;
pub use descriptor::{Descriptor, Region};
pub use embedded_io as io;
pub use entropy::Entropy;
pub use error::Error;
pub use gather::Gather;
pub use poll::poll;
pub use slopos_abi as abi;
pub use slopos_abi::SocketFlags;
pub use socket::Socket;
pub use standard::{Stderr, Stdin, Stdout, print_to, stderr, stdin, stdout};

/// Makes a function of type `fn(Arguments) -> i32` the program: called once, its value is the exit status.
///
/// Where the target is not SlopOS the program still compiles, so that linters can read it, and says what it is for.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "Rust" fn slopos_main(arguments: $crate::Arguments) -> i32 {
            $run(arguments)
        }

        // What the `flash` tool reads the record's version from. It is not loaded.
        #[cfg(target_os = "none")]
        #[used]
        #[unsafe(link_section = ".slopos.version")]
        static SLOPOS_VERSION: [u8; ::core::env!("CARGO_PKG_VERSION").len()] =
            *::core::env!("CARGO_PKG_VERSION").as_bytes().first_chunk().unwrap();

        #[cfg(not(target_os = "none"))]
        fn main() -> ::std::process::ExitCode {
            let _: fn($crate::Arguments) -> i32 = $run;
            ::std::eprintln!("this program runs on SlopOS only");
            ::std::process::ExitCode::FAILURE
        }
    };
}
