//! `count`: guest instructions from reset to the first byte, per KiB, and per request.

use anyhow::{Context, Result, bail};
use clap::Parser;
use slopos_count::profile::{Board, Peer};
use slopos_count::report::{self, Figure};
use slopos_count::server::Server;
use slopos_count::symbols::{Sorted, Symbols};
use std::path::PathBuf;
use std::process::ExitCode;

/// The two sizes of the bulk figure, in bytes. What both do, boot and slow start above all, falls out.
const BULK: [u64; 2] = [1 << 20, 64 << 20];
/// The two counts of the requests' figure.
const REQUESTS: [u64; 2] = [10, 1010];
/// The command of the closed run. It prints nothing: QEMU's serial sockets take some 270 bytes without fail, and more
/// only when the host has time to read them.
const CLOSED: &str = "sleep 1";
/// The size of a small page, in bytes.
const PAGE: u64 = 1024;

/// Counts guest instructions: from reset to the first byte of a response, per KiB of a large one, per small request.
#[derive(Parser)]
#[command(name = "count")]
struct Arguments {
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.img the flash.
    #[arg(long, value_name = "IMAGE", default_value = "build/qemu_q35")]
    image: PathBuf,
    /// The ELF file of the board's webget.
    #[arg(long, value_name = "FILE")]
    webget: PathBuf,
    /// Functions in the tables of functions.
    #[arg(long, value_name = "N", default_value_t = 15)]
    top: usize,
    /// Writes the tables to this file too.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match count(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn count(arguments: &Arguments) -> Result<()> {
    let board = Board { image: arguments.image.clone() };
    let symbols = Symbols::open(&board.kernel(), &arguments.webget)?;
    let server = Server::start()?;
    let run = |commands: &str, peer| -> Result<_> {
        eprintln!("count: {commands}");
        let (profile, _) = board.run(commands, peer)?;
        Ok(profile)
    };
    let sorted = |commands: &str, peer| symbols.sort(&run(commands, peer)?);

    let closed = sorted(CLOSED, Peer::None)?;
    let page = run(&format!("webget {}", server.page(1)), Peer::Host)?;
    let first_byte = symbols.before(&page, takes_head)?;
    let whole = symbols.sort(&page)?;
    let bulk = BULK.map(|bytes| sorted(&format!("webget -o null {}", server.page(bytes)), Peer::Host));
    let requests =
        REQUESTS.map(|count| sorted(&format!("webget -o null --count {count} {}", server.page(PAGE)), Peer::Host));
    let difference = |name, runs: [Result<Sorted>; 2], units| -> Result<Figure> {
        let [base, run] = runs;
        Ok(Figure { name, run: run?, base: base?, units })
    };
    let figures = [
        Figure { name: "closed boot", run: closed, base: Sorted::default(), units: 1 },
        Figure { name: "boot and one page", run: whole, base: Sorted::default(), units: 1 },
        difference("per KiB", bulk, (BULK[1] - BULK[0]) / 1024)?,
        difference("per request", requests, REQUESTS[1] - REQUESTS[0])?,
    ];
    if figures.iter().any(|figure| figure.total() <= 0.0) {
        bail!("a longer run counted no more than a shorter one");
    }
    let text = document(&figures, first_byte, arguments.top);
    print!("{text}");
    if let Some(file) = &arguments.output {
        std::fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Whether this is webget's function that takes the head of a response: what it does with the first bytes of one.
fn takes_head(function: &str) -> bool {
    function.starts_with("<webget::output::Printer as ") && function.ends_with(">::head")
}

/// The tables with what a reader has to know about them.
fn document(figures: &[Figure; 4], first_byte: u64, top: usize) -> String {
    let [_, _, bulk, request] = figures;
    format!(
        "# Guest instructions of the board

Written by `./just count --output boards/qemu_q35/COUNTS.md`. Counts do not depend on how busy the machine is, so
they show what a change to the code costs. They are no times: an instruction that exits to the device costs more
than a thousand others, and a repeated string instruction counts once for each round.

From reset to the first bytes of a response in the hands of webget: **{} instructions**.

{}
- **closed boot**: from reset through a second of sleep to the exit, without network and flash. Repeats to the
  instruction.
- **boot and one page**: from reset to the exit, with a page of one byte fetched and printed.
- **per KiB**: of a body that webget throws away; 64 MiB less 1 MiB. What waits for the server, and how many
  segments come at once, varies from run to run: by about 1 %.
- **per request**: a connection, a page of 1 KiB thrown away, its head printed; 1010 requests less 10. Varies by
  about 3 %, for what comes together is up to the server.

The layer is that of the innermost function of ours, inlined or not. Copy and checksum are one layer, whoever
called them. A waiting processor carries out nothing, so *idle* is only the way into and out of waiting.

## Bulk data by function

{}
## Requests by function

{}",
        report::number(first_byte as f64),
        report::by_layer(figures),
        report::by_function(bulk, top),
        report::by_function(request, top)
    )
}
