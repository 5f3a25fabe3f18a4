//! A bad wire: what it loses, doubles, reorders, corrupts, delays and holds back, decided by a seed.
//!
//! Time is an argument, so a bad wire is tested without waiting for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How bad a wire is. The default is a perfect one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Frames lost, of a thousand.
    pub loss: u32,
    /// Frames that arrive twice, of a thousand.
    pub duplicate: u32,
    /// Frames that are held back for [`Profile::reorder_by`] while others pass, of a thousand.
    pub reorder: u32,
    /// For how long.
    pub reorder_by: Duration,
    /// Frames in which one bit is wrong, of a thousand.
    pub corrupt: u32,
    /// How long each frame is under way.
    pub delay: Duration,
    /// How much longer some are, at most.
    pub jitter: Duration,
    /// Bits per second; no limit where there is none.
    pub rate: Option<u64>,
    /// Bytes that wait for the rate at most; what comes on top is lost. No limit where there is none.
    pub queue: Option<usize>,
}

/// What became of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames put in.
    pub put: u64,
    /// Frames given out.
    pub given: u64,
    /// Lost at random.
    pub lost: u64,
    /// Lost because too many waited.
    pub overflowed: u64,
    /// Doubled.
    pub doubled: u64,
    /// Held back.
    pub reordered: u64,
    /// Changed.
    pub corrupted: u64,
}

/// One direction of a bad wire.
#[derive(Debug)]
pub struct Impairment {
    profile: Profile,
    random: Random,
    /// When the rate lets the next frame go.
    free_at: Option<Instant>,
    /// Frames under way, by the time when they arrive and the order in which they came.
    under_way: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    waiting: usize,
    counters: Counters,
}

impl Impairment {
    /// A wire of this kind. The same seed and the same frames have the same fate.
    pub fn new(profile: Profile, seed: u64) -> Impairment {
        let random = Random(seed);
        let (free_at, under_way) = (None, BinaryHeap::new());
        Impairment { profile, random, free_at, under_way, waiting: 0, counters: Counters::default() }
    }

    /// Puts a frame in.
    pub fn put(&mut self, frame: &[u8], now: Instant) {
        self.counters.put += 1;
        let Profile { loss, duplicate, reorder, corrupt, .. } = self.profile;
        // Each question is asked for each frame, so that one rate does not change what another hits.
        let [lost, doubled, held, changed] = [loss, duplicate, reorder, corrupt].map(|rate| self.random.hits(rate));
        if lost {
            self.counters.lost += 1;
            return;
        }
        let mut frame = frame.to_vec();
        if changed && !frame.is_empty() {
            let bit = self.random.below(frame.len() as u64 * 8);
            frame[(bit / 8) as usize] ^= 1 << (bit % 8);
            self.counters.corrupted += 1;
        }
        if held {
            self.counters.reordered += 1;
        }
        if doubled {
            self.counters.doubled += 1;
            self.send(frame.clone(), held, now);
        }
        self.send(frame, held, now);
    }

    fn send(&mut self, frame: Vec<u8>, held: bool, now: Instant) {
        if self.profile.queue.is_some_and(|most| self.waiting + frame.len() > most) {
            self.counters.overflowed += 1;
            return;
        }
        let mut at = now;
        if let Some(rate) = self.profile.rate {
            let begin = self.free_at.map_or(now, |free| free.max(now));
            at = begin + Duration::from_secs_f64(frame.len() as f64 * 8.0 / rate.max(1) as f64);
            self.free_at = Some(at);
        }
        let jitter = self.random.below(self.profile.jitter.as_micros() as u64 + 1);
        at += self.profile.delay + Duration::from_micros(jitter);
        if held {
            at += self.profile.reorder_by;
        }
        self.waiting += frame.len();
        let order = self.counters.put * 2 + u64::from(held);
        self.under_way.push(Reverse((at, order, frame)));
    }

    /// The next frame that has arrived by now, and when it did; it is left where it is.
    pub fn arrived(&self, now: Instant) -> Option<(&[u8], Instant)> {
        let Reverse((at, _, frame)) = self.under_way.peek()?;
        (*at <= now).then_some((frame, *at))
    }

    /// Takes the next frame that has arrived by now.
    pub fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.arrived(now)?;
        let Reverse((_, _, frame)) = self.under_way.pop()?;
        self.waiting -= frame.len();
        self.counters.given += 1;
        Some(frame)
    }

    /// When the next frame arrives.
    pub fn next_at(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    /// What became of the frames.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// Numbers that look random (Steele, Lea and Flood's SplitMix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is not 0. The skew of so small bounds does not matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True so often of a thousand times.
    fn hits(&mut self, rate: u32) -> bool {
        self.below(1000) < u64::from(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives, and how long after the beginning, of frames that are put in a millisecond apart.
    fn through(profile: Profile, seed: u64, count: u32) -> (Vec<(Duration, Vec<u8>)>, Counters) {
        let begin = Instant::now();
        let mut wire = Impairment::new(profile, seed);
        for number in 0..count {
            wire.put(&number.to_be_bytes(), begin + Duration::from_millis(u64::from(number)));
        }
        let mut arrived = Vec::new();
        while let Some(at) = wire.next_at() {
            assert_eq!(wire.take(at - Duration::from_nanos(1)), None, "not before its time");
            assert_eq!(wire.arrived(at).map(|(_, at)| at), Some(at));
            arrived.push((at - begin, wire.take(at).expect("at its time")));
        }
        (arrived, wire.counters())
    }

    fn numbers(arrived: &[(Duration, Vec<u8>)]) -> Vec<u32> {
        arrived.iter().map(|(_, frame)| u32::from_be_bytes(frame[..4].try_into().expect("4 bytes"))).collect()
    }

    #[test]
    fn a_perfect_wire_changes_nothing() {
        let (arrived, counters) = through(Profile::default(), 1, 1000);
        assert_eq!(numbers(&arrived), (0..1000).collect::<Vec<_>>());
        assert_eq!(counters, Counters { put: 1000, given: 1000, ..Counters::default() });
    }

    #[test]
    fn rates_are_met_and_a_seed_repeats() {
        let reorder_by = Duration::from_micros(2_500);
        let profile = Profile { loss: 50, duplicate: 30, reorder: 40, corrupt: 20, reorder_by, ..Profile::default() };
        let (arrived, counters) = through(profile.clone(), 7, 20_000);
        let near = |count: u64, expected: u64| count > expected * 8 / 10 && count < expected * 12 / 10;
        assert!(near(counters.lost, 1000), "{counters:?}");
        assert!(near(counters.doubled, 570), "{counters:?}");
        assert!(near(counters.reordered, 760), "{counters:?}");
        assert!(near(counters.corrupted, 380), "{counters:?}");
        assert_eq!(counters.given, counters.put - counters.lost + counters.doubled);
        let late = numbers(&arrived).windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        assert!(late >= counters.reordered / 2, "{late} of {counters:?}");
        assert_eq!(through(profile.clone(), 7, 20_000), (arrived, counters));
        assert_ne!(through(profile, 8, 20_000).1, counters);
    }

    #[test]
    fn delay_rate_and_queue_hold_frames_back() {
        let delay = Duration::from_millis(20);
        let (arrived, _) = through(Profile { delay, ..Profile::default() }, 1, 3);
        assert_eq!(arrived.iter().map(|(at, _)| at.as_millis()).collect::<Vec<_>>(), [20, 21, 22]);
        // 4 bytes every millisecond are twice as much as the rate, and two frames may wait.
        let slow = Profile { rate: Some(16_000), queue: Some(8), ..Profile::default() };
        let begin = Instant::now();
        let mut wire = Impairment::new(slow, 1);
        let mut times = Vec::new();
        for number in 0..100_u64 {
            let now = begin + Duration::from_millis(number);
            while wire.take(now).is_some() {
                times.push(number);
            }
            wire.put(&[0; 4], now);
        }
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 2), "{times:?}");
        let Counters { overflowed, .. } = wire.counters();
        assert!((45..=50).contains(&overflowed), "{overflowed}");
    }
}
