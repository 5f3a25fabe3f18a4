//! Our stack, on its link: the board's loop around it, and what must hold after each step.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use slopos_abi::{Readiness, RemoteRange};
use slopos_host_log::Token;
use slopos_kernel::grant::Grant;
use slopos_kernel::objects::SocketId;
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::readers::Readers;
use slopos_kernel::time::Instant;
use slopos_net::MacAddress;
use slopos_net::sockets::{Socket, SocketSet};
use slopos_net::stack::{Config, Stack};
use slopos_net::tcp::Error;
use slopos_net::wire::ethernet;

use crate::talker::{Io, Stream};
use crate::watch::Watch;

/// Rounds of the board's loop in one instant, beyond which the stack does not come to rest.
const ROUNDS_MAX: usize = 100;
/// Frames in one instant and with nothing received, beyond which the stack does not come to rest. Far more than all
/// windows together.
const BURST_MAX: usize = 100_000;

/// The sockets that a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// How many.
    pub sockets: usize,
    /// Bytes of each receive ring.
    pub receive: usize,
    /// Bytes of each send ring.
    pub send: usize,
}

/// The memory of the rings, which outlives the stack so that one can look at what is left in it.
#[derive(Debug)]
pub struct Memory {
    processes: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Memory {
    /// Memory for these processes.
    pub fn new(processes: &[Sizes]) -> Self {
        let rings = |sizes: &Sizes| (vec![0; sizes.receive], vec![0; sizes.send]);
        let process = |sizes: &Sizes| (0..sizes.sockets).map(|_| rings(sizes)).collect();
        Memory { processes: processes.iter().map(process).collect() }
    }

    /// Whether there is nothing in it.
    pub fn is_wiped(&self) -> bool {
        self.processes.iter().flatten().all(|(receive, send)| receive.iter().chain(send).all(|byte| *byte == 0))
    }
}

/// Our stack and what is checked about it.
pub struct Station<'a> {
    /// The stack.
    pub stack: Stack<'a>,
    /// The account of its connections.
    pub watch: Watch,
    /// Bytes that went straight into the buffer of a read that waited.
    pub straight_bytes: u64,
    processes: u8,
    frame: Vec<u8>,
    /// The reads that wait.
    readers: BTreeMap<SocketId, Reader>,
}

/// What a stack is made with, besides its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its station.
    pub mac: MacAddress,
    /// Bytes of its largest frame.
    pub max_frame: u16,
    /// What its random numbers follow from.
    pub seed: [u8; 32],
}

/// Runs `work` with one stack in each memory. Its processes may connect anywhere; one more process has no network.
pub fn with_stations<const N: usize, R>(
    memories: &mut [Memory; N],
    identities: [Identity; N],
    work: impl FnOnce(&mut [Station<'_>; N]) -> R,
) -> R {
    let authority = [RemoteRange::ANY];
    let mut sockets = memories
        .each_mut()
        .map(|memory| memory.processes.iter_mut().map(|rings| make_sockets(rings)).collect::<Vec<_>>());
    let mut sets = sockets.each_mut().map(|sockets| {
        sockets.iter_mut().map(|sockets| SocketSet::new("app", sockets, &authority)).collect::<Vec<_>>()
    });
    let mut regions = sets.each_mut().map(|sets| sets.iter_mut().map(Some).chain([None]).collect::<Vec<_>>());
    let mut identities = identities.into_iter();
    let mut stations = regions.each_mut().map(|regions| {
        // There are as many identities as memories.
        let Some(Identity { mac, max_frame, seed }) = identities.next() else { unreachable!() };
        let processes = (regions.len() - 1) as u8;
        Station {
            stack: Stack::new(mac, Config { max_frame }, seed, Grant::new(regions), Instant::BOOT),
            watch: Watch::default(),
            straight_bytes: 0,
            processes,
            frame: vec![0; usize::from(max_frame).max(ethernet::HEADER_BYTES)],
            readers: BTreeMap::new(),
        }
    });
    work(&mut stations)
}

fn make_sockets(rings: &mut [(Vec<u8>, Vec<u8>)]) -> Vec<Socket<'_>> {
    rings.iter_mut().map(|(receive, send)| Socket::new(receive, send)).collect()
}

/// Runs `work` with one stack, as [`with_stations`] does.
pub fn with_station<R>(memory: &mut Memory, identity: Identity, work: impl FnOnce(&mut Station<'_>) -> R) -> R {
    let mut memories = [std::mem::replace(memory, Memory { processes: Vec::new() })];
    let result = with_stations(&mut memories, [identity], |[station]| work(station));
    [*memory] = memories;
    result
}

/// A read that waits: its buffer, and how many bytes were delivered to it.
struct Reader {
    buffer: Vec<u8>,
    delivered: usize,
}

/// The reads that wait, as the kernel has them.
struct Waiting<'w> {
    readers: &'w mut BTreeMap<SocketId, Reader>,
    straight_bytes: &'w mut u64,
}

impl Readers for Waiting<'_> {
    fn buffer(&mut self, socket: SocketId, length: usize) -> Option<&mut [u8]> {
        let Reader { buffer, delivered } = self.readers.get_mut(&socket)?;
        buffer.get_mut(*delivered..*delivered + length)
    }

    fn deliver(&mut self, socket: SocketId, length: usize) {
        if let Some(reader) = self.readers.get_mut(&socket) {
            reader.delivered += length;
            *self.straight_bytes += length as u64;
        }
    }
}

impl Station<'_> {
    /// The processes that have sockets.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<> {
        (0..self.processes).map(ProcessId::new)
    }

    /// A frame arrives.
    ///
    /// # Errors
    /// What must hold and does not.
    pub fn deliver(&mut self, frame: &[u8], now: Instant) -> Result<()> {
        // A frame whose Ethernet header is damaged never comes as far as a connection.
        let before = self.stack.counters().tcp.segments_received;
        let mut waiting = Waiting { readers: &mut self.readers, straight_bytes: &mut self.straight_bytes };
        self.stack.receive(frame, now, &mut waiting, &Token);
        if self.stack.counters().tcp.segments_received > before {
            self.watch.delivered(frame);
        }
        self.check()
    }

    /// A process reads up to `length` bytes. Where there are none yet and `waits` says so, it waits in this read as in
    /// the system call: what comes in may go straight into its buffer, and the next read here is the same one again.
    ///
    /// # Errors
    /// As [`Stack::read`].
    pub fn read(&mut self, socket: SocketId, length: usize, waits: bool) -> Result<Vec<u8>, Error> {
        let begun = self.readers.remove(&socket);
        let Reader { mut buffer, delivered } =
            begun.unwrap_or_else(|| Reader { buffer: vec![0xee; length], delivered: 0 });
        if delivered > 0 {
            buffer.truncate(delivered);
            return Ok(buffer);
        }
        match self.stack.read(socket, &mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(error) => {
                if waits && error == Error::WouldBlock {
                    self.readers.insert(socket, Reader { buffer, delivered });
                }
                Err(error)
            }
        }
    }

    /// Whether a read does not block: something was delivered to the one that waits, or the socket says so.
    pub fn is_readable(&self, socket: SocketId) -> bool {
        let is_complete = self.readers.get(&socket).is_some_and(|reader| reader.delivered > 0);
        is_complete || self.stack.readiness(socket).contains(Readiness::READABLE)
    }

    /// A process lets go of a socket. If it could not while it waits in a read, as it cannot on the board, what was
    /// delivered to it would be lost.
    pub fn close(&mut self, socket: SocketId, now: Instant) {
        self.readers.remove(&socket);
        self.stack.close(socket, now);
    }

    /// A process is killed.
    pub fn kill(&mut self, process: ProcessId) {
        self.readers.retain(|reader, _| reader.process != process);
        self.stack.abort(process);
    }

    /// Does all that needs no time to pass; `send` gets each frame.
    ///
    /// # Errors
    /// What must hold and does not, among it that the stack comes to rest.
    pub fn settle(&mut self, now: Instant, mut send: impl FnMut(&[u8])) -> Result<()> {
        let mut burst = 0;
        for _ in 0..ROUNDS_MAX {
            self.stack.poll(now);
            self.check()?;
            while let Some(length) = self.stack.transmit(&mut self.frame, now, &Token) {
                let frame = self.frame.get(..length).unwrap_or(&[]);
                self.watch.sent(frame)?;
                send(frame);
                self.check()?;
                burst += 1;
                ensure!(burst < BURST_MAX, "the stack sends without end");
            }
            if self.stack.next_deadline().is_none_or(|deadline| deadline > now) {
                return Ok(());
            }
        }
        bail!("the stack does not come to rest")
    }

    /// The processes' memory stays within their grants, and the accounts agree.
    ///
    /// # Errors
    /// The account that does not.
    pub fn check(&mut self) -> Result<()> {
        for process in self.processes() {
            let info = self.stack.grant_info(process, &Token);
            ensure!(info.in_use <= info.high_water && info.high_water <= info.bytes, "beyond the grant: {info:?}");
            ensure!(info.sockets_in_use <= info.sockets, "more sockets in use than there are: {info:?}");
            ensure!((info.sockets_in_use == 0) == (info.in_use == 0), "the grant's account is wrong: {info:?}");
        }
        Ok(())
    }

    /// How many sockets of a process are not free.
    pub fn in_use(&mut self, process: ProcessId) -> u32 {
        self.stack.grant_info(process, &Token).sockets_in_use
    }

    /// Whether no socket is in use.
    pub fn is_empty(&mut self) -> bool {
        self.processes().all(|process| self.in_use(process) == 0)
    }

    /// The processes to wake.
    pub fn take_ready(&mut self) -> ProcessSet {
        self.stack.take_ready()
    }
}

/// One socket of a process, as a stream.
pub struct SocketStream<'s, 'a> {
    /// The stack.
    pub station: &'s mut Station<'a>,
    /// The socket.
    pub socket: SocketId,
    /// The time.
    pub now: Instant,
    /// Why the connection is gone, once it is.
    pub error: &'s mut Option<Error>,
}

impl SocketStream<'_, '_> {
    fn gone(&mut self, error: Error) -> Result<Io> {
        match error {
            Error::WouldBlock => Ok(Io::Nothing),
            Error::Reset | Error::TimedOut | Error::Refused => {
                *self.error = Some(error);
                Ok(Io::Gone)
            }
            Error::NotConnected | Error::AlreadyConnected | Error::Closed => {
                bail!("a call on a connection of ours gave {error:?}")
            }
        }
    }
}

impl Stream for SocketStream<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> Result<Io> {
        let readable = self.station.is_readable(self.socket);
        // Some applications wait in their reads, others only look.
        let waits = out.len().is_multiple_of(2);
        let result = self.station.read(self.socket, out.len(), waits);
        let blocks = result == Err(Error::WouldBlock);
        ensure!(blocks != readable, "the socket says that readable is {readable}, and a read gives {result:?}");
        self.station.check()?;
        match result {
            Ok(bytes) if bytes.is_empty() => Ok(Io::End),
            Ok(bytes) => {
                let room =
                    out.get_mut(..bytes.len()).ok_or_else(|| anyhow!("a read gave more than it had room for"))?;
                room.copy_from_slice(&bytes);
                Ok(Io::Bytes(bytes.len()))
            }
            Err(error) => self.gone(error),
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<Io> {
        let writable = self.station.stack.readiness(self.socket).contains(Readiness::WRITABLE);
        let result = self.station.stack.write(self.socket, data, self.now);
        ensure!(
            !(writable && result == Err(Error::WouldBlock)),
            "the socket says that it is writable, and a write blocks"
        );
        self.station.check()?;
        match result {
            Ok(count) => Ok(Io::Bytes(count)),
            Err(error) => self.gone(error),
        }
    }

    fn finish(&mut self) {
        self.station.stack.close_write(self.socket);
    }

    fn close(&mut self) {
        self.station.close(self.socket, self.now);
    }

    fn abort(&mut self) {
        self.close();
    }
}
