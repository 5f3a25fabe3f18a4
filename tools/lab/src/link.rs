//! A wire to QEMU: its `-netdev dgram` and a Unix datagram socket, one Ethernet frame per datagram.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Room for the largest frame that a datagram carries.
const LARGEST_FRAME: usize = 65_536;

/// How long a board may leave its frames untaken before a send fails: longer than any board without buffers.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// Our end of a wire.
pub struct Link {
    socket: UnixDatagram,
    own: PathBuf,
    peer: PathBuf,
    buffer: Vec<u8>,
    /// Goes with the link, and the sockets with it.
    _folder: Option<TempDir>,
}

impl Link {
    /// A wire in a folder of its own, that a QEMU started with [`Link::netdev`] is at the other end of.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new() -> Result<Link> {
        let folder = tempfile::Builder::new().prefix("lab-").tempdir().context("cannot make a temporary folder")?;
        let (own, peer) = (folder.path().join("lab"), folder.path().join("board"));
        let mut link = Link::between(&own, &peer)?;
        link._folder = Some(folder);
        Ok(link)
    }

    /// A wire between a socket that is made at `own` and one that is, or will be, at `peer`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn between(own: &Path, peer: &Path) -> Result<Link> {
        let socket = UnixDatagram::bind(own).with_context(|| format!("cannot make the socket {}", own.display()))?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        let (own, peer) = (own.to_owned(), peer.to_owned());
        Ok(Link { socket, own, peer, buffer: vec![0; LARGEST_FRAME], _folder: None })
    }

    /// QEMU's `-netdev` without its id.
    pub fn netdev(&self) -> String {
        netdev(&self.peer, &self.own)
    }

    /// Where the sockets are: ours, and the board's.
    pub fn paths(&self) -> (&Path, &Path) {
        (&self.own, &self.peer)
    }

    /// Sends a frame. `false` where nobody is at the other end.
    ///
    /// # Errors
    /// The other end is there and does not take it.
    pub fn send(&self, frame: &[u8]) -> Result<bool> {
        match self.socket.send_to(frame, &self.peer) {
            Ok(length) if length == frame.len() => Ok(true),
            Ok(length) => bail!("of {} bytes of a frame {length} were sent", frame.len()),
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(false),
            Err(why) => Err(why).context("a frame cannot be sent"),
        }
    }

    /// The next frame; `None` where none comes by `deadline`.
    ///
    /// # Errors
    /// The socket fails.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        // A time-out of zero would be none at all.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        self.socket.set_read_timeout(Some(left))?;
        match self.socket.recv(&mut self.buffer) {
            Ok(length) => Ok(Some(self.buffer[..length].to_vec())),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(why) if why.kind() == ErrorKind::Interrupted => Ok(None),
            Err(why) => Err(why).context("frames cannot be received"),
        }
    }
}

/// A path as a value among QEMU's options, where a comma would begin the next key.
pub fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// QEMU's `-netdev`, without its id, for a board that has its socket at `own` and its peer's at `peer`.
pub fn netdev(own: &Path, peer: &Path) -> String {
    let (local, remote) = (escape(own), escape(peer));
    format!("dgram,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_both_ways_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        let one = Link::between(&left, &right).expect("a socket");
        assert!(!one.send(b"early").expect("not an error"), "nobody is there yet");
        let mut two = Link::between(&right, &left).expect("a socket");
        for length in [0, 1, 1514, 65_000] {
            let frame = vec![7; length];
            assert!(one.send(&frame).expect("sent"));
            assert_eq!(two.receive(Instant::now() + SEND_LIMIT).expect("received"), Some(frame));
        }
        assert_eq!(two.receive(Instant::now()).expect("nothing"), None);
    }

    #[test]
    fn a_netdev_names_both_sockets() {
        let expected = "dgram,local.type=unix,local.path=/c,remote.type=unix,remote.path=/a,,b";
        assert_eq!(netdev(Path::new("/c"), Path::new("/a,b")), expected);
    }
}
