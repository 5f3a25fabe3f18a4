//! A board's network, played by a script: the router, the DHCP server, and everybody else.
//!
//! What the script does not care about goes by itself: ARP requests are answered for everything that is in
//! [`Lab::stations`], and DHCP by [`Lab::lease`]. A script that wants to answer itself empties them and finds the
//! frames among those that it waits for.

use crate::step::Step;
use anyhow::Result;
use slopos_lab::link::Link;
use slopos_lab::wire::dhcp::Lease;
use slopos_lab::wire::ipv4::{Body, DO_NOT_FRAGMENT};
use slopos_lab::wire::{Arp, Dhcp, Frame, Ipv4, Mac, Payload, Tcp, describe};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

/// The address that the board gets unless the script says otherwise.
pub const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The router, which is the DHCP server as well.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The router's station.
pub const ROUTER_MAC: Mac = [0x52, 0x55, 0x0a, 0, 2, 2];
/// The board's station: what QEMU gives to its first network device.
pub const BOARD_MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// A web server behind the router.
pub const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

/// How long a script waits for what must come soon: a slow machine that does other things too.
pub const SOON: Duration = Duration::from_secs(20);

/// A board's network.
pub struct Lab {
    wire: Wire,
    began: Instant,
    transcript: Vec<String>,
    /// Who answers ARP requests for which address.
    pub stations: Vec<(Ipv4Addr, Mac)>,
    /// What DISCOVER and REQUEST are answered with.
    pub lease: Option<Lease>,
}

/// What carries the frames.
enum Wire {
    /// As fast as the host can.
    Free(Link),
    /// In lock step with the guest.
    InStep(Step),
}

impl Wire {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        match self {
            // A board that is not there does not hear.
            Wire::Free(link) => link.send(frame).map(drop),
            Wire::InStep(step) => step.send(frame),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        match self {
            Wire::Free(link) => link.receive(deadline),
            Wire::InStep(step) => step.receive(deadline),
        }
    }
}

/// A frame of the board's, and when it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// What.
    pub frame: Frame,
}

impl Lab {
    /// A network with the router, which gives the board [`BOARD`] for an hour.
    #[expect(clippy::new_without_default, reason = "it makes files and waits for a board; that is no default")]
    pub fn new() -> Lab {
        Lab::over(Link::new().map(Wire::Free))
    }

    /// The same, but what is sent waits until the guest's processor does ([`Step`]). Nothing is sent before the script
    /// waits for a frame.
    pub fn in_step() -> Lab {
        Lab::over(Step::new().map(Wire::InStep))
    }

    fn over(wire: Result<Wire>) -> Lab {
        let wire = wire.unwrap_or_else(|why| panic!("{why:#}"));
        let lease = Lease { server: ROUTER, address: BOARD, router: Some(ROUTER), seconds: 3600, renewal: None };
        let stations = vec![(ROUTER, ROUTER_MAC)];
        Lab { wire, began: Instant::now(), transcript: Vec::new(), stations, lease: Some(lease) }
    }

    /// QEMU's `-netdev` without its id.
    pub fn netdev(&self) -> String {
        match &self.wire {
            Wire::Free(link) => link.netdev(),
            Wire::InStep(step) => step.netdev(),
        }
    }

    /// Where our socket is, and where the board's is to be; in lock step, see [`Step::paths`].
    pub fn paths(&self) -> (&Path, &Path) {
        match &self.wire {
            Wire::Free(link) => link.paths(),
            Wire::InStep(step) => step.paths(),
        }
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.note("lab  ", &describe(bytes));
        if let Err(why) = self.wire.send(bytes) {
            panic!("{why:#}\n{}", self.transcript());
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.emit());
    }

    /// Sends an ARP packet from its sender's station.
    pub fn send_arp(&mut self, destination: Mac, arp: Arp) {
        self.send(&Frame { destination, source: arp.sender_mac, payload: Payload::Arp(arp) });
    }

    /// Sends a packet through the router.
    pub fn send_ipv4(&mut self, packet: Ipv4) {
        self.send(&routed(packet));
    }

    /// Sends a segment through the router.
    pub fn send_tcp(&mut self, source: Ipv4Addr, destination: Ipv4Addr, segment: Tcp) {
        self.send_ipv4(Ipv4::new(source, destination, Body::Tcp(segment)));
    }

    /// Sends a server's DHCP message, by broadcast or to the address in it.
    pub fn send_dhcp(&mut self, server: Ipv4Addr, message: Dhcp, broadcast: bool) {
        self.send(&Frame::of_dhcp(message, server, ROUTER_MAC, broadcast));
    }

    /// The board's next frame that is not answered by itself; `None` where none comes by `deadline`.
    pub fn next(&mut self, deadline: Instant) -> Option<Seen> {
        loop {
            let bytes = match self.wire.receive(deadline) {
                Ok(Some(bytes)) => bytes,
                Ok(None) if Instant::now() < deadline => continue,
                Ok(None) => return None,
                Err(why) => panic!("{why:#}"),
            };
            let at = Instant::now();
            let frame = match Frame::parse(&bytes).and_then(|frame| as_a_host_should(&frame).map(|()| frame)) {
                Ok(frame) => frame,
                Err(why) => panic!("the board sent a bad frame: {why}\n{bytes:02x?}\n{}", self.transcript()),
            };
            self.note("board", &frame.describe());
            if !self.answer(&frame) {
                return Some(Seen { at, frame });
            }
        }
    }

    /// Waits for a frame for which `choose` gives something. Others are passed over.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, limit: Duration, mut choose: impl FnMut(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        while let Some(seen) = self.next(deadline) {
            if let Some(chosen) = choose(&seen) {
                return chosen;
            }
        }
        panic!("{what} did not come within {limit:?}\n{}", self.transcript());
    }

    /// Everything that comes within a time and is not answered by itself.
    pub fn during(&mut self, span: Duration) -> Vec<Seen> {
        let deadline = Instant::now() + span;
        std::iter::from_fn(|| self.next(deadline)).collect()
    }

    /// Waits for a DHCP message of this type.
    #[track_caller]
    pub fn wait_dhcp(&mut self, wanted: u8, limit: Duration) -> (Instant, Frame, Dhcp) {
        self.wait(&format!("a DHCP message of type {wanted}"), limit, |seen| {
            let message = seen.frame.dhcp().filter(|message| message.kind() == Some(wanted))?;
            Some((seen.at, seen.frame.clone(), message.clone()))
        })
    }

    /// Waits for an ARP packet that `choose` accepts.
    #[track_caller]
    pub fn wait_arp(&mut self, what: &str, limit: Duration, choose: impl Fn(&Arp) -> bool) -> (Instant, Frame) {
        self.wait(what, limit, |seen| {
            seen.frame.arp().filter(|arp| choose(arp))?;
            Some((seen.at, seen.frame.clone()))
        })
    }

    /// All frames of both sides with their times, for a person.
    pub fn transcript(&self) -> String {
        let skipped = self.transcript.len().saturating_sub(400);
        let cut = if skipped > 0 { format!("({skipped} earlier frames)\n") } else { String::new() };
        format!("--- wire\n{cut}{}", self.transcript[skipped..].join("\n"))
    }

    fn note(&mut self, who: &str, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        self.transcript.push(format!("{at:8.3} {who} {what}"));
    }

    /// Answers what is answered by itself; says whether the frame was of that kind.
    fn answer(&mut self, frame: &Frame) -> bool {
        let answer = |&(address, mac): &(Ipv4Addr, Mac)| frame.arp()?.answer(address, mac);
        if let Some(reply) = self.stations.iter().find_map(answer) {
            self.send_arp(reply.target_mac, reply);
            return true;
        }
        if let Some(message) = frame.dhcp()
            && let Some(lease) = self.lease.clone()
            && let Some(kind) = message.answer_type()
        {
            let message = message.answer(lease.address, lease.options(kind));
            self.send_dhcp(lease.server, message, false);
            return true;
        }
        false
    }
}

/// A frame from the router to the board.
pub fn routed(packet: Ipv4) -> Frame {
    Frame { destination: BOARD_MAC, source: ROUTER_MAC, payload: Payload::Ipv4(packet) }
}

/// What holds for every frame of the board, whatever it is about.
fn as_a_host_should(frame: &Frame) -> Result<(), String> {
    if frame.source != BOARD_MAC {
        return Err(format!("the source {:02x?} is not the board", frame.source));
    }
    match &frame.payload {
        Payload::Arp(arp) if arp.sender_mac != BOARD_MAC => Err("another station's address in ARP".to_owned()),
        Payload::Arp(_) => Ok(()),
        Payload::Ipv4(packet) if packet.ttl != 64 => Err(format!("the time to live is {}", packet.ttl)),
        Payload::Ipv4(packet) if packet.fragment != DO_NOT_FRAGMENT => Err(format!("flags {:04x}", packet.fragment)),
        Payload::Ipv4(packet) if !packet.options.is_empty() => Err("IPv4 options".to_owned()),
        Payload::Ipv4(Ipv4 { body: Body::Other(protocol, _), .. }) => Err(format!("the protocol {protocol}")),
        Payload::Ipv4(_) => Ok(()),
        Payload::Other(kind, _) => Err(format!("the type {kind:04x}")),
    }
}
