//! `count`: guest instructions from reset to the first byte, per system call, per KiB, and per request.

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use slopos_cli::Progress;
use slopos_count::figure::Figure;
use slopos_count::kept::Kept;
use slopos_count::profile::{Board, MEMORY, Peer, Profile};
use slopos_count::report::{self, Tables};
use slopos_count::script;
use slopos_count::symbols::{Sorted, Symbols};
use slopos_lab::report::{json, write};
use slopos_lab::servers::{pages, url};
use slopos_netlab::Lab;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The command of the closed run. It prints nothing: QEMU's serial sockets take some 270 bytes without fail, and more
/// only when the host has time to read them.
const CLOSED: &str = "sleep 1";
/// The two counts of the figures of system calls. What both runs do falls out.
const CALLS: [u64; 2] = [5_000, 30_000];
/// More calls than the partner of those makes.
const FOR_EVER: u64 = u64::MAX;
/// The two sizes of the bulk figure, in bytes. What both do, boot and slow start above all, falls out.
const BULK: [usize; 2] = [1 << 20, 5 << 20];
/// The two counts of the requests' figure.
const REQUESTS: [usize; 2] = [10, 210];
/// What shows what is held when the last connection is closed on both sides.
const AFTERWARDS: &str = "; sleep 1; grants; ps; net";
/// How long the server's last segment may take, while the board sleeps in what follows.
const LAST_SEGMENT: Duration = Duration::from_millis(300);
/// The requests at either end of a long run.
const HUNDRED: usize = 100;
/// The same against a server on the host, which varies, so that it takes more of them.
const HOST_BULK: [usize; 2] = [1 << 20, 64 << 20];
const HOST_REQUESTS: [usize; 2] = [10, 1010];
/// The size of a small page, in bytes.
const PAGE: usize = 1024;

/// Counts guest instructions: from reset to the first byte of a response, per system call, per KiB, per request.
#[derive(Parser)]
#[command(name = "count", after_help = HELP)]
struct Arguments {
    /// The board: a folder of boards/, whose kernels and flashes are in build/ by its name.
    #[arg(long, value_name = "BOARD", default_value = "qemu_q35")]
    board: String,
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.img the flash; build/BOARD unless given.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// The same for the board with the processes `calls` and `partner`; build/BOARD-test unless given.
    #[arg(long, value_name = "IMAGE")]
    test_image: Option<PathBuf>,
    /// The folder with the ELF files of the apps.
    #[arg(long, value_name = "FOLDER")]
    apps: PathBuf,
    /// Functions in the tables of functions.
    #[arg(long, value_name = "N", default_value_t = 15)]
    top: usize,
    /// Writes the tables to this file too, and beside it, with the ending .json, what --check compares with.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// Counts what repeats and fails where it has grown by more than 3 % since it was kept.
    #[arg(long)]
    check: bool,
    /// Makes --check fail, instead of compare nothing, where the figures that are kept are another compiler's.
    #[arg(long, requires = "check")]
    same_compiler: bool,
    /// Counts so many requests in one boot, and fails where the last hundred take other instructions than the first, by
    /// more than 5 %, or a byte of the grant is not given back.
    #[arg(long, value_name = "REQUESTS", conflicts_with_all = ["check", "output"],
        value_parser = clap::value_parser!(u32).range(200..))]
    endurance: Option<u32>,
    /// The figures that are kept; boards/BOARD/COUNTS.json unless given.
    #[arg(long, value_name = "FILE")]
    kept: Option<PathBuf>,
    /// Figures of an earlier board, for the table of before and now; boards/BOARD/COUNTS_BEFORE.json, where that is a file,
    /// unless given.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

impl Arguments {
    /// The file with the figures that are kept.
    fn kept(&self) -> PathBuf {
        self.kept.clone().unwrap_or_else(|| self.beside_the_board("COUNTS.json"))
    }

    /// The file with an earlier board's figures, where there is one.
    fn before(&self) -> Option<PathBuf> {
        let usual = || Some(self.beside_the_board("COUNTS_BEFORE.json")).filter(|file| file.exists());
        self.before.clone().or_else(usual)
    }

    fn beside_the_board(&self, file: &str) -> PathBuf {
        Path::new("boards").join(&self.board).join(file)
    }
}

const HELP: &str = "\
Examples:
  count --apps target/bare-apps/x86_64-unknown-none/release
  count --apps ... --check
  count --apps ... --output boards/qemu_q35/COUNTS.md

Exit status:
  0  counted, and within what is kept where that was asked for
  1  the figures have grown, or something could not be counted
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|arguments: Arguments| match arguments.endurance {
        Some(requests) => endurance(&arguments, requests as usize),
        None if arguments.check => check(&arguments),
        None => tables(&arguments),
    })
}

/// The runs of the figures that repeat, and of those that vary.
const REPEATING: u64 = 10;
const VARYING: u64 = 5;

/// Compares what repeats with the file.
fn check(arguments: &Arguments) -> Result<()> {
    let file = arguments.kept();
    let accept = format!(
        "if that is meant, accept it with: SLOPOS_TOOLCHAIN=debian ./just count --board {} --output {}",
        arguments.board,
        file.with_extension("md").display()
    );
    let kept = read(&file).context(accept.clone())?;
    let counter = Counter::open(arguments, REPEATING)?;
    let compiler = counter.board.1.compiler()?;
    if compiler != kept.compiler {
        let other =
            format!("other compiler: the figures are kept for rustc {}, this is rustc {compiler}", kept.compiler);
        if arguments.same_compiler {
            bail!("{other}; {accept}");
        }
        println!("count: {other}: not compared");
        return Ok(());
    }
    let comparison = kept.compare(&Kept::of(compiler, &counter.repeating()?.figures));
    print!("{}", comparison.text);
    if comparison.failed {
        bail!("more instructions than are kept in {}; {accept}", file.display());
    }
    Ok(())
}

/// Figures that a file keeps.
fn read(file: &Path) -> Result<Kept> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// Compares the last requests of a long run with the first, and looks at what is not given back: descriptors, bytes of
/// the grant, sockets and with them ports, buffers of the device.
fn endurance(arguments: &Arguments, requests: usize) -> Result<()> {
    let counter = Counter::open(arguments, 4)?;
    let options = |count| format!("-o null --count {count}");
    let counted = |count: usize| counter.fetch_then(&options(count), &vec![PAGE; count], AFTERWARDS);
    let each = |fewer: &Profile, more: &Profile| {
        more.total()
            .checked_sub(fewer.total())
            .map(|instructions| instructions / HUNDRED as u64)
            .context("fewer for more")
    };
    let (begin, console) = counted(REQUESTS[0])?;
    let held_at_first = Held::read(&console)?;
    let first = each(&begin, &counted(REQUESTS[0] + HUNDRED)?.0)?;
    let (before, _) = counted(requests - HUNDRED)?;
    let (after, console) = counted(requests)?;
    let last = each(&before, &after)?;
    println!("requests {} to {}: {first} instructions each", REQUESTS[0] + 1, REQUESTS[0] + HUNDRED);
    println!("requests {} to {requests}: {last} instructions each", requests - HUNDRED + 1);
    let held = Held::read(&console)?;
    println!("{}\n{}\ndescriptors={}", held.grant, held.buffers, held.descriptors);
    if !held.grant.contains(" in_use=0 ") || !held.grant.contains(" sockets=0/") || held.descriptors != "0" {
        bail!("after {requests} requests the process still holds something");
    }
    if held.buffers != held_at_first.buffers {
        bail!("after {} requests the device had others: {}", REQUESTS[0], held_at_first.buffers);
    }
    if first.abs_diff(last) * 20 > first {
        bail!("the last requests take more than 5 % more or less than the first");
    }
    Ok(())
}

/// What the board says of what is held.
struct Held<'c> {
    /// The process's line of `grants`.
    grant: &'c str,
    /// The device's line of `net`.
    buffers: &'c str,
    /// How many descriptors the process has, by `ps`.
    descriptors: &'c str,
}

impl<'c> Held<'c> {
    fn read(console: &'c str) -> Result<Held<'c>> {
        let line = |begin| console.lines().find(|line| line.starts_with(begin));
        let grant = line("webget bytes=").context("the board shows no grant")?;
        let buffers = line("device has ").context("the board shows no buffers")?;
        // NAME STATE STATUS CALLS FDS
        let row = line("webget   ").context("the board shows no process")?;
        let descriptors = row.split_whitespace().nth(4).context("a process has no descriptors")?;
        Ok(Held { grant, buffers, descriptors })
    }
}

/// Counts everything, prints it, and writes it down.
fn tables(arguments: &Arguments) -> Result<()> {
    let counter = Counter::open(arguments, REPEATING + VARYING)?;
    let repeating = counter.repeating()?;
    let varying = counter.varying()?;
    let compiler = counter.board.1.compiler()?;
    let kept = Kept::of(compiler, &repeating.figures);
    let before = arguments.before().map(|file| read(&file)).transpose()?;
    let text = report::document(&Tables {
        board: &arguments.board,
        compiler,
        now: &kept,
        before: before.as_ref(),
        first_byte: repeating.first_byte,
        repeating: &repeating.figures,
        varying: &varying,
        top: arguments.top,
    });
    print!("{text}");
    if let Some(file) = &arguments.output {
        write(file, &text)?;
        write(&file.with_extension("json"), &json(&kept)?)?;
    }
    Ok(())
}

/// Figures of runs that repeat.
struct Repeating {
    /// From reset to the first bytes of a response.
    first_byte: u64,
    figures: Vec<Figure>,
}

/// The boards, each with its symbols, and how far the runs are.
struct Counter {
    progress: Progress,
    board: (Board, Symbols),
    calls: (Board, Symbols),
}

impl Counter {
    fn open(arguments: &Arguments, runs: u64) -> Result<Counter> {
        let open = |image: &Path, app: &str| -> Result<_> {
            let board = Board { image: image.to_owned(), memory: MEMORY };
            let symbols = Symbols::open(&board.kernel(), &arguments.apps.join(app))?;
            Ok((board, symbols))
        };
        let built = |given: &Option<PathBuf>, ending: &str| {
            given.clone().unwrap_or_else(|| PathBuf::from(format!("build/{}{ending}", arguments.board)))
        };
        let board = open(&built(&arguments.image, ""), "webget")?;
        let calls = open(&built(&arguments.test_image, "-test"), "calls")?;
        Ok(Counter { progress: Progress::new(runs, "runs"), board, calls })
    }

    /// What has no peer, or one that does the same each time.
    fn repeating(&self) -> Result<Repeating> {
        let (board, symbols) = &self.board;
        let closed = symbols.sort(&self.run(board, CLOSED, Peer::None)?)?;
        let (test_board, test_symbols) = &self.calls;
        let calls = |commands: &dyn Fn(u64) -> String| -> Result<_> {
            let sorted = |count| test_symbols.sort(&self.run(test_board, &commands(count), Peer::Nobody)?);
            Ok([sorted(CALLS[0])?, sorted(CALLS[1])?])
        };
        let call = calls(&|count| format!("calls time {count}"))?;
        let switch = calls(&|count| format!("start partner yield {FOR_EVER}; calls yield {count}"))?;
        let page = self.fetch("", &[1])?;
        let bulk = |bytes| symbols.sort(&self.fetch("-o null", &[bytes])?);
        let request = |count| symbols.sort(&self.fetch(&format!("-o null --count {count}"), &vec![PAGE; count])?);
        let figures = vec![
            Figure::of("closed boot", closed),
            Figure::of("boot and one page", symbols.sort(&page)?),
            Figure::between("per system call", call, CALLS[1] - CALLS[0])?,
            // Each of the two yields as often as the other.
            Figure::between("per context switch", switch, 2 * (CALLS[1] - CALLS[0]))?,
            Figure::between("per KiB", [bulk(BULK[0])?, bulk(BULK[1])?], kib(BULK))?,
            Figure::between("per request", [request(REQUESTS[0])?, request(REQUESTS[1])?], difference(REQUESTS))?,
        ];
        Ok(Repeating { first_byte: symbols.before(&page, takes_head)?, figures })
    }

    /// Has webget fetch pages of these many bytes from the scripted server.
    fn fetch(&self, options: &str, pages: &[usize]) -> Result<Profile> {
        Ok(self.fetch_then(options, pages, "")?.0)
    }

    /// The same, with more commands behind it; and what the console shows.
    fn fetch_then(&self, options: &str, pages: &[usize], more: &str) -> Result<(Profile, String)> {
        let mut lab = Lab::in_step();
        let (netdev, halts) = (lab.netdev(), lab.paths().1.to_owned());
        let peer = Peer::Script { netdev: &netdev, halts: &halts };
        let commands = format!("webget {options} {}{more}", slopos_netlab::server::url());
        thread::scope(|scope| {
            let script = scope.spawn(|| {
                script::serve(&mut lab, pages.iter().copied());
                if !more.is_empty() {
                    // The last acknowledgement leaves when the board waits.
                    lab.during(LAST_SEGMENT);
                }
            });
            let counted = self.progress.step(&commands, || self.board.0.run(&commands, peer))?;
            // What it panicked with is on standard error already.
            script.join().map_err(|_| anyhow!("`{commands}`: the board did not play its part"))?;
            Ok(counted)
        })
    }

    /// Has a board carry out commands.
    fn run(&self, board: &Board, commands: &str, peer: Peer<'_>) -> Result<Profile> {
        Ok(self.progress.step(commands, || board.run(commands, peer))?.0)
    }

    /// What has a server on the host as its peer.
    fn varying(&self) -> Result<Vec<Figure>> {
        let (board, symbols) = &self.board;
        let port = pages();
        let sorted = |options: &str, bytes: usize| -> Result<Sorted> {
            symbols.sort(&self.run(
                board,
                &format!("webget {options} {}", url(port, &bytes.to_string())),
                Peer::Host,
            )?)
        };
        let bulk = |bytes: usize| sorted("-o null", bytes);
        let request = |count| sorted(&format!("-o null --count {count}"), PAGE);
        Ok(vec![
            Figure::of("boot and one page", sorted("", 1)?),
            Figure::between("per KiB", [bulk(HOST_BULK[0])?, bulk(HOST_BULK[1])?], kib(HOST_BULK))?,
            Figure::between(
                "per request",
                [request(HOST_REQUESTS[0])?, request(HOST_REQUESTS[1])?],
                difference(HOST_REQUESTS),
            )?,
        ])
    }
}

fn difference(pair: [usize; 2]) -> u64 {
    (pair[1] - pair[0]) as u64
}

fn kib(bytes: [usize; 2]) -> u64 {
    difference(bytes) / 1024
}

/// Whether this is webget's function that takes the head of a response: what it does with the first bytes of one.
fn takes_head(function: &str) -> bool {
    function.starts_with("<webget::output::Printer as ") && function.ends_with(">::head")
}
