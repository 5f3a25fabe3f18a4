//! The serial ports: pairs of connected sockets. QEMU inherits one end of each, so that there is no file that could be
//! left behind.

use crate::shape::Shape;
use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

/// Our ends.
pub struct Ports {
    /// COM1.
    pub console: UnixStream,
    /// COM2, where there is one.
    pub log: Option<UnixStream>,
    /// A monitor, where the board is watched for a panic.
    pub watch: Option<UnixStream>,
}

/// QEMU's ends, with their names. The first is QEMU's descriptor 3, behind the standard ones.
pub struct Ends(Vec<(&'static str, OwnedFd)>);

impl Ports {
    /// The ports of one board, which may have the first one alone.
    ///
    /// # Errors
    /// The system has no more sockets.
    pub fn new(watched: bool, one_port: bool) -> Result<(Ports, Ends)> {
        let mut ends = Vec::new();
        let mut pair = |name| -> Result<UnixStream> {
            let (ours, qemus) = UnixStream::pair().context("cannot make a pair of sockets")?;
            ends.push((name, qemus.into()));
            Ok(ours)
        };
        let watch = if watched { Some(pair("watch")?) } else { None };
        let console = pair("com1")?;
        let log = if one_port { None } else { Some(pair("com2")?) };
        Ok((Ports { console, log, watch }, Ends(ends)))
    }
}

impl Ends {
    /// QEMU's arguments for COM1 and COM2, and for the watch where there is one.
    pub fn arguments(&self, shape: Shape) -> Vec<String> {
        let device = |(descriptor, name): (usize, &str)| {
            let user = match name {
                "watch" => ["-mon".to_owned(), format!("chardev={name},mode=control")],
                // This machine has one port of its own.
                "com2" if shape == Shape::MicroVm => {
                    ["-device".to_owned(), format!("isa-serial,chardev={name},index=1")]
                }
                _ => ["-serial".to_owned(), format!("chardev:{name}")],
            };
            ["-chardev".to_owned(), format!("socket,id={name},fd={descriptor}")].into_iter().chain(user)
        };
        (3..).zip(self.0.iter().map(|(name, _)| *name)).flat_map(device).collect()
    }

    /// Has the command inherit them.
    ///
    /// # Errors
    /// None that is known: each has a number of its own.
    pub fn give(self, command: &mut Command) -> Result<()> {
        let mapping = |(child_fd, (_, parent_fd))| FdMapping { parent_fd, child_fd };
        command.fd_mappings((3..).zip(self.0).map(mapping).collect()).context("the ports' descriptors")?;
        Ok(())
    }
}

/// A path as part of a QEMU option, where a comma would begin the next key.
pub fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
