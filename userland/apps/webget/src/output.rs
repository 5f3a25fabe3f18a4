//! Responses on the console.

use libslop::io::Write;
use libslop::{Error, Gather, Stdout, eprintln, stdout};
use sha2::{Digest, Sha256};
use slopos_http::response::{Head, Sink};
use webget::options::Output;

/// Bytes of a head that are written in one piece.
const PIECE: usize = 1024;

/// Longest line with a digest and a length, in bytes.
const LINE: usize = 64 + 2 + 20 + 1;

/// Prints a head, then what is asked for of the body.
///
/// Where the body is discarded, a repeat prints its head only where its status is another than the one before: the
/// console is slow, and a thousand equal heads tell no more than one.
pub struct Printer {
    output: Output,
    digest: Sha256,
    /// The status of the head that was printed last.
    status: Option<u16>,
    /// The last byte printed was not the end of a line.
    line_open: bool,
}

impl Printer {
    /// A printer that treats bodies so.
    pub fn new(output: Output) -> Self {
        Printer { output, digest: Sha256::new(), status: None, line_open: false }
    }

    /// A new response begins.
    pub fn begin(&mut self) {
        self.digest = Sha256::new();
    }

    /// A response of so many bytes of body is complete.
    ///
    /// # Errors
    /// Those of the console.
    pub fn finish(&mut self, body_bytes: u64) -> Result<(), Error> {
        if self.output == Output::Digest {
            let mut out = Gather::<Stdout, LINE>::new(stdout());
            for byte in self.digest.finalize_reset() {
                out.print(format_args!("{byte:02x}"))?;
            }
            out.print(format_args!("  {body_bytes}\n"))?;
            out.flush()?;
        }
        Ok(())
    }

    /// Ends a line that a body left open, on standard error, so that what follows there begins a line of its own
    /// and standard output keeps to the body.
    pub fn end_line(&mut self) {
        if core::mem::take(&mut self.line_open) {
            eprintln!();
        }
    }
}

impl Sink for Printer {
    type Error = Error;

    fn head(&mut self, head: &Head<'_>) -> Result<(), Error> {
        let known = self.status.replace(head.status) == Some(head.status);
        if known && self.output == Output::Discard {
            return Ok(());
        }
        self.end_line();
        let mut out = Gather::<Stdout, PIECE>::new(stdout());
        let space = if head.reason.is_empty() { "" } else { " " };
        out.print(format_args!("HTTP/1.{} {}{space}{}\n", head.minor_version, head.status, head.reason))?;
        for header in head.headers {
            out.print(format_args!("{}: ", header.name))?;
            out.write_all(header.value)?;
            out.write_all(b"\n")?;
        }
        out.write_all(b"\n")?;
        out.flush()
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self.output {
            Output::Print => {
                self.line_open = !piece.ends_with(b"\n");
                stdout().write_all(piece)
            }
            Output::Discard => Ok(()),
            Output::Digest => {
                self.digest.update(piece);
                Ok(())
            }
        }
    }
}
