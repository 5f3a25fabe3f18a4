//! `fetch`: boots the board, has it fetch with its webget, and exits with webget's status.
//!
//! Without an address it fetches a page from a small server of its own, so that one command shows the whole path from
//! reset to HTTP without anything else being set up.

use ::webget::options::{HELP as HELP_OF_WEBGET, VERSION};
use ::webget::outcome::NOT_WRITTEN;
use anyhow::{Context, Error, Result, anyhow};
use clap::Parser;
use slopos_run::body::{Writer, are_one};
use slopos_run::command_line::{Options, quote, status};
use slopos_run::webget::{self, Asked, Call, Destination, Refused, Request};
use slopos_run::{COMMAND_LINE_MAX, Event, Printer, Style};
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::thread;
use tiny_http::{Response, Server};

/// The page of the small server.
const PAGE: &str = "SlopOS fetched this page from its host, one sans-IO step at a time.\n";

/// Where QEMU's user networking puts the host's loopback.
const HOST: &str = "10.0.2.2";

/// What the board's console says when a command can be typed.
const PROMPT: &str = "slopos> ";

/// How long a fetch from the small server may take, the board's boot included.
const PAGE_SECONDS: u64 = 180;

/// Boots the board, runs `webget ARGUMENTS`, and exits with its status.
///
/// Without an address, webget fetches a page from a small server on this machine. The body goes to standard output and all
/// else to standard error; where both are one file, as on a terminal, they are one log.
#[derive(Parser)]
#[command(name = "fetch", after_help = HELP)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Arguments of webget: its options and addresses. The host is 10.0.2.2.
    #[arg(last = true)]
    webget: Vec<String>,
}

const HELP: &str = "\
Examples:
  fetch
  fetch -- --sha256 http://10.0.2.2:8000/
  fetch -- -s -o page http://10.0.2.2:8000/
  fetch -- --help
  fetch --pcap net.pcap --timeout 60 -- http://10.0.2.2:8000/

Exit status:
  webget's own, and
  1    the board cannot be started
  2    the command line is wrong
  124  the time that --timeout gives was up
  125  the board ended without a status";

fn main() -> ExitCode {
    slopos_cli::main(|arguments| Ok(ExitCode::from(fetch(arguments)? as u8)))
}

fn fetch(mut arguments: Arguments) -> Result<i32> {
    let mut request = match webget::read(&arguments.webget) {
        Ok(Asked::Help) => return print(&[HELP_OF_WEBGET, webget::HERE]),
        Ok(Asked::Version) => return print(&[VERSION]),
        Ok(Asked::Fetch(request)) => request,
        Err(refused) => return Ok(refuse(&refused)),
    };
    if request.urls.is_empty() {
        request.urls.push(format!("http://{HOST}:{}/", serve()?));
        arguments.options.timeout.get_or_insert(PAGE_SECONDS);
    }
    let calls = match request.calls() {
        Ok(calls) => calls,
        Err(refused) => return Ok(refuse(&refused)),
    };
    // Who wants a server's bytes as they are wants them through to the end.
    arguments.options.raw |= request.raw;
    arguments.options.quiet = request.silent;
    let mut first_failure = 0;
    for call in calls {
        let status = carry_out(&arguments.options, &request, call)?;
        if first_failure == 0 {
            first_failure = status;
        }
    }
    Ok(first_failure)
}

/// Tells what is wrong with the command line, and returns the status for it.
fn refuse(refused: &Refused) -> i32 {
    eprintln!("webget: {}", refused.why);
    refused.status
}

fn print(texts: &[&str]) -> Result<i32> {
    let mut output = stdout().lock();
    for text in texts {
        writeln!(output, "{text}").context("standard output")?;
    }
    Ok(0)
}

/// Boots a board for one call of webget, and returns its status.
fn carry_out(options: &Options, request: &Request, mut call: Call) -> Result<i32> {
    let file = call.destination != Destination::Standard;
    // What is one file, a terminal for instance, has everything in the order in which it was written.
    let apart = file || !are_one(stdout(), stderr());
    let escaped = !file && stdout().is_terminal() && !options.raw;
    if apart {
        // The board gives the bytes as they are; it is the terminal here that is to be kept from harm.
        call.words.insert(0, "--raw".to_owned());
        if stderr().is_terminal() && !request.silent && (file || !stdout().is_terminal()) {
            call.words.insert(0, "--progress".to_owned());
        }
    }
    let Some(command) = command(&call.words) else { return Ok(2) };
    let word = if apart { "stderr=log " } else { "" };
    let machine = options.machine();
    let machine = if word.len() + command.len() <= COMMAND_LINE_MAX {
        machine.append(format!("{word}{command}"))
    } else {
        // Too long for the loader, so it is typed: once a command that the board has from it has waited for the network.
        machine.append(format!("{word}sleep 0")).when(PROMPT, command + "\r")
    };
    if !apart {
        return Ok(status(options.boot(machine, false)?.code));
    }
    let mut writer = match Writer::new(call.destination, call.append) {
        Ok(writer) => writer,
        Err(why) => return Ok(not_written(&why)),
    };
    let mut unwritten = false;
    let mut screen = escaped.then(|| Printer::new(stdout(), Style::Lines, false));
    let mut body = |bytes: &[u8]| match &mut screen {
        Some(screen) => screen.event(&Event::Console(bytes.to_vec())).context("standard output"),
        None => writer.write(bytes).inspect_err(|_| unwritten = true),
    };
    let code = match options.boot_apart(machine, &mut body) {
        Ok(outcome) => outcome.code,
        Err(why) if unwritten && !is_closed_pipe(&why) => return Ok(not_written(&why)),
        Err(why) => return Err(why),
    };
    if let Some(screen) = screen {
        screen.finish().context("standard output")?;
    }
    let status = status(code);
    let ended = if status == 0 { writer.finish() } else { Ok(()) };
    Ok(ended.map_or_else(|why| not_written(&why), |()| status))
}

/// Tells that a body could not be written, and returns webget's status for it.
fn not_written(why: &Error) -> i32 {
    eprintln!("fetch: {why:#}");
    NOT_WRITTEN
}

/// Whether it is only that nobody reads the output any more.
fn is_closed_pipe(why: &Error) -> bool {
    why.root_cause().downcast_ref::<io::Error>().is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
}

/// The board's command for these words; `None` where it cannot be written, which is told.
fn command(words: &[String]) -> Option<String> {
    let mut command = "webget".to_owned();
    for word in words {
        let quoted = quote(word);
        if quoted.is_none() {
            eprintln!("fetch: the board's command line cannot hold {word:?}");
        }
        command.push(' ');
        command.push_str(&quoted?);
    }
    Some(command + "; exit")
}

/// Serves the page on a free port of the loopback until the tool ends; returns the port.
fn serve() -> Result<u16> {
    let server = Server::http("127.0.0.1:0").map_err(|why| anyhow!("cannot serve the page: {why}"))?;
    let port = server.server_addr().to_ip().ok_or_else(|| anyhow!("the server has no port"))?.port();
    thread::spawn(move || {
        for request in server.incoming_requests() {
            let url = request.url().to_owned();
            if let Err(why) = request.respond(Response::from_string(PAGE)) {
                eprintln!("fetch: the page for {url} was not taken: {why}");
            }
        }
    });
    Ok(port)
}
