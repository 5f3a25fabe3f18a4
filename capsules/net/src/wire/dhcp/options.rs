//! DHCP options (RFC 2132): one byte of code, one of length, then the value.

use core::net::Ipv4Addr;

use crate::MacAddress;

/// Option codes of RFC 2132 that this client reads or writes.
pub mod code {
    /// Fills space; has no length.
    pub const PAD: u8 = 0;
    /// Network mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, the preferred one first.
    pub const ROUTER: u8 = 3;
    /// The address that the client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Seconds of the lease; all ones for ever.
    pub const LEASE_TIME: u8 = 51;
    /// The fields `file` and `sname` carry options too.
    pub const OVERLOAD: u8 = 52;
    /// What kind of message this is.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Which server speaks, or is spoken to.
    pub const SERVER_IDENTIFIER: u8 = 54;
    /// Which options the client would like to have.
    pub const PARAMETER_REQUEST: u8 = 55;
    /// Seconds until the client should ask its server to extend the lease (T1).
    pub const RENEWAL_TIME: u8 = 58;
    /// Seconds until it should ask any server (T2).
    pub const REBINDING_TIME: u8 = 59;
    /// Who the client is.
    pub const CLIENT_IDENTIFIER: u8 = 61;
    /// Ends the options; has no length.
    pub const END: u8 = 255;
}

/// An option runs out of the field that it is in, or its value has the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Malformed;

/// The options that matter to a client.
///
/// An option that is too long for one instance comes in several, anywhere in the message; their values are put together
/// in order (RFC 3396). Where a whole value is there already, a further instance is a repetition and is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What kind of message this is; a number of [`super::MessageType`] or an unknown one.
    pub message_type: Option<u8>,
    /// Which server speaks.
    pub server: Option<Ipv4Addr>,
    /// Network mask.
    pub mask: Option<Ipv4Addr>,
    /// The preferred router.
    pub router: Option<Ipv4Addr>,
    /// Lease time in seconds.
    pub lease_seconds: Option<u32>,
    /// T1 in seconds.
    pub renewal_seconds: Option<u32>,
    /// T2 in seconds.
    pub rebinding_seconds: Option<u32>,
    /// Which of the fields `file` (1), `sname` (2) or both (3) carry options too.
    pub overload: Option<u8>,
    /// Which client the server means, where it says so (RFC 6842).
    pub client: Option<ClientIdentifier>,
}

/// A client identifier (RFC 2132 section 9.14), as far as it takes to tell ours from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIdentifier {
    /// Its first bytes; zeros behind its end.
    start: [u8; ClientIdentifier::OURS],
    length: usize,
}

impl ClientIdentifier {
    /// Bytes of ours: the hardware type, and the address.
    const OURS: usize = 7;

    /// The identifier of a client with this station: hardware type Ethernet (1), then the address.
    pub const fn of(station: MacAddress) -> Self {
        let [a, b, c, d, e, f] = station.0;
        ClientIdentifier { start: [1, a, b, c, d, e, f], length: ClientIdentifier::OURS }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.start
    }
}

/// A value of `N` bytes that is being put together from the instances of its option.
#[derive(Clone, Copy, Debug)]
struct Value<const N: usize> {
    bytes: [u8; N],
    /// Bytes seen so far, which may be more than are kept.
    length: usize,
}

impl<const N: usize> Value<N> {
    const fn new() -> Self {
        Value { bytes: [0; N], length: 0 }
    }

    fn append(&mut self, value: &[u8]) {
        if let Some(free) = self.bytes.get_mut(self.length..) {
            for (to, from) in free.iter_mut().zip(value) {
                *to = *from;
            }
        }
        self.length = self.length.saturating_add(value.len());
    }

    /// Appends unless the value is whole already.
    fn append_once(&mut self, value: &[u8]) {
        if self.length != N {
            self.append(value);
        }
    }

    fn whole(self) -> Result<Option<[u8; N]>, Malformed> {
        match self.length {
            0 => Ok(None),
            length if length == N => Ok(Some(self.bytes)),
            _ => Err(Malformed),
        }
    }

    /// The first of a list of values, which must not end in the middle of one.
    fn first_of_list(self) -> Result<Option<[u8; N]>, Malformed> {
        match (self.length, self.length.checked_rem(N)) {
            (0, _) => Ok(None),
            (_, Some(0)) => Ok(Some(self.bytes)),
            _ => Err(Malformed),
        }
    }
}

/// Puts the options of one message together, field after field.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    message_type: Value<1>,
    overload: Value<1>,
    server: Value<4>,
    mask: Value<4>,
    router: Value<4>,
    lease: Value<4>,
    renewal: Value<4>,
    rebinding: Value<4>,
    client: Option<Value<{ ClientIdentifier::OURS }>>,
}

impl Reader {
    /// Nothing read yet.
    pub const fn new() -> Self {
        Reader {
            message_type: Value::new(),
            overload: Value::new(),
            server: Value::new(),
            mask: Value::new(),
            router: Value::new(),
            lease: Value::new(),
            renewal: Value::new(),
            rebinding: Value::new(),
            client: None,
        }
    }

    /// Takes in the options of one field, to its end or to the END option.
    ///
    /// # Errors
    /// [`Malformed`] where an option runs out of the field, or an instance of one that we read is empty.
    pub fn read(&mut self, mut field: &[u8]) -> Result<(), Malformed> {
        while let Some((&code, rest)) = field.split_first() {
            if code == code::END {
                return Ok(());
            }
            if code == code::PAD {
                field = rest;
                continue;
            }
            let (&length, rest) = rest.split_first().ok_or(Malformed)?;
            let (value, rest) = rest.split_at_checked(usize::from(length)).ok_or(Malformed)?;
            field = rest;
            self.take(code, value)?;
        }
        Ok(())
    }

    fn take(&mut self, code: u8, value: &[u8]) -> Result<(), Malformed> {
        match code {
            code::MESSAGE_TYPE => self.message_type.append_once(value),
            code::OVERLOAD => self.overload.append_once(value),
            code::SERVER_IDENTIFIER => self.server.append_once(value),
            code::SUBNET_MASK => self.mask.append_once(value),
            // A list: all of it is put together, the first is kept.
            code::ROUTER => self.router.append(value),
            code::LEASE_TIME => self.lease.append_once(value),
            code::RENEWAL_TIME => self.renewal.append_once(value),
            code::REBINDING_TIME => self.rebinding.append_once(value),
            code::CLIENT_IDENTIFIER => {
                // One of no bytes is somebody else's like any other.
                self.client.get_or_insert(Value::new()).append_once(value);
                return Ok(());
            }
            _ => return Ok(()),
        }
        if value.is_empty() { Err(Malformed) } else { Ok(()) }
    }

    /// Which of the fields `file` (1), `sname` (2) or both (3) carry options too, as far as was read.
    ///
    /// # Errors
    /// [`Malformed`] where the value has the wrong length.
    pub fn overload(&self) -> Result<u8, Malformed> {
        Ok(self.overload.whole()?.map_or(0, |[which]| which))
    }

    /// All that was read.
    ///
    /// # Errors
    /// [`Malformed`] where an option, put together, has the wrong length.
    pub fn finish(self) -> Result<Options, Malformed> {
        let address = |value: Value<4>| value.whole().map(|bytes| bytes.map(Ipv4Addr::from_octets));
        let seconds = |value: Value<4>| value.whole().map(|bytes| bytes.map(u32::from_be_bytes));
        Ok(Options {
            message_type: self.message_type.whole()?.map(|[kind]| kind),
            server: address(self.server)?,
            mask: address(self.mask)?,
            router: self.router.first_of_list()?.map(Ipv4Addr::from_octets),
            lease_seconds: seconds(self.lease)?,
            renewal_seconds: seconds(self.renewal)?,
            rebinding_seconds: seconds(self.rebinding)?,
            overload: self.overload.whole()?.map(|[which]| which),
            client: self.client.map(|Value { bytes, length }| ClientIdentifier { start: bytes, length }),
        })
    }
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

/// Writes options one after the other into a field.
pub struct Writer<'a> {
    field: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    /// Writes from the start of `field`.
    pub fn new(field: &'a mut [u8]) -> Self {
        Writer { field, used: 0 }
    }

    /// Appends an option; `None` where it does not fit.
    pub fn option(&mut self, code: u8, value: &[u8]) -> Option<()> {
        let length = u8::try_from(value.len()).ok()?;
        let (head, rest) = self.field.get_mut(self.used..)?.split_first_chunk_mut::<2>()?;
        let body = rest.get_mut(..value.len())?;
        *head = [code, length];
        for (to, from) in body.iter_mut().zip(value) {
            *to = *from;
        }
        self.used += usize::from(length) + 2;
        Some(())
    }

    /// Appends END and returns the bytes used; `None` where it does not fit.
    pub fn end(self) -> Option<usize> {
        *self.field.get_mut(self.used)? = code::END;
        Some(self.used + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &[u8]) -> Result<Options, Malformed> {
        let mut reader = Reader::new();
        reader.read(field)?;
        reader.finish()
    }

    #[test]
    fn padding_and_unknown_options_are_skipped_and_nothing_counts_after_the_end() {
        let options = read(&[0, 0, 12, 2, b'h', b'i', 53, 1, 5, 255, 54, 4, 1, 2, 3, 4]).unwrap();
        assert_eq!(options, Options { message_type: Some(5), ..Options::default() });
    }

    #[test]
    fn the_first_of_two_whole_values_counts() {
        assert_eq!(read(&[53, 1, 2, 53, 1, 5]).unwrap().message_type, Some(2));
        let twice = [51, 4, 0, 0, 0, 9, 12, 1, b'x', 51, 4, 0, 0, 0, 7];
        assert_eq!(read(&twice).unwrap().lease_seconds, Some(9));
    }

    #[test]
    fn a_value_in_several_instances_is_put_together() {
        let split = read(&[51, 1, 0, 54, 2, 10, 0, 51, 3, 1, 0x51, 0x80, 0, 54, 2, 2, 2, 255]).unwrap();
        assert_eq!((split.lease_seconds, split.server), (Some(86_400), Some(Ipv4Addr::new(10, 0, 2, 2))));
        let routers = read(&[3, 2, 10, 0, 3, 6, 2, 2, 10, 0, 2, 3]).unwrap();
        assert_eq!(routers.router, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(read(&[51, 3, 0, 0, 1, 51, 2, 1, 1]), Err(Malformed), "five bytes put together");
        assert_eq!(read(&[3, 4, 10, 0, 2, 2, 3, 3, 10, 0, 2]), Err(Malformed), "it ends within an address");
    }

    #[test]
    fn each_time_is_read_from_its_own_option() {
        let options = read(&[51, 4, 0, 0, 0, 9, 58, 4, 0, 0, 1, 0, 59, 4, 0, 1, 0, 0]).unwrap();
        assert_eq!(
            (options.lease_seconds, options.renewal_seconds, options.rebinding_seconds),
            (Some(9), Some(256), Some(65_536))
        );
    }

    #[test]
    fn the_first_router_of_a_list_is_taken() {
        let options = read(&[3, 8, 10, 0, 2, 2, 10, 0, 2, 3]).unwrap();
        assert_eq!(options.router, Some(Ipv4Addr::new(10, 0, 2, 2)));
    }

    #[test]
    fn values_of_the_wrong_length_are_malformed() {
        for field in [&[53, 2, 1, 1][..], &[51, 3, 0, 0, 1], &[54, 0], &[3, 0], &[3, 5, 1, 2, 3, 4, 5], &[52, 0]] {
            assert_eq!(read(field), Err(Malformed), "{field:?}");
        }
    }

    #[test]
    fn an_option_that_runs_out_of_its_field_is_malformed() {
        assert_eq!(read(&[12]), Err(Malformed), "no length");
        assert_eq!(read(&[12, 3, 1, 2]), Err(Malformed), "too little value");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut field = [0; 11];
        let mut writer = Writer::new(&mut field);
        writer.option(code::MESSAGE_TYPE, &[3]).unwrap();
        writer.option(code::SERVER_IDENTIFIER, &[10, 0, 2, 2]).unwrap();
        assert_eq!(writer.option(code::REQUESTED_ADDRESS, &[10, 0, 2, 15]), None, "no room");
        assert_eq!(writer.end(), Some(10));
        let options = read(&field).unwrap();
        assert_eq!(options.message_type, Some(3));
        assert_eq!(options.server, Some(Ipv4Addr::new(10, 0, 2, 2)));
    }
}
