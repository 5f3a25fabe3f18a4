//! A bridge between two wires, each of them a QEMU or a tap, over a bad wire in each direction.

use crate::impair::{Counters, Impairment, Profile};
use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// How long the bridge sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(20);

/// Room for the largest frame.
const LARGEST_FRAME: usize = 65_536;

/// Names one end of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `dgram:OWN,PEER`: a socket made at the path OWN, which exchanges frames with the one at PEER.
    Datagram(PathBuf, PathBuf),
    /// `tap:NAME` or `tap:NAME@NAMESPACE`: an Ethernet interface of the kernel, in a network namespace made by
    /// `ip netns add`.
    Tap(String, Option<String>),
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Address> {
        match text.split_once(':') {
            Some(("dgram", paths)) => {
                let (own, peer) = paths.split_once(',').context("dgram: wants two paths, OWN,PEER")?;
                Ok(Address::Datagram(own.into(), peer.into()))
            }
            Some(("tap", name)) => Ok(match name.split_once('@') {
                Some((name, namespace)) => Address::Tap(name.to_owned(), Some(namespace.to_owned())),
                None => Address::Tap(name.to_owned(), None),
            }),
            _ => bail!("{text:?} is neither dgram:OWN,PEER nor tap:NAME[@NAMESPACE]"),
        }
    }
}

/// One end of a bridge, open.
pub enum End {
    /// A socket, and where its peer is.
    Datagram(UnixDatagram, PathBuf),
    /// An interface.
    Tap(SyncDevice),
}

impl End {
    /// Opens an end. A tap that is not there yet is made; it goes when the bridge does.
    ///
    /// # Errors
    /// The socket's path is taken, or the interface or its namespace may not be opened.
    pub fn open(address: &Address) -> Result<End> {
        match address {
            Address::Datagram(own, peer) => {
                let socket = UnixDatagram::bind(own).with_context(|| format!("the socket {}", own.display()))?;
                socket.set_nonblocking(true)?;
                Ok(End::Datagram(socket, peer.clone()))
            }
            Address::Tap(name, namespace) => {
                let name = name.clone();
                let device = match namespace {
                    None => open_tap(&name),
                    Some(namespace) => {
                        let path = Path::new("/run/netns").join(namespace);
                        // A thread of its own goes into the namespace; the interface stays usable outside.
                        let thread = std::thread::spawn(move || -> Result<SyncDevice> {
                            let file =
                                File::open(&path).with_context(|| format!("the namespace {}", path.display()))?;
                            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                                .context("the namespace cannot be entered")?;
                            open_tap(&name)
                        });
                        thread.join().map_err(|_| anyhow!("the thread that opens the tap died"))?
                    }
                }?;
                Ok(End::Tap(device))
            }
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            End::Datagram(socket, _) => socket.as_fd(),
            End::Tap(device) => device.as_fd(),
        }
    }

    fn receive<'b>(&self, buffer: &'b mut [u8]) -> std::io::Result<&'b [u8]> {
        let length = match self {
            End::Datagram(socket, _) => socket.recv(buffer)?,
            End::Tap(device) => device.recv(buffer)?,
        };
        Ok(&buffer[..length])
    }

    /// Sends a frame; `false` where the other end does not take it now.
    fn send(&self, frame: &[u8]) -> bool {
        let sent = match self {
            // A board that is not there, or has no buffers, loses frames, as one on a real wire does.
            End::Datagram(socket, peer) => socket.send_to(frame, peer),
            End::Tap(device) => device.send(frame),
        };
        sent.is_ok_and(|length| length == frame.len())
    }
}

fn open_tap(name: &str) -> Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).layer(Layer::L2).build_sync();
    let device = device.with_context(|| format!("the tap {name}"))?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// A bridge: two ends, and what happens to frames on their way.
pub struct Bridge {
    left: End,
    right: End,
    to_right: Impairment,
    to_left: Impairment,
    unsent: u64,
}

impl Bridge {
    /// A bridge whose two directions are as bad as these profiles say.
    pub fn new(left: End, right: End, to_right: Profile, to_left: Profile, seed: u64) -> Bridge {
        let (to_right, to_left) = (Impairment::new(to_right, seed), Impairment::new(to_left, !seed));
        Bridge { left, right, to_right, to_left, unsent: 0 }
    }

    /// Carries frames until `stop` is set.
    ///
    /// # Errors
    /// An end fails.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<()> {
        let mut buffer = vec![0; LARGEST_FRAME];
        while !stop.load(Ordering::Relaxed) {
            let next = [self.to_left.next_at(), self.to_right.next_at()].into_iter().flatten().min();
            let nap = next.map_or(NAP, |at| at.saturating_duration_since(Instant::now()).min(NAP));
            let time = Timespec { tv_sec: 0, tv_nsec: nap.as_nanos() as _ };
            let mut waits =
                [&self.left, &self.right].map(|end| PollFd::from_borrowed_fd(end.descriptor(), PollFlags::IN));
            match poll(&mut waits, Some(&time)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(why) => return Err(why).context("waiting for frames"),
            }
            for (from, wire) in [(&self.left, &mut self.to_right), (&self.right, &mut self.to_left)] {
                // A bound, so that a flood in one direction does not keep the other one waiting.
                for _ in 0..64 {
                    match from.receive(&mut buffer) {
                        Ok(frame) => wire.put(frame, Instant::now()),
                        Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => break,
                        Err(why) if why.kind() == std::io::ErrorKind::Interrupted => break,
                        Err(why) => return Err(why).context("an end of the bridge"),
                    }
                }
            }
            let now = Instant::now();
            for (to, wire) in [(&self.right, &mut self.to_right), (&self.left, &mut self.to_left)] {
                while let Some(frame) = wire.take(now) {
                    self.unsent += u64::from(!to.send(&frame));
                }
            }
        }
        Ok(())
    }

    /// What became of the frames to the right, of those to the left, and how many an end did not take.
    pub fn counters(&self) -> (Counters, Counters, u64) {
        (self.to_right.counters(), self.to_left.counters(), self.unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use std::sync::Arc;

    #[test]
    fn ends_have_names() {
        let parse = |text: &str| text.parse::<Address>().ok();
        assert_eq!(parse("dgram:/a,/b"), Some(Address::Datagram("/a".into(), "/b".into())));
        assert_eq!(parse("tap:t0"), Some(Address::Tap("t0".into(), None)));
        assert_eq!(parse("tap:t0@ns"), Some(Address::Tap("t0".into(), Some("ns".into()))));
        for text in ["", "dgram:/a", "eth0", "vde:/a"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn frames_pass_in_both_directions_and_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let mut one = Link::between(&path("one"), &path("left")).expect("a socket");
        let mut two = Link::between(&path("two"), &path("right")).expect("a socket");
        let left = End::open(&Address::Datagram(path("left"), path("one"))).expect("an end");
        let right = End::open(&Address::Datagram(path("right"), path("two"))).expect("an end");
        let to_right = Profile { delay: Duration::from_millis(50), ..Profile::default() };
        let to_left = Profile { loss: 1000, ..Profile::default() };
        let mut bridge = Bridge::new(left, right, to_right, to_left, 1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || bridge.run(&stopped).map(|()| bridge.counters()));
        let begin = Instant::now();
        assert!(one.send(b"there").expect("sent") && two.send(b"back").expect("sent"));
        let frame = two.receive(begin + Duration::from_secs(10)).expect("received");
        assert_eq!(frame.as_deref(), Some(&b"there"[..]));
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert_eq!(one.receive(Instant::now() + Duration::from_millis(100)).expect("nothing"), None);
        stop.store(true, Ordering::Relaxed);
        let (to_right, to_left, unsent) = thread.join().expect("a thread").expect("no error");
        assert_eq!((to_right.given, to_left.lost, to_left.given, unsent), (1, 1, 0, 0));
    }
}
