//! What is lost: the scoreboard of what was sent and what the peer reports to have, when each of it was sent, and RACK,
//! which concludes from both (RFC 6675, RFC 8985; NewReno, RFC 6582, where the peer does not do SACK).
//!
//! Nothing here knows how much may be sent, or when a timer runs: [`Scoreboard::find_lost`] says what is lost and when
//! something more will be.

mod rack;
mod records;
mod scoreboard;

pub use rack::Evidence;
pub use scoreboard::{Phase, Scoreboard};

#[cfg(test)]
pub use rack::Rack;
#[cfg(test)]
pub use records::SendRecords;
