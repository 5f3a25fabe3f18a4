//! What went wrong, in words, and the exit status for it.

use libslop::abi::Errno;
use libslop::{Error, call, eprint, eprintln};
use slopos_http::response::Failure;
use slopos_http::upload::Fault;
use webget::network::Missing;
use webget::options::Settings;
use webget::outcome;

use core::net::Ipv4Addr;

use crate::output::Unfit;
use crate::transfer::Trouble;

/// Says what went wrong, unless nobody wants to know, and returns the exit status for it.
pub fn explain(settings: &Settings<'static>, trouble: &Trouble) -> i32 {
    let tell = !settings.silent || settings.show_error;
    match *trouble {
        Trouble::Exchange(address, port, ref fault) => explain_fault(address, port, fault, tell, settings.region),
        Trouble::Upload(address, port, ref fault, sent) => {
            if tell {
                eprintln!("webget: {address}:{port}: {sent} bytes of the upload were sent");
            }
            explain_fault(address, port, fault, tell, settings.region)
        }
        Trouble::Region(name, error) => region(name, error, tell, outcome::NOT_READ),
        Trouble::Redirects(most) => said(tell, format_args!("more than {most} redirects"), outcome::REDIRECT),
        Trouble::LongUrl => said(tell, format_args!("a redirect leads to a URL that is too long"), outcome::REDIRECT),
        Trouble::Lost(error) => said(tell, format_args!("a redirect leads nowhere: {error}"), outcome::REDIRECT),
    }
}

fn said(tell: bool, text: core::fmt::Arguments<'_>, status: i32) -> i32 {
    if tell {
        eprintln!("webget: {text}");
    }
    status
}

fn explain_fault(
    address: Ipv4Addr,
    port: u16,
    fault: &Fault<Error, Unfit, Error>,
    tell: bool,
    name: Option<&'static str>,
) -> i32 {
    let server = |text: core::fmt::Arguments<'_>, status| said(tell, format_args!("{address}:{port}: {text}"), status);
    match fault {
        Fault::Response(Failure::Broken(broken)) => server(format_args!("{broken}"), outcome::BROKEN),
        Fault::Response(Failure::Stream(error)) => {
            if tell {
                stream(address, port, *error);
            }
            outcome::of_errno(error.errno())
        }
        Fault::Response(Failure::Sink(unfit)) => match *unfit {
            Unfit::Console(error) => said(tell, format_args!("the output failed: {error}"), outcome::SYSTEM),
            Unfit::Region(error) => region(name.unwrap_or_default(), error, tell, outcome::NOT_WRITTEN),
            Unfit::Range => server(format_args!("the response is not the part that was asked for"), outcome::RANGE),
            Unfit::NoParts => server(
                format_args!("the server sends no parts: the download cannot go on, only begin anew"),
                outcome::RANGE,
            ),
            Unfit::Location => server(format_args!("the response's Location makes no sense"), outcome::REDIRECT),
        },
        Fault::Refused(None) => {
            server(format_args!("the server closed the connection before it had the upload"), outcome::NOT_SENT)
        }
        Fault::Refused(Some(error)) => server(format_args!("the upload broke off: {error}"), outcome::NOT_SENT),
        Fault::Source(_) | Fault::Short => {
            said(tell, format_args!("the region holds less than its record says"), outcome::NOT_READ)
        }
    }
}

/// A connection's error, with what is missing on the way, or what the manifest would have to say.
fn stream(address: Ipv4Addr, port: u16, error: Error) {
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
}

/// A region's error.
fn region(name: &str, error: Error, tell: bool, status: i32) -> i32 {
    match error.errno() {
        Errno::NotFound => said(
            tell,
            format_args!("{name}: {error}; flash = [\"{name}\"] under [[process]] would"),
            outcome::NOT_ALLOWED,
        ),
        Errno::Invalid if status == outcome::NOT_WRITTEN => {
            said(tell, format_args!("{name}: the region is full"), status)
        }
        Errno::Invalid => said(tell, format_args!("{name}: the region holds less than its record says"), status),
        _ => said(tell, format_args!("{name}: {error}"), status),
    }
}
