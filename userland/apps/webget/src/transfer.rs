//! One transfer: the request and its response, the redirects behind it, and the tries again.

use core::net::Ipv4Addr;
use core::time::Duration;

use libslop::abi::Errno;
use libslop::abi::limits::SOCKETS_MAX;
use libslop::{Error, call, eprintln, time};
use slopos_http::request::{Content as Announced, Method, Request};
use slopos_http::response::{Broken, Failure, HEAD, Progress, Reception};
use slopos_http::upload::{CHUNK_FRAME, Fault, Upload};
use slopos_http::{Connection, Limits, Url, UrlError, retry};
use webget::options::{Body, Settings};
use webget::redirect;

use crate::clock::now;
use crate::meter::rate;
use crate::output::{Printer, Unfit};
use crate::region::{self, Content};

/// What this program calls itself in its requests.
const AGENT: &str = concat!("webget/", env!("CARGO_PKG_VERSION"));

/// Bytes of a flash region that are read at a time: what one request to the device moves, for each costs a journey to it.
const PIECE: usize = 32 * 1024;

/// Longest URL that a redirect may lead to, in bytes; whole sectors, for a region is read past in it too.
const URL: usize = 2048;

/// The least body that waits until the server has asked for it, as curl has it, in bytes.
const WORTH_ASKING: u64 = 1 << 20;

/// What would be too large for the stack.
pub struct Memory {
    /// Most bytes of one read: the longest head has to fit. Each read costs a system call, so for a body it is enough.
    pub buffer: [u8; HEAD],
    /// A piece of an upload.
    pub piece: [u8; PIECE + CHUNK_FRAME],
    /// A response's Location.
    pub location: [u8; URL],
    /// Where redirects lead: this one and the one before.
    pub urls: [[u8; URL]; 2],
}

impl Memory {
    /// Zeros.
    pub const NEW: Memory =
        Memory { buffer: [0; HEAD], piece: [0; PIECE + CHUNK_FRAME], location: [0; URL], urls: [[0; URL]; 2] };
}

/// Why a transfer failed.
pub enum Trouble {
    /// The exchange with this server failed.
    Exchange(Ipv4Addr, u16, Fault<Error, Unfit, Error>),
    /// So many bytes of the upload were sent when it failed.
    Upload(Ipv4Addr, u16, Fault<Error, Unfit, Error>, u64),
    /// This region could not be read.
    Region(&'static str, Error),
    /// There were more redirects than this.
    Redirects(u32),
    /// A redirect leads to this.
    Lost(UrlError),
    /// A redirect leads to a URL that is too long.
    LongUrl,
}

/// What outlives a transfer.
pub struct Session {
    settings: Settings<'static>,
    buffer: &'static mut [u8; HEAD],
    piece: &'static mut [u8; PIECE + CHUNK_FRAME],
    urls: &'static mut [[u8; URL]; 2],
    /// A connection on which another request may be sent.
    kept: Option<Connection>,
    /// The server that comes next.
    next: Option<(Ipv4Addr, u16)>,
}

/// A request, as the redirects before it left it.
#[derive(Clone, Copy)]
struct Plan {
    method: Method<'static>,
    with_body: bool,
    may_retry: bool,
    deadline: Option<Duration>,
    /// Where the download goes on.
    resume_at: Option<u64>,
}

impl Session {
    /// One with these settings and this memory.
    pub fn new(
        settings: &Settings<'static>,
        buffer: &'static mut [u8; HEAD],
        piece: &'static mut [u8; PIECE + CHUNK_FRAME],
        urls: &'static mut [[u8; URL]; 2],
    ) -> Session {
        Session { settings: *settings, buffer, piece, urls, kept: None, next: None }
    }

    /// Which URL comes next, if any: the connection to its server is kept.
    pub fn expect_next(&mut self, url: Option<&'static str>) {
        self.next = url.and_then(|url| Url::parse(url).ok()).map(|url| (url.address, url.port));
    }

    /// One transfer, with as many tries as the settings allow.
    ///
    /// # Errors
    /// The last try's [`Trouble`].
    pub fn transfer(
        &mut self,
        url: &Url<'static>,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let mut repeats = 0;
        loop {
            let left = self.settings.retries - repeats;
            let result = self.follow(url, left > 0, printer, progress);
            if result.is_err() {
                printer.abandon();
            }
            let transient = match &result {
                Ok(()) => retry::is_transient(progress.status),
                Err(trouble) => trouble.is_silence() && !printer.has_printed(),
            };
            if left == 0 || !transient {
                return result;
            }
            let wait = printer.found().retry_after.unwrap_or(retry::backoff(repeats));
            if !self.settings.silent || self.settings.show_error {
                printer.end_line();
                let seconds = wait.as_secs();
                match result {
                    Ok(()) => eprintln!("webget: status {}; again in {seconds} s, {left} left", progress.status),
                    Err(_) => eprintln!("webget: timed out; again in {seconds} s, {left} left"),
                }
            }
            time::sleep(wait).expect("the kernel can sleep");
            repeats += 1;
            *progress = Progress::default();
        }
    }

    /// One try: the request, and the redirects behind it.
    fn follow(
        &mut self,
        first: &Url<'static>,
        may_retry: bool,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let mut plan = Plan {
            method: self.settings.method,
            with_body: true,
            may_retry,
            deadline: self.settings.max_time.map(|limit| now() + limit),
            resume_at: self.resume_at()?,
        };
        // What cannot be read or kept is no reason to disturb a server.
        for name in self.settings.regions() {
            region::check(name).map_err(|error| Trouble::Region(name, error))?;
        }
        let mut moved = None;
        for hops in 0.. {
            let (one, other) = self.urls.split_at_mut(1);
            let (used, spare) = if hops % 2 == 0 { (&mut one[0], &mut other[0]) } else { (&mut other[0], &mut one[0]) };
            // The first one was looked at by who called.
            let url = match moved {
                None => *first,
                Some(length) => {
                    let text = core::str::from_utf8(&used[..length]).unwrap_or_default();
                    let url = Url::parse(text).map_err(Trouble::Lost)?;
                    if url.is_loopback() {
                        return Err(Trouble::Lost(UrlError::Localhost));
                    }
                    url
                }
            };
            let settings = &self.settings;
            let mut exchange = Exchange {
                settings,
                buffer: self.buffer,
                piece: self.piece,
                kept: &mut self.kept,
                keep: self.next == Some((url.address, url.port)),
            };
            exchange.speak(&url, plan, printer, progress)?;
            let Some(location) = printer.location() else { return Ok(()) };
            let most = settings.redirects.unwrap_or(0);
            if hops >= most {
                return Err(Trouble::Redirects(most));
            }
            let length = redirect::resolve(url.text, location, spare).ok_or(Trouble::LongUrl)?;
            let method = redirect::next_method(progress.status, plan.method, settings.method_by_name);
            // A method that changed leaves the body behind.
            plan.with_body &= method == plan.method;
            plan.method = method;
            if !settings.silent {
                let text = core::str::from_utf8(&spare[..length]).unwrap_or_default();
                eprintln!("webget: redirected to {text}");
            }
            moved = Some(length);
            *progress = Progress::default();
        }
        Ok(())
    }

    /// Where the download goes on, where that is asked for and something is there.
    fn resume_at(&self) -> Result<Option<u64>, Trouble> {
        if self.settings.from > 0 {
            return Ok(Some(self.settings.from));
        }
        let Some(name) = self.settings.region.filter(|_| self.settings.resume) else { return Ok(None) };
        let record = region::record(name).map_err(|error| Trouble::Region(name, error))?;
        Ok(record.map(|record| record.resume_at()).filter(|&at| at > 0))
    }
}

/// One request and its response.
struct Exchange<'s> {
    settings: &'s Settings<'static>,
    buffer: &'s mut [u8; HEAD],
    piece: &'s mut [u8; PIECE + CHUNK_FRAME],
    kept: &'s mut Option<Connection>,
    /// Whether the connection is wanted for the next URL.
    keep: bool,
}

impl Exchange<'_> {
    /// Sends the request and takes the response, on the kept connection where it leads to this server, else on a new one.
    fn speak(
        &mut self,
        url: &Url<'_>,
        plan: Plan,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let limits = Limits { silence: self.settings.timeout, deadline: plan.deadline };
        let fails = |fault| Trouble::Exchange(url.address, url.port, fault);
        let stream = |error| fails(Failure::Stream(error).into());
        // What a server did not take cannot be sent again without asking who called (RFC 9110 section 9.2.2).
        let usable = |kept: &Connection| kept.remote() == (url.address, url.port) && plan.method.is_idempotent();
        if let Some(mut connection) = self.kept.take().filter(usable)
            && connection.is_idle().map_err(stream)?
        {
            connection.limit(limits);
            let (result, heard) = self.on(connection, None, url, plan, printer, progress);
            let stale = |trouble: &Trouble| !heard && trouble.is_closing();
            match result {
                // It was closed while it was idle (RFC 9112 section 9.3.1).
                Err(trouble) if stale(&trouble) => *progress = Progress::default(),
                other => return other,
            }
        }
        let start = if self.settings.verbose { now() } else { Duration::ZERO };
        let connection = Connection::open_within(url.address, url.port, limits).map_err(stream)?;
        self.on(connection, Some(start), url, plan, printer, progress).0
    }

    /// The same on this connection, which was begun then if it is new; and whether any byte came back.
    fn on(
        &mut self,
        mut connection: Connection,
        start: Option<Duration>,
        url: &Url<'_>,
        plan: Plan,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> (Result<(), Trouble>, bool) {
        let settings = self.settings;
        let before = settings.verbose.then(|| Before::new(start));
        let name = match settings.body {
            Body::Region(name) => name,
            _ => "",
        };
        let body = if plan.with_body { &settings.body } else { &Body::None };
        let mut content = match Content::open(body, settings, &mut self.piece[..]) {
            Ok(content) => content,
            Err(error) => return (Err(Trouble::Region(name, error)), false),
        };
        let fields = settings.fields.as_slice();
        let length = content.as_ref().and_then(|(_, length)| *length);
        let expect = length.is_some_and(|length| length > WORTH_ASKING)
            || fields.iter().any(|field| field.is("expect") && field.value.is_some());
        let request = Request {
            file: if plan.method == Method::Put && url.is_folder() { name } else { "" },
            fields,
            content: match (&content, length) {
                (None, _) => Announced::None,
                (Some(_), Some(length)) => Announced::Length(length),
                (Some(_), None) => Announced::Chunked,
            },
            content_type: matches!(plan.method, Method::Post)
                .then_some("application/x-www-form-urlencoded")
                .filter(|_| content.is_some()),
            expect,
            range: settings.range.or(plan.resume_at.map(slopos_http::range::Range::From)),
            keep: self.keep,
            ..Request::new(plan.method, url, AGENT)
        };
        let fails = |fault| Trouble::Exchange(url.address, url.port, fault);
        if let Err(error) = request.send(&mut connection) {
            return (Err(fails(Failure::Stream(error).into())), false);
        }
        printer.begin(plan.may_retry, settings.range, plan.resume_at);
        let mut reception = Reception::new(plan.method, &mut self.buffer[..]);
        let mut sent = 0;
        if let Some((source, length)) = &mut content {
            if settings.progress {
                source.measure(*length, now());
            }
            let mut upload = Upload::new(*length, expect, &mut self.piece[..]);
            let result = upload.send(&mut connection, source, &mut reception, printer, progress);
            sent = upload.sent;
            if let Err(fault) = result {
                let trouble = match fault {
                    Fault::Source(error) => Trouble::Region(name, error),
                    fault => Trouble::Upload(url.address, url.port, fault, sent),
                };
                return (Err(trouble), reception.was_heard());
            }
            if !settings.silent {
                let why = if upload.whole { "" } else { ", then the server answered" };
                eprintln!("webget: sent {sent} bytes{why}");
            }
            self.keep &= upload.whole;
        }
        let received = reception.finish(&mut connection, printer, progress);
        let heard = reception.was_heard();
        if let Err(failure) = received {
            return (Err(fails(failure.into())), heard);
        }
        if let Err(unfit) = printer.finish(progress.body_bytes) {
            return (Err(fails(Failure::Sink(unfit).into())), heard);
        }
        if let Some(before) = before {
            printer.end_line();
            before.tell(printer.found().head_at, sent + progress.body_bytes);
        }
        if self.keep && reception.receiver().is_persistent() {
            *self.kept = Some(connection);
        }
        (Ok(()), heard)
    }
}

/// What `--verbose` compares with.
struct Before {
    start: Duration,
    connected: Duration,
    reused: bool,
    retransmits: u64,
    drops: u64,
}

impl Before {
    fn new(start: Option<Duration>) -> Before {
        let (retransmits, drops) = counters();
        let connected = now();
        Before { start: start.unwrap_or(connected), connected, reused: start.is_none(), retransmits, drops }
    }

    /// Prints what the exchange took, with the rate of so many bytes of the bodies in both directions.
    fn tell(&self, head_at: Option<Duration>, bytes: u64) {
        let end = now();
        let (retransmits, drops) = counters();
        let total = end - self.start;
        let first_byte = head_at.unwrap_or(end) - self.start;
        let connect = self.connected - self.start;
        eprintln!(
            "webget: connect={}.{:03} first_byte={}.{:03} total={}.{:03} rate={} reused={} retransmits={} drops={}",
            connect.as_secs(),
            connect.subsec_millis(),
            first_byte.as_secs(),
            first_byte.subsec_millis(),
            total.as_secs(),
            total.subsec_millis(),
            rate(bytes, total),
            u8::from(self.reused),
            retransmits - self.retransmits,
            drops - self.drops,
        );
    }
}

/// Segments of our connections that were sent again, and segments for them that were dropped.
fn counters() -> (u64, u64) {
    let Ok(grant) = call::grant_info_with_sockets::<SOCKETS_MAX>() else { return (0, 0) };
    (grant.sockets.iter().map(|socket| u64::from(socket.retransmits)).sum(), grant.info.drops)
}

impl Trouble {
    /// Whether nothing came in time.
    fn is_silence(&self) -> bool {
        matches!(self.stream(), Some(error) if error.errno() == Errno::TimedOut)
    }

    /// Whether the server closed the connection.
    fn is_closing(&self) -> bool {
        let fault = match self {
            Trouble::Exchange(_, _, fault) | Trouble::Upload(_, _, fault, _) => fault,
            _ => return false,
        };
        let closed = |error: &Error| matches!(error.errno(), Errno::ConnectionReset | Errno::BrokenPipe);
        match fault {
            Fault::Response(Failure::Broken(Broken::CutOff)) | Fault::Refused(None) => true,
            Fault::Response(Failure::Stream(error)) | Fault::Refused(Some(error)) => closed(error),
            _ => false,
        }
    }

    /// The stream's error, where it is one.
    fn stream(&self) -> Option<Error> {
        match self {
            Trouble::Exchange(_, _, Fault::Response(Failure::Stream(error)))
            | Trouble::Upload(_, _, Fault::Response(Failure::Stream(error)) | Fault::Refused(Some(error)), _) => {
                Some(*error)
            }
            _ => None,
        }
    }
}
