//! What a run counted.

use slopos_lab::impair::Channel;
use std::fmt;
use std::ops::AddAssign;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident: $label:literal,)*) => {
        /// What one run counted, or many together.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl AddAssign for Figures {
            fn add_assign(&mut self, other: Figures) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Figures {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(formatter, "{:<36} {:>16}", $label, self.$name)?;)*
                Ok(())
            }
        }
    };
}

figures! {
    /// Seeds that were run.
    seeds: "seeds",
    /// Connections that were asked for.
    connections: "connections asked for",
    /// Connections that were established.
    established: "connections established",
    /// Connections that were refused, as they had to be.
    refused: "refused, as they had to be",
    /// Connects that nobody answered, as it had to be.
    unanswered: "unanswered, as they had to be",
    /// Connects that ran out of time because the link lost too much.
    connect_timeouts: "connects given up over a lossy link",
    /// Connections that were given up after they were established, because the link lost too much.
    given_up: "connections given up over a lossy link",
    /// Connections that one of the two applications ended early.
    cut_short: "cut short by an application",
    /// Runs that ended because smoltcp no longer sent what comes next, though we had told it to and had said all that
    /// we had to say ourselves. A window that was closed for a moment, told late, stops it for ever.
    stuck_peers: "runs in which smoltcp got stuck",
    /// Stream bytes that an application read.
    bytes: "stream bytes delivered",
    /// Stream bytes that our stack put straight into the buffer of a read that waited.
    straight_bytes: "straight into a read that waited",
    /// Frames put on the link by either end.
    frames: "frames sent",
    /// Bytes of those.
    wire_bytes: "bytes of those",
    /// Frames that the link lost.
    lost: "frames lost",
    /// Frames for which the link's queue had no room.
    overflowed: "frames dropped by a full queue",
    /// Frames that the link delivered twice.
    duplicated: "frames duplicated",
    /// Frames that were overtaken.
    reordered: "frames overtaken",
    /// Frames with a flipped bit.
    corrupted: "frames corrupted",
    /// Segments that our stack sent again.
    retransmits: "segments sent again",
    /// Of the losses, those that our stack found without the timer.
    fast_retransmits: "losses found without the timer",
    /// Retransmissions that were lost again and found without the timer; those of one round trip count once.
    repairs_lost: "lost repairs found without the timer",
    /// Times that its reordering timer ran out.
    reordering_timeouts: "reordering timeouts",
    /// Times that its retransmission timer ran out.
    timeouts: "retransmission timeouts",
    /// Probes of a closed window that it sent.
    window_probes: "window probes",
    /// Sockets that were recycled early to make room.
    recycled: "sockets recycled",
    /// Steps of the simulation.
    steps: "steps",
    /// Time that passed in the simulated networks, in seconds.
    virtual_seconds: "virtual seconds",
}

impl Figures {
    /// Takes over what a link has counted in both directions.
    pub fn count_link(&mut self, link: &Channel) {
        let mut counters = link.counters(0);
        counters += link.counters(1);
        self.frames += counters.frames;
        self.wire_bytes += counters.bytes;
        self.lost += counters.lost;
        self.overflowed += counters.overflowed;
        self.duplicated += counters.duplicated;
        self.reordered += counters.reordered;
        self.corrupted += counters.corrupted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up_and_name_themselves() {
        let mut sum = Figures { seeds: 1, lost: 2, ..Figures::default() };
        sum += Figures { seeds: 3, ..Figures::default() };
        assert_eq!((sum.seeds, sum.lost), (4, 2));
        assert!(sum.to_string().lines().any(|line| line.starts_with("frames lost ") && line.ends_with(" 2")));
    }
}
