//! Responses on the console. What a server sent is shown without its control characters, unless it is wanted raw: it
//! could name itself another's text, or command the terminal.

use libslop::io::Write;
use libslop::{Error, Gather, Stdout, eprintln, stdout};
use sha2::{Digest, Sha256};
use slopos_escape::Escaper;
use slopos_http::response::{Head, Sink, unfolded};
use webget::options::Output;

/// Bytes that are written in one piece, where they are not written as they are.
const PIECE: usize = 1024;

/// Longest line with a digest and a length, in bytes.
const LINE: usize = 64 + 2 + 20 + 1;

/// Prints a head, then what is asked for of the body.
///
/// Where the body is discarded, a repeat prints its head only where its status is another than the one before: the
/// console is slow, and a thousand equal heads tell no more than one.
pub struct Printer {
    output: Output,
    /// Whether what is printed is printed as it is.
    raw: bool,
    /// What shows a body.
    escaper: Escaper,
    digest: Sha256,
    /// The status of the head that was printed last.
    status: Option<u16>,
    /// The last byte printed was not the end of a line.
    line_open: bool,
}

impl Printer {
    /// A printer that treats bodies so.
    pub fn new(output: Output, raw: bool) -> Self {
        Printer { output, raw, escaper: Escaper::new(), digest: Sha256::new(), status: None, line_open: false }
    }

    /// A new response begins.
    pub fn begin(&mut self) {
        self.digest = Sha256::new();
        self.escaper = Escaper::new();
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
        // A character of which the body has only the beginning.
        self.escaper.finish(&mut |shown| stdout().write_all(shown))
    }

    /// Ends a line that a body left open, on standard error, so that what follows there begins a line of its own
    /// and standard output keeps to the body.
    pub fn end_line(&mut self) {
        if core::mem::take(&mut self.line_open) {
            eprintln!();
        }
    }
}

impl Printer {
    /// Prints a part of a head.
    fn show(&self, text: &[u8], out: &mut Gather<Stdout, PIECE>) -> Result<(), Error> {
        if self.raw { out.write_all(text) } else { slopos_escape::show(text, &mut |shown| out.write_all(shown)) }
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
        out.print(format_args!("HTTP/1.{} {}", head.minor_version, head.status))?;
        if !head.reason.is_empty() {
            out.write_all(b" ")?;
            self.show(head.reason.as_bytes(), &mut out)?;
        }
        out.write_all(b"\n")?;
        for header in head.headers {
            out.print(format_args!("{}:", header.name))?;
            for piece in unfolded(header.value) {
                out.write_all(b" ")?;
                self.show(piece, &mut out)?;
            }
            out.write_all(b"\n")?;
        }
        out.write_all(b"\n")?;
        out.flush()
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self.output {
            Output::Print => {
                self.line_open = !piece.ends_with(b"\n");
                if self.raw {
                    return stdout().write_all(piece);
                }
                let mut out = Gather::<Stdout, PIECE>::new(stdout());
                self.escaper.push(piece, &mut |shown| out.write_all(shown))?;
                out.flush()
            }
            Output::Discard => Ok(()),
            Output::Digest => {
                self.digest.update(piece);
                Ok(())
            }
        }
    }
}
