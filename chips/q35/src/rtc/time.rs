//! The time of day (Intel ICH9 data sheet, section 13.6.2).

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use super::Rtc;
use slopos_registers::Bus;
use tock_registers::{LocalRegisterCopy, register_bitfields};

register_bitfields![u8,
    /// Register A.
    A [
        /// The clock moves on in a moment.
        UPDATE OFFSET(7) NUMBITS(1) []
    ],
    /// Register B.
    B [
        /// Hours count to 24, else twice to 12.
        HOURS_24 OFFSET(1) NUMBITS(1) [],
        /// Values are binary, else two decimal digits.
        BINARY OFFSET(2) NUMBITS(1) []
    ]
];

/// Seconds, minutes, hours, day, month, year.
const FIELDS: [u8; 6] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09];
const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
/// In hours that count to 12, the bit of the afternoon.
const AFTERNOON: u8 = 1 << 7;
/// How often the clock is read until two readings agree: it moves on once a second.
const READINGS: usize = 8;
/// Days before the month, in a year that is no leap year.
const DAYS_BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

impl<B: Bus> Rtc<B> {
    /// Seconds since 2000, as the clock shows them, whatever its time zone; it has no century. `None` without a clock, or
    /// while it shows no time.
    pub fn seconds(&self) -> Option<u64> {
        let mut last = None;
        for _ in 0..READINGS {
            let status: LocalRegisterCopy<u8, A::Register> = LocalRegisterCopy::new(self.read(REGISTER_A));
            if status.is_set(A::UPDATE) {
                continue;
            }
            let fields = FIELDS.map(|register| self.read(register));
            // The clock may have moved on between two registers.
            if last.replace(fields) == Some(fields) {
                return seconds(fields, LocalRegisterCopy::new(self.read(REGISTER_B)));
            }
        }
        None
    }
}

fn seconds(fields: [u8; 6], format: LocalRegisterCopy<u8, B::Register>) -> Option<u64> {
    let number = |byte: u8| match byte {
        _ if format.is_set(B::BINARY) => Some(byte),
        _ if byte >> 4 > 9 || byte & 0xf > 9 => None,
        _ => Some((byte >> 4) * 10 + (byte & 0xf)),
    };
    let [seconds, minutes, hours, day, month, year] = fields;
    let hours = match format.is_set(B::HOURS_24) {
        true => number(hours).filter(|hours| *hours < 24)?,
        false => {
            let half = number(hours & !AFTERNOON).filter(|hours| (1..=12).contains(hours))? % 12;
            if hours & AFTERNOON == 0 { half } else { half + 12 }
        }
    };
    let below = |byte: u8, end: u8| number(byte).filter(|value| *value < end).map(u64::from);
    let (seconds, minutes, year) = (below(seconds, 60)?, below(minutes, 60)?, below(year, 100)?);
    let month = below(month, 13)?.checked_sub(1)?;
    let day = below(day, 32)?.checked_sub(1)?;
    // From 2000 to 2099 each fourth year is a leap year. The day that this year has too much comes after February.
    let leap_days = year.div_ceil(4) + u64::from(year % 4 == 0 && month >= 2);
    let days = year * 365 + leap_days + DAYS_BEFORE.get(month as usize)? + day;
    Some(((days * 24 + u64::from(hours)) * 60 + minutes) * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::super::{PORT, Rtc};
    use super::*;
    use crate::fake::Fake;

    const PLAIN: u8 = 0b010;

    fn at(fields: [u8; 6], format: u8) -> Option<u64> {
        seconds(fields, LocalRegisterCopy::new(format))
    }

    #[test]
    fn the_time_is_counted_from_the_year_2000() {
        assert_eq!(at([0, 0, 0, 1, 1, 0], PLAIN), Some(0));
        assert_eq!(at([0x59, 0x59, 0x23, 0x31, 0x12, 0], PLAIN), Some(366 * 86_400 - 1));
        assert_eq!(at([0, 0, 0, 1, 1, 1], PLAIN), Some(366 * 86_400));
        // 2026-11-29 08:00:00 UTC is 1,795,939,200 seconds after 1970, of which 946,684,800 are before 2000.
        assert_eq!(at([0, 0, 8, 0x29, 0x11, 0x26], PLAIN), Some(1_795_939_200 - 946_684_800));
        assert_eq!(at([0, 0, 0, 1, 3, 4], PLAIN), at([59, 59, 23, 29, 2, 4], PLAIN | 0b100).map(|time| time + 1));
    }

    #[test]
    fn hours_and_numbers_are_written_in_either_way() {
        let noon = at([0, 0, 0x12, 1, 1, 0], PLAIN);
        assert_eq!(noon, Some(43_200));
        assert_eq!(at([0, 0, 0x92, 1, 1, 0], 0), noon);
        assert_eq!(at([0, 0, 0x12, 1, 1, 0], 0), Some(0));
        assert_eq!(at([0, 0, 0x81, 1, 1, 0], 0), Some(13 * 3_600));
        assert_eq!(at([0, 0, 12, 1, 1, 0], PLAIN | 0b100), noon);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(at([0xff; 6], 0xff), None);
        for (index, wrong) in [0x60, 0x60, 0x24, 0x32, 0x13, 0xa0].into_iter().enumerate() {
            let mut fields = [1; 6];
            fields[index] = wrong;
            assert_eq!(at(fields, PLAIN), None, "{index}");
        }
        assert_eq!(at([0, 0, 0, 0, 1, 0], PLAIN), None);
        assert_eq!(at([0, 0, 0, 1, 0, 0], PLAIN), None);
        assert_eq!(at([0, 0, 0, 1, 1, 0], 0), None, "there is no hour 0 of twelve");
    }

    #[test]
    fn a_reading_counts_when_it_comes_twice() {
        let fake = Fake::default();
        let twelve = [0x59, 0x59, 0x11, 1, 1, 0];
        let moved = [0, 0, 0x12, 1, 1, 0];
        let torn = [0x59, 0, 0x12, 1, 1, 0];
        for (status, fields) in [(0x80, &[][..]), (0, &twelve), (0, &torn), (0, &moved), (0, &moved)] {
            fake.script(PORT + 1, &[&[status], fields].concat());
        }
        fake.script(PORT + 1, &[PLAIN]);
        // SAFETY: the bus is a model in this process's memory.
        assert_eq!(unsafe { Rtc::new(&fake) }.seconds(), Some(43_200));
    }

    #[test]
    fn without_a_clock_there_is_no_time() {
        // Ports without a device read as ones: an update that never ends.
        let ones = Fake::reacting(Some(|ports, port, _| ports.retain(|number, _| *number != port)), None);
        // SAFETY: the bus is a model in this process's memory.
        assert_eq!(unsafe { Rtc::new(&ones) }.seconds(), None);
    }
}
