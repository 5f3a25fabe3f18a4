//! What the commands about the network print.

use core::fmt::{Display, Formatter, Result, Write};
use core::net::Ipv4Addr;
use slopos_abi::Endpoint;
use slopos_abi::info::NetInfo;
use slopos_kernel::time::Duration;

/// The state of the network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// There is none.
    None,
    /// It works.
    Working {
        /// Receive buffers that it has.
        receiving: u16,
        /// Frames that it has not sent yet.
        sending: u16,
    },
    /// It is being reset.
    Resetting,
    /// It does not answer any more.
    Gone {
        /// Seconds until it is tried again.
        next_try_seconds: u64,
    },
    /// It has failed and waits for its next reset.
    Failed {
        /// Seconds until it is tried again.
        next_try_seconds: u64,
    },
}

/// A station's address, as it is written.
struct Mac([u8; 6]);

impl Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Mac([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text of `net`.
pub fn network(info: &NetInfo, device: DeviceState, out: &mut impl Write) -> Result {
    let [a, b, c, d] = info.address;
    let [e, f, g, h] = info.gateway;
    let link = if info.link != 0 { "up" } else { "down" };
    writeln!(out, "link {link} mac {} mtu {}", Mac(info.mac), info.mtu)?;
    match info.lease_seconds {
        0 => writeln!(out, "{NO_LEASE}")?,
        u32::MAX => writeln!(out, "address {a}.{b}.{c}.{d}/{} gateway {e}.{f}.{g}.{h} lease for ever", info.prefix)?,
        seconds => writeln!(out, "address {a}.{b}.{c}.{d}/{} gateway {e}.{f}.{g}.{h} lease {seconds} s", info.prefix)?,
    }
    writeln!(
        out,
        "received {} frames {} bytes, dropped {}",
        info.receive_frames, info.receive_bytes, info.receive_dropped
    )?;
    writeln!(
        out,
        "sent {} frames {} bytes, {} segments again",
        info.transmit_frames, info.transmit_bytes, info.retransmits
    )?;
    match device {
        DeviceState::None => writeln!(out, "no device"),
        DeviceState::Working { receiving, sending } => {
            writeln!(out, "device has {receiving} buffers to receive, {sending} to send")
        }
        DeviceState::Resetting => writeln!(out, "device: resetting"),
        DeviceState::Gone { next_try_seconds } => writeln!(out, "device: gone, next try in {next_try_seconds} s"),
        DeviceState::Failed { next_try_seconds } => writeln!(out, "device: failed, next try in {next_try_seconds} s"),
    }
}

/// Said where no server has given us an address.
const NO_LEASE: &str = "no lease";

/// The lease of our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Bits of the network mask.
    pub prefix: u8,
    /// The gateway, if the server named one.
    pub gateway: Option<Ipv4Addr>,
    /// The server that gave it.
    pub server: Ipv4Addr,
    /// The client's state in RFC 2131 section 4.4.
    pub state: &'static str,
    /// When it is asked for again; `None` where it holds for ever.
    pub deadlines: Option<LeaseDeadlines>,
}

/// How long until a lease is asked for again, and how long it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseDeadlines {
    /// Until its server is asked to renew it (T1).
    pub renew: Duration,
    /// Until any server is asked (T2).
    pub rebind: Duration,
    /// Until the address must not be used any more.
    pub expire: Duration,
}

/// The text of `lease`.
pub fn lease(lease: Option<&Lease>, out: &mut impl Write) -> Result {
    let Some(lease) = lease else { return writeln!(out, "{NO_LEASE}") };
    write!(out, "address {}/{} ", lease.address, lease.prefix)?;
    match lease.gateway {
        Some(gateway) => writeln!(out, "gateway {gateway}")?,
        None => writeln!(out, "no gateway")?,
    }
    writeln!(out, "server {} state {}", lease.server, lease.state)?;
    match lease.deadlines {
        None => writeln!(out, "holds for ever"),
        Some(LeaseDeadlines { renew, rebind, expire }) => {
            let (renew, rebind, expire) = (renew.as_secs(), rebind.as_secs(), expire.as_secs());
            writeln!(out, "renewed in {renew} s, rebound in {rebind} s, ends in {expire} s")
        }
    }
}

/// A neighbour on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its station, as far as it is known.
    pub station: Option<[u8; 6]>,
    /// How sure of it we are, in Linux's word.
    pub state: &'static str,
    /// Whether it is the gateway.
    pub is_gateway: bool,
}

/// A line of `arp`, with the table's head before it if `head` is set; without a neighbour, that there is none.
pub fn neighbour(neighbour: Option<&Neighbour>, head: bool, out: &mut impl Write) -> Result {
    let Some(Neighbour { address, station, state, is_gateway }) = neighbour else {
        return if head { writeln!(out, "no neighbours") } else { Ok(()) };
    };
    if head {
        writeln!(out, "{:<15} {:<17} STATE", "ADDRESS", "STATION")?;
    }
    write!(out, "{address:<15} ")?;
    match station {
        Some(station) => write!(out, "{}", Mac(*station))?,
        None => write!(out, "{:<17}", "-")?,
    }
    writeln!(out, " {state}{}", if *is_gateway { " gateway" } else { "" })
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its state in RFC 9293 section 3.3.2.
    pub state: &'static str,
    /// The peer's end, once it was asked for.
    pub remote: Option<Endpoint>,
    /// The round-trip time, smoothed (SRTT), once it was measured.
    pub round_trip: Option<Duration>,
    /// The congestion window, in bytes.
    pub window: u32,
    /// Segments that were sent again.
    pub retransmissions: u32,
    /// Bytes that the peer has acknowledged.
    pub sent: u64,
    /// Bytes that have arrived in order.
    pub received: u64,
}

/// The head of the table that `sockets` prints.
pub fn connection_head(out: &mut impl Write) -> Result {
    writeln!(
        out,
        "{:<16} {:<12} {:<21} {:>8} {:>10} {:>6} {:>10} {:>10}",
        "PROCESS", "STATE", "REMOTE", "RTT MS", "CWND", "RETR", "SENT", "RECEIVED"
    )
}

/// A line of `sockets`.
pub fn connection(process: &str, connection: &Connection, out: &mut impl Write) -> Result {
    let Connection { state, remote, round_trip, window, retransmissions, sent, received } = connection;
    write!(out, "{process:<16} {state:<12} ")?;
    match remote {
        Some(Endpoint { address, port }) => {
            let mut end = heapless::String::<21>::new();
            write!(end, "{address}:{port}")?;
            write!(out, "{:<21}", end.as_str())?;
        }
        None => write!(out, "{:<21}", "-")?,
    }
    match round_trip.map(Duration::as_micros) {
        Some(micros) => write!(out, " {:>4}.{:03}", micros / 1_000, micros % 1_000)?,
        None => write!(out, " {:>8}", "-")?,
    }
    writeln!(out, " {window:>10} {retransmissions:>6} {sent:>10} {received:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn the_network_report_says_when_there_is_no_lease() {
        let mut text = String::new();
        network(&NetInfo::default(), DeviceState::None, &mut text).unwrap();
        assert!(text.contains("link down") && text.contains("no lease") && text.contains("no device"));
        let info = NetInfo { address: [10, 0, 2, 15], prefix: 24, lease_seconds: 86_400, ..NetInfo::default() };
        text.clear();
        network(&info, DeviceState::Working { receiving: 256, sending: 1 }, &mut text).unwrap();
        assert!(text.ends_with("\ndevice has 256 buffers to receive, 1 to send\n"));
        assert!(text.contains("address 10.0.2.15/24 gateway 0.0.0.0 lease 86400 s"));
    }

    #[test]
    fn the_network_report_says_how_a_device_is_that_does_not_work() {
        for (device, line) in [
            (DeviceState::Resetting, "device: resetting\n"),
            (DeviceState::Gone { next_try_seconds: 60 }, "device: gone, next try in 60 s\n"),
            (DeviceState::Failed { next_try_seconds: 1 }, "device: failed, next try in 1 s\n"),
        ] {
            let mut text = String::new();
            network(&NetInfo::default(), device, &mut text).unwrap();
            assert_eq!(text.lines().last(), line.lines().last());
        }
    }

    #[test]
    fn a_lease_is_told_with_its_deadlines() {
        let [address, gateway, server] = [15, 2, 3].map(|host| Ipv4Addr::new(10, 0, 2, host));
        let seconds = Duration::from_secs;
        let deadlines = LeaseDeadlines { renew: seconds(5), rebind: seconds(8), expire: seconds(10) };
        let known =
            Lease { address, prefix: 24, gateway: Some(gateway), server, state: "BOUND", deadlines: Some(deadlines) };
        let told = |known: Option<&Lease>| {
            let mut text = String::new();
            lease(known, &mut text).unwrap();
            text
        };
        assert_eq!(
            told(Some(&known)),
            "address 10.0.2.15/24 gateway 10.0.2.2\nserver 10.0.2.3 state BOUND\n\
             renewed in 5 s, rebound in 8 s, ends in 10 s\n"
        );
        let lone = told(Some(&Lease { gateway: None, deadlines: None, ..known }));
        assert!(lone.contains(" no gateway\n") && lone.ends_with("holds for ever\n"));
        assert_eq!(told(None), "no lease\n");
    }

    #[test]
    fn neighbours_stand_in_columns() {
        let gateway = Neighbour {
            address: Ipv4Addr::new(10, 0, 2, 2),
            station: Some([0x52, 0x55, 10, 0, 2, 2]),
            state: "REACHABLE",
            is_gateway: true,
        };
        let silent = Neighbour {
            address: Ipv4Addr::new(192, 168, 100, 100),
            station: None,
            state: "INCOMPLETE",
            is_gateway: false,
        };
        let mut text = String::new();
        neighbour(Some(&gateway), true, &mut text).unwrap();
        neighbour(Some(&silent), false, &mut text).unwrap();
        assert_eq!(
            text,
            "ADDRESS         STATION           STATE\n\
             10.0.2.2        52:55:0a:00:02:02 REACHABLE gateway\n\
             192.168.100.100 -                 INCOMPLETE\n"
        );
        text.clear();
        neighbour(None, true, &mut text).unwrap();
        assert_eq!(text, "no neighbours\n");
    }

    #[test]
    fn connections_stand_in_columns_of_one_row() {
        let quiet = Connection {
            state: "CLOSED",
            remote: None,
            round_trip: None,
            window: 14_600,
            retransmissions: 0,
            sent: 0,
            received: 0,
        };
        let busy = Connection {
            state: "SYN-RECEIVED",
            remote: Some(Endpoint { address: Ipv4Addr::new(192, 168, 100, 200), port: 65_535 }),
            round_trip: Some(Duration::from_micros(12_345)),
            window: 1 << 30,
            retransmissions: 12,
            sent: 9_999_999_999,
            received: 1,
        };
        let near = Connection { remote: Some(Endpoint { address: Ipv4Addr::new(10, 0, 2, 2), port: 80 }), ..busy };
        let mut text = String::new();
        connection_head(&mut text).unwrap();
        connection("name_of_16_bytes", &busy, &mut text).unwrap();
        connection("webget", &quiet, &mut text).unwrap();
        connection("webget", &near, &mut text).unwrap();
        let lines: std::vec::Vec<_> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len() && line.len() <= 100), "{text}");
        assert!(
            lines[1].contains(" SYN-RECEIVED 192.168.100.200:65535   12.345 1073741824     12 9999999999"),
            "{text}"
        );
        assert!(lines[2].contains(" CLOSED       -                            -      14600      0"), "{text}");
        assert!(lines[3].contains(" 10.0.2.2:80           "), "{text}");
    }
}
