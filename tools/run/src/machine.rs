//! A run of the board in QEMU, from its command line to its exit code.

use crate::accelerator::Accelerator;
use crate::decoder::{Decoder, Line};
use crate::kept::Kept;
use crate::outcome::{Event, Outcome};
use crate::paced::Paced;
use crate::ports::{Ports, escape};
use crate::readers::{read_console, read_lines, read_log};
use crate::status::{KILLED, TIMED_OUT};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Which of its PCI transports a virtio device offers (VIRTIO 1.2 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// VIRTIO 1.0 and later alone.
    Modern,
    /// That of before VIRTIO 1.0 alone.
    Legacy,
    /// Both; the driver chooses.
    Transitional,
    /// There is no such device.
    None,
}

impl Transport {
    /// The device's properties, each with a comma in front; `None` where there is to be no device.
    fn properties(self) -> Option<&'static str> {
        match self {
            Transport::Modern => Some(",disable-legacy=on,disable-modern=off"),
            Transport::Legacy => Some(",disable-legacy=off,disable-modern=on"),
            Transport::Transitional => Some(",disable-legacy=off,disable-modern=off"),
            Transport::None => None,
        }
    }
}

/// Bytes that are kept of the beginning of a port's output, and of its end: a board may run for weeks.
const KEPT: usize = 16 << 20;

/// Events that may wait to be handled. When there are more, the board waits.
const EVENTS: usize = 64;

/// Longest kernel command line, in bytes: QEMU's loader has a buffer of 4 KiB for it and its end (`cmdline_buffer` in
/// pc-bios/optionrom/pvh_main.c), and writes over what lies behind it without a word.
pub const COMMAND_LINE_MAX: usize = 4095;

/// A board that can be booted.
pub struct Machine;

impl Machine {
    /// The board whose files these are without their endings: IMAGE.elf is the kernel, IMAGE.img the flash.
    pub fn image(image: &Path) -> Builder {
        Machine::builder(image.with_added_extension("elf")).flash(image.with_added_extension("img"))
    }

    /// A board with this kernel, 16 MiB of memory, a modern network device and no flash.
    pub fn builder(kernel: impl Into<PathBuf>) -> Builder {
        Builder {
            kernel: kernel.into(),
            flash: None,
            keep_flash: false,
            append: String::new(),
            network: Transport::Modern,
            disk: Transport::Transitional,
            netdev: "user".to_owned(),
            network_properties: String::new(),
            root_port: false,
            memory: "16M".to_owned(),
            accelerator: Accelerator::Auto,
            capture: None,
            timeout: None,
            typing: VecDeque::new(),
            line_rates: [None; 2],
            interactive: false,
            monitor: None,
            dump_on_panic: None,
            arguments: Vec::new(),
        }
    }
}

/// A board as it will be booted.
pub struct Builder {
    kernel: PathBuf,
    flash: Option<PathBuf>,
    keep_flash: bool,
    append: String,
    network: Transport,
    disk: Transport,
    netdev: String,
    network_properties: String,
    root_port: bool,
    memory: String,
    accelerator: Accelerator,
    capture: Option<PathBuf>,
    timeout: Option<Duration>,
    typing: VecDeque<(String, String)>,
    line_rates: [Option<u32>; 2],
    interactive: bool,
    monitor: Option<PathBuf>,
    dump_on_panic: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Builder {
    /// Puts this image into the flash. What the board writes is lost at the end, so that runs can share an image.
    pub fn flash(mut self, image: impl Into<PathBuf>) -> Self {
        self.flash = Some(image.into());
        self.keep_flash = false;
        self
    }

    /// Whether what the board writes to its flash stays in the image. QEMU then locks the image.
    pub fn keep_flash(mut self, keep: bool) -> Self {
        self.keep_flash = keep;
        self
    }

    /// The kernel's command line: console commands separated by `;`, of at most [`COMMAND_LINE_MAX`] bytes in all.
    pub fn append(mut self, commands: impl Into<String>) -> Self {
        self.append = commands.into();
        self
    }

    /// How the network device is reached, or that there is none.
    pub fn network(mut self, transport: Transport) -> Self {
        self.network = transport;
        self
    }

    /// How the flash's device is reached, or that there is none.
    pub fn disk(mut self, transport: Transport) -> Self {
        self.disk = transport;
        self
    }

    /// What the network device is connected to, as QEMU's `-netdev` takes it but without an `id`: user networking
    /// unless said otherwise.
    pub fn netdev(mut self, netdev: impl Into<String>) -> Self {
        self.netdev = netdev.into();
        self
    }

    /// More properties of the network device, `vectors=0,host_mtu=1400` for instance.
    pub fn network_properties(mut self, properties: impl Into<String>) -> Self {
        self.network_properties = properties.into();
        self
    }

    /// Whether the network device sits behind a PCI Express root port instead of on the root bus.
    pub fn root_port(mut self, behind: bool) -> Self {
        self.root_port = behind;
        self
    }

    /// The board's memory, as QEMU writes it: `16M`.
    pub fn memory(mut self, size: impl Into<String>) -> Self {
        self.memory = size.into();
        self
    }

    /// The accelerator.
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = accelerator;
        self
    }

    /// Writes every frame of the network to this file, in pcap format.
    pub fn capture(mut self, file: impl Into<PathBuf>) -> Self {
        self.capture = Some(file.into());
        self
    }

    /// Stops the board after this time.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Types `keys` on COM1 once the console has said `prompt` after what was typed before.
    pub fn when(mut self, prompt: impl Into<String>, keys: impl Into<String>) -> Self {
        self.typing.push_back((prompt.into(), keys.into()));
        self
    }

    /// Reads COM1 and COM2 no faster than this, in bytes a second; 11,500 is what a line of 115,200 baud carries. The
    /// board's ports then have no room most of the time.
    pub fn line_rates(mut self, com1: Option<u32>, com2: Option<u32>) -> Self {
        self.line_rates = [com1, com2];
        self
    }

    /// Copies standard input to COM1; Ctrl-A x stops the board.
    pub fn interactive(mut self, interactive: bool) -> Self {
        self.interactive = interactive;
        self
    }

    /// Lets a tool look into the running board: QEMU's machine protocol answers at this socket. What is left of an
    /// earlier board at that place is replaced.
    pub fn monitor(mut self, socket: impl Into<PathBuf>) -> Self {
        self.monitor = Some(socket.into());
        self
    }

    /// Writes all of the board's memory to this file where the kernel panics, before the board ends.
    pub fn dump_on_panic(mut self, file: impl Into<PathBuf>) -> Self {
        self.dump_on_panic = Some(file.into());
        self
    }

    /// More arguments for QEMU.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Boots the board and waits for its end.
    ///
    /// # Errors
    /// QEMU is not there or cannot be started, or the kernel's ELF cannot be read.
    pub fn run(self) -> Result<Outcome> {
        self.run_with(|_| Ok(()))
    }

    /// Boots the board, gives each event to `listener`, and waits for the end.
    ///
    /// # Errors
    /// As [`run`](Builder::run), and what `listener` returns; the board is stopped then.
    pub fn run_with(mut self, mut listener: impl FnMut(&Event) -> Result<()>) -> Result<Outcome> {
        let decoder = &Decoder::from_elf(&self.kernel)?;
        let ports = Ports::new(self.dump_on_panic.is_some())?;
        let deadline = self.timeout.map(|limit| Instant::now() + limit);
        let (child, started) = self.spawn(&ports)?;
        let mut qemu = Qemu(child);
        let stderr = qemu.0.stderr.take().context("QEMU's standard error is a pipe")?;
        let (console, log, log_times, said) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        let beside = String::new();
        let mut outcome = Outcome { code: 0, quit: false, started, console, beside, log, log_times, qemu: said };
        let (mut console, mut log, mut said) = (Kept::new(KEPT), Kept::new(KEPT), Kept::new(KEPT));
        let mut beside = Kept::new(KEPT);
        // Console text in which the next prompt may be.
        let mut unsearched = Vec::new();

        let timed_out = std::thread::scope(|scope| -> Result<bool> {
            let (sender, events) = sync_channel(EVENTS);
            let from_qemu = sender.clone();
            scope.spawn(move || read_lines(stderr, &from_qemu));
            let streams = connect(&ports, &mut qemu, deadline)?;
            let quit = Arc::new(AtomicBool::new(false));
            let mut keyboard = None;
            if let Some([com1, com2]) = streams {
                keyboard = Some(com1.try_clone().context("COM1")?);
                if self.interactive {
                    let board = com1.try_clone().context("COM1")?;
                    let quit = Arc::clone(&quit);
                    // Not of this scope: it waits for a key, and the run must be able to end without one.
                    std::thread::spawn(move || {
                        if crate::terminal::forward(std::io::stdin(), board) {
                            quit.store(true, Ordering::Relaxed);
                        }
                    });
                }
                if let Some(file) = &self.dump_on_panic {
                    let watch = ports.accept_watch().inspect_err(|_| qemu.stop())?;
                    let from_watch = sender.clone();
                    scope.spawn(move || crate::dump::watch(watch, file, &from_watch));
                }
                let from_com1 = sender.clone();
                let [rate1, rate2] = self.line_rates;
                scope.spawn(move || read_console(Paced::new(com1, rate1), &from_com1));
                scope.spawn(move || read_log(Paced::new(com2, rate2), decoder, sender));
            } else {
                drop(sender);
            }
            // From here on only the readers hold senders, so the events end when QEMU does.
            let mut stopped = false;
            let mut timed_out = false;
            loop {
                let event = match events.recv_timeout(Duration::from_millis(20)) {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Ok(timed_out),
                };
                let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                outcome.quit |= quit.load(Ordering::Relaxed);
                if !stopped && (late || outcome.quit) {
                    qemu.stop();
                    stopped = true;
                    timed_out = late;
                }
                let Some(event) = event else { continue };
                if let Err(why) = listener(&event) {
                    qemu.stop();
                    return Err(why);
                }
                // The prompt is among what travels apart, where anything does.
                if let Event::Console(bytes) | Event::Beside(bytes) = &event
                    && !self.typing.is_empty()
                {
                    unsearched.extend_from_slice(bytes);
                }
                match event {
                    Event::Console(bytes) => {
                        let length = bytes.len();
                        console.push(bytes, length);
                    }
                    Event::Beside(bytes) => {
                        let length = bytes.len();
                        beside.push(bytes, length);
                    }
                    Event::Log(line) => {
                        let (time, length) = (line.since_boot(), line.text.len());
                        // A line takes memory even where it is empty.
                        log.push((line.text, time), length + size_of::<Line>());
                    }
                    Event::Qemu(text) => {
                        let length = text.len() + size_of::<String>();
                        said.push(text, length);
                    }
                }
                while let (Some((prompt, _)), Some(board)) = (self.typing.front(), &mut keyboard) {
                    let Some(found) = find(&unsearched, prompt.as_bytes()) else {
                        // Only a tail that may begin a match is searched again.
                        let searched = (unsearched.len() + 1).saturating_sub(prompt.len());
                        unsearched.drain(..searched);
                        break;
                    };
                    unsearched.drain(..found + prompt.len());
                    if let Some((_, keys)) = self.typing.pop_front()
                        && let Err(why) = board.write_all(keys.as_bytes())
                    {
                        // The board ended before the key arrived; its exit code tells the rest.
                        let text = format!("run: {keys:?} could not be typed: {why}");
                        said.push(text, keys.len());
                    }
                }
            }
        })?;
        let gap = |bytes: u64| format!("run: {bytes} bytes were left out here");
        outcome.qemu = said.finish(gap);
        (outcome.log, outcome.log_times) = log.finish(|bytes| (gap(bytes), None)).into_iter().unzip();
        let text = |kept: Kept<Vec<u8>>| {
            let bytes = kept.finish(|bytes| format!("\n{}\n", gap(bytes)).into_bytes()).concat();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let status = qemu.0.wait().context("QEMU")?;
        (outcome.console, outcome.beside) = (text(console), text(beside));
        outcome.code = match (timed_out, status.code()) {
            (true, _) => TIMED_OUT,
            (false, Some(code)) => code,
            (false, None) => {
                outcome.qemu.push(format!("run: QEMU was ended: {status}"));
                KILLED
            }
        };
        Ok(outcome)
    }

    /// Starts QEMU; returns it with the time just before.
    fn spawn(&self, ports: &Ports) -> Result<(Child, Instant)> {
        let program = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        let mut command = match guard() {
            Some(guard) => {
                // QEMU ends when the tool is killed: otherwise the board would run for ever.
                let mut command = Command::new(guard);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        if !runs(&program) {
            bail!(
                "{} is not installed; run ./just setup, or install the package qemu-system-x86",
                program.to_string_lossy()
            );
        }
        command.args(self.command_line(ports)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let child = command.spawn().map_err(|why| anyhow!("cannot start {}: {why}", program.to_string_lossy()))?;
        Ok((child, started))
    }

    /// QEMU's arguments.
    fn command_line(&self, ports: &Ports) -> Result<Vec<OsString>> {
        let length = self.append.len();
        if length > COMMAND_LINE_MAX {
            bail!(
                "the kernel's command line has {length} bytes, and QEMU's loader takes {COMMAND_LINE_MAX} at most; a longer \
                 command can be typed at the prompt"
            );
        }
        let mut line: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(OsString::from));
        add(&["-M", "q35", "-accel", self.accelerator.qemu_name(), "-cpu", "max", "-m", &self.memory]);
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        add(&["-kernel", &self.kernel.to_string_lossy(), "-append", &self.append]);
        if let (Some(flash), Some(transport)) = (&self.flash, self.disk.properties()) {
            if !flash.is_file() {
                bail!("there is no flash image {}; run ./just build", flash.display());
            }
            let file = escape(flash.clone());
            let snapshot = if self.keep_flash { "off" } else { "on" };
            add(&["-drive", &format!("if=none,id=flash,format=raw,snapshot={snapshot},file={file}")]);
            add(&["-device", &format!("virtio-blk-pci,drive=flash{transport}")]);
        }
        if let Some(transport) = self.network.properties() {
            add(&["-netdev", &format!("{},id=net0", self.netdev)]);
            // Without an option ROM the firmware has nothing to boot from the network, and starts faster.
            let mut device = "virtio-net-pci,netdev=net0,romfile=".to_owned();
            if self.root_port {
                add(&["-device", "pcie-root-port,id=port0,slot=1"]);
                device.push_str(",bus=port0");
            }
            device.push_str(transport);
            if !self.network_properties.is_empty() {
                device.push(',');
                device.push_str(&self.network_properties);
            }
            add(&["-device", &device]);
            if let Some(capture) = &self.capture {
                let file = escape(capture.clone());
                add(&["-object", &format!("filter-dump,id=capture0,netdev=net0,file={file}")]);
            }
        }
        if let Some(socket) = &self.monitor {
            let path = escape(socket.clone());
            add(&["-chardev", &format!("socket,id=monitor,path={path},server=on,wait=off")]);
            add(&["-mon", "chardev=monitor,mode=control"]);
        }
        if self.dump_on_panic.is_some() {
            add(&["-device", "pvpanic", "-action", "panic=pause"]);
        }
        line.extend(ports.arguments().into_iter().map(OsString::from));
        line.extend(self.arguments.iter().cloned());
        Ok(line)
    }
}

/// A running QEMU; it does not outlive this value.
struct Qemu(Child);

impl Qemu {
    /// Ends QEMU, if it has not ended by itself.
    fn stop(&mut self) {
        if let Err(why) = self.0.kill() {
            eprintln!("run: cannot stop QEMU: {why}");
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.stop();
            if let Err(why) = self.0.wait() {
                eprintln!("run: cannot wait for QEMU: {why}");
            }
        }
    }
}

/// Waits until QEMU has connected both ports; `None` where it ended, or the time was up, before that.
fn connect(ports: &Ports, qemu: &mut Qemu, deadline: Option<Instant>) -> Result<Option<[UnixStream; 2]>> {
    let mut waiting = Vec::new();
    loop {
        if let Some(streams) = ports.accept(&mut waiting).inspect_err(|_| qemu.stop())? {
            return Ok(Some(streams));
        }
        if qemu.0.try_wait().context("QEMU")?.is_some() {
            return Ok(None);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            qemu.stop();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a program of this name can be started.
fn runs(program: &OsString) -> bool {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// A program of util-linux that ends its child when its parent ends, where it is installed.
fn guard() -> Option<OsString> {
    let name = OsString::from("setpriv");
    runs(&name).then_some(name)
}

/// Where `needle` begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    bytes.windows(needle.len()).position(|window| window == needle)
}
