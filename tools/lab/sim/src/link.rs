//! The link between two stations: it loses, duplicates, reorders, corrupts, delays and throttles, each by chance that
//! follows from the seed.

use std::collections::BTreeMap;

use crate::figures::Figures;
use crate::random::Random;

/// What happens to frames in one direction. Chances are in thousandths, times in microseconds.
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
    /// Bytes that wait where there is a limit; a frame that finds no room is dropped.
    pub queue_bytes: u64,
    /// From when to when nothing passes.
    pub outage: Option<(u64, u64)>,
}

impl Impairments {
    /// Whether a frame may fail to arrive as it was sent, in time.
    pub fn may_lose(&self) -> bool {
        self.loss > 0 || self.corruption > 0 || self.rate.is_some() || self.outage.is_some()
    }
}

#[derive(Debug, Default)]
struct Direction {
    impairments: Impairments,
    /// When the last frame has left the queue.
    free_at_us: u64,
    last_arrival_us: u64,
}

/// What became of a frame, for the trace.
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

/// Both directions of a link. The ends are 0 and 1.
#[derive(Debug)]
pub struct Link {
    random: Random,
    directions: [Direction; 2],
    /// By arrival, then by order of sending: the end that it goes to, and the frame.
    flights: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    serial: u64,
}

impl Link {
    /// A link whose first direction is that from end 0 to end 1.
    pub fn new(random: Random, impairments: [Impairments; 2]) -> Self {
        let directions = impairments.map(|impairments| Direction { impairments, ..Direction::default() });
        Link { random, directions, flights: BTreeMap::new(), serial: 0 }
    }

    /// Takes a frame from the end `from`.
    pub fn send(&mut self, from: usize, frame: &[u8], now_us: u64, figures: &mut Figures) -> Fate {
        figures.frames += 1;
        figures.wire_bytes += frame.len() as u64;
        let direction = &mut self.directions[from];
        let Impairments { loss, duplication, corruption, reordering, delay_us, jitter_us, reorder_us, .. } =
            direction.impairments;
        let out = direction.impairments.outage.is_some_and(|(from, until)| (from..until).contains(&now_us));
        if out || self.random.permille(loss) {
            figures.lost += 1;
            return Fate::Lost;
        }
        let mut departure = now_us;
        if let Some(rate) = direction.impairments.rate {
            let waiting = direction.free_at_us.saturating_sub(now_us).saturating_mul(rate) / 1_000_000;
            if waiting + frame.len() as u64 > direction.impairments.queue_bytes {
                figures.overflowed += 1;
                return Fate::Overflowed;
            }
            direction.free_at_us = direction.free_at_us.max(now_us) + frame.len() as u64 * 1_000_000 / rate.max(1);
            departure = direction.free_at_us;
        }
        let twice = self.random.permille(duplication);
        figures.duplicated += u64::from(twice);
        for _ in 0..=u64::from(twice) {
            let mut bytes = frame.to_vec();
            if self.random.permille(corruption) {
                figures.corrupted += 1;
                let bit = self.random.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            // No frame arrives in the instant in which it was sent, or two ends could talk for ever in no time.
            let mut arrival = departure + 1 + delay_us + self.random.below(jitter_us + 1);
            if self.random.permille(reordering) {
                figures.reordered += 1;
                arrival += self.random.below(reorder_us + 1);
            } else {
                arrival = arrival.max(direction.last_arrival_us);
                direction.last_arrival_us = arrival;
            }
            self.serial += 1;
            self.flights.insert((arrival, self.serial), (1 - from, bytes));
        }
        if twice { Fate::Duplicated } else { Fate::Sent }
    }

    /// When the next frame arrives, in microseconds.
    pub fn next_arrival_us(&self) -> Option<u64> {
        self.flights.first_key_value().map(|((arrival, _), _)| *arrival)
    }

    /// The next frame that has arrived by now, and at which end.
    pub fn arrived(&mut self, now_us: u64) -> Option<(usize, Vec<u8>)> {
        let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now_us)?;
        Some(entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(impairments: Impairments) -> Link {
        Link::new(Random::new(1), [impairments; 2])
    }

    #[test]
    fn a_perfect_link_keeps_order_and_takes_its_time() {
        let mut link = link(Impairments { delay_us: 100, jitter_us: 1_000, ..Impairments::default() });
        let mut figures = Figures::default();
        for number in 0..50 {
            assert_eq!(link.send(0, &[number; 60], u64::from(number), &mut figures), Fate::Sent);
        }
        assert_eq!(link.arrived(50), None);
        for number in 0..50 {
            assert_eq!(link.arrived(10_000), Some((1, vec![number; 60])));
        }
        assert_eq!((figures.frames, figures.lost, figures.wire_bytes), (50, 0, 3_000));
    }

    #[test]
    fn each_impairment_does_what_it_says() {
        let mut figures = Figures::default();
        let always = |chance| Impairments { reorder_us: 5, ..chance };
        let mut lossy = link(always(Impairments { loss: 1_000, ..Impairments::default() }));
        assert_eq!(lossy.send(1, &[0; 60], 0, &mut figures), Fate::Lost);
        let mut twice = link(always(Impairments { duplication: 1_000, ..Impairments::default() }));
        assert_eq!(twice.send(1, &[0; 60], 0, &mut figures), Fate::Duplicated);
        assert_eq!((twice.arrived(9), twice.arrived(9)), (Some((0, vec![0; 60])), Some((0, vec![0; 60]))));
        let mut noisy = link(always(Impairments { corruption: 1_000, ..Impairments::default() }));
        noisy.send(0, &[0; 60], 0, &mut figures);
        let (_, frame) = noisy.arrived(9).unwrap();
        assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        let mut slow = link(always(Impairments { rate: Some(1_000_000), queue_bytes: 150, ..Impairments::default() }));
        assert_eq!(slow.send(0, &[0; 60], 0, &mut figures), Fate::Sent);
        assert_eq!(slow.send(0, &[0; 60], 0, &mut figures), Fate::Sent);
        assert_eq!(slow.send(0, &[0; 60], 0, &mut figures), Fate::Overflowed);
        assert_eq!(slow.next_arrival_us(), Some(61));
        let mut broken = link(Impairments { outage: Some((10, 20)), ..Impairments::default() });
        assert_eq!(broken.send(0, &[0; 60], 10, &mut figures), Fate::Lost);
        assert_eq!(broken.send(0, &[0; 60], 20, &mut figures), Fate::Sent);
    }
}
