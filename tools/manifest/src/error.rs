//! Why a manifest was refused, with the place in the file.

use std::fmt;
use std::path::{Path, PathBuf};

/// A manifest that cannot be built, and the line to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The manifest.
    pub path: PathBuf,
    /// The line that is wrong, counted from 1; 0 where the file as a whole is (it cannot be read, say).
    pub line: usize,
    /// What is wrong: the need and the limit, or the name that was probably meant.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path.display(), self.message),
            line => write!(out, "{}:{line}: {}", self.path.display(), self.message),
        }
    }
}

impl std::error::Error for Error {}

/// What is wrong, and at which byte of the text; the reader of the file turns the byte into a line.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Byte offset into the manifest's text.
    pub at: usize,
    /// As [`Error::message`].
    pub message: String,
}

impl Fault {
    /// A fault at this byte of the text.
    pub fn new(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, message: message.into() }
    }

    /// The same fault, with the file and the line named.
    pub fn locate(self, path: &Path, text: &str) -> Error {
        Error { path: path.to_owned(), line: line_of(text, self.at), message: self.message }
    }
}

/// The line of a byte offset, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}
