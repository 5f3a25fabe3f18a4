//! What is measured: the list, each with its link, its work and the bar that it is held against.

use crate::guest::Run;
use crate::links::Wire;
use std::fmt;
use std::time::Duration;

/// What a measure's figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Seconds from QEMU's start to the first byte of a response at the guest's client, by the host's clock.
    Boot,
    /// Bytes of body, in units of 10^6 a second, by the guest's clock, from before the connect to the last byte.
    Rate,
    /// Responses a second, by the guest's clock, each on a connection of its own, one after the other.
    Requests,
    /// The least memory, in MiB, with which the guest boots and fetches.
    Memory,
}

impl Quantity {
    /// The unit.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Boot => "s",
            Quantity::Rate => "MB/s",
            Quantity::Requests => "1/s",
            Quantity::Memory => "MiB",
        }
    }

    /// Whether less is better.
    pub fn less_is_better(self) -> bool {
        matches!(self, Quantity::Boot | Quantity::Memory)
    }

    /// A figure with three or four significant digits.
    pub fn show(self, value: f64) -> String {
        match value.abs() {
            magnitude if self == Quantity::Memory || magnitude >= 100.0 => format!("{value:.0}"),
            magnitude if magnitude >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        }
    }

    /// A run's figure. Memory is not the figure of one run.
    pub fn of(self, run: &Run) -> Option<f64> {
        // A transfer too short for the guest's millisecond clock has no rate.
        let per_second = |amount: f64| (run.done.seconds > 0.0).then(|| amount / run.done.seconds);
        match self {
            Quantity::Boot => Some(run.boot.as_secs_f64()),
            Quantity::Rate => per_second(run.done.bytes as f64 / 1e6),
            Quantity::Requests => per_second(f64::from(run.done.count)),
            Quantity::Memory => None,
        }
    }
}

/// What has to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// So many times the Linux guest's figure, or more.
    AtLeast(f64),
    /// One so-many-th of the Linux guest's figure, or less.
    OneIn(f64),
    /// This figure itself, or less.
    Absolute(f64),
}

impl Bar {
    /// Whether a figure of the board's reaches it, and its ratio to the Linux guest's.
    pub fn reached(self, value: f64, ratio: f64) -> bool {
        match self {
            Bar::AtLeast(times) => ratio >= times,
            Bar::OneIn(times) => ratio <= 1.0 / times,
            Bar::Absolute(most) => value <= most,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::AtLeast(times) => write!(formatter, ">= {times:.2}"),
            Bar::OneIn(times) => write!(formatter, "<= {:.3} (1/{times})", 1.0 / times),
            Bar::Absolute(most) => write!(formatter, "SlopOS <= {most}"),
        }
    }
}

/// One measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, for a person.
    pub about: &'static str,
    /// What its figure is.
    pub quantity: Quantity,
    /// The link.
    pub wire: Wire,
    /// The length of the body that is fetched, in bytes.
    pub length: u64,
    /// How often it is fetched.
    pub count: u32,
    /// Whether the guest then uploads what it has fetched, and that is what is measured.
    pub upload: bool,
    /// How the server avoids congestion, where that is part of the measure.
    pub congestion_control: Option<&'static str>,
    /// Runs of each guest, unless the command line says otherwise.
    pub runs: u32,
    /// What has to be reached.
    pub bar: Bar,
}

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

/// Requests of a series: a second or two on a link that loses nothing.
const MANY: u32 = 5_000;
/// The same over user networking, which keeps each connection for a while after its end and looks at all of them in
/// each turn of its loop: with thousands, that is what takes the time, whoever the guest is.
const FEWER: u32 = 1_000;
/// Requests of a series in which each takes two journeys of 20 ms at least.
const SLOW: u32 = 100;

const DELAY: Wire = Wire::Bridge { delay: Duration::from_millis(20), loss: 0 };
const LOSS: Wire = Wire::Bridge { delay: Duration::from_millis(20), loss: 10 };

/// A measure on user networking, from which the others differ.
const BASE: Measure = Measure {
    name: "boot",
    about: "from QEMU's start to the first byte of a response",
    quantity: Quantity::Boot,
    wire: Wire::User,
    length: KIB,
    count: 1,
    upload: false,
    congestion_control: None,
    runs: 5,
    bar: Bar::OneIn(12.0),
};

/// A measure over a wire with delay and loss. Ten runs, for what is lost decides much.
const LOSSY: Measure = Measure { wire: LOSS, runs: 10, bar: Bar::AtLeast(0.95), ..BASE };

/// All measures, in the order of the table.
pub const MEASURES: [Measure; 13] = [
    BASE,
    Measure {
        name: "user-bulk",
        about: "64 MiB over user networking",
        quantity: Quantity::Rate,
        length: 64 * MIB,
        bar: Bar::AtLeast(3.0),
        ..BASE
    },
    Measure {
        name: "tap-bulk",
        about: "64 MiB over a tap",
        quantity: Quantity::Rate,
        wire: Wire::Tap,
        length: 64 * MIB,
        bar: Bar::AtLeast(2.5),
        ..BASE
    },
    Measure {
        name: "user-upload",
        about: "64 MiB by PUT over user networking, out of the board's flash and out of Linux's memory",
        quantity: Quantity::Rate,
        length: 64 * MIB,
        upload: true,
        bar: Bar::AtLeast(1.0),
        ..BASE
    },
    Measure {
        name: "tap-upload",
        about: "the same over a tap",
        quantity: Quantity::Rate,
        wire: Wire::Tap,
        length: 64 * MIB,
        upload: true,
        bar: Bar::AtLeast(1.0),
        ..BASE
    },
    Measure {
        name: "user-get",
        about: "requests of 1 KiB over user networking",
        quantity: Quantity::Requests,
        count: FEWER,
        bar: Bar::AtLeast(2.5),
        ..BASE
    },
    Measure {
        name: "tap-get",
        about: "requests of 1 KiB over a tap",
        quantity: Quantity::Requests,
        wire: Wire::Tap,
        count: MANY,
        bar: Bar::AtLeast(3.0),
        ..BASE
    },
    Measure {
        name: "delay-bulk",
        about: "64 MiB with 20 ms of delay toward the guest",
        quantity: Quantity::Rate,
        wire: DELAY,
        length: 64 * MIB,
        bar: Bar::AtLeast(1.1),
        ..BASE
    },
    Measure {
        name: "loss-cubic",
        about: "8 MiB with 20 ms of delay and 1 % loss toward the guest, from a server with cubic",
        quantity: Quantity::Rate,
        length: 8 * MIB,
        congestion_control: Some("cubic"),
        ..LOSSY
    },
    Measure {
        name: "loss-bbr",
        about: "8 MiB with 20 ms of delay and 1 % loss toward the guest, from a server with bbr",
        quantity: Quantity::Rate,
        length: 8 * MIB,
        congestion_control: Some("bbr"),
        ..LOSSY
    },
    Measure {
        name: "loss-get",
        about: "requests of 1 KiB with 20 ms of delay and 1 % loss toward the guest, to a server with cubic",
        quantity: Quantity::Requests,
        count: SLOW,
        congestion_control: Some("cubic"),
        ..LOSSY
    },
    Measure {
        name: "loss-get-bbr",
        about: "the same with bbr",
        quantity: Quantity::Requests,
        count: SLOW,
        congestion_control: Some("bbr"),
        ..LOSSY
    },
    Measure {
        name: "memory",
        about: "the least memory that boots and fetches 1 KiB",
        quantity: Quantity::Memory,
        runs: 1,
        bar: Bar::Absolute(8.0),
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Done;
    use std::collections::HashSet;

    #[test]
    fn names_are_different_and_bars_make_sense() {
        let names: HashSet<_> = MEASURES.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), MEASURES.len());
        for measure in &MEASURES {
            let less = !matches!(measure.bar, Bar::AtLeast(_));
            assert_eq!(less, measure.quantity.less_is_better(), "{}", measure.name);
            // Congestion control is the namespace's.
            assert!(measure.congestion_control.is_none() || measure.wire != Wire::User, "{}", measure.name);
        }
    }

    #[test]
    fn figures_are_the_guests_amount_by_its_time() {
        let done = Done { status: 200, count: 10, bytes: 5_000_000, seconds: 0.5 };
        let run = Run { boot: Duration::from_millis(250), done, host: Duration::from_secs(9) };
        let values = [Quantity::Boot, Quantity::Rate, Quantity::Requests, Quantity::Memory].map(|what| what.of(&run));
        assert_eq!(values, [Some(0.25), Some(10.0), Some(20.0), None]);
        let instant = Run { done: Done { seconds: 0.0, ..done }, ..run };
        assert_eq!(Quantity::Rate.of(&instant), None);
        assert_eq!(Quantity::Rate.show(288.26), "288");
        assert_eq!(Quantity::Rate.show(27.64), "27.6");
        assert_eq!(Quantity::Boot.show(0.157), "0.16");
        assert_eq!(Quantity::Memory.show(8.0), "8");
    }

    #[test]
    fn a_bar_is_reached_from_its_own_side() {
        assert!(Bar::AtLeast(3.0).reached(0.0, 3.0) && !Bar::AtLeast(3.0).reached(0.0, 2.99));
        assert!(Bar::OneIn(12.0).reached(0.0, 0.08) && !Bar::OneIn(12.0).reached(0.0, 0.09));
        assert!(Bar::Absolute(8.0).reached(8.0, 1.0) && !Bar::Absolute(8.0).reached(9.0, 0.1));
        let texts = [Bar::AtLeast(3.0), Bar::OneIn(12.0), Bar::Absolute(8.0)].map(|bar| bar.to_string());
        assert_eq!(texts, [">= 3.00", "<= 0.083 (1/12)", "SlopOS <= 8"]);
    }
}
