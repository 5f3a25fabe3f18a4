//! The composition that the boards share: introduces kernel, capsules and devices to each other.

use crate::board::Board;
use crate::capsules::Capsules;
use crate::copies::Copies;
use crate::devices::Devices;
use crate::entropy::Entropy;
use crate::flash::Flash;
use crate::log;
use crate::machine::{Machine, now};
use crate::progress::Boot;
use crate::seed::Seed;
use crate::serial::Serial;
use crate::statics::{self, CONFIGURATIONS, MAX_FRAME, PROCESSES, TRUST};
use crate::tokens::Authorities;
use crate::version;
use crate::watchdog;
use heapless::Deque;
use slopos_console::Console;
use slopos_kernel::grant::Grant;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::loader::Unsigned;
use slopos_kernel::pacing::Pacing;
use slopos_kernel::process::Process;
use slopos_net::MacAddress;
use slopos_net::sockets::SocketSet;
use slopos_net::stack::{Config, Stack};
use slopos_net::wire::ethernet::HEADER_BYTES;
use slopos_process_console::requests::Requests;
use slopos_process_console::{self as process_console, ProcessConsole};
use slopos_virtio::net::Net;
use slopos_x86_64::processor::{Cpu, UserSpace};
use slopos_x86_64::start_info::CommandLine;
use static_cell::{ConstStaticCell, StaticCell};

/// Bytes of console output that wait for the line: four shares for processes, one for the process console.
const CONSOLE_OUTPUT: usize = 5 * 1024;
/// Bytes of console input that wait for a process.
const CONSOLE_INPUT: usize = 512;

#[unsafe(link_section = ".owner.console")]
static OUTPUT: ConstStaticCell<Deque<u8, CONSOLE_OUTPUT>> = ConstStaticCell::new(Deque::new());
#[unsafe(link_section = ".owner.console")]
static INPUT: ConstStaticCell<Deque<u8, CONSOLE_INPUT>> = ConstStaticCell::new(Deque::new());
#[unsafe(link_section = ".owner.console")]
static COMMAND_LINE: ConstStaticCell<CommandLine> = ConstStaticCell::new(CommandLine::new());
#[unsafe(link_section = ".owner.console")]
static PROCESS_CONSOLE: ConstStaticCell<process_console::Memory> = ConstStaticCell::new(process_console::Memory::new());
#[unsafe(link_section = ".owner.kernel")]
static PROCESS_TABLE: StaticCell<[Process; PROCESSES]> = StaticCell::new();
#[unsafe(link_section = ".owner.kernel")]
static SPACES: StaticCell<[UserSpace; PROCESSES]> = StaticCell::new();
#[unsafe(link_section = ".shared.net")]
static GRANTS: StaticCell<[Option<&'static mut SocketSet<'static>>; PROCESSES]> = StaticCell::new();
#[unsafe(link_section = ".shared.net")]
static STACK: StaticCell<Stack<'static>> = StaticCell::new();

/// The kernel's command line, for [`machine::bring_up`](crate::machine::bring_up). To be called once.
pub fn command_line() -> &'static mut CommandLine {
    COMMAND_LINE.take()
}

/// Warns of what lets others than the board's owner say what it runs.
fn tell_trust() {
    if TRUST.development {
        defmt::warn!("flash: the DEVELOPMENT KEY is trusted: everybody can sign programs for this board");
    }
    if TRUST.unsigned == Unsigned::Warn {
        defmt::warn!("flash: programs that nobody has signed run on this board");
    }
}

/// Joins all parts on this machine, and runs for ever.
///
/// # Safety
/// To be called once, by the board's composition.
pub unsafe fn run(mut machine: Machine, command_line: &'static CommandLine, devices: Devices) -> ! {
    // SAFETY: this is the board's composition, and runs once.
    let authorities = unsafe { Authorities::mint() };
    let watchdog = watchdog::start(devices.watchdog);
    let serial = Serial::start(&mut machine.interrupts, &machine.tables);
    let flash = Flash::new(devices.block, machine.modules, authorities.loader);
    let mut entropy = Entropy::new(devices.entropy);
    let mut seed = Seed::new(&machine.gathered, entropy.has_device(), now());
    let mut copies = Copies::new(machine.generation, now());
    let stack = start_network(devices.network.as_ref(), flash, &mut entropy, &mut seed, &mut copies);
    tell_trust();
    let kernel = Kernel::new(process_table(), &TRUST);
    let cpu = Cpu::new(&machine.space, SPACES.init_with(statics::user_spaces));
    let mut console = Console::new(OUTPUT.take().as_mut_view(), INPUT.take().as_mut_view());
    let (apart, commands) = slopos_console::take_word(our_words(command_line));
    if apart && log::carry_text() {
        console.separate();
    }
    let capsules = Capsules {
        console,
        stack,
        flash,
        entropy,
        requests: Requests::new(Grant::new(statics::commands_grants())),
        copies,
        has_network_device: devices.network.as_ref().is_some_and(|device| !device.is_hopeless()),
        call_authority: authorities.calls,
    };
    Board {
        kernel,
        cpu,
        capsules,
        serial,
        process_console: ProcessConsole::new(commands, version::GREETING, PROCESS_CONSOLE.take(), &CONFIGURATIONS),
        network: devices.network,
        alarm: machine.alarm,
        button: machine.button,
        interrupts: machine.interrupts,
        console_authority: authorities.console,
        frame_authority: authorities.frames,
        report: None,
        shutdown: None,
        seed,
        watchdog,
        look_at: now(),
        pacing: Pacing::default(),
        seldom_due: None,
        booting: true,
        boot: Boot::default(),
        background_start: None,
    }
    .run()
}

/// The network stack on this device, with the grants of the processes. Its link is down until its secrets are drawn.
fn start_network(
    device: Option<&Net>,
    flash: &mut Flash,
    entropy: &mut Entropy,
    seed: &mut Seed,
    copies: &mut Copies,
) -> &'static mut Stack<'static> {
    let (mac, link_up, mtu) = device.map_or(([0; 6], false, MAX_FRAME - HEADER_BYTES as u16), |device| {
        (device.mac(), device.link_up(), device.mtu())
    });
    let grant = Grant::new(GRANTS.init_with(statics::network_grants));
    let config = Config { max_frame: MAX_FRAME };
    let stack = STACK.init_with(|| Stack::new(MacAddress(mac), config, seed.preliminary(), grant, now()));
    stack.set_mtu(mtu);
    if let Some(drawn) = seed.draw(entropy, flash, now()) {
        stack.set_seed(drawn);
        copies.begin(&drawn);
    }
    stack.set_link(link_up && seed.is_settled(), now());
    stack
}

/// The kernel's command line without the words that loaders put there.
fn our_words(command_line: &str) -> &str {
    let (ours, left_out) = process_console::leave_out(command_line);
    if left_out > 0 {
        defmt::info!("console: left {=usize} words of the loader's out of the command line", left_out);
    }
    ours
}

/// The process table. Not inlined, because its locals would stay in the frame of `kernel_main` for good.
#[inline(never)]
fn process_table() -> &'static mut [Process; PROCESSES] {
    statics::fill(PROCESS_TABLE.uninit(), |index| Process::new(&CONFIGURATIONS[index]))
}
