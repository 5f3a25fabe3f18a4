//! DHCP options (RFC 2132): one byte of code, one of length, then the value.

use crate::Ipv4Address;

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

/// The options that matter to a client. The first occurrence of each counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What kind of message this is; a number of [`super::wire::MessageType`] or an unknown one.
    pub message_type: Option<u8>,
    /// Which server speaks.
    pub server: Option<Ipv4Address>,
    /// Network mask.
    pub mask: Option<Ipv4Address>,
    /// The preferred router.
    pub router: Option<Ipv4Address>,
    /// Lease time in seconds.
    pub lease_seconds: Option<u32>,
    /// T1 in seconds.
    pub renewal_seconds: Option<u32>,
    /// T2 in seconds.
    pub rebinding_seconds: Option<u32>,
    /// Which of the fields `file` (1), `sname` (2) or both (3) carry options too.
    pub overload: Option<u8>,
}

fn four(value: &[u8]) -> Result<[u8; 4], Malformed> {
    value.try_into().map_err(|_| Malformed)
}

fn one(value: &[u8]) -> Result<u8, Malformed> {
    match value {
        [byte] => Ok(*byte),
        _ => Err(Malformed),
    }
}

impl Options {
    /// Takes in the options of one field, to its end or to the END option.
    ///
    /// # Errors
    /// [`Malformed`] where an option runs out of the field, or one that we read has the wrong length.
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
        let address = |value| four(value).map(Ipv4Address);
        let seconds = |value| four(value).map(u32::from_be_bytes);
        match code {
            code::MESSAGE_TYPE => set(&mut self.message_type, one(value)?),
            code::OVERLOAD => set(&mut self.overload, one(value)?),
            code::SERVER_IDENTIFIER => set(&mut self.server, address(value)?),
            code::SUBNET_MASK => set(&mut self.mask, address(value)?),
            code::ROUTER => {
                // A list; its length is a multiple of four, at least four (RFC 2132 3.5).
                let (first, others) = value.split_first_chunk::<4>().ok_or(Malformed)?;
                if !others.len().is_multiple_of(4) {
                    return Err(Malformed);
                }
                set(&mut self.router, Ipv4Address(*first));
            }
            code::LEASE_TIME => set(&mut self.lease_seconds, seconds(value)?),
            code::RENEWAL_TIME => set(&mut self.renewal_seconds, seconds(value)?),
            code::REBINDING_TIME => set(&mut self.rebinding_seconds, seconds(value)?),
            _ => {}
        }
        Ok(())
    }
}

fn set<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
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
        let place = self.field.get_mut(self.used..)?.get_mut(..value.len() + 2)?;
        let (head, body) = place.split_first_chunk_mut::<2>()?;
        *head = [code, length];
        body.copy_from_slice(value);
        self.used += value.len() + 2;
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
        let mut options = Options::default();
        options.read(field).map(|()| options)
    }

    #[test]
    fn padding_and_unknown_options_are_skipped_and_nothing_counts_after_the_end() {
        let options = read(&[0, 0, 12, 2, b'h', b'i', 53, 1, 5, 255, 54, 4, 1, 2, 3, 4]).unwrap();
        assert_eq!(options, Options { message_type: Some(5), ..Options::default() });
    }

    #[test]
    fn the_first_of_two_counts() {
        assert_eq!(read(&[53, 1, 2, 53, 1, 5]).unwrap().message_type, Some(2));
    }

    #[test]
    fn the_first_router_of_a_list_is_taken() {
        let options = read(&[3, 8, 10, 0, 2, 2, 10, 0, 2, 3]).unwrap();
        assert_eq!(options.router, Some(Ipv4Address::new(10, 0, 2, 2)));
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
        assert_eq!(options.server, Some(Ipv4Address::new(10, 0, 2, 2)));
    }
}
