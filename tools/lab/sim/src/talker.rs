//! An application at one end of a connection: it reads, checks and writes by a plan, and says what became of it.

use std::fmt;

use anyhow::{Result, bail, ensure};

use slopos_lab::chance::Content;

/// What a call on a stream gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// So many bytes.
    Bytes(usize),
    /// The peer has ended its stream.
    End,
    /// Nothing for now.
    Nothing,
    /// The connection is gone.
    Gone,
}

/// A connected stream, whichever stack is behind it.
pub trait Stream {
    /// Takes bytes that have arrived.
    ///
    /// # Errors
    /// Where the stack contradicts itself.
    fn read(&mut self, out: &mut [u8]) -> Result<Io>;
    /// Gives bytes to be sent.
    ///
    /// # Errors
    /// Where the stack contradicts itself.
    fn write(&mut self, data: &[u8]) -> Result<Io>;
    /// Sends no more.
    fn finish(&mut self);
    /// Lets go of it.
    fn close(&mut self);
    /// Ends it without regard for what was not sent or read yet.
    fn abort(&mut self);
}

/// One exchange: what either side sends, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// By the client, first.
    pub request: usize,
    /// By the server, when it has the request.
    pub response: usize,
}

/// Who ends the stream, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server, behind its last byte; the client closes when it has seen that.
    ServerFirst,
    /// The client sends no more behind its last byte; the server answers the end by its own.
    ClientHalfCloses,
    /// The client closes when it has everything.
    ClientCloses,
    /// Both behind their last byte.
    Both,
}

/// Which side an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It began.
    Client,
    /// The other one.
    Server,
}

/// What both applications of a connection have agreed on.
#[derive(Clone, Debug)]
pub struct Script {
    /// The exchanges.
    pub turns: Vec<Turn>,
    /// Nobody waits for anything: all is sent as fast as it goes.
    pub eager: bool,
    /// How it ends.
    pub ending: Ending,
    /// What the client sends.
    pub upload: Content,
    /// What the server sends.
    pub download: Content,
    /// The client lets go when it has read so much.
    pub client_quits_after: Option<usize>,
    /// The server aborts when it has written so much.
    pub server_aborts_after: Option<usize>,
}

impl Script {
    /// Bytes that the client sends.
    pub fn upload_bytes(&self) -> usize {
        self.turns.iter().map(|turn| turn.request).sum()
    }

    /// Bytes that the server sends.
    pub fn download_bytes(&self) -> usize {
        self.turns.iter().map(|turn| turn.response).sum()
    }

    /// Whether an application ends the connection before all is said.
    pub fn is_cut_short(&self) -> bool {
        self.client_quits_after.is_some() || self.server_aborts_after.is_some()
    }
}

/// How an application goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Most bytes of a read.
    pub read: usize,
    /// Most bytes of a write.
    pub write: usize,
    /// What it does between two of them, in microseconds.
    pub pause_us: u64,
}

/// An application.
#[derive(Debug)]
pub struct Talker {
    script: Script,
    side: Side,
    pace: Pace,
    buffer: Vec<u8>,
    /// Bytes read.
    pub read: usize,
    /// Bytes written.
    pub written: usize,
    finished: bool,
    /// The peer's stream has ended.
    pub saw_end: bool,
    /// It has let go.
    pub closed: bool,
    /// The connection was gone before it let go.
    pub gone: bool,
    next_us: u64,
    /// The last try gave nothing; only the stack's word is a reason to try again.
    blocked: bool,
}

impl fmt::Display for Talker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = self.totals();
        write!(formatter, "read {} of {theirs}, wrote {} of {ours}", self.read, self.written)?;
        for (set, word) in [(self.finished, "finished"), (self.saw_end, "saw the end"), (self.gone, "lost it")] {
            if set {
                write!(formatter, ", {word}")?;
            }
        }
        Ok(())
    }
}

impl Talker {
    /// The application on this side of the script.
    pub fn new(script: Script, side: Side, pace: Pace) -> Self {
        let buffer = vec![0; pace.read.max(pace.write)];
        Talker {
            script,
            side,
            pace,
            buffer,
            read: 0,
            written: 0,
            finished: false,
            saw_end: false,
            closed: false,
            gone: false,
            next_us: 0,
            blocked: false,
        }
    }

    /// The script.
    pub fn script(&self) -> &Script {
        &self.script
    }

    fn totals(&self) -> (usize, usize) {
        match self.side {
            Side::Client => (self.script.upload_bytes(), self.script.download_bytes()),
            Side::Server => (self.script.download_bytes(), self.script.upload_bytes()),
        }
    }

    /// How much of its own stream it may have written by now.
    fn allowed(&self) -> usize {
        if self.script.eager {
            return self.totals().0;
        }
        let (mut theirs, mut ours) = (0, 0);
        for turn in &self.script.turns {
            if self.side == Side::Server {
                theirs += turn.request;
            }
            if self.read < theirs {
                break;
            }
            match self.side {
                Side::Client => {
                    ours += turn.request;
                    theirs += turn.response;
                }
                Side::Server => ours += turn.response,
            }
        }
        ours
    }

    /// When it wants to go on, if time is what it waits for.
    pub fn wake_us(&self) -> Option<u64> {
        (!self.closed && !self.blocked && self.pace.pause_us > 0).then_some(self.next_us)
    }

    /// The stack said that something happened.
    pub fn wake(&mut self) {
        self.blocked = false;
    }

    /// It makes no more pauses.
    pub fn hurry(&mut self) {
        self.pace.pause_us = 0;
        self.next_us = 0;
    }

    /// Whether it has done all that the script says.
    pub fn is_done(&self) -> bool {
        let (ours, theirs) = self.totals();
        self.closed && self.read == theirs && self.written == ours
    }

    /// Does what can be done now, and answers how many bytes moved, or that something else did.
    ///
    /// # Errors
    /// Bytes that were not sent so, or too many of them, or an end that comes too early.
    pub fn act(&mut self, stream: &mut impl Stream, now_us: u64) -> Result<usize> {
        let mut moved = 0;
        while !self.closed && !self.blocked && now_us >= self.next_us {
            let step = self.step(stream)?;
            moved += step;
            if self.pace.pause_us > 0 {
                self.next_us = now_us + self.pace.pause_us;
            }
            self.blocked = step == 0;
        }
        Ok(moved)
    }

    fn step(&mut self, stream: &mut impl Stream) -> Result<usize> {
        if self.quits(stream) {
            return Ok(1);
        }
        let mut moved = self.read_some(stream)? + self.write_some(stream)?;
        let (ours, theirs) = self.totals();
        let all_written = self.written == ours;
        let finishes = match (self.script.ending, self.side) {
            (Ending::Both, _) | (Ending::ServerFirst, Side::Server) | (Ending::ClientHalfCloses, Side::Client) => {
                all_written
            }
            (_, Side::Server) => all_written && self.saw_end,
            (_, Side::Client) => false,
        };
        if finishes && !self.finished {
            self.finished = true;
            stream.finish();
            moved += 1;
        }
        let closes = match (self.script.ending, self.side) {
            (Ending::ClientCloses, Side::Client) => all_written && self.read == theirs,
            (Ending::ServerFirst, Side::Client) => all_written && self.saw_end,
            _ => self.finished && self.saw_end,
        };
        // The other one has quit, and waits for nothing.
        let left_alone = self.saw_end && self.script.is_cut_short();
        if (closes || left_alone || self.gone) && !self.closed {
            self.closed = true;
            stream.close();
            moved += 1;
        }
        Ok(moved)
    }

    fn quits(&mut self, stream: &mut impl Stream) -> bool {
        match self.side {
            Side::Client if self.script.client_quits_after.is_some_and(|limit| self.read >= limit) => stream.close(),
            Side::Server if self.script.server_aborts_after.is_some_and(|limit| self.written >= limit) => {
                stream.abort();
            }
            _ => return false,
        }
        self.closed = true;
        true
    }

    fn read_some(&mut self, stream: &mut impl Stream) -> Result<usize> {
        if self.saw_end || self.gone {
            return Ok(0);
        }
        let (content, total) = match self.side {
            Side::Client => (self.script.download, self.script.download_bytes()),
            Side::Server => (self.script.upload, self.script.upload_bytes()),
        };
        match stream.read(&mut self.buffer[..self.pace.read])? {
            Io::Bytes(count) => {
                ensure!(count > 0 && count <= self.pace.read, "a read gave {count} bytes");
                if let Some(at) = content.difference(self.read, &self.buffer[..count]) {
                    bail!("{:?} read a wrong byte at {at}", self.side);
                }
                self.read += count;
                ensure!(self.read <= total, "{:?} read more than was sent", self.side);
                Ok(count)
            }
            Io::End => {
                ensure!(
                    self.read == total || self.script.is_cut_short(),
                    "{:?} saw the end after {} of {total} bytes",
                    self.side,
                    self.read
                );
                self.saw_end = true;
                Ok(1)
            }
            Io::Nothing => Ok(0),
            Io::Gone => {
                self.gone = true;
                Ok(1)
            }
        }
    }

    fn write_some(&mut self, stream: &mut impl Stream) -> Result<usize> {
        let allowed = self.allowed();
        if self.written >= allowed || self.finished || self.gone {
            return Ok(0);
        }
        let content = match self.side {
            Side::Client => self.script.upload,
            Side::Server => self.script.download,
        };
        let length = self.pace.write.min(allowed - self.written);
        content.fill(self.written, &mut self.buffer[..length]);
        match stream.write(&self.buffer[..length])? {
            Io::Bytes(count) => {
                ensure!(count > 0 && count <= length, "a write of {length} took {count} bytes");
                self.written += count;
                Ok(count)
            }
            Io::Nothing => Ok(0),
            Io::Gone | Io::End => {
                self.gone = true;
                Ok(1)
            }
        }
    }

    /// Lets go because nothing more will come.
    pub fn give_up(&mut self, stream: &mut impl Stream) {
        if !self.closed {
            self.closed = true;
            stream.close();
        }
    }
}
