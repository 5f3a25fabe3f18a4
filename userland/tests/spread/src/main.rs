//! `spread SOCKETS BYTES URL`: requests a URL on several connections at the same time, and throws the bodies away.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt;

use libslop::abi::Errno;
use libslop::abi::Readiness;
use libslop::abi::poll::Entry;
use libslop::io::{Read, Write};
use libslop::{Arguments, Error, Socket, SocketFlags, eprintln, poll, time};
use slopos_http::request::{self, Method};
use slopos_http::response::{Broken, Failure};
use spread::exchange::{Exchange, Trouble};
use spread::options::{self, SOCKETS, Settings, USAGE};
use static_cell::ConstStaticCell;

libslop::entry!(run);

/// Most bytes of one read.
const BUFFER: usize = 16 * 1024;

/// Longest request, in bytes: the longest argument block and the header lines beside it.
const REQUEST: usize = 768;

/// What this program calls itself in its requests.
const AGENT: &str = concat!("spread/", env!("CARGO_PKG_VERSION"));

/// Exit statuses: the system or the server failed; the command line makes no sense.
const FAILED: i32 = 1;
const NO_SENSE: i32 = 2;

/// What would be too large for the stack.
struct Memory {
    buffer: [u8; BUFFER],
    exchanges: [Exchange; SOCKETS],
}

static MEMORY: ConstStaticCell<Memory> =
    ConstStaticCell::new(Memory { buffer: [0; BUFFER], exchanges: [Exchange::NEW; SOCKETS] });

/// Why there is no line with figures.
enum Stop {
    /// A system call failed.
    System(Error),
    /// An exchange failed, or its response is broken.
    Exchange(Trouble),
    /// A response is not what was asked for: its status, and the bytes of its body.
    Other(u16, u64),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::System(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::System(error) | Stop::Exchange(Failure::Stream(error)) => write!(formatter, "{error}"),
            Stop::Exchange(Failure::Broken(Broken::LongHead)) => {
                write!(formatter, "the response's head is longer than {} bytes", spread::exchange::HEAD)
            }
            Stop::Exchange(Failure::Broken(broken)) => write!(formatter, "{broken}"),
            Stop::Exchange(Failure::Sink(never)) => match *never {},
            Stop::Other(status, bytes) => write!(formatter, "a response has status {status} and {bytes} bytes"),
        }
    }
}

fn run(arguments: Arguments) -> i32 {
    let name = arguments.name();
    let settings = match options::parse(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("spread: {error}\n{USAGE}");
            return NO_SENSE;
        }
    };
    let begin = time::since_boot();
    let bytes = fetch(&settings, MEMORY.take());
    let (begin, bytes, end) = match (begin, bytes, time::since_boot()) {
        (Ok(begin), Ok(bytes), Ok(end)) => (begin, bytes, end),
        (_, Err(stop), _) => {
            eprintln!("{name}: failed: {stop}");
            return FAILED;
        }
        (Err(error), ..) | (.., Err(error)) => {
            eprintln!("{name}: failed: {error}");
            return FAILED;
        }
    };
    eprintln!(
        "{name}: done sockets={} bytes={bytes} begin_ms={} end_ms={}",
        settings.sockets,
        begin.as_millis(),
        end.as_millis()
    );
    0
}

/// Opens all connections, requests on each, reads them all to their ends, and returns the bytes of the bodies.
fn fetch(settings: &Settings<'_>, memory: &mut Memory) -> Result<u64, Stop> {
    let mut request = [0; REQUEST];
    let mut room = &mut request[..];
    // Only a longer request than any argument block makes does not fit.
    request::send(&mut room, Method::Get, &settings.url, AGENT).map_err(|_| Error::from(Errno::Invalid))?;
    let left = room.len();
    let request = &request[..REQUEST - left];

    let mut sockets: [Option<Socket>; SOCKETS] = [const { None }; SOCKETS];
    let mut set = [Entry { descriptor: -1, interest: Readiness::NONE, ready: Readiness::NONE }; SOCKETS];
    for (socket, entry) in sockets.iter_mut().zip(&mut set).take(settings.sockets) {
        let socket = socket.insert(Socket::stream(SocketFlags { nonblock: true, nodelay: true, keepalive: true })?);
        *entry =
            Entry { descriptor: socket.descriptor().number(), interest: Readiness::WRITABLE, ready: Readiness::NONE };
        connect(socket, settings)?;
    }

    let (mut bytes, mut open) = (0, settings.sockets);
    while open > 0 {
        poll(&mut set[..settings.sockets], None)?;
        for ((socket, entry), exchange) in sockets.iter_mut().zip(&mut set).zip(&mut memory.exchanges) {
            let Some(connection) = socket else { continue };
            if entry.ready == Readiness::NONE {
                continue;
            }
            if entry.interest == Readiness::WRITABLE {
                if connect(connection, settings)? && send(connection, exchange, request)? {
                    entry.interest = Readiness::READABLE;
                }
                continue;
            }
            match exchange.advance(&mut memory.buffer, |room| connection.read(room)) {
                Ok(false) => {}
                Err(Failure::Stream(error)) if error.errno() == Errno::Again => {}
                Err(trouble) => return Err(Stop::Exchange(trouble)),
                Ok(true) => {
                    let progress = exchange.progress();
                    if progress.status != 200 || progress.body_bytes != settings.bytes {
                        return Err(Stop::Other(progress.status, progress.body_bytes));
                    }
                    bytes += progress.body_bytes;
                    open -= 1;
                    // Its place in the set is skipped from now on; dropped, the socket is closed.
                    entry.descriptor = -1;
                    *socket = None;
                }
            }
        }
    }
    Ok(bytes)
}

/// Begins to connect, or asks what came of it: whether the connection is there.
fn connect(socket: &mut Socket, settings: &Settings<'_>) -> Result<bool, Error> {
    match socket.connect(settings.url.address, settings.url.port, None) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Errno::Again => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends what is left of the request, and says whether that was all.
fn send(socket: &mut Socket, exchange: &mut Exchange, request: &[u8]) -> Result<bool, Error> {
    match socket.write(&request[exchange.sent..]) {
        Ok(count) => exchange.sent += count,
        Err(error) if error.errno() == Errno::Again => {}
        Err(error) => return Err(error),
    }
    Ok(exchange.sent == request.len())
}
