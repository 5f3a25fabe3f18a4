//! A wire to QEMU in lock step with the guest, so that what the guest does does not depend on the host's time.
//!
//! What is sent is kept until the guest's processor waits for an interrupt, and then goes out in one piece. QEMU's
//! `-netdev stream` reads up to 68 KiB at once and gives all the frames in it to the device before the processor can go
//! on. So the guest finds all of them, or none.
//!
//! QEMU does not say when a processor waits; a plugin does (tools/lab/count has one), by a byte to a datagram socket.

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// The most that is sent in one piece, in bytes with the frames' lengths: more than this, the host's kernel splits.
pub const LARGEST_BURST: usize = 32 * 1024;

/// Our end of a wire in lock step.
pub struct Step {
    listener: UnixListener,
    stream: Option<UnixStream>,
    halts: UnixDatagram,
    /// The processor has waited since frames were last sent.
    halted: bool,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    socket: PathBuf,
    halts_at: PathBuf,
    /// Goes with the wire, and the sockets with it.
    _folder: TempDir,
}

impl Step {
    /// A wire in a folder of its own, that a QEMU started with [`Step::netdev`] is at the other end of.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new() -> Result<Step> {
        let folder = tempfile::Builder::new().prefix("netlab-").tempdir().context("cannot make a temporary folder")?;
        let (socket, halts_at) = (folder.path().join("lab"), folder.path().join("halts"));
        let listener = UnixListener::bind(&socket).context("cannot make a socket")?;
        let halts = UnixDatagram::bind(&halts_at).context("cannot make a socket")?;
        listener.set_nonblocking(true)?;
        halts.set_nonblocking(true)?;
        Ok(Step {
            listener,
            stream: None,
            halts,
            halted: false,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            socket,
            halts_at,
            _folder: folder,
        })
    }

    /// QEMU's `-netdev` without its id.
    pub fn netdev(&self) -> String {
        let path = slopos_lab::link::escape(&self.socket);
        format!("stream,server=off,addr.type=unix,addr.path={path}")
    }

    /// Where our socket for frames is, and the one for a byte each time that the processor begins to wait.
    pub fn paths(&self) -> (&Path, &Path) {
        (&self.socket, &self.halts_at)
    }

    /// Keeps a frame until the processor waits. It goes out during the next [`Step::receive`].
    ///
    /// # Errors
    /// More has come together than arrives in one piece.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.outgoing.extend((frame.len() as u32).to_be_bytes());
        self.outgoing.extend(frame);
        if self.outgoing.len() > LARGEST_BURST {
            bail!("{} bytes would not arrive in one piece", self.outgoing.len());
        }
        Ok(())
    }

    /// Sends what was kept, once the processor waits; then gives the next frame. `None` where none comes by `deadline`.
    ///
    /// # Errors
    /// A socket fails, or the board has left the wire.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            // What arrived meanwhile waits: whether it came before or after is up to the host.
            if self.outgoing.is_empty() {
                if let Some(frame) = self.take_frame() {
                    return Ok(Some(frame));
                }
            } else if self.halted && self.flush()? {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.wait(&Timespec::try_from(left).context("a time to wait")?)?;
        }
    }

    /// Waits until something comes, and takes it.
    fn wait(&mut self, limit: &Timespec) -> Result<()> {
        let socket = match &self.stream {
            Some(stream) => PollFd::new(stream, PollFlags::IN),
            None => PollFd::new(&self.listener, PollFlags::IN),
        };
        let mut waits = [socket, PollFd::new(&self.halts, PollFlags::IN)];
        match poll(&mut waits, Some(limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(why).context("waiting for the board"),
        }
        let ready = waits.map(|wait| !wait.revents().is_empty());
        if ready[1] {
            self.halted |= self.take_halts()?;
        }
        if !ready[0] {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else {
            self.stream = Some(self.listener.accept().context("QEMU's connection")?.0);
            return Ok(());
        };
        let mut bytes = [0; 65_536];
        match stream.read(&mut bytes) {
            Ok(0) => bail!("the board has left the wire"),
            Ok(count) => {
                self.incoming.extend(&bytes[..count]);
                Ok(())
            }
            Err(why) => Err(why).context("frames cannot be received"),
        }
    }

    /// Takes the bytes that say that the processor waits. Answers whether there was one.
    fn take_halts(&self) -> Result<bool> {
        let mut any = false;
        loop {
            match self.halts.recv(&mut [0]) {
                Ok(_) => any = true,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(why) => return Err(why).context("the processor's halts"),
            }
        }
    }

    /// Sends what was kept. `false` where the board is not there yet.
    fn flush(&mut self) -> Result<bool> {
        // Halts from before say nothing about what these frames begin.
        self.take_halts()?;
        let Some(stream) = &mut self.stream else { return Ok(false) };
        self.halted = false;
        stream.write_all(&self.outgoing).context("frames cannot be sent")?;
        self.outgoing.clear();
        Ok(true)
    }

    /// The first frame of those that came, where it is whole.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.incoming.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let frame = rest.get(..length)?.to_vec();
        self.incoming.drain(..4 + length);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MOMENT: Duration = Duration::from_millis(50);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// A wire with its other end.
    fn wire() -> (Step, UnixStream, UnixDatagram) {
        let step = Step::new().expect("a wire");
        let board = UnixStream::connect(step.paths().0).expect("connected");
        board.set_read_timeout(Some(MOMENT)).expect("a time-out");
        let halts = UnixDatagram::unbound().expect("a socket");
        halts.connect(step.paths().1).expect("connected");
        (step, board, halts)
    }

    #[test]
    fn frames_wait_until_the_processor_does_and_go_out_together() {
        let (mut step, mut board, halts) = wire();
        step.send(b"one").expect("kept");
        step.send(b"second").expect("kept");
        board.write_all(b"\0\0\0\x02me").expect("sent");
        // The processor runs: nothing moves, not even what came.
        assert_eq!(step.receive(Instant::now() + MOMENT).expect("no failure"), None);
        let mut bytes = [0; 64];
        assert_eq!(board.read(&mut bytes).expect_err("nothing yet").kind(), ErrorKind::WouldBlock);
        halts.send(b"h").expect("said");
        assert_eq!(step.receive(soon()).expect("no failure").as_deref(), Some(b"me".as_slice()));
        let count = board.read(&mut bytes).expect("both");
        assert_eq!(&bytes[..count], b"\0\0\0\x03one\0\0\0\x06second");
        // Each piece needs a halt of its own.
        step.send(b"third").expect("kept");
        assert_eq!(step.receive(Instant::now() + MOMENT).expect("no failure"), None);
        assert!(board.read(&mut bytes).is_err());
    }

    #[test]
    fn a_frame_in_pieces_is_put_together_and_an_end_is_noticed() {
        let (mut step, mut board, _halts) = wire();
        for piece in [b"\0\0".as_slice(), b"\0\x05fr", b"ame\0\0\0\x01"] {
            board.write_all(piece).expect("sent");
        }
        assert_eq!(step.receive(soon()).expect("no failure").as_deref(), Some(b"frame".as_slice()));
        board.write_all(b"x").expect("sent");
        assert_eq!(step.receive(soon()).expect("no failure").as_deref(), Some(b"x".as_slice()));
        drop(board);
        assert!(step.receive(soon()).is_err());
    }

    #[test]
    fn what_would_arrive_in_parts_is_refused() {
        let (mut step, _board, _halts) = wire();
        step.send(&vec![0; LARGEST_BURST - 4]).expect("just fits");
        assert!(step.send(b"").is_err());
    }
}
