//! A board as it will be booted, and QEMU's command line for it.

use crate::accelerator::Accelerator;
use crate::kernel::{Kernel, memory_bytes};
use crate::ports::{Ends, escape};
use crate::shape::Shape;
use crate::signals::Signals;
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which of its PCI transports a virtio device offers (VIRTIO 1.2 section 4.1). On a machine without PCI, only whether
/// there is one.
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
    fn properties(self, shape: Shape) -> Option<&'static str> {
        match self {
            Transport::None => None,
            // A window has its transport by the machine's version.
            _ if shape == Shape::MicroVm => Some(""),
            Transport::Modern => Some(",disable-legacy=on,disable-modern=off"),
            Transport::Legacy => Some(",disable-legacy=off,disable-modern=on"),
            Transport::Transitional => Some(",disable-legacy=off,disable-modern=off"),
        }
    }
}

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
            debug_exit: true,
            memory: "16M".to_owned(),
            accelerator: Accelerator::Auto,
            capture: None,
            timeout: None,
            typing: VecDeque::new(),
            line_rates: [None; 2],
            one_port: false,
            interactive: false,
            monitor: None,
            dump_on_panic: None,
            arguments: Vec::new(),
            signals: Signals::default(),
        }
    }
}

/// A board as it will be booted.
pub struct Builder {
    pub(crate) kernel: PathBuf,
    pub(crate) flash: Option<PathBuf>,
    pub(crate) keep_flash: bool,
    append: String,
    network: Transport,
    disk: Transport,
    netdev: String,
    network_properties: String,
    root_port: bool,
    debug_exit: bool,
    memory: String,
    accelerator: Accelerator,
    capture: Option<PathBuf>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) typing: VecDeque<(String, String)>,
    pub(crate) line_rates: [Option<u32>; 2],
    pub(crate) one_port: bool,
    pub(crate) interactive: bool,
    pub(crate) monitor: Option<PathBuf>,
    pub(crate) dump_on_panic: Option<PathBuf>,
    arguments: Vec<OsString>,
    pub(crate) signals: Signals,
}

impl Builder {
    /// Puts this image into the flash. What the board writes is lost at the end, so that runs can share an image.
    pub fn flash(mut self, image: impl Into<PathBuf>) -> Self {
        self.flash = Some(image.into());
        self.keep_flash = false;
        self
    }

    /// Whether what the board writes to its flash stays in the image. QEMU then locks the image, and a second board that
    /// keeps it is refused.
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

    /// Whether the board can end QEMU with a code. Without, it switches the machine off.
    pub fn debug_exit(mut self, present: bool) -> Self {
        self.debug_exit = present;
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

    /// Leaves COM2 out: the log then comes between the console's text.
    pub fn one_port(mut self, one_port: bool) -> Self {
        self.one_port = one_port;
        self
    }

    /// Reads COM1 and COM2 no faster than this, in bytes a second; 11,500 is what a line of 115,200 baud carries. The
    /// board's ports then have no room most of the time.
    pub fn line_rates(mut self, com1: Option<u32>, com2: Option<u32>) -> Self {
        self.line_rates = [com1, com2];
        self
    }

    /// Copies standard input to COM1; Ctrl-A x stops the board. So does the end of the input, once what it asked for is
    /// answered.
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

    /// Stops the board where one of these signals comes.
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }

    /// The board's memory in bytes, where that can be told: of several settings QEMU takes the last.
    pub fn memory_bytes(&self) -> Option<u64> {
        let mut settings = self.arguments.windows(2).filter(|pair| pair[0] == "-m" || pair[0] == "--m");
        match settings.next_back() {
            Some(pair) => memory_bytes(pair[1].to_str()?),
            None => memory_bytes(&self.memory),
        }
    }

    /// More arguments for QEMU.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The machine that the kernel is for.
    fn shape(&self) -> Result<Shape> {
        let elf = std::fs::read(&self.kernel).with_context(|| format!("cannot read {}", self.kernel.display()))?;
        Ok(Kernel::parse(&elf).with_context(|| format!("{} is no kernel", self.kernel.display()))?.shape)
    }

    /// QEMU's arguments.
    ///
    /// # Errors
    /// The command line is too long, or a file is missing or no kernel.
    pub(crate) fn command_line(&self, ports: &Ends) -> Result<Vec<OsString>> {
        let length = self.append.len();
        if length > COMMAND_LINE_MAX {
            bail!(
                "the kernel's command line has {length} bytes, and QEMU's loader takes {COMMAND_LINE_MAX} at most; a longer \
                 command can be typed at the prompt"
            );
        }
        let shape = self.shape()?;
        let mut line: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(OsString::from));
        add(shape.arguments());
        add(&["-accel", self.accelerator.qemu_name(), "-cpu", "max", "-m", &self.memory]);
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        if self.debug_exit {
            add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        }
        add(&["-kernel", &self.kernel.to_string_lossy(), "-append", &self.append]);
        if let (Some(flash), Some(transport)) = (&self.flash, self.disk.properties(shape)) {
            if !flash.is_file() {
                bail!("there is no flash image {}; run ./just build", flash.display());
            }
            let file = escape(flash);
            // Only a board that keeps what it writes locks the image: then it is the only one that does.
            let sharing = if self.keep_flash { "snapshot=off" } else { "snapshot=on,file.locking=off" };
            add(&["-drive", &format!("if=none,id=flash,format=raw,{sharing},file={file}")]);
            add(&["-device", &format!("{},drive=flash{transport}", shape.device("blk"))]);
        }
        if let Some(transport) = self.network.properties(shape) {
            add(&["-netdev", &format!("{},id=net0", self.netdev)]);
            let mut device = format!("{},netdev=net0", shape.device("net"));
            if shape == Shape::Q35 {
                // Without an option ROM the firmware has nothing to boot from the network, and starts faster.
                device.push_str(",romfile=");
            }
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
                let file = escape(capture);
                add(&["-object", &format!("filter-dump,id=capture0,netdev=net0,file={file}")]);
            }
        }
        if let Some(socket) = &self.monitor {
            let path = escape(socket);
            add(&["-chardev", &format!("socket,id=monitor,path={path},server=on,wait=off")]);
            add(&["-mon", "chardev=monitor,mode=control"]);
        }
        if self.dump_on_panic.is_some() {
            add(&["-device", "pvpanic", "-action", "panic=pause"]);
        }
        line.extend(ports.arguments(shape).into_iter().map(OsString::from));
        line.extend(self.arguments.iter().cloned());
        Ok(line)
    }
}
