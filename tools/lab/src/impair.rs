//! A bad channel: what it loses, duplicates, corrupts, lets be overtaken, delays and throttles, each by chance that
//! follows from a seed.
//!
//! Time is an argument, in microseconds since any beginning, so the same channel runs in virtual time and in the
//! host's.

use crate::chance::Random;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What happens to frames in one direction. Chances are in thousandths, times in microseconds. The default is a perfect
/// link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairments {
    /// Chance that a frame is lost.
    pub loss: u64,
    /// Chance that it arrives twice.
    pub duplication: u64,
    /// Chance that one of its bits is flipped. One bit, because the checksums of IPv4, UDP and TCP are sure to find
    /// that; what they would miss is the frame check sequence's business, which a link like this has used up.
    pub corruption: u64,
    /// Chance that it is overtaken.
    pub reordering: u64,
    /// How long each frame takes.
    pub delay_us: u64,
    /// By how much more it may take. Frames stay in order all the same.
    pub jitter_us: u64,
    /// By how much one that is overtaken may be late.
    pub reorder_us: u64,
    /// Bytes in a second, where there is a limit.
    pub rate: Option<u64>,
    /// Bytes that wait for the rate at most, where there is a limit; a frame that finds no room is dropped.
    pub queue_bytes: Option<u64>,
    /// From when to when nothing passes.
    pub outage: Option<(u64, u64)>,
}

impl Impairments {
    /// Whether a frame may fail to arrive as it was sent, in time.
    pub fn may_lose(&self) -> bool {
        self.loss > 0 || self.corruption > 0 || self.rate.is_some() || self.outage.is_some()
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Sent,
    /// It is on its way twice.
    Duplicated,
    /// It never arrives.
    Lost,
    /// It found no room in the queue.
    Overflowed,
}

/// What became of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames put on the link.
    pub frames: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Frames that arrived.
    pub arrived: u64,
    /// Frames lost.
    pub lost: u64,
    /// Frames for which the queue had no room.
    pub overflowed: u64,
    /// Frames that were put on their way twice.
    pub duplicated: u64,
    /// Frames that were overtaken, or could be.
    pub reordered: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.arrived += other.arrived;
        self.lost += other.lost;
        self.overflowed += other.overflowed;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}

#[derive(Debug, Default)]
struct Direction {
    impairments: Impairments,
    counters: Counters,
    /// When the last frame has left the queue.
    free_at_us: u64,
    last_arrival_us: u64,
    /// Frames under way, by arrival, then by order of sending.
    flights: BTreeMap<(u64, u64), Vec<u8>>,
}

/// Both directions of a channel. The ends are 0 and 1.
#[derive(Debug, Default)]
pub struct Channel {
    directions: [Direction; 2],
    serial: u64,
}

impl Channel {
    /// A channel whose first direction is that from end 0 to end 1.
    pub fn new(impairments: [Impairments; 2]) -> Self {
        let directions = impairments.map(|impairments| Direction { impairments, ..Direction::default() });
        Channel { directions, serial: 0 }
    }

    /// Takes a frame from the end `from`. The same numbers and the same frames have the same fate.
    pub fn send(&mut self, from: usize, frame: &[u8], now_us: u64, random: &mut Random) -> Fate {
        let Direction { impairments, counters, free_at_us, last_arrival_us, flights } = &mut self.directions[from];
        counters.frames += 1;
        counters.bytes += frame.len() as u64;
        let out = impairments.outage.is_some_and(|(from, until)| (from..until).contains(&now_us));
        if out || random.permille(impairments.loss) {
            counters.lost += 1;
            return Fate::Lost;
        }
        let mut departure = now_us;
        if let Some(rate) = impairments.rate {
            let waiting = free_at_us.saturating_sub(now_us).saturating_mul(rate) / 1_000_000;
            if impairments.queue_bytes.is_some_and(|most| waiting + frame.len() as u64 > most) {
                counters.overflowed += 1;
                return Fate::Overflowed;
            }
            *free_at_us = now_us.max(*free_at_us) + frame.len() as u64 * 1_000_000 / rate.max(1);
            departure = *free_at_us;
        }
        let twice = random.permille(impairments.duplication);
        counters.duplicated += u64::from(twice);
        for _ in 0..=u64::from(twice) {
            let mut bytes = frame.to_vec();
            if random.permille(impairments.corruption) && !bytes.is_empty() {
                counters.corrupted += 1;
                let bit = random.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            // No frame arrives in the instant in which it was sent, or two ends could talk for ever in no time.
            let mut arrival = departure + 1 + impairments.delay_us + random.below(impairments.jitter_us + 1);
            if random.permille(impairments.reordering) {
                counters.reordered += 1;
                arrival += random.below(impairments.reorder_us + 1);
            } else {
                arrival = arrival.max(*last_arrival_us);
                *last_arrival_us = arrival;
            }
            self.serial += 1;
            flights.insert((arrival, self.serial), bytes);
        }
        if twice { Fate::Duplicated } else { Fate::Sent }
    }

    /// When the next frame arrives at the end `to`, and that frame; it is left where it is.
    pub fn next(&self, to: usize) -> Option<(u64, &[u8])> {
        let (&(arrival, _), frame) = self.directions[1 - to].flights.first_key_value()?;
        Some((arrival, frame))
    }

    /// Takes the next frame that has arrived by now at the end `to`.
    pub fn take(&mut self, to: usize, now_us: u64) -> Option<Vec<u8>> {
        let direction = &mut self.directions[1 - to];
        let frame = direction.flights.first_entry().filter(|entry| entry.key().0 <= now_us)?.remove();
        direction.counters.arrived += 1;
        Some(frame)
    }

    /// When the next frame arrives, at whichever end.
    pub fn next_arrival_us(&self) -> Option<u64> {
        self.directions.iter().filter_map(|direction| direction.flights.keys().next()).min().map(|(at, _)| *at)
    }

    /// The next frame that has arrived by now at either end, and at which.
    pub fn arrived(&mut self, now_us: u64) -> Option<(usize, Vec<u8>)> {
        let first = |to: usize| self.directions[1 - to].flights.keys().next().map(|key| (*key, to));
        let (_, to) = [0, 1].into_iter().filter_map(first).min()?;
        Some((to, self.take(to, now_us)?))
    }

    /// What became of the frames from the end `from`.
    pub fn counters(&self, from: usize) -> Counters {
        self.directions[from].counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(impairments: Impairments) -> (Channel, Random) {
        (Channel::new([impairments; 2]), Random::new(1))
    }

    #[test]
    fn a_perfect_link_keeps_order_and_takes_its_time() {
        let (mut channel, mut random) =
            channel(Impairments { delay_us: 100, jitter_us: 1_000, ..Impairments::default() });
        for number in 0..50 {
            assert_eq!(channel.send(0, &[number; 60], u64::from(number), &mut random), Fate::Sent);
        }
        assert_eq!(channel.arrived(50), None);
        for number in 0..50 {
            assert_eq!(channel.arrived(10_000), Some((1, vec![number; 60])));
        }
        let Counters { frames, lost, bytes, arrived, .. } = channel.counters(0);
        assert_eq!((frames, lost, bytes, arrived), (50, 0, 3_000, 50));
    }

    #[test]
    fn each_impairment_does_what_it_says() {
        let always = |chance| channel(Impairments { reorder_us: 5, ..chance });
        let (mut lossy, mut random) = always(Impairments { loss: 1_000, ..Impairments::default() });
        assert_eq!(lossy.send(1, &[0; 60], 0, &mut random), Fate::Lost);
        let (mut twice, _) = always(Impairments { duplication: 1_000, ..Impairments::default() });
        assert_eq!(twice.send(1, &[0; 60], 0, &mut random), Fate::Duplicated);
        assert_eq!((twice.arrived(9), twice.arrived(9)), (Some((0, vec![0; 60])), Some((0, vec![0; 60]))));
        let (mut noisy, _) = always(Impairments { corruption: 1_000, ..Impairments::default() });
        noisy.send(0, &[0; 60], 0, &mut random);
        let (_, frame) = noisy.arrived(9).unwrap();
        assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        let rate = Impairments { rate: Some(1_000_000), queue_bytes: Some(150), ..Impairments::default() };
        let (mut slow, _) = always(rate);
        assert_eq!(slow.send(0, &[0; 60], 0, &mut random), Fate::Sent);
        assert_eq!(slow.send(0, &[0; 60], 0, &mut random), Fate::Sent);
        assert_eq!(slow.send(0, &[0; 60], 0, &mut random), Fate::Overflowed);
        assert_eq!(slow.next_arrival_us(), Some(61));
        let (mut broken, _) = channel(Impairments { outage: Some((10, 20)), ..Impairments::default() });
        assert_eq!(broken.send(0, &[0; 60], 10, &mut random), Fate::Lost);
        assert_eq!(broken.send(0, &[0; 60], 20, &mut random), Fate::Sent);
    }

    /// When frames arrive that are put in a millisecond apart, in microseconds, and their numbers.
    fn through(impairments: Impairments, seed: u64, count: u32) -> (Vec<(u64, u32)>, Counters) {
        let (mut channel, mut random) = (Channel::new([impairments; 2]), Random::new(seed));
        for number in 0..count {
            channel.send(0, &number.to_be_bytes(), u64::from(number) * 1_000, &mut random);
        }
        let mut arrived = Vec::new();
        while let Some(at) = channel.next_arrival_us() {
            assert_eq!(channel.take(1, at - 1), None, "not before its time");
            assert_eq!(channel.next(1).map(|(at, _)| at), Some(at));
            let frame = channel.take(1, at).expect("at its time");
            arrived.push((at, u32::from_be_bytes(frame.try_into().expect("4 bytes"))));
        }
        (arrived, channel.counters(0))
    }

    #[test]
    fn a_perfect_wire_changes_nothing() {
        let (arrived, counters) = through(Impairments::default(), 1, 1000);
        assert_eq!(arrived.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        assert_eq!(counters, Counters { frames: 1000, bytes: 4000, arrived: 1000, ..Counters::default() });
    }

    #[test]
    fn rates_are_met_and_a_seed_repeats() {
        let chances =
            Impairments { loss: 50, duplication: 30, reordering: 40, corruption: 20, ..Impairments::default() };
        let bad = Impairments { reorder_us: 5_000, ..chances };
        let (arrived, counters) = through(bad, 7, 20_000);
        let near = |count: u64, expected: u64| count > expected * 8 / 10 && count < expected * 12 / 10;
        assert!(near(counters.lost, 1000), "{counters:?}");
        assert!(near(counters.duplicated, 570), "{counters:?}");
        assert!(near(counters.reordered, 783), "{counters:?}");
        assert!(near(counters.corrupted, 391), "{counters:?}");
        assert_eq!(counters.arrived, counters.frames - counters.lost + counters.duplicated);
        let late = arrived.windows(2).filter(|pair| pair[1].1 < pair[0].1).count() as u64;
        assert!(late >= counters.reordered / 2, "{late} of {counters:?}");
        assert_eq!(through(bad, 7, 20_000), (arrived, counters));
        assert_ne!(through(bad, 8, 20_000).1, counters);
    }

    #[test]
    fn delay_rate_and_queue_hold_frames_back() {
        let (arrived, _) = through(Impairments { delay_us: 20_000, ..Impairments::default() }, 1, 3);
        assert_eq!(arrived.iter().map(|(at, _)| at / 1_000).collect::<Vec<_>>(), [20, 21, 22]);
        // 4 bytes every millisecond are twice as much as the rate, and two frames may wait.
        let (mut slow, mut random) =
            channel(Impairments { rate: Some(2_000), queue_bytes: Some(8), ..Impairments::default() });
        let mut times = Vec::new();
        for number in 0..100 {
            while slow.take(1, number * 1_000).is_some() {
                times.push(number);
            }
            slow.send(0, &[0; 4], number * 1_000, &mut random);
        }
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 2), "{times:?}");
        let Counters { overflowed, .. } = slow.counters(0);
        assert!((45..=50).contains(&overflowed), "{overflowed}");
    }
}
