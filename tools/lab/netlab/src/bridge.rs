//! A bridge between two wires, each of them a QEMU or a tap, over a bad wire in each direction.

use crate::impair::{Counters, Impairment, Profile};
use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::cell::Cell;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// How long the bridge sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(20);

/// How long it sleeps at most while frames wait for room. The kernel tells of room, so this only bounds what a frame
/// waits for an end that was replaced meanwhile.
const SHORT_NAP: Duration = Duration::from_millis(1);

/// For how long a frame that has arrived waits for an end that has no room. QEMU's socket holds ten datagrams, so that
/// a burst has to wait; an end that takes nothing for so long is a board without buffers, and loses frames as such a
/// board on a real wire does.
const PATIENCE: Duration = Duration::from_millis(100);

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

/// What became of a frame that was sent to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// The end has it.
    Taken,
    /// The end has no room for it now.
    Later,
    /// There is nobody.
    Lost,
}

/// One end of a bridge, open.
pub enum End {
    /// A socket, where its peer is, and whether it is connected to it. Only a connected socket can be waited for
    /// until the peer has room.
    Datagram(UnixDatagram, PathBuf, Cell<bool>),
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
                Ok(End::Datagram(socket, peer.clone(), Cell::new(false)))
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
            End::Datagram(socket, ..) => socket.as_fd(),
            End::Tap(device) => device.as_fd(),
        }
    }

    fn receive<'b>(&self, buffer: &'b mut [u8]) -> std::io::Result<&'b [u8]> {
        let length = match self {
            End::Datagram(socket, ..) => socket.recv(buffer)?,
            End::Tap(device) => device.recv(buffer)?,
        };
        Ok(&buffer[..length])
    }

    /// Sends a frame.
    fn send(&self, frame: &[u8]) -> Sent {
        let sent = match self {
            End::Datagram(socket, peer, connected) => {
                let mut sent = if connected.get() { socket.send(frame) } else { Err(ErrorKind::NotConnected.into()) };
                // The board is new there, or another one than before.
                if sent.as_ref().is_err_and(|why| why.kind() != ErrorKind::WouldBlock) {
                    sent = socket.connect(peer).and_then(|()| socket.send(frame));
                    connected.set(sent.is_ok());
                }
                sent
            }
            End::Tap(device) => device.send(frame),
        };
        match sent {
            Ok(length) if length == frame.len() => Sent::Taken,
            Err(why) if why.kind() == ErrorKind::WouldBlock => Sent::Later,
            Ok(_) | Err(_) => Sent::Lost,
        }
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
        // Whether frames that have arrived wait for room, at the left end and at the right one.
        let mut waiting = [false; 2];
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let until = |wire: &Impairment, waits: bool| match wire.next_at() {
                _ if waits => SHORT_NAP,
                Some(at) => at.saturating_duration_since(now).min(NAP),
                None => NAP,
            };
            let nap = until(&self.to_left, waiting[0]).min(until(&self.to_right, waiting[1]));
            let time = Timespec { tv_sec: 0, tv_nsec: nap.as_nanos() as _ };
            let interest = |waits| if waits { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let mut waits = [(&self.left, waiting[0]), (&self.right, waiting[1])]
                .map(|(end, waits)| PollFd::from_borrowed_fd(end.descriptor(), interest(waits)));
            match poll(&mut waits, Some(&time)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(why) => return Err(why).context("waiting for frames"),
            }
            for (from, wire) in [(&self.left, &mut self.to_right), (&self.right, &mut self.to_left)] {
                // A bound, so that a flood in one direction does not keep the other one waiting.
                for _ in 0..64 {
                    match from.receive(&mut buffer) {
                        Ok(frame) => wire.put(frame, Instant::now()),
                        Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                        Err(why) if why.kind() == ErrorKind::Interrupted => break,
                        // What a connected socket says once after its peer has gone.
                        Err(why) if why.kind() == ErrorKind::ConnectionReset => break,
                        Err(why) => return Err(why).context("an end of the bridge"),
                    }
                }
            }
            let now = Instant::now();
            waiting = [(&self.left, &mut self.to_left), (&self.right, &mut self.to_right)].map(|(to, wire)| {
                let (waits, lost) = deliver(to, wire, now);
                self.unsent += lost;
                waits
            });
        }
        Ok(())
    }

    /// What became of the frames to the right, of those to the left, and how many an end did not take.
    pub fn counters(&self) -> (Counters, Counters, u64) {
        (self.to_right.counters(), self.to_left.counters(), self.unsent)
    }
}

/// Gives an end what has arrived for it by now. Returns whether some of it has to wait for room, and how many frames
/// the end did not take.
fn deliver(to: &End, wire: &mut Impairment, now: Instant) -> (bool, u64) {
    let mut lost = 0;
    while let Some((frame, at)) = wire.arrived(now) {
        match to.send(frame) {
            Sent::Taken => {}
            Sent::Later if now.saturating_duration_since(at) < PATIENCE => return (true, lost),
            Sent::Later | Sent::Lost => lost += 1,
        }
        // It was looked at above, and is gone now.
        drop(wire.take(now));
    }
    (false, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use std::sync::Arc;
    use std::thread::JoinHandle;

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

    /// A bridge without delays, in a thread that gives its counters when it is stopped, and the two wires to it.
    fn bridged(folder: &Path) -> (Link, Link, Arc<AtomicBool>, JoinHandle<Result<u64>>) {
        let path = |name: &str| folder.join(name);
        let one = Link::between(&path("one"), &path("left")).expect("a socket");
        let two = Link::between(&path("two"), &path("right")).expect("a socket");
        let left = End::open(&Address::Datagram(path("left"), path("one"))).expect("an end");
        let right = End::open(&Address::Datagram(path("right"), path("two"))).expect("an end");
        let mut bridge = Bridge::new(left, right, Profile::default(), Profile::default(), 1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || bridge.run(&stopped).map(|()| bridge.counters().2));
        (one, two, stop, thread)
    }

    #[test]
    fn a_burst_waits_for_an_end_that_is_slow() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, mut two, stop, thread) = bridged(folder.path());
        // Far more than a datagram socket holds. The other end begins late, but soon enough.
        for number in 0..1_000_u32 {
            assert!(one.send(&number.to_be_bytes()).expect("sent"));
        }
        std::thread::sleep(PATIENCE / 4);
        for number in 0..1_000_u32 {
            let frame = two.receive(Instant::now() + Duration::from_secs(10)).expect("no error");
            assert_eq!(frame.as_deref(), Some(&number.to_be_bytes()[..]));
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(thread.join().expect("a thread").expect("no error"), 0);
    }

    #[test]
    fn an_end_that_takes_nothing_loses_and_one_that_comes_back_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two, stop, thread) = bridged(folder.path());
        for number in 0..100_u8 {
            assert!(one.send(&[number]).expect("sent"));
        }
        std::thread::sleep(PATIENCE * 3);
        drop(two);
        std::fs::remove_file(folder.path().join("two")).expect("the old socket");
        assert!(one.send(b"nobody").expect("sent"));
        std::thread::sleep(PATIENCE);
        let mut two = Link::between(&folder.path().join("two"), &folder.path().join("right")).expect("a socket");
        assert!(one.send(b"again").expect("sent"));
        let frame = two.receive(Instant::now() + Duration::from_secs(10)).expect("no error");
        assert_eq!(frame.as_deref(), Some(&b"again"[..]));
        stop.store(true, Ordering::Relaxed);
        let lost = thread.join().expect("a thread").expect("no error");
        assert!((50..=100).contains(&lost), "{lost}");
    }
}
