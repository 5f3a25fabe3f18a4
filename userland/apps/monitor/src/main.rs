//! `monitor [--every SECONDS] [--count N] URL`: looks at a page again and again, and prints what changed.
//!
//! It holds one socket, and only while it looks; between two looks it sleeps. Of its authority it keeps the one remote
//! that it was asked to watch.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::convert::Infallible;
use core::time::Duration;

use libslop::abi::Errno;
use libslop::{Arguments, call, eprintln, println, time};
use monitor::options::{self, Settings, USAGE};
use monitor::watch::{Finding, Page, Watch};
use sha2::{Digest, Sha256};
use slopos_http::request::{self, Method};
use slopos_http::response::{self, Failure, HEAD, Head, Progress, Sink};
use slopos_http::{Connection, Url};
use static_cell::ConstStaticCell;

libslop::entry!(run);

/// Exit status where the kernel fails in what it does not document to fail in.
const FAILED: i32 = 1;
/// Exit status for a command line that makes no sense.
const USAGE_ERROR: i32 = 2;
/// Exit status where the manifest does not allow the connection, as webget's.
const NOT_ALLOWED: i32 = 77;

/// The longest time for a connect, and for any silence after it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What this program calls itself in its requests.
const AGENT: &str = concat!("monitor/", env!("CARGO_PKG_VERSION"));

/// The longest head has to fit; for a body it is enough.
static MEMORY: ConstStaticCell<[u8; HEAD]> = ConstStaticCell::new([0; HEAD]);

fn run(arguments: Arguments) -> i32 {
    let settings = match options::parse(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("monitor: {error}\n{USAGE}");
            return USAGE_ERROR;
        }
    };
    let url = match Url::parse(settings.url) {
        Ok(url) => url,
        Err(error) => {
            eprintln!("monitor: {}: {error}\n{USAGE}", settings.url);
            return USAGE_ERROR;
        }
    };
    if let Err(error) = call::restrict_connect(url.address.to_bits(), 32, url.port, url.port) {
        eprintln!("monitor: the authority cannot be narrowed: {error}");
        return FAILED;
    }
    match watch(&settings, &url, MEMORY.take()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("monitor: {error}");
            FAILED
        }
    }
}

/// Looks as often as asked. A server that fails is news, and looked at again; only the manifest's refusal is final.
fn watch(settings: &Settings<'_>, url: &Url<'_>, buffer: &mut [u8]) -> Result<i32, libslop::Error> {
    println!("monitor: watching {}", url.text);
    let mut watch = Watch::default();
    let mut looks = 0;
    let mut next = time::since_boot()?;
    let mut confirmed = false;
    loop {
        let finding = look(url, buffer);
        if finding.is_ok() && !confirmed {
            // It has fetched a page: a new version of this program works, and it may never come to an end that says so.
            confirmed = true;
            if let Err(error) = call::confirm() {
                eprintln!("monitor: the version stays on trial: {error}");
            }
        }
        if let Some(news) = watch.take(finding) {
            println!("monitor: {news}");
        }
        if finding.is_err_and(|trouble| trouble == Failure::Stream(Errno::Access.into())) {
            let (address, port) = (url.address, url.port);
            eprintln!("monitor: connect = [\"{address}/32:{port}\"] under [process.network] would allow it");
            return Ok(NOT_ALLOWED);
        }
        looks += 1;
        if settings.count == Some(looks) {
            println!("monitor: looked {looks} times");
            return Ok(0);
        }
        // Looks that a slow server made impossible are left out, not made up for.
        let now = time::since_boot()?;
        next = (next + settings.every).max(now);
        time::sleep(next - now)?;
    }
}

/// Looks once.
fn look(url: &Url<'_>, buffer: &mut [u8]) -> Finding {
    let mut connection = Connection::open(url.address, url.port, Some(TIMEOUT)).map_err(Failure::Stream)?;
    request::send(&mut connection, Method::Get, url, AGENT).map_err(Failure::Stream)?;
    let mut progress = Progress::default();
    let mut digester = Digester(Sha256::new());
    response::receive(&mut connection, Method::Get, buffer, &mut digester, &mut progress)?;
    Ok(Page { status: progress.status, length: progress.body_bytes, digest: digester.0.finalize().into() })
}

/// Digests a body.
struct Digester(Sha256);

impl Sink for Digester {
    type Error = Infallible;

    fn head(&mut self, _: &Head<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Infallible> {
        self.0.update(piece);
        Ok(())
    }
}
