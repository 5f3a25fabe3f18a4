//! HTTP/1.1 as a client speaks it: URLs, requests, responses, and a connection that gives up in time.
//!
//! Only [`Connection`] makes system calls. Everything else takes its bytes from any stream, so the host's tests run
//! the same code as the board: [`response::receive`] is the place to start reading, then [`upload::Upload::send`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod broken;
mod chunked;
mod connection;
mod limits;
mod method;
pub mod range;
pub mod request;
pub mod response;
pub mod retry;
pub mod upload;
mod url;

pub use connection::{Connection, Limits};
pub use url::{Url, UrlError};
