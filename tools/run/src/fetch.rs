//! `fetch`: boots the board, has it fetch with its webget, and exits with webget's status.
//!
//! Without an address it fetches a page from a small server of its own, so that one command shows the whole path from
//! reset to HTTP without anything else being set up.

use anyhow::{Result, anyhow};
use clap::Parser;
use slopos_run::COMMAND_LINE_MAX;
use slopos_run::command_line::{Options, lacks_address, quote, status};
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
/// Without an address, webget fetches a page from a small server on this machine.
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
    let mut words = arguments.webget;
    // Who wants a server's bytes as they are wants them through to the end.
    arguments.options.raw |= words.iter().take_while(|word| *word != "--").any(|word| word == "--raw");
    if lacks_address(&words) {
        words.push(format!("http://{HOST}:{}/", serve()?));
        arguments.options.timeout.get_or_insert(PAGE_SECONDS);
    }
    let mut commands = "webget".to_owned();
    for word in &words {
        commands.push(' ');
        match quote(word) {
            Some(quoted) => commands.push_str(&quoted),
            None => {
                eprintln!("fetch: the board's command line cannot hold {word:?}");
                return Ok(2);
            }
        }
    }
    commands.push_str("; exit");
    let machine = arguments.options.machine();
    let machine = if commands.len() <= COMMAND_LINE_MAX {
        machine.append(commands)
    } else {
        // Too long for the loader, so it is typed: once a command that the board has from it has waited for the network.
        machine.append("sleep 0").when(PROMPT, commands + "\r")
    };
    let outcome = arguments.options.boot(machine, false)?;
    Ok(status(outcome.code))
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
