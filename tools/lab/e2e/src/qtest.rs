//! QEMU's qtest protocol (docs/devel/qtest.rst in QEMU's sources), beside a board that runs: reads and writes of ports
//! and physical memory as if the processor had made them. So a test can move a device's registers, switch it off, or
//! send an interrupt message.
//!
//! What reads and writes fails where QEMU has ended, or does not understand.
//!
//! A read or write lands between two instructions of the board, which goes on: what the test reads first may have
//! changed when it writes.

use anyhow::{Context, Result, bail};
use slopos_run::Builder;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long QEMU may take to open a socket, or to answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Port of CONFIG_ADDRESS (PCI Local Bus 3.0, section 3.2.2.3.2).
const CONFIG_ADDRESS: u16 = 0xcf8;
/// First port of CONFIG_DATA.
const CONFIG_DATA: u16 = 0xcfc;
/// Where an interrupt message to the processor with APIC 0 is written (Intel SDM volume 3, section 11.11.1).
const MESSAGES: u64 = 0xfee0_0000;

/// Connects to a socket that QEMU makes; waits until it is there.
///
/// # Errors
/// It is not there in time.
pub(crate) fn connect(socket: &Path) -> Result<UnixStream> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).context("a socket of QEMU's")?;
                return Ok(stream);
            }
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Err(why) => return Err(why).with_context(|| format!("QEMU does not listen at {}", socket.display())),
        }
    }
}

/// Where a board can be reached from outside: to be given to it before it boots, and connected to once it does.
pub struct Socket(PathBuf);

impl Socket {
    /// A socket in this folder.
    pub fn new(folder: &Path) -> Socket {
        Socket(folder.join("qtest"))
    }

    /// The board, with the socket open.
    pub fn open(&self, board: Builder) -> Builder {
        let socket = format!("unix:{},server=on,wait=off", self.0.display());
        board.arguments(["-qtest", &socket, "-qtest-log", "none"].map(OsString::from))
    }

    /// A connection to the board, which has one at a time; waits until QEMU has started.
    ///
    /// # Errors
    /// There is no such board.
    pub fn connect(&self) -> Result<Qtest> {
        Ok(Qtest { stream: BufReader::new(connect(&self.0)?) })
    }
}

/// A PCI function, by bus, slot and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus.
    pub bus: u8,
    /// Slot, below 32.
    pub slot: u8,
    /// Function, below 8.
    pub function: u8,
}

/// A connection to a board that runs, or is stopped.
pub struct Qtest {
    stream: BufReader<UnixStream>,
}

impl Qtest {
    /// Sends a command and gives the words behind `OK` in its answer.
    fn command(&mut self, command: &str) -> Result<String> {
        self.stream.get_mut().write_all(format!("{command}\n").as_bytes()).context("QEMU does not listen")?;
        let mut line = String::new();
        if self.stream.read_line(&mut line).with_context(|| format!("no answer to {command:?}"))? == 0 {
            bail!("QEMU has ended");
        }
        match line.trim_end().strip_prefix("OK") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("QEMU answers {command:?} with {line:?}"),
        }
    }

    fn number(&mut self, command: &str) -> Result<u64> {
        let answer = self.command(command)?;
        let digits = answer.strip_prefix("0x").unwrap_or(&answer);
        u64::from_str_radix(digits, 16).with_context(|| format!("QEMU answers {command:?} with {answer:?}"))
    }

    /// Reads 32 bits from a port.
    pub fn port(&mut self, port: u16) -> Result<u32> {
        Ok(self.number(&format!("inl {port:#x}"))? as u32)
    }

    /// Writes 32 bits to a port.
    pub fn set_port(&mut self, port: u16, value: u32) -> Result<()> {
        self.command(&format!("outl {port:#x} {value:#x}")).map(drop)
    }

    /// Reads 32 bits at a physical address.
    pub fn word(&mut self, address: u64) -> Result<u32> {
        Ok(self.number(&format!("readl {address:#x}"))? as u32)
    }

    /// Writes 32 bits at a physical address.
    pub fn set_word(&mut self, address: u64, value: u32) -> Result<()> {
        self.command(&format!("writel {address:#x} {value:#x}")).map(drop)
    }

    /// Reads memory, or what stands there, at a physical address.
    pub fn memory(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        let answer = self.command(&format!("read {address:#x} {length:#x}"))?;
        let digits = answer.strip_prefix("0x").unwrap_or(&answer).as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        bytes.filter(|bytes| bytes.len() == length).with_context(|| format!("QEMU reads memory as {answer:?}"))
    }

    /// Sends an interrupt message to the processor: the vector, and in the bits above it how it is delivered.
    pub fn message(&mut self, data: u32) -> Result<()> {
        self.set_word(MESSAGES, data)
    }

    /// Reads 32 bits of a function's configuration space, at an offset that is a multiple of 4. By the ports, which
    /// the kernel does not use where there is memory-mapped configuration space.
    pub fn configuration(&mut self, function: Function, offset: u8) -> Result<u32> {
        self.select(function, offset)?;
        self.port(CONFIG_DATA)
    }

    /// Writes 32 bits of a function's configuration space.
    pub fn set_configuration(&mut self, function: Function, offset: u8, value: u32) -> Result<()> {
        self.select(function, offset)?;
        self.set_port(CONFIG_DATA, value)
    }

    fn select(&mut self, Function { bus, slot, function }: Function, offset: u8) -> Result<()> {
        let address = 1 << 31 | u32::from(bus) << 16 | u32::from(slot) << 11 | u32::from(function) << 8;
        self.set_port(CONFIG_ADDRESS, address | u32::from(offset & !3))
    }

    /// The first function of this vendor and one of these devices, on buses 0 and 1.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&mut self, vendor: u16, devices: &[u16]) -> Result<Function> {
        for bus in 0..2 {
            for slot in 0..32 {
                let function = Function { bus, slot, function: 0 };
                let identity = self.configuration(function, 0)?;
                if identity as u16 == vendor && devices.contains(&((identity >> 16) as u16)) {
                    return Ok(function);
                }
            }
        }
        bail!("there is no device {devices:#x?} of {vendor:#x}")
    }
}
