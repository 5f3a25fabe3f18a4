//! The serial ports as Unix sockets that QEMU connects to.

use anyhow::{Context, Result};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use tempfile::TempDir;

/// The sockets that wait for QEMU: one for each serial port, and one for a monitor where the board is watched for a
/// panic. Their folder goes when this does.
pub struct Ports {
    folder: TempDir,
    console: UnixListener,
    log: UnixListener,
    watch: Option<UnixListener>,
}

impl Ports {
    /// Makes the sockets in a folder of their own.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new(watched: bool) -> Result<Ports> {
        let folder = tempfile::Builder::new().prefix("slopos-").tempdir().context("cannot make a temporary folder")?;
        let listen = |name: &str| -> Result<UnixListener> {
            let path = folder.path().join(name);
            let socket =
                UnixListener::bind(&path).with_context(|| format!("cannot make the socket {}", path.display()))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let watch = if watched { Some(listen("watch")?) } else { None };
        Ok(Ports { console: listen("com1")?, log: listen("com2")?, watch, folder })
    }

    /// QEMU's arguments for COM1 and COM2, and for the watch where there is one.
    pub fn arguments(&self) -> Vec<String> {
        let mut users = vec![("com1", ["-serial", "chardev:com1"]), ("com2", ["-serial", "chardev:com2"])];
        if self.watch.is_some() {
            // First, so that it is connected when the serial ports are.
            users.insert(0, ("watch", ["-mon", "chardev=watch,mode=control"]));
        }
        users
            .into_iter()
            .flat_map(|(name, user)| {
                let path = escape(self.folder.path().join(name));
                let device = format!("socket,id={name},path={path},server=off");
                ["-chardev".to_owned(), device, user[0].to_owned(), user[1].to_owned()]
            })
            .collect()
    }

    /// The connection of the watch. QEMU makes it before those of the serial ports, so it is there when they are.
    ///
    /// # Errors
    /// The socket fails, or there is none.
    pub fn accept_watch(&self) -> Result<UnixStream> {
        let listener = self.watch.as_ref().context("the board is not watched")?;
        listener.set_nonblocking(false)?;
        let (stream, _) = listener.accept().context("the watch's socket")?;
        Ok(stream)
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
