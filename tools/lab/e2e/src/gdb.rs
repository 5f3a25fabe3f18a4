//! QEMU's debugger stub (the GDB manual, "Remote Serial Protocol"), as far as a test needs it: a board that stands
//! still from the start, goes on until it reaches an address, and goes on from there.

use crate::qtest::connect;
use anyhow::{Context, Result, bail};
use slopos_run::Builder;
use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Where a board can be stopped: to be given to it before it boots, and connected to once it does.
pub struct Socket(PathBuf);

impl Socket {
    /// A socket in this folder.
    pub fn new(folder: &Path) -> Socket {
        Socket(folder.join("gdb"))
    }

    /// The board, which will not begin until it is told to.
    pub fn open(&self, board: Builder) -> Builder {
        let socket = format!("unix:{},server=on,wait=off", self.0.display());
        board.arguments(["-S", "-gdb", &socket].map(OsString::from))
    }

    /// A connection to the board; waits until QEMU has started.
    ///
    /// # Errors
    /// There is no such board.
    pub fn connect(&self) -> Result<Gdb> {
        Ok(Gdb { stream: BufReader::new(connect(&self.0)?) })
    }
}

/// A connection to a board's debugger stub. While it lives, the board can be stopped.
pub struct Gdb {
    stream: BufReader<UnixStream>,
}

impl Gdb {
    /// Lets the board go on until it is about to execute the instruction at this address.
    ///
    /// # Errors
    /// It does not get there, or QEMU does not understand.
    pub fn run_to(&mut self, address: u64) -> Result<()> {
        self.expect(&format!("Z1,{address:x},1"), "OK")?;
        self.send("c")?;
        let stopped = self.receive()?;
        if !stopped.starts_with(['T', 'S']) {
            bail!("the board does not stop, but says {stopped:?}");
        }
        self.expect(&format!("z1,{address:x},1"), "OK")
    }

    /// Lets the board go on for good.
    ///
    /// # Errors
    /// QEMU has ended.
    pub fn leave(mut self) -> Result<()> {
        self.expect("D", "OK")
    }

    fn expect(&mut self, command: &str, answer: &str) -> Result<()> {
        self.send(command)?;
        let heard = self.receive()?;
        if heard != answer {
            bail!("QEMU answers {command:?} with {heard:?}");
        }
        Ok(())
    }

    fn send(&mut self, command: &str) -> Result<()> {
        let sum = command.bytes().fold(0_u8, u8::wrapping_add);
        self.stream.get_mut().write_all(format!("${command}#{sum:02x}").as_bytes()).context("QEMU does not listen")?;
        match self.byte()? {
            b'+' => Ok(()),
            byte => bail!("QEMU takes {command:?} with {byte:#x}"),
        }
    }

    /// The next packet, acknowledged.
    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        let mut packet = String::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => packet.push(char::from(byte)),
            }
        }
        // The sum is not looked at: a socket loses nothing.
        self.byte()?;
        self.byte()?;
        self.stream.get_mut().write_all(b"+").context("QEMU does not listen")?;
        Ok(packet)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("QEMU's debugger stub")?;
        Ok(byte[0])
    }
}
