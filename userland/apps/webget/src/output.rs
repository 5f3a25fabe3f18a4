//! Responses on the console. What a server sent is shown without its control characters, unless it is wanted raw: it
//! could name itself another's text, or command the terminal.

use core::time::Duration;

use libslop::abi::Errno;
use libslop::io::{ErrorType, Write};
use libslop::text::decimal;
use libslop::{Error, Gather, eprintln, stderr, stdout};
use slopos_escape::Escaper;
use slopos_http::range::{ContentRange, Part, Range};
use slopos_http::response::{Head, Sink, content_length, unfolded};
use slopos_http::retry::is_transient;
use webget::options::{Output, Settings};
use webget::redirect::is_redirect;

use crate::clock::now;
use crate::meter::Meter;
use crate::region::Store;

/// Bytes that are written in one piece, where they are not written as they are.
const PIECE: usize = 1024;

/// The longest wait that a server can ask for with Retry-After, as curl has it, in seconds.
const RETRY_AFTER_MAX: u64 = 6 * 3_600;

/// Why a response could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The console failed.
    Console(Error),
    /// The region failed, or is too small.
    Region(Error),
    /// It is not the part that was asked for.
    Range,
    /// It does not begin where the region's download stopped, for the server sends no parts.
    NoParts,
    /// Its Location is too long, or there are several.
    Location,
}

/// What a head says that decides what comes next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// How long the Location is that the printer keeps.
    pub location: Option<usize>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Which part of the resource this is.
    part: Option<Part>,
    /// The download is complete already.
    complete: bool,
    /// The body is not for the output: that of a redirect, of a try that is repeated, of an error where a region waits or
    /// none is wanted.
    dropped: bool,
    /// When the head had come.
    pub head_at: Option<Duration>,
}

/// Prints a head, then what is asked for of the body.
///
/// Where the body is discarded, a repeat prints its head only where its status is another than the one before: the
/// console is slow, and a thousand equal heads tell no more than one.
pub struct Printer {
    output: Output,
    /// Whether what is printed is printed as it is.
    raw: bool,
    /// Whether heads belong to the output.
    include: bool,
    silent: bool,
    verbose: bool,
    progress: bool,
    follow: bool,
    fail: bool,
    region: Option<&'static str>,
    /// Where the Location goes.
    location: &'static mut [u8],
    /// What shows a body.
    escaper: Escaper,
    digest: hmac_sha256::Hash,
    /// The status of the head that was printed last.
    status: Option<u16>,
    /// The last byte printed was not the end of a line.
    line_open: bool,
    /// Whether another try follows a response that a server gives while it is in trouble.
    may_retry: bool,
    /// The part that is asked for.
    range: Option<Range<'static>>,
    /// Where the download goes on.
    resume_at: Option<u64>,
    found: Found,
    store: Option<Store>,
    meter: Option<Meter>,
    /// Whether bytes of a body were printed, which no second try can take back.
    printed: bool,
}

impl Printer {
    /// A printer that treats responses so; it keeps Locations in `location`.
    pub fn new(settings: &Settings<'static>, location: &'static mut [u8]) -> Self {
        Printer {
            output: settings.output,
            raw: settings.raw,
            include: settings.include,
            silent: settings.silent,
            verbose: settings.verbose,
            progress: settings.progress,
            follow: settings.redirects.is_some(),
            fail: settings.fail,
            region: settings.region,
            location,
            escaper: Escaper::new(),
            digest: hmac_sha256::Hash::new(),
            status: None,
            line_open: false,
            may_retry: false,
            range: None,
            resume_at: None,
            found: Found::default(),
            store: None,
            meter: None,
            printed: false,
        }
    }

    /// Another URL begins.
    pub fn begin_url(&mut self) {
        self.status = None;
        self.printed = false;
    }

    /// A new response begins. `range` is what is asked for, or `resume_at` where the download goes on.
    pub fn begin(&mut self, may_retry: bool, range: Option<Range<'static>>, resume_at: Option<u64>) {
        self.digest = hmac_sha256::Hash::new();
        self.escaper = Escaper::new();
        self.found = Found::default();
        (self.may_retry, self.range, self.resume_at) = (may_retry, range, resume_at);
    }

    /// What the last head said.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// The Location of the last response.
    pub fn location(&self) -> Option<&str> {
        core::str::from_utf8(self.location.get(..self.found.location?)?).ok()
    }

    /// Whether a second try would print a body's beginning twice.
    pub const fn has_printed(&self) -> bool {
        self.printed
    }

    /// Whether all of it was there before.
    pub const fn is_complete(&self) -> bool {
        self.found.complete
    }

    /// A response of so many bytes of body is complete.
    ///
    /// # Errors
    /// Those of the console and of the region.
    pub fn finish(&mut self, body_bytes: u64) -> Result<(), Unfit> {
        self.meter = None;
        if self.found.part.is_some_and(|part| part.length() != Some(body_bytes)) {
            self.abandon();
            return Err(Unfit::Range);
        }
        if let Some(store) = self.store.take() {
            let length = store.finish(true).map_err(Unfit::Region)?;
            self.tell_stored(length);
        }
        if self.output == Output::Digest && !self.found.dropped {
            let mut out = Gather::<Console, PIECE>::new(Console::Output);
            let digest = core::mem::replace(&mut self.digest, hmac_sha256::Hash::new()).finalize();
            let printed = digest.iter().try_for_each(|byte| out.print(format_args!("{byte:02x}")));
            printed
                .and_then(|()| out.print(format_args!("  {body_bytes}\n")))
                .and_then(|()| out.flush())
                .map_err(Unfit::Console)?;
        }
        if self.output != Output::Print {
            return Ok(());
        }
        // A character of which the body has only the beginning.
        let mut out = Gather::<Console, PIECE>::new(Console::Output);
        escape(&mut self.escaper, b"", true, &mut out).and_then(|()| out.flush()).map_err(Unfit::Console)
    }

    /// A response was not complete: what of it is in the region can be gone on from.
    pub fn abandon(&mut self) {
        self.meter = None;
        if let Some(store) = self.store.take() {
            match store.finish(false) {
                Ok(length) => self.tell_stored(length),
                // The region is full, which is told as the reason.
                Err(error) if error.errno() == Errno::Invalid => {}
                Err(error) => eprintln!("webget: what came is not recorded: {error}"),
            }
        }
    }

    fn tell_stored(&mut self, length: u64) {
        if let Some(name) = self.region.filter(|_| !self.silent) {
            eprintln!("webget: {name} holds {length} bytes");
        }
    }

    /// Ends a line that a body left open, on standard error, so that what follows there begins a line of its own
    /// and standard output keeps to the body.
    pub fn end_line(&mut self) {
        if core::mem::take(&mut self.line_open) && !self.silent {
            eprintln!();
        }
    }

    /// Prints a part of a head.
    fn show(&self, text: &[u8], out: &mut Gather<Console, PIECE>) -> Result<(), Error> {
        if self.raw { out.write_all(text) } else { escape(&mut Escaper::new(), text, true, out) }
    }

    /// Prints a head: with the output where it belongs there, else beside it.
    fn print(&mut self, head: &Head<'_>) -> Result<(), Error> {
        self.end_line();
        let console = if self.include { Console::Output } else { Console::Beside };
        let mut out = Gather::<Console, PIECE>::new(console);
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

    /// Looks for what decides what comes next, where anything is asked for that depends on it.
    fn examine(&mut self, head: &Head<'_>) -> Result<(), Unfit> {
        if self.verbose {
            self.found.head_at = Some(now());
        }
        if self.follow && is_redirect(head.status) {
            self.take_location(head)?;
        }
        if self.may_retry && is_transient(head.status) {
            // A date is no number of seconds, and counts as nothing.
            let seconds = head.field("retry-after").and_then(decimal);
            self.found.retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)));
            self.found.dropped = true;
        }
        if let Some(range) = self.range.or(self.resume_at.map(Range::From)) {
            self.check_range(head, range)?;
        }
        if let Some(region) = self.region.filter(|_| !self.found.dropped && !self.found.complete) {
            if (200..300).contains(&head.status) {
                let store = match self.resume_at {
                    Some(at) => Store::resume(region, at, self.location),
                    None => Store::begin(region),
                };
                self.store = Some(store.map_err(Unfit::Region)?);
            } else {
                self.found.dropped = true;
            }
        }
        let unwanted = self.fail && head.status >= 400;
        if unwanted || self.resume_at.is_some() && !(200..300).contains(&head.status) {
            self.found.dropped = true;
        }
        if self.progress {
            self.meter = Some(Meter::new(content_length(head).ok().flatten(), now()));
        }
        Ok(())
    }

    fn take_location(&mut self, head: &Head<'_>) -> Result<(), Unfit> {
        let Some(value) = head.field("location") else { return Ok(()) };
        let room = self.location.get_mut(..value.len()).ok_or(Unfit::Location)?;
        room.copy_from_slice(value);
        if !value.is_ascii() {
            return Err(Unfit::Location);
        }
        self.found.location = Some(value.len());
        self.found.dropped = true;
        Ok(())
    }

    /// A response to a request for a part has to be that part, all of the resource, or an error.
    fn check_range(&mut self, head: &Head<'_>, range: Range<'static>) -> Result<(), Unfit> {
        let resumed = self.resume_at.is_some();
        match (head.status, ContentRange::of(head)) {
            // Several parts have a type of their own, and no Content-Range.
            (206, _) if matches!(range, Range::Several(_)) => {}
            (206, Some(ContentRange::Part(part))) if range.fits(part) => {
                let length = content_length(head).ok().flatten();
                if length.is_some_and(|length| Some(length) != part.length()) {
                    return Err(Unfit::Range);
                }
                self.found.part = Some(part);
            }
            (206, _) => return Err(Unfit::Range),
            (416, Some(ContentRange::Nothing(total))) if self.resume_at == Some(total) => self.found.complete = true,
            (200..300, _) if resumed => return Err(Unfit::NoParts),
            _ => {}
        }
        if self.found.complete {
            self.found.dropped = true;
        }
        Ok(())
    }
}

/// Shows bytes of a text without what controls a terminal, its last ones or not.
#[inline(never)]
fn escape(escaper: &mut Escaper, bytes: &[u8], is_last: bool, out: &mut Gather<Console, PIECE>) -> Result<(), Error> {
    let put = &mut |shown: &[u8]| out.write_all(shown);
    escaper.push(bytes, put)?;
    if is_last { escaper.finish(put) } else { Ok(()) }
}

impl Sink for Printer {
    type Error = Unfit;

    fn head(&mut self, head: &Head<'_>) -> Result<(), Unfit> {
        let known = self.status.replace(head.status) == Some(head.status);
        if (!known || self.output != Output::Discard) && (self.include || !self.silent) {
            self.print(head).map_err(Unfit::Console)?;
        }
        self.examine(head)
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Unfit> {
        if self.found.dropped {
            return Ok(());
        }
        if let Some(meter) = &mut self.meter {
            meter.add(piece.len() as u64);
        }
        if let Some(store) = &mut self.store {
            store.push(piece).map_err(Unfit::Region)?;
        }
        match self.output {
            Output::Print => {
                self.line_open = !piece.ends_with(b"\n");
                self.printed = true;
                if self.raw {
                    return Console::Output.write_all(piece).map_err(Unfit::Console);
                }
                let mut out = Gather::<Console, PIECE>::new(Console::Output);
                escape(&mut self.escaper, piece, false, &mut out).and_then(|()| out.flush()).map_err(Unfit::Console)
            }
            Output::Discard | Output::Keep => Ok(()),
            Output::Digest => {
                self.digest.update(piece);
                Ok(())
            }
        }
    }
}

/// One of the two ways to the console.
pub enum Console {
    /// With the bodies.
    Output,
    /// With what is said about them.
    Beside,
}

impl ErrorType for Console {
    type Error = Error;
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        match self {
            Console::Output => stdout().write(bytes),
            Console::Beside => stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
