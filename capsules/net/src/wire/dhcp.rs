//! DHCP messages on the wire (RFC 2131 section 2), as the payload of a UDP datagram.
//!
//! ```text
//! 0    1       2      3      4     8      10      12       16       20       24       28        44      108    236
//! | op | htype | hlen | hops | xid | secs | flags | ciaddr | yiaddr | siaddr | giaddr | chaddr | sname | file | options
//! ```

use core::net::Ipv4Addr;

pub mod options;

use crate::MacAddress;
use options::{ClientIdentifier, Malformed, Options, Reader, Writer, code};

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// Bytes before the magic cookie.
const FIXED_BYTES: usize = 236;
/// What tells DHCP options from other vendors' areas (RFC 1497).
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Messages are filled up to this length: old relays drop shorter ones (RFC 1542 2.1).
pub const MESSAGE_BYTES: usize = 300;

/// What kind of message it is (RFC 2132 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum MessageType {
    /// The client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// The client takes an offer, or asks to extend a lease.
    Request = 3,
    /// The client found the address in use.
    Decline = 4,
    /// The server grants the lease.
    Ack = 5,
    /// The server refuses it.
    Nak = 6,
    /// The client gives the lease back.
    Release = 7,
}

/// A message from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerMessage {
    /// OFFER, ACK or NAK.
    pub kind: MessageType,
    /// The transaction that is answered.
    pub transaction: u32,
    /// The station that is answered.
    pub station: MacAddress,
    /// The address that is offered or granted.
    pub your_address: Ipv4Addr,
    /// Whether a relay agent carried it (`giaddr` is not zero).
    pub relayed: bool,
    /// What else the message says.
    pub options: Options,
}

impl ServerMessage {
    /// Reads a server's message.
    ///
    /// # Errors
    /// [`Malformed`] where it is too short, has no magic cookie, is not a server's OFFER, ACK or NAK to an Ethernet
    /// station, or an option runs out of its field.
    pub fn parse(bytes: &[u8]) -> Result<ServerMessage, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Malformed)?;
        let (cookie, field) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let [op, hardware_type, hardware_length, _, x0, x1, x2, x3, rest @ ..] = fixed;
        // BOOTREPLY, Ethernet, addresses of six bytes.
        if [*op, *hardware_type, *hardware_length] != [2, 1, 6] || *cookie != MAGIC_COOKIE {
            return Err(Malformed);
        }
        let [_, _, _, _, _, _, _, _, y0, y1, y2, y3, _, _, _, _, g0, g1, g2, g3, h0, h1, h2, h3, h4, h5, ..] = rest;
        let mut reader = Reader::new();
        reader.read(field)?;
        // RFC 2131 4.1: first the options field, then `file`, then `sname`.
        let overload = reader.overload()?;
        if overload & 1 != 0 {
            reader.read(&fixed[108..236])?;
        }
        if overload & 2 != 0 {
            reader.read(&fixed[44..108])?;
        }
        let options = reader.finish()?;
        let kind = match options.message_type {
            Some(2) => MessageType::Offer,
            Some(5) => MessageType::Ack,
            Some(6) => MessageType::Nak,
            _ => return Err(Malformed),
        };
        Ok(ServerMessage {
            kind,
            transaction: u32::from_be_bytes([*x0, *x1, *x2, *x3]),
            station: MacAddress([*h0, *h1, *h2, *h3, *h4, *h5]),
            your_address: Ipv4Addr::from_octets([*y0, *y1, *y2, *y3]),
            relayed: [*g0, *g1, *g2, *g3] != [0; 4],
            options,
        })
    }
}

/// A message of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientMessage {
    /// DISCOVER, REQUEST, DECLINE or RELEASE.
    pub kind: MessageType,
    /// The transaction.
    pub transaction: u32,
    /// Seconds since the client began to look for an address.
    pub seconds: u16,
    /// The address that the client has and answers ARP for, else 0.0.0.0 (`ciaddr`).
    pub client_address: Ipv4Addr,
    /// Our station address.
    pub mac: MacAddress,
    /// The address that the client would like to have, or declines.
    pub requested: Option<Ipv4Addr>,
    /// The server that is meant.
    pub server: Option<Ipv4Addr>,
}

impl ClientMessage {
    /// Writes the message at the start of `out` and returns its length, [`MESSAGE_BYTES`].
    ///
    /// `None` where it does not fit. The broadcast flag stays clear: we take any unicast frame for our station,
    /// whatever IP address is in it.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let out = out.first_chunk_mut::<MESSAGE_BYTES>()?;
        out.fill(0);
        out[0..3].copy_from_slice(&[1, 1, 6]);
        out[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        out[8..10].copy_from_slice(&self.seconds.to_be_bytes());
        out[12..16].copy_from_slice(&self.client_address.octets());
        out[28..34].copy_from_slice(&self.mac.0);
        out[FIXED_BYTES..FIXED_BYTES + 4].copy_from_slice(&MAGIC_COOKIE);
        let mut options = Writer::new(&mut out[FIXED_BYTES + 4..]);
        options.option(code::MESSAGE_TYPE, &[self.kind as u8])?;
        options.option(code::CLIENT_IDENTIFIER, ClientIdentifier::of(self.mac).bytes())?;
        if let Some(address) = self.requested {
            options.option(code::REQUESTED_ADDRESS, &address.octets())?;
        }
        if let Some(server) = self.server {
            options.option(code::SERVER_IDENTIFIER, &server.octets())?;
        }
        if matches!(self.kind, MessageType::Discover | MessageType::Request) {
            let wanted = [
                code::SUBNET_MASK,
                code::ROUTER,
                code::LEASE_TIME,
                code::SERVER_IDENTIFIER,
                code::RENEWAL_TIME,
                code::REBINDING_TIME,
            ];
            options.option(code::PARAMETER_REQUEST, &wanted)?;
        }
        options.end()?;
        Some(MESSAGE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    /// A server's message with these options, and the fields `sname` and `file` as given.
    fn reply(options: &[u8], sname: &[u8], file: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes[0..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes[28..34].copy_from_slice(&MAC.0);
        bytes[44..44 + sname.len()].copy_from_slice(sname);
        bytes[108..108 + file.len()].copy_from_slice(file);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn an_offer_is_read() {
        let offer = ServerMessage::parse(&reply(&[53, 1, 2, 51, 4, 0, 1, 0x51, 0x80, 255], &[], &[])).unwrap();
        assert_eq!(offer.kind, MessageType::Offer);
        assert_eq!(offer.transaction, 0xdead_beef);
        assert_eq!(offer.station, MAC);
        assert_eq!(offer.your_address, Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!(offer.options.lease_seconds, Some(86_400));
    }

    #[test]
    fn what_a_relay_carried_says_so() {
        let mut bytes = reply(&[53, 1, 2, 255], &[], &[]);
        assert!(!ServerMessage::parse(&bytes).unwrap().relayed);
        bytes[27] = 1;
        assert!(ServerMessage::parse(&bytes).unwrap().relayed);
    }

    #[test]
    fn overloaded_fields_carry_options_too() {
        let (file, sname) = ([54, 4, 10, 0, 2, 2, 255], [1, 4, 255, 255, 255, 0, 255]);
        let parse =
            |overload| ServerMessage::parse(&reply(&[52, 1, overload, 53, 1, 5, 255], &sname, &file)).unwrap().options;
        let (server, mask) = (Some(Ipv4Addr::new(10, 0, 2, 2)), Some(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!((parse(1).server, parse(1).mask), (server, None));
        assert_eq!((parse(2).server, parse(2).mask), (None, mask));
        assert_eq!((parse(3).server, parse(3).mask), (server, mask));
    }

    #[test]
    fn the_message_type_may_be_in_an_overloaded_field() {
        assert!(ServerMessage::parse(&reply(&[52, 1, 1, 255], &[], &[53, 1, 6, 255])).is_ok());
    }

    #[test]
    fn an_option_that_runs_out_of_an_overloaded_field_is_malformed() {
        let mut file = [0; 128];
        file[126..].copy_from_slice(&[12, 40]);
        assert_eq!(ServerMessage::parse(&reply(&[52, 1, 1, 53, 1, 5, 255], &[], &file)), Err(Malformed));
    }

    #[test]
    fn only_servers_messages_on_ethernet_are_read() {
        let good = reply(&[53, 1, 2, 255], &[], &[]);
        for (offset, value) in [(0, 1), (1, 6), (2, 16), (FIXED_BYTES, 0)] {
            let mut bytes = good.clone();
            bytes[offset] = value;
            assert_eq!(ServerMessage::parse(&bytes), Err(Malformed), "byte {offset}");
        }
        for kind in [0, 1, 3, 4, 7, 8, 255] {
            assert_eq!(ServerMessage::parse(&reply(&[53, 1, kind], &[], &[])), Err(Malformed), "kind {kind}");
        }
        assert_eq!(ServerMessage::parse(&reply(&[255], &[], &[])), Err(Malformed), "BOOTP, no message type");
        for length in 0..FIXED_BYTES + 4 {
            assert_eq!(ServerMessage::parse(&good[..length]), Err(Malformed));
        }
    }

    #[test]
    fn a_request_is_300_bytes_and_says_who_and_what() {
        let request = ClientMessage {
            kind: MessageType::Request,
            transaction: 0x0102_0304,
            seconds: 7,
            client_address: Ipv4Addr::UNSPECIFIED,
            mac: MAC,
            requested: Some(Ipv4Addr::new(10, 0, 2, 15)),
            server: Some(Ipv4Addr::new(10, 0, 2, 2)),
        };
        let mut out = [0xff; 400];
        assert_eq!(request.emit(&mut out), Some(MESSAGE_BYTES));
        assert_eq!(out[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 7, 0, 0]);
        assert_eq!(out[28..34], MAC.0);
        assert_eq!(out[236..243], [99, 130, 83, 99, 53, 1, 3]);
        assert_eq!(out[243..252], [61, 7, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(out[252..264], [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]);
        assert_eq!(out[272..300], [&[255][..], &[0; 27]].concat());
        assert_eq!(request.emit(&mut [0; MESSAGE_BYTES - 1]), None);
    }
}
