//! What webget does between its sockets and its console: options, URLs, requests and responses.
//!
//! No system call is made here. Bytes come from any stream, so the host's tests run the same code as the board:
//! [`response::receive`] is the place to start reading.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod chunked;
pub mod options;
pub mod outcome;
pub mod request;
pub mod response;
pub mod url;
