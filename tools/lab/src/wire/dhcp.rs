//! DHCP messages (RFC 2131 section 2) with their options (RFC 2132).

use super::bytes::{Mac, array, long, word};
use std::net::Ipv4Addr;

/// Message types (RFC 2132 section 9.6).
pub mod kind {
    /// The client looks for servers.
    pub const DISCOVER: u8 = 1;
    /// A server offers an address.
    pub const OFFER: u8 = 2;
    /// The client takes an offer, or asks to extend a lease.
    pub const REQUEST: u8 = 3;
    /// The client found the address in use.
    pub const DECLINE: u8 = 4;
    /// The server grants.
    pub const ACK: u8 = 5;
    /// The server refuses.
    pub const NAK: u8 = 6;
    /// The client gives the lease back.
    pub const RELEASE: u8 = 7;
}

/// Option codes (RFC 2132).
pub mod code {
    /// The network's mask.
    pub const MASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// The address that the client would like.
    pub const REQUESTED: u8 = 50;
    /// How long a lease is, in seconds.
    pub const LEASE: u8 = 51;
    /// That `file` (1), `sname` (2) or both carry options.
    pub const OVERLOAD: u8 = 52;
    /// The message's type.
    pub const TYPE: u8 = 53;
    /// Which server.
    pub const SERVER: u8 = 54;
    /// T1, in seconds.
    pub const T1: u8 = 58;
    /// T2, in seconds.
    pub const T2: u8 = 59;
}

/// The magic cookie.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    /// 1 from a client, 2 from a server.
    pub operation: u8,
    /// The transaction.
    pub transaction: u32,
    /// Seconds since the client began.
    pub seconds: u16,
    /// Bit 15 asks for answers by broadcast.
    pub flags: u16,
    /// `ciaddr`: the address that the client has.
    pub client: Ipv4Addr,
    /// `yiaddr`: the address that it is given.
    pub yours: Ipv4Addr,
    /// `chaddr`: the client's station.
    pub mac: Mac,
    /// The field `sname`, filled up with zeros.
    pub server_name: Vec<u8>,
    /// The field `file`, filled up with zeros.
    pub file: Vec<u8>,
    /// Codes and values, without padding and end.
    pub options: Vec<(u8, Vec<u8>)>,
}

/// What a server gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The server's address.
    pub server: Ipv4Addr,
    /// The client's.
    pub address: Ipv4Addr,
    /// The router's, if there is one.
    pub router: Option<Ipv4Addr>,
    /// In seconds; `u32::MAX` is for ever.
    pub seconds: u32,
    /// T1 and T2, in seconds; the client's own fractions where there are none.
    pub renewal: Option<(u32, u32)>,
}

impl Lease {
    /// The options that say so, with this message type.
    pub fn options(&self, kind: u8) -> Vec<(u8, Vec<u8>)> {
        let mut options = vec![
            (code::TYPE, vec![kind]),
            (code::SERVER, self.server.octets().to_vec()),
            (code::MASK, vec![255, 255, 255, 0]),
            (code::LEASE, self.seconds.to_be_bytes().to_vec()),
        ];
        if let Some(router) = self.router {
            options.push((code::ROUTER, router.octets().to_vec()));
        }
        if let Some((t1, t2)) = self.renewal {
            options.push((code::T1, t1.to_be_bytes().to_vec()));
            options.push((code::T2, t2.to_be_bytes().to_vec()));
        }
        options
    }
}

impl Dhcp {
    /// A server's answer to a client's message, with these options and nothing given yet.
    pub fn answer(&self, yours: Ipv4Addr, options: Vec<(u8, Vec<u8>)>) -> Dhcp {
        Dhcp {
            operation: 2,
            transaction: self.transaction,
            seconds: 0,
            flags: self.flags,
            client: Ipv4Addr::UNSPECIFIED,
            yours,
            mac: self.mac,
            server_name: Vec::new(),
            file: Vec::new(),
            options,
        }
    }

    /// The type of message that a client's is answered by, where a server answers it.
    pub fn answer_type(&self) -> Option<u8> {
        match self.kind()? {
            kind::DISCOVER => Some(kind::OFFER),
            kind::REQUEST => Some(kind::ACK),
            _ => None,
        }
    }

    /// The value of an option.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(found, _)| *found == code).map(|(_, value)| value.as_slice())
    }

    /// The message's type.
    pub fn kind(&self) -> Option<u8> {
        self.option(code::TYPE)?.first().copied()
    }

    /// An option that holds an address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)?).ok()?))
    }

    /// Options as they stand in a field: with the end, without padding.
    pub fn field(options: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend([*code, value.len() as u8]);
            bytes.extend(value);
        }
        bytes.push(255);
        bytes
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let mut bytes = vec![self.operation, 1, 6, 0];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend(self.seconds.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.client.octets());
        bytes.extend(self.yours.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.mac);
        bytes.extend([0; 10]);
        bytes.extend(&self.server_name);
        bytes.resize(108, 0);
        bytes.extend(&self.file);
        bytes.resize(236, 0);
        bytes.extend(COOKIE);
        bytes.extend(Dhcp::field(&self.options));
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Dhcp, String> {
        if bytes.len() < 300 || bytes[1..3] != [1, 6] || bytes[236..240] != COOKIE {
            return Err(format!("not a DHCP message of at least 300 bytes: {bytes:02x?}"));
        }
        let mut options = Vec::new();
        let mut rest = &bytes[240..];
        loop {
            match rest {
                [255, padding @ ..] if padding.iter().all(|&byte| byte == 0) => break,
                [0, after @ ..] => rest = after,
                [code, length, after @ ..] if *code != 255 && after.len() >= usize::from(*length) => {
                    let (value, after) = after.split_at(usize::from(*length));
                    options.push((*code, value.to_vec()));
                    rest = after;
                }
                _ => return Err(format!("the DHCP options {:02x?}", &bytes[240..])),
            }
        }
        let address = |offset| Ipv4Addr::from(array::<4>(bytes, offset));
        Ok(Dhcp {
            operation: bytes[0],
            transaction: long(bytes, 4),
            seconds: word(bytes, 8),
            flags: word(bytes, 10),
            client: address(12),
            yours: address(16),
            mac: array(bytes, 28),
            server_name: bytes[44..108].to_vec(),
            file: bytes[108..236].to_vec(),
            options,
        })
    }

    pub(super) fn describe(&self) -> String {
        let names = ["?", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE"];
        let name = self.kind().and_then(|kind| names.get(usize::from(kind))).unwrap_or(&"?");
        format!("dhcp {name} xid {:08x} ciaddr {} yiaddr {}", self.transaction, self.client, self.yours)
    }
}
