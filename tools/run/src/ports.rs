//! The serial ports as Unix sockets that QEMU connects to.

use anyhow::{Context, Result};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use tempfile::TempDir;

/// Two sockets that wait for QEMU. Their folder goes when this does.
pub struct Ports {
    folder: TempDir,
    console: UnixListener,
    log: UnixListener,
}

impl Ports {
    /// Makes the sockets in a folder of their own.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new() -> Result<Ports> {
        let folder = tempfile::Builder::new().prefix("slopos-").tempdir().context("cannot make a temporary folder")?;
        let listen = |name: &str| -> Result<UnixListener> {
            let path = folder.path().join(name);
            let socket =
                UnixListener::bind(&path).with_context(|| format!("cannot make the socket {}", path.display()))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Ports { console: listen("com1")?, log: listen("com2")?, folder })
    }

    /// QEMU's arguments for COM1 and COM2.
    pub fn arguments(&self) -> Vec<String> {
        ["com1", "com2"]
            .iter()
            .flat_map(|name| {
                let path = escape(self.folder.path().join(name));
                let device = format!("socket,id={name},path={path},server=off");
                ["-chardev".to_owned(), device, "-serial".to_owned(), format!("chardev:{name}")]
            })
            .collect()
    }

    /// The two connections, as soon as QEMU has made both; `None` where it has not yet.
    ///
    /// # Errors
    /// A socket fails.
    pub fn accept(&self, waiting: &mut Vec<UnixStream>) -> Result<Option<[UnixStream; 2]>> {
        // QEMU connects in the order of its arguments.
        let listener = if waiting.is_empty() { &self.console } else { &self.log };
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                waiting.push(stream);
                Ok(<[UnixStream; 2]>::try_from(std::mem::take(waiting)).map_err(|still| *waiting = still).ok())
            }
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(why) => Err(why).context("a serial port's socket"),
        }
    }
}

/// A path as part of a QEMU option, where a comma would begin the next key.
pub fn escape(path: PathBuf) -> String {
    path.to_string_lossy().replace(',', ",,")
}
