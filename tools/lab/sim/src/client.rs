//! One connection of a process on our stack, from the socket to its end.

use std::fmt;

use anyhow::{Result, bail, ensure};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_host_log::Token;
use slopos_kernel::objects::SocketId;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};
use slopos_net::stack::{Progress, SocketError};
use slopos_net::tcp::{Error, State};

use crate::station::{SocketStream, Station};
use crate::talker::Talker;

/// A process that found no socket tries again after so long, in microseconds.
const RETRY_US: u64 = 1_000_000;
/// An application whose peer has quit learns of it by a reset, unless that was lost and there is nothing more to send.
/// Then it gives up after so long, in microseconds.
const QUIT_LIMIT_US: u64 = 300_000_000;

/// What must become of a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Somebody listens.
    Established,
    /// Nobody listens.
    Refused,
    /// There is no such host.
    Unanswered,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was established, and the application let go of it.
    Over,
    /// It was refused.
    Refused,
    /// The connect ran out of time.
    TimedOut,
    /// Its process was killed.
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Connecting(SocketId),
    Talking(SocketId),
    Done(Outcome),
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    process: ProcessId,
    remote: Endpoint,
    flags: SocketFlags,
    /// What must become of it.
    pub expected: Expected,
    /// The application.
    pub talker: Talker,
    /// Why the connection is gone, where it went before the application let go.
    pub error: Option<Error>,
    connect_limit: Duration,
    deadline: Instant,
    phase: Phase,
    next_us: u64,
    moved_us: u64,
}

impl fmt::Display for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}, {}", self.phase, self.talker)?;
        match self.error {
            Some(error) => write!(formatter, ", {error:?}"),
            None => Ok(()),
        }
    }
}

impl Client {
    /// A connection that the process begins at `start_us`, and whose connect may take `connect_limit`.
    pub fn new(
        process: ProcessId,
        remote: Endpoint,
        flags: SocketFlags,
        expected: Expected,
        talker: Talker,
        (start_us, connect_limit): (u64, Duration),
    ) -> Self {
        Client {
            process,
            remote,
            flags,
            expected,
            talker,
            error: None,
            connect_limit,
            deadline: Instant::BOOT,
            phase: Phase::Waiting,
            next_us: start_us,
            moved_us: start_us,
        }
    }

    /// Its process.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Where it goes.
    pub fn remote(&self) -> Endpoint {
        self.remote
    }

    /// What became of it.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether it has no socket yet.
    pub fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Whether its application talks.
    pub fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Talking(_))
    }

    /// When it wants to go on by itself, in microseconds.
    pub fn wake_us(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting => Some(self.next_us),
            Phase::Talking(_) if self.talker.script().is_cut_short() => {
                let limit = self.moved_us + QUIT_LIMIT_US;
                Some(self.talker.wake_us().map_or(limit, |wake| wake.min(limit)))
            }
            Phase::Talking(_) => self.talker.wake_us(),
            Phase::Connecting(_) | Phase::Done(_) => None,
        }
    }

    /// Its process was killed.
    pub fn kill(&mut self) {
        if self.outcome().is_none() {
            self.phase = Phase::Done(Outcome::Killed);
            self.talker.closed = true;
        }
    }

    /// Does what can be done now, and answers how much that was. `ready` where the stack said that something happened
    /// to its process.
    ///
    /// # Errors
    /// What must hold and does not.
    pub fn act(&mut self, station: &mut Station<'_>, now: Instant, ready: bool) -> Result<usize> {
        let now_us = now.as_micros();
        match self.phase {
            Phase::Waiting if now_us >= self.next_us => self.open(station, now),
            Phase::Connecting(socket) if ready => self.look(station, socket, now),
            Phase::Talking(socket) => {
                if ready {
                    self.talker.wake();
                }
                let mut stream = SocketStream { station, socket, now, error: &mut self.error };
                let moved = self.talker.act(&mut stream, now_us)?;
                if moved > 0 {
                    self.moved_us = now_us;
                } else if self.talker.script().is_cut_short() && now_us >= self.moved_us + QUIT_LIMIT_US {
                    self.talker.give_up(&mut stream);
                }
                if self.talker.closed {
                    self.phase = Phase::Done(Outcome::Over);
                    return Ok(moved + 1);
                }
                Ok(moved)
            }
            _ => Ok(0),
        }
    }

    fn open(&mut self, station: &mut Station<'_>, now: Instant) -> Result<usize> {
        // Where no socket is free, one in TIME-WAIT is recycled, else an orphan, which loses what it had to say. The
        // process waits where that would happen.
        let info = station.stack.grant_info(self.process, &Token);
        let mut sockets = station.stack.sockets(self.process, &Token);
        let to_be_had = info.sockets_in_use < info.sockets
            || sockets.any(|socket| socket.orphaned && socket.state == State::TimeWait);
        drop(sockets);
        let opened =
            if to_be_had { station.stack.socket(self.process, self.flags) } else { Err(SocketError::GrantExhausted) };
        let socket = match opened {
            Ok(socket) => socket,
            Err(SocketError::GrantExhausted) => {
                self.next_us = now.as_micros() + RETRY_US;
                return Ok(0);
            }
            Err(SocketError::NotAuthorised) => bail!("a process with sockets was denied one"),
        };
        self.deadline = now + self.connect_limit;
        self.phase = Phase::Connecting(socket);
        self.look(station, socket, now)?;
        Ok(1)
    }

    fn look(&mut self, station: &mut Station<'_>, socket: SocketId, now: Instant) -> Result<usize> {
        let progress = station
            .stack
            .connect(socket, self.remote, self.deadline, now)
            .map_err(|error| anyhow::anyhow!("a connect was not begun: {error:?}"))?;
        station.check()?;
        let result = match progress {
            Progress::Pending => {
                ensure!(now <= self.deadline, "a connect goes on beyond its deadline");
                return Ok(0);
            }
            Progress::Done(result) => result,
        };
        self.moved_us = now.as_micros();
        self.phase = match result {
            Ok(()) => Phase::Talking(socket),
            Err(error) => {
                station.close(socket, now);
                match error {
                    Error::Refused => Phase::Done(Outcome::Refused),
                    Error::TimedOut => Phase::Done(Outcome::TimedOut),
                    other => bail!("a connect gave {other:?}"),
                }
            }
        };
        if self.outcome().is_some() {
            self.talker.closed = true;
        }
        Ok(1)
    }
}
