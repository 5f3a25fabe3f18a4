//! What a board fetches from: servers on free ports of the loopback, honest ones and such that misbehave
//! ([`loopback`]), some that a test moves ([`moving`]), and those of others ([`programs`]).

pub mod loopback;
pub mod moving;
pub mod programs;

pub use loopback::{Answer, answering, pages, refusing, response, sinking};

/// QEMU's name for the host's loopback.
pub const HOST: &str = "10.0.2.2";

/// The address of a path on the loopback, as a board on user networking sees it.
pub fn url(port: u16, path: &str) -> String {
    format!("http://{HOST}:{port}/{path}")
}
