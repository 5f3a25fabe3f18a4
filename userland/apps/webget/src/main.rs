//! `webget [options] URL...`: fetches from web servers over plain HTTP.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

mod output;

use core::time::Duration;

use libslop::abi::Errno;
use libslop::{Arguments, call, eprint, eprintln, time};
use slopos_http::response::{self, Failure, Progress};
use slopos_http::{Connection, Url, request};
use static_cell::ConstStaticCell;
use webget::network::Missing;
use webget::options::{self, Settings, USAGE};
use webget::outcome;

use output::Printer;

libslop::entry!(run);

/// Most bytes of one read: the longest head has to fit. Each read costs a system call, so for a body it is enough.
const BUFFER: usize = response::HEAD;

/// What this program calls itself in its requests.
const AGENT: &str = concat!("webget/", env!("CARGO_PKG_VERSION"));

static MEMORY: ConstStaticCell<[u8; BUFFER]> = ConstStaticCell::new([0; BUFFER]);

fn run(arguments: Arguments) -> i32 {
    let (settings, urls) = match options::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("webget: {error}\n{USAGE}");
            return outcome::USAGE;
        }
    };
    let buffer = MEMORY.take();
    let mut first_failure = outcome::OK;
    for text in urls {
        let status = match Url::parse(text) {
            Ok(url) => fetch(&settings, &url, buffer),
            Err(error) => {
                eprintln!("webget: {text}: {error}\n{USAGE}");
                outcome::USAGE
            }
        };
        if first_failure == outcome::OK {
            first_failure = status;
        }
    }
    first_failure
}

/// What the repeats of one URL add up to.
#[derive(Default)]
struct Totals {
    /// Responses that were received whole.
    count: u32,
    /// The last status that a server gave; 0 without one.
    status: u16,
    body_bytes: u64,
}

/// Requests one URL as often as asked, and returns the exit status: the first failure's. A response with an error
/// status does not end the repeats, a connection that fails does.
fn fetch(settings: &Settings, url: &Url<'_>, buffer: &mut [u8]) -> i32 {
    eprintln!("webget: {} {}", settings.method, url.text);
    let start = now();
    let mut totals = Totals::default();
    let mut printer = Printer::new(settings.output, settings.raw);
    let mut first_failure = outcome::OK;
    while totals.count < settings.count {
        let mut progress = Progress::default();
        let result = exchange(settings, url, buffer, &mut printer, &mut progress);
        totals.body_bytes += progress.body_bytes;
        if progress.status != 0 {
            totals.status = progress.status;
        }
        let status = match result {
            Ok(()) => outcome::of_status(progress.status),
            Err(failure) => {
                printer.end_line();
                explain(url, &failure)
            }
        };
        if first_failure == outcome::OK {
            first_failure = status;
        }
        if result.is_err() {
            break;
        }
        totals.count += 1;
    }
    printer.end_line();
    let took = now() - start;
    eprintln!(
        "webget: done status={} count={} bytes={} seconds={}.{:03}",
        totals.status,
        totals.count,
        totals.body_bytes,
        took.as_secs(),
        took.subsec_millis()
    );
    first_failure
}

/// One request and its response, on a connection of their own.
fn exchange(
    settings: &Settings,
    url: &Url<'_>,
    buffer: &mut [u8],
    printer: &mut Printer,
    progress: &mut Progress,
) -> Result<(), Failure<libslop::Error, libslop::Error>> {
    let mut connection = Connection::open(url.address, url.port, settings.timeout).map_err(Failure::Stream)?;
    request::send(&mut connection, settings.method, url, AGENT).map_err(Failure::Stream)?;
    printer.begin();
    response::receive(&mut connection, settings.method, buffer, printer, progress)?;
    printer.finish(progress.body_bytes).map_err(Failure::Sink)
}

/// Says what went wrong and returns the exit status for it.
fn explain(url: &Url<'_>, failure: &Failure<libslop::Error, libslop::Error>) -> i32 {
    let (address, port) = (url.address, url.port);
    match failure {
        Failure::Broken(broken) => {
            eprintln!("webget: {address}:{port}: {broken}");
            outcome::BROKEN
        }
        Failure::Stream(error) => {
            // Where nothing came in time, the network may be at fault rather than the server.
            let silent = error.errno() == Errno::TimedOut;
            let info = silent.then(|| call::net_info().ok()).flatten();
            match info.and_then(|info| Missing::on_the_way_to(address, &info)) {
                Some(missing) => eprint!("webget: {address}:{port}: {missing}"),
                None => eprint!("webget: {address}:{port}: {error}"),
            }
            if error.errno() == Errno::Access {
                eprint!("; connect = [\"{address}/32:{port}\"] under [process.network] would");
            }
            eprintln!();
            outcome::of_errno(error.errno())
        }
        Failure::Sink(error) => {
            eprintln!("webget: the output failed: {error}");
            outcome::SYSTEM
        }
    }
}

fn now() -> Duration {
    time::since_boot().expect("the kernel has a clock")
}
