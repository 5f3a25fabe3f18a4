//! smoltcp as the other end of the link: the gateway, and all servers behind one address.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};

use anyhow::{Result, anyhow};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, CongestionControl, RecvError, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::router::{ROUTER, ROUTER_MAC};
use crate::talker::{Io, Stream};

thread_local! {
    /// The clock that smoltcp reads for its timestamps option, in milliseconds. It asks a function without arguments.
    static CLOCK: Cell<u32> = const { Cell::new(0) };
}

fn clock() -> u32 {
    CLOCK.get()
}

/// How a server's socket behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Bytes of its receive buffer.
    pub receive: usize,
    /// Bytes of its send buffer.
    pub send: usize,
    /// Nagle's algorithm.
    pub nagle: bool,
    /// How long acknowledgements wait, in milliseconds.
    pub ack_delay_ms: Option<u64>,
    /// 0 none, 1 Reno, 2 CUBIC.
    pub congestion: u8,
    /// The timestamps option.
    pub timestamps: bool,
}

/// Frames that the device's queue holds. In some states smoltcp repeats a frame for as long as the queue takes it, so a
/// poll ends only when the queue is full.
const QUEUE: usize = 64;
/// How long it takes until a full queue is empty, in microseconds. Until then the peer rests, whatever else happens:
/// otherwise each event would let smoltcp fill the queue again, and its frames would make more events than time passes.
const DRAIN_US: u64 = 500;
/// The longest rest, in microseconds. A peer whose queue is full of repetitions has nothing to say, and rests for twice
/// as long each time.
const REST_MAX_US: u64 = 1_000_000;

/// When the peer goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    until_us: u64,
    /// How long the last rest was, where it was for repetitions.
    last_us: u64,
}

impl Rest {
    /// These frames have left in one poll.
    fn after(&mut self, leaving: &[Vec<u8>], now_us: u64) {
        if leaving.len() < QUEUE {
            self.last_us = 0;
            return;
        }
        let different = leaving.iter().collect::<BTreeSet<_>>().len();
        if different > QUEUE / 2 {
            self.last_us = 0;
            self.until_us = now_us + DRAIN_US;
        } else {
            self.last_us = (2 * self.last_us).clamp(DRAIN_US, REST_MAX_US);
            self.until_us = now_us + self.last_us;
        }
    }
}

#[derive(Debug)]
struct Port {
    mtu: usize,
    arrived: VecDeque<Vec<u8>>,
    leaving: Vec<Vec<u8>>,
}

struct Arrived(Vec<u8>);

struct Leaving<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let result = work(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leaving<'_>)> {
        if self.leaving.len() >= QUEUE {
            return None;
        }
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), Leaving(&mut self.leaving)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        (self.leaving.len() < QUEUE).then_some(Leaving(&mut self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

fn instant(now_us: u64) -> Instant {
    Instant::from_micros(now_us as i64)
}

/// The other end.
pub struct Server {
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    rest: Rest,
}

impl Server {
    /// A station with the router's addresses. `mtu` is that of its frames, Ethernet header included, in bytes.
    ///
    /// # Errors
    /// Where smoltcp cannot hold the address.
    pub fn new(seed: u64, mtu: usize) -> Result<Self> {
        let mut port = Port { mtu, arrived: VecDeque::new(), leaving: Vec::new() };
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(ROUTER_MAC)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        let [a, b, c, d] = ROUTER.octets();
        let mut full = false;
        interface.update_ip_addrs(|addresses| {
            full = addresses.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24)).is_err();
        });
        anyhow::ensure!(!full, "smoltcp has no room for an address");
        Ok(Server { interface, port, sockets: SocketSet::new(Vec::new()), rest: Rest::default() })
    }

    /// A socket that waits for one connection.
    ///
    /// # Errors
    /// Where smoltcp does not want to listen.
    pub fn listen(&mut self, port: u16, habits: &Habits) -> Result<SocketHandle> {
        let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
        let mut socket = tcp::Socket::new(buffer(habits.receive), buffer(habits.send));
        socket.set_nagle_enabled(habits.nagle);
        socket.set_ack_delay(habits.ack_delay_ms.map(Duration::from_millis));
        socket.set_congestion_control(match habits.congestion {
            0 => CongestionControl::None,
            1 => CongestionControl::Reno,
            _ => CongestionControl::Cubic,
        });
        socket.set_tsval_generator(habits.timestamps.then_some(clock));
        socket.listen(port).map_err(|error| anyhow!("smoltcp does not listen: {error}"))?;
        Ok(self.sockets.add(socket))
    }

    /// A frame arrives.
    pub fn deliver(&mut self, frame: Vec<u8>) {
        self.port.arrived.push_back(frame);
    }

    /// Does all that needs no time to pass, and gives the frames that leave; nothing while its queue is full.
    pub fn poll(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        if now_us < self.rest.until_us {
            return Vec::new();
        }
        CLOCK.set((now_us / 1_000) as u32);
        self.interface.poll(instant(now_us), &mut self.port, &mut self.sockets);
        let leaving = std::mem::take(&mut self.port.leaving);
        self.rest.after(&leaving, now_us);
        leaving
    }

    /// When it must be polled, in microseconds.
    pub fn deadline_us(&mut self, now_us: u64) -> Option<u64> {
        if now_us < self.rest.until_us {
            // There may be more to send, or frames that nobody has looked at.
            return Some(self.rest.until_us);
        }
        let at = self.interface.poll_at(instant(now_us), &self.sockets)?;
        Some(at.total_micros().max(0) as u64)
    }

    /// One of its sockets, as a stream.
    pub fn stream(&mut self, handle: SocketHandle) -> ServerStream<'_> {
        ServerStream { socket: self.sockets.get_mut(handle) }
    }
}

/// One socket of smoltcp's, as a stream.
pub struct ServerStream<'s> {
    socket: &'s mut tcp::Socket<'static>,
}

impl ServerStream<'_> {
    /// Where its connection stands.
    pub fn state(&self) -> State {
        self.socket.state()
    }

    /// Whether it has something that the peer has not acknowledged.
    pub fn has_more(&self) -> bool {
        self.socket.send_queue() > 0
    }

    /// Whether there is no connection yet.
    pub fn is_early(&self) -> bool {
        matches!(self.socket.state(), State::Listen | State::SynReceived)
    }
}

impl Stream for ServerStream<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<Io> {
        Ok(match self.socket.recv_slice(out) {
            Ok(0) => Io::Nothing,
            Ok(count) => Io::Bytes(count),
            Err(RecvError::Finished) => Io::End,
            Err(RecvError::InvalidState) => Io::Gone,
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<Io> {
        Ok(match self.socket.send_slice(data) {
            Ok(0) => Io::Nothing,
            Ok(count) => Io::Bytes(count),
            Err(_) => Io::Gone,
        })
    }

    fn finish(&mut self) {
        self.socket.close();
    }

    fn close(&mut self) {
        self.socket.close();
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

#[cfg(test)]
mod tests;
