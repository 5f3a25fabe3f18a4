//! `webget [options] URL...`: fetches from web servers over plain HTTP, and uploads to them.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

mod clock;
mod explain;
mod meter;
mod output;
mod region;
mod transfer;

use libslop::io::Write;
use libslop::{Arguments, eprintln};
use slopos_http::Url;
use slopos_http::response::Progress;
use static_cell::ConstStaticCell;
use webget::options::{self, Command, HELP, Settings, USAGE, VERSION};
use webget::outcome;

use clock::now;
use output::{Console, Printer};
use transfer::{Memory, Session};

libslop::entry!(run);

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::NEW);

fn run(arguments: Arguments) -> i32 {
    let (settings, urls) = match options::parse(arguments) {
        Ok(Command::Fetch(settings, urls)) => (settings, urls),
        Ok(Command::Help) => {
            return print(&[HELP, "\n"]);
        }
        Ok(Command::Version) => {
            return print(&[VERSION, "\n"]);
        }
        Err(error) => {
            eprintln!("webget: {error}\n{USAGE}");
            return outcome::USAGE;
        }
    };
    fetch_all(&settings, urls)
}

/// Prints what was asked for, and returns the exit status.
fn print(texts: &[&str]) -> i32 {
    let printed = texts.iter().try_for_each(|text| Console::Output.write_all(text.as_bytes()));
    if printed.is_ok() { outcome::OK } else { outcome::SYSTEM }
}

/// Fetches from each URL in turn, and returns the exit status: the first failure's.
#[inline(never)]
fn fetch_all(settings: &Settings<'static>, urls: impl Iterator<Item = &'static str>) -> i32 {
    let Memory { buffer, piece, location, urls: rooms } = MEMORY.take();
    let mut session = Session::new(settings, buffer, piece, rooms);
    let mut printer = Printer::new(settings, location);
    let mut urls = urls.peekable();
    let mut first_failure = outcome::OK;
    while let Some(text) = urls.next() {
        let status = match Url::parse(text) {
            Ok(url) if url.is_loopback() => {
                eprintln!("webget: {text}: {}\n{USAGE}", slopos_http::UrlError::Localhost);
                outcome::USAGE
            }
            Ok(url) => {
                session.expect_next(urls.peek().copied());
                fetch(settings, &url, &mut session, &mut printer)
            }
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
fn fetch(settings: &Settings<'static>, url: &Url<'static>, session: &mut Session, printer: &mut Printer) -> i32 {
    if !settings.silent {
        eprintln!("webget: {} {}", settings.method, url.text);
    }
    let start = now();
    let mut totals = Totals::default();
    printer.begin_url();
    let mut first_failure = outcome::OK;
    while totals.count < settings.count {
        let mut progress = Progress::default();
        let result = session.transfer(url, printer, &mut progress);
        totals.body_bytes += progress.body_bytes;
        if progress.status != 0 {
            totals.status = progress.status;
        }
        let status = match &result {
            Ok(()) if printer.is_complete() => outcome::OK,
            Ok(()) => outcome::of_status(progress.status),
            Err(failure) => {
                printer.end_line();
                explain::explain(settings, failure)
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
    if !settings.silent {
        eprintln!(
            "webget: done status={} count={} bytes={} seconds={}.{:03}",
            totals.status,
            totals.count,
            totals.body_bytes,
            took.as_secs(),
            took.subsec_millis()
        );
    }
    first_failure
}
