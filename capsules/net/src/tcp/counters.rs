//! What connections count, one number for each reason.

/// Events of all connections together since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Counters {
    /// Connections that were established.
    pub established: u64,
    /// Segments received for a connection.
    pub segments_received: u64,
    /// Segments sent by connections, resets left out.
    pub segments_sent: u64,
    /// Stream bytes received in order.
    pub bytes_received: u64,
    /// Stream bytes sent, those sent again counted again.
    pub bytes_sent: u64,
    /// Dropped: nothing of it lies within the receive window.
    pub out_of_window: u64,
    /// Dropped: everything in it was received before.
    pub duplicates: u64,
    /// Kept until the gap before it closes.
    pub out_of_order: u64,
    /// Dropped: out of order, and the list of ranges was full.
    pub reassembly_full: u64,
    /// Dropped: its timestamp is older than one received before (PAWS, RFC 7323 section 5).
    pub old_timestamps: u64,
    /// Dropped: it lacks the timestamp that was agreed upon.
    pub missing_timestamps: u64,
    /// Dropped: it has no ACK where there must be one.
    pub without_acknowledgement: u64,
    /// Dropped: it acknowledges what was never sent, or what is too old (RFC 5961 section 5).
    pub unacceptable_acknowledgements: u64,
    /// Acknowledgements that say again what the last one said while something is on its way.
    pub duplicate_acknowledgements: u64,
    /// SACK blocks that lie outside what is on its way, and those for which there was no room.
    pub sack_blocks_ignored: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Losses found by duplicate or selective acknowledgements.
    pub fast_retransmits: u64,
    /// Losses of what had been sent again, found by what was sent after it (RFC 8985).
    pub repairs_lost: u64,
    /// Reordering timers that ran out.
    pub reordering_timeouts: u64,
    /// Losses found by the retransmission timer, handshakes included.
    pub retransmission_timeouts: u64,
    /// Tail-loss probes, those that repeat a segment counted as retransmissions as well.
    pub tail_probes: u64,
    /// Probes of a closed window.
    pub window_probes: u64,
    /// Probes of an idle connection.
    pub keep_alive_probes: u64,
    /// Acknowledgements that waited for more data and then went out by the timer.
    pub delayed_acknowledgements: u64,
    /// Challenges to a reset or SYN that might be forged (RFC 5961), and answers to what lies outside the window.
    pub challenge_acknowledgements: u64,
    /// Challenges and such answers that the rate limit held back.
    pub challenges_suppressed: u64,
    /// Resets received and believed.
    pub resets_received: u64,
    /// Resets received and not believed.
    pub resets_ignored: u64,
    /// Resets sent by connections.
    pub resets_sent: u64,
    /// Window scales above 14, which count as 14 (RFC 7323 section 2.3).
    pub excessive_window_scales: u64,
    /// Connections refused by the peer.
    pub refused: u64,
    /// Connections given up because the peer does not answer.
    pub timed_out: u64,
}

/// Why a segment for a connection was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Dropped {
    /// Nothing of it lies within the receive window.
    OutOfWindow,
    /// Everything in it was received before.
    Duplicate,
    /// It is out of order, and the list of ranges was full.
    ReassemblyFull,
    /// Its timestamp is older than one received before.
    OldTimestamp,
    /// It lacks the timestamp that was agreed upon.
    MissingTimestamp,
    /// It has no ACK where there must be one.
    WithoutAcknowledgement,
    /// It acknowledges what was never sent, or what is too old.
    UnacceptableAcknowledgement,
}

impl Counters {
    /// Counts a dropped segment under its reason.
    pub const fn count(&mut self, reason: Dropped) {
        *match reason {
            Dropped::OutOfWindow => &mut self.out_of_window,
            Dropped::Duplicate => &mut self.duplicates,
            Dropped::ReassemblyFull => &mut self.reassembly_full,
            Dropped::OldTimestamp => &mut self.old_timestamps,
            Dropped::MissingTimestamp => &mut self.missing_timestamps,
            Dropped::WithoutAcknowledgement => &mut self.without_acknowledgement,
            Dropped::UnacceptableAcknowledgement => &mut self.unacceptable_acknowledgements,
        } += 1;
    }

    /// Segments for a connection that were dropped, for whatever reason.
    pub const fn dropped(&self) -> u64 {
        self.out_of_window
            + self.duplicates
            + self.reassembly_full
            + self.old_timestamps
            + self.missing_timestamps
            + self.without_acknowledgement
            + self.unacceptable_acknowledgements
    }
}
