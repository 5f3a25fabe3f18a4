//! A bridge between two wires, each of them a QEMU or a tap, over a bad wire in each direction.

use crate::chance::Random;
use crate::impair::{Channel, Counters, Impairments};
use crate::namespace;
use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
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
const ROOM_LIMIT: Duration = Duration::from_millis(100);

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
                let device = match namespace {
                    None => open_tap(name),
                    // The interface stays usable outside.
                    Some(namespace) => namespace::within(namespace, || open_tap(name))?,
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
    /// The left end and the right one, which are those of the channel.
    ends: [End; 2],
    channel: Channel,
    /// What the fates of frames are drawn from: for each direction its own, so that one does not depend on how many
    /// frames there are in the other.
    randoms: [Random; 2],
    began: Instant,
    not_taken: u64,
}

/// What a bridge has to say at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// What became of the frames to the right.
    pub to_right: Counters,
    /// What became of those to the left.
    pub to_left: Counters,
    /// Frames that had arrived and that an end did not take. Nobody asked for that loss.
    pub not_taken: u64,
}

impl Bridge {
    /// A bridge that treats frames so: first those to the right, then those to the left.
    pub fn new(left: End, right: End, impairments: [Impairments; 2], seed: u64) -> Bridge {
        Bridge {
            ends: [left, right],
            channel: Channel::new(impairments),
            randoms: [Random::new(seed), Random::new(!seed)],
            began: Instant::now(),
            not_taken: 0,
        }
    }

    /// Carries frames while `work` goes on, and gives its result.
    ///
    /// # Errors
    /// An end fails, or the work does.
    pub fn during<T>(mut self, work: impl FnOnce() -> Result<T>) -> Result<(T, Carried)> {
        /// Stops the bridge even where the work panics.
        struct AtEnd<'s>(&'s AtomicBool);
        impl Drop for AtEnd<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let at_end = AtEnd(&stop);
            let bridge = scope.spawn(|| self.run(&stop));
            let result = work();
            drop(at_end);
            let carried = bridge.join().map_err(|_| anyhow!("the bridge panicked"))??;
            Ok((result?, carried))
        })
    }

    /// Carries frames until `stop` is set.
    ///
    /// # Errors
    /// An end fails.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Carried> {
        let mut buffer = vec![0; LARGEST_FRAME];
        // Whether frames that have arrived wait for room, at the left end and at the right one.
        let mut waiting = [false; 2];
        while !stop.load(Ordering::Relaxed) {
            self.sleep(waiting)?;
            for (from, end) in self.ends.iter().enumerate() {
                // A bound, so that a flood in one direction does not keep the other one waiting.
                for _ in 0..64 {
                    match end.receive(&mut buffer) {
                        Ok(frame) => {
                            let now = self.began.elapsed().as_micros() as u64;
                            self.channel.send(from, frame, now, &mut self.randoms[from]);
                        }
                        Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                        Err(why) if why.kind() == ErrorKind::Interrupted => break,
                        // What a connected socket says once after its peer has gone.
                        Err(why) if why.kind() == ErrorKind::ConnectionReset => break,
                        Err(why) => return Err(why).context("an end of the bridge"),
                    }
                }
            }
            waiting = [self.deliver(0), self.deliver(1)];
        }
        let (to_right, to_left) = (self.channel.counters(0), self.channel.counters(1));
        Ok(Carried { to_right, to_left, not_taken: self.not_taken })
    }

    /// The channel's time. A frame is on the channel for a microsecond at least, which nobody waits for.
    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64 + 1
    }

    /// Sleeps until there may be something to do: a frame comes or arrives, or an end has room for those that wait.
    fn sleep(&self, waiting: [bool; 2]) -> Result<()> {
        let now = self.now_us();
        let until = |end: usize| match self.channel.next(end) {
            _ if waiting[end] => SHORT_NAP,
            Some((at, _)) => Duration::from_micros(at.saturating_sub(now)).min(NAP),
            None => NAP,
        };
        let nap = until(0).min(until(1));
        let time = Timespec { tv_sec: 0, tv_nsec: nap.as_nanos() as _ };
        let interest = |waits| if waits { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut waits = [0, 1].map(|end| PollFd::from_borrowed_fd(self.ends[end].descriptor(), interest(waiting[end])));
        match poll(&mut waits, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(why) => Err(why).context("waiting for frames"),
        }
    }

    /// Gives an end what has arrived for it by now. Answers whether some of it has to wait for room.
    fn deliver(&mut self, to: usize) -> bool {
        let now = self.now_us();
        while let Some((at, frame)) = self.channel.next(to).filter(|(at, _)| *at <= now) {
            match self.ends[to].send(frame) {
                Sent::Taken => {}
                Sent::Later if Duration::from_micros(now - at) < ROOM_LIMIT => return true,
                Sent::Later | Sent::Lost => self.not_taken += 1,
            }
            // It was looked at above, and is gone now.
            drop(self.channel.take(to, now));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use std::path::Path;

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
        let to_right = Impairments { delay_us: 50_000, ..Impairments::default() };
        let to_left = Impairments { loss: 1000, ..Impairments::default() };
        let bridge = Bridge::new(left, right, [to_right, to_left], 1);
        let exchange = || {
            let begin = Instant::now();
            assert!(one.send(b"there")? && two.send(b"back")?);
            let frame = two.receive(begin + Duration::from_secs(10))?;
            assert_eq!(frame.as_deref(), Some(&b"there"[..]));
            assert!(begin.elapsed() >= Duration::from_millis(50));
            assert_eq!(one.receive(Instant::now() + Duration::from_millis(100))?, None);
            Ok(())
        };
        let ((), Carried { to_right, to_left, not_taken }) = bridge.during(exchange).expect("no error");
        assert_eq!((to_right.arrived, to_left.lost, to_left.arrived, not_taken), (1, 1, 0, 0));
    }

    /// A bridge without delays, and the two wires to it.
    fn bridged(folder: &Path) -> (Link, Link, Bridge) {
        let path = |name: &str| folder.join(name);
        let one = Link::between(&path("one"), &path("left")).expect("a socket");
        let two = Link::between(&path("two"), &path("right")).expect("a socket");
        let left = End::open(&Address::Datagram(path("left"), path("one"))).expect("an end");
        let right = End::open(&Address::Datagram(path("right"), path("two"))).expect("an end");
        (one, two, Bridge::new(left, right, [Impairments::default(); 2], 1))
    }

    #[test]
    fn a_burst_waits_for_an_end_that_is_slow() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, mut two, bridge) = bridged(folder.path());
        let burst = || {
            // Far more than a datagram socket holds. The other end begins late, but soon enough.
            for number in 0..1_000_u32 {
                assert!(one.send(&number.to_be_bytes())?);
            }
            std::thread::sleep(ROOM_LIMIT / 4);
            for number in 0..1_000_u32 {
                let frame = two.receive(Instant::now() + Duration::from_secs(10))?;
                assert_eq!(frame.as_deref(), Some(&number.to_be_bytes()[..]));
            }
            Ok(())
        };
        assert_eq!(bridge.during(burst).expect("no error").1.not_taken, 0);
    }

    #[test]
    fn an_end_that_takes_nothing_loses_and_one_that_comes_back_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two, bridge) = bridged(folder.path());
        let absence = || {
            for number in 0..100_u8 {
                assert!(one.send(&[number])?);
            }
            std::thread::sleep(ROOM_LIMIT * 3);
            drop(two);
            std::fs::remove_file(folder.path().join("two"))?;
            assert!(one.send(b"nobody")?);
            std::thread::sleep(ROOM_LIMIT);
            let mut two = Link::between(&folder.path().join("two"), &folder.path().join("right"))?;
            assert!(one.send(b"again")?);
            let frame = two.receive(Instant::now() + Duration::from_secs(10))?;
            assert_eq!(frame.as_deref(), Some(&b"again"[..]));
            Ok(())
        };
        let lost = bridge.during(absence).expect("no error").1.not_taken;
        assert!((50..=100).contains(&lost), "{lost}");
    }
}
