//! `metadata [OPTION]... [URL]`: asks a cloud's metadata server for user data, and has its commands carried out.
//!
//! Which commands those may be the manifest says (`commands`), and the kernel decides. All of them are checked before
//! the first one runs. Of its network authority the program keeps the one server; redirects are not followed.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::time::Duration;

use libslop::abi::Errno;
use libslop::{Arguments, Commands, Error, call, eprintln, println, time};
use metadata::answer::{self, Body, TOKEN, Trouble};
use metadata::options::{self, Format, Settings, USAGE};
use metadata::user_data::{self, Command, MOST};
use slopos_http::request::{Content, Field, Method, Request};
use slopos_http::response::{self, Failure, HEAD, Progress};
use slopos_http::{Connection, Limits, retry};
use static_cell::ConstStaticCell;

libslop::entry!(run);

/// Exit status where the kernel fails in what it does not document to fail in.
const FAILED: i32 = 1;
/// Exit status for a command line that makes no sense.
const USAGE_ERROR: i32 = 2;
/// Exit status where the user data is not for this board, or one of its commands is none.
const REFUSED: i32 = 65;
/// Exit status where the manifest does not allow the server or a command, as webget's.
const NOT_ALLOWED: i32 = 77;

/// The longest wait before a try.
const PAUSE: Duration = Duration::from_secs(16);

/// What this program calls itself in its requests.
const AGENT: &str = concat!("metadata/", env!("CARGO_PKG_VERSION"));

/// How a token is asked for, and for how long: it is used once, at once.
const ASK_FOR_TOKEN: Field<'_> = Field { name: "X-aws-ec2-metadata-token-ttl-seconds", value: Some("60") };

/// What would be too large for the stack.
struct Memory {
    /// The longest head has to fit.
    buffer: [u8; HEAD],
    token: [u8; TOKEN],
    user_data: [u8; MOST],
}

static MEMORY: ConstStaticCell<Memory> =
    ConstStaticCell::new(Memory { buffer: [0; HEAD], token: [0; TOKEN], user_data: [0; MOST] });

fn run(arguments: Arguments) -> i32 {
    let settings = match options::parse(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("metadata: {error}\n{USAGE}");
            return USAGE_ERROR;
        }
    };
    let mut commands = match Commands::open() {
        Ok(commands) => commands,
        Err(error) => {
            eprintln!("metadata: no command may be run: {error}; commands = [...] under [[process]] would let them");
            return if error.errno() == Errno::NotFound { NOT_ALLOWED } else { FAILED };
        }
    };
    let (address, port) = (settings.url.address, settings.url.port);
    if let Err(error) = call::restrict_connect(address.to_bits(), 32, port, port) {
        eprintln!("metadata: the authority cannot be narrowed: {error}");
        return FAILED;
    }
    let Memory { buffer, token, user_data } = MEMORY.take();
    println!("metadata: asking {} ({})", settings.url.text, settings.format.word());
    let result = persist(&settings, |deadline| fetch(&settings, deadline, buffer, token, user_data));
    match result {
        Ok(None) => {
            println!("metadata: there is no user data");
            0
        }
        Ok(Some(length)) => match carry_out(&user_data[..length], &mut commands) {
            Ok(status) => status,
            Err(error) => {
                eprintln!("metadata: {error}");
                FAILED
            }
        },
        Err(trouble) => {
            eprintln!("metadata: {address}:{port}: {trouble}");
            if trouble.exit_status() == NOT_ALLOWED {
                eprintln!("metadata: connect = [\"{address}/32:{port}\"] under [process.network] would allow it");
            }
            trouble.exit_status()
        }
    }
}

/// Tries until it works, fails for good, or the tries or the time are used up. `work` is told when all has to be over.
fn persist<T>(settings: &Settings<'_>, mut work: impl FnMut(Duration) -> Result<T, Trouble>) -> Result<T, Trouble> {
    let deadline = now()? + settings.time;
    for repeats in 0.. {
        let trouble = match work(deadline) {
            Err(trouble) if trouble.is_transient() && settings.retries.is_none_or(|most| repeats < most) => trouble,
            result => return result,
        };
        let wait = retry::backoff(repeats).min(PAUSE);
        if now()? + wait >= deadline {
            return Err(trouble);
        }
        println!("metadata: {trouble}; again in {} s", wait.as_secs());
        time::sleep(wait).map_err(stream)?;
    }
    // As many tries as can be counted, each with its pause.
    Err(stream(Errno::TimedOut.into()))
}

fn now() -> Result<Duration, Trouble> {
    time::since_boot().map_err(stream)
}

fn stream(error: Error) -> Trouble {
    Trouble::Exchange(Failure::Stream(error))
}

/// Gets the user data; returns its length, or nothing where there is none.
fn fetch(
    settings: &Settings<'_>,
    deadline: Duration,
    buffer: &mut [u8],
    token: &mut [u8],
    user_data: &mut [u8],
) -> Result<Option<usize>, Trouble> {
    let url = &settings.url;
    let limits = Limits { silence: Some(settings.silence), deadline: Some(deadline) };
    let mut ask = |request: Request<'_>, room| {
        let mut connection = Connection::open_within(url.address, url.port, limits).map_err(stream)?;
        request.send(&mut connection).map_err(stream)?;
        let (mut body, mut progress) = (Body::new(room), Progress::default());
        response::receive(&mut connection, request.method, buffer, &mut body, &mut progress)
            .map_err(Trouble::Exchange)?;
        Ok((progress.status, body.into_bytes()))
    };
    let token = match settings.format {
        Format::OpenStack => None,
        Format::Ec2 => {
            let (file, content) = ("latest/api/token", Content::Length(0));
            let request = Request { file, content, fields: &[ASK_FOR_TOKEN], ..Request::new(Method::Put, url, AGENT) };
            let (status, body) = ask(request, token)?;
            answer::token(status, body)?
        }
    };
    let fields = [Field { name: "X-aws-ec2-metadata-token", value: token }];
    let fields = if token.is_some() { &fields[..] } else { &[] };
    let request = Request { file: settings.format.user_data(), fields, ..Request::new(Method::Get, url, AGENT) };
    let (status, body) = ask(request, user_data)?;
    Ok(answer::user_data(status, body)?.map(<[u8]>::len))
}

/// Has all commands checked, then carried out one after the other. Returns the exit status: that of the first command
/// that failed, or why none was begun.
fn carry_out(user_data: &[u8], console: &mut Commands) -> Result<i32, Error> {
    let commands = match user_data::commands(user_data) {
        Ok(commands) => commands,
        Err(refused) => {
            eprintln!("metadata: {refused}");
            return Ok(REFUSED);
        }
    };
    for command in commands.clone() {
        let Command { line, text } = match command {
            Ok(command) => command,
            Err(refused) => {
                eprintln!("metadata: {refused}");
                return Ok(REFUSED);
            }
        };
        match console.check(text).map_err(Error::errno) {
            Ok(()) => {}
            Err(Errno::Access) => {
                eprintln!("metadata: line {line}: the manifest's `commands` does not allow it: {text}");
                return Ok(NOT_ALLOWED);
            }
            Err(Errno::Invalid) => {
                eprintln!("metadata: line {line}: this is not one command of the process console: {text}");
                return Ok(REFUSED);
            }
            Err(other) => return Err(other.into()),
        }
    }
    let (mut count, mut failed, mut first_failure) = (0, 0, 0);
    for Command { text, .. } in commands.flatten() {
        println!("metadata: running {text}");
        let status = console.run(text)?;
        count += 1;
        if status != 0 {
            println!("metadata: status {status}");
            failed += 1;
            first_failure = if first_failure == 0 { status } else { first_failure };
        }
    }
    println!("metadata: done commands={count} failed={failed}");
    Ok(first_failure)
}
