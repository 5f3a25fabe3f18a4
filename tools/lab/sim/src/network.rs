//! Our stack with two processes on one end, smoltcp and a DHCP server on the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use slopos_abi::Endpoint;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_net::MacAddress;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::client::{Client, Expected, Outcome};
use crate::figures::Figures;
use crate::router::{DhcpServer, ROUTER};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::station::{Identity, Memory, Station, with_station};
use crate::talker::{Side, Talker};
use crate::watch::Upload;
use slopos_lab::chance::Random;
use slopos_lab::impair::{Channel, Fate};
use slopos_lab::wire::describe;

/// Our station.
pub const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
/// The address that we get.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// An address that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 77);
/// The first connection's port; the next one has the next.
const FIRST_PORT: u16 = 8_000;

/// Without any byte moved, or a socket opened or freed, a run does not go on for longer, in microseconds. TCP's own
/// limits are below that.
pub const STILL_MAX_US: u64 = 2 * 3_600_000_000;
/// Nor for more steps.
pub const STEPS_MAX: u64 = 20_000;
/// Rounds of both stacks and all applications in one instant. Each moves at least a byte, and nothing new arrives.
pub const ROUNDS_MAX: u32 = 100_000;
/// smoltcp sometimes wants to be polled again at once for ever; it has to wait so long, in microseconds.
const SERVER_REST_US: u64 = 500;

/// Tells whether a run goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    since_us: u64,
    steps: u64,
    occupied: u32,
}

impl Progress {
    /// A step was made, in which `moved` says whether anything happened, and `occupied` how many sockets are in use.
    ///
    /// # Errors
    /// Where nothing has happened for too long.
    pub fn note(&mut self, now_us: u64, moved: bool, occupied: u32) -> Result<()> {
        if moved || occupied != self.occupied {
            *self = Progress { since_us: now_us, steps: 0, occupied };
        }
        self.steps += 1;
        ensure!(self.steps < STEPS_MAX, "{} steps without progress", self.steps);
        ensure!(now_us - self.since_us < STILL_MAX_US, "no progress since {} s", self.since_us / 1_000_000);
        Ok(())
    }
}

/// Prints a frame of the trace.
pub fn show(trace: bool, now_us: u64, from: usize, fate: Option<Fate>, frame: &[u8]) {
    if trace {
        let fate = fate.map_or_else(|| "arrives".to_owned(), |fate| format!("{fate:?}").to_lowercase());
        let end = if from == 0 { "us " } else { "peer" };
        println!("{:>14.6} {end:<5} {fate:<10} {}", now_us as f64 / 1e6, describe(frame));
    }
}

struct Peer {
    server: Server,
    dhcp: DhcpServer,
    /// By connection; none where nobody listens.
    talkers: Vec<Option<(SocketHandle, Talker)>>,
}

struct Run<'r, 'a> {
    scenario: &'r Scenario,
    station: &'r mut Station<'a>,
    link: Channel,
    random: Random,
    clients: Vec<Client>,
    peer: Peer,
    now_us: u64,
    killed: bool,
    trace: bool,
    figures: Figures,
    /// Each frame that reached us, with the time, where somebody wants to know.
    heard: Option<Vec<(u64, Vec<u8>)>>,
}

/// Runs one seed.
///
/// # Errors
/// What must hold and does not, and when.
pub fn run(seed: u64, trace: bool) -> Result<Figures> {
    Ok(run_and_listen(seed, trace, false)?.0)
}

/// A frame that arrived, with the time in microseconds.
pub type Heard = (u64, Vec<u8>);

/// Runs one seed, and gives each frame that reached our stack where `listen` is set.
///
/// # Errors
/// As [`run`].
pub fn run_and_listen(seed: u64, trace: bool, listen: bool) -> Result<(Figures, Vec<Heard>)> {
    let mut random = Random::new(seed);
    let scenario = Scenario::draw(&mut random);
    if trace {
        println!("{scenario:#?}");
    }
    let mut stack_seed = [0; 32];
    stack_seed[..8].copy_from_slice(&random.draw().to_le_bytes());
    let identity = Identity { mac: MAC, max_frame: scenario.max_frame, seed: stack_seed };
    let mut memory = Memory::new(&scenario.processes);
    let result = with_station(&mut memory, identity, |station| {
        let mut run = Run::new(&scenario, station, random, trace)?;
        run.heard = listen.then(Vec::new);
        if let Err(error) = run.until_the_end() {
            if run.is_peer_stuck() {
                run.figures.stuck_peers += 1;
                run.end();
                return Ok((run.figures, run.heard.unwrap_or_default()));
            }
            let at = run.describe();
            return Err(error).context(at);
        }
        run.check_outcomes()?;
        Ok((run.figures, run.heard.unwrap_or_default()))
    })?;
    ensure!(memory.is_wiped(), "bytes are left in the memory of sockets that are free");
    Ok(result)
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(scenario: &'r Scenario, station: &'r mut Station<'a>, mut random: Random, trace: bool) -> Result<Self> {
        let mut server = Server::new(random.draw(), scenario.peer_frame)?;
        let (mut clients, mut talkers) = (Vec::new(), Vec::new());
        for (port, connection) in (FIRST_PORT..).zip(&scenario.connections) {
            let address = if connection.expected == Expected::Unanswered { NOBODY } else { ROUTER };
            let remote = Endpoint { address, port };
            let script = &connection.script;
            station.watch.expect(remote, Upload { content: script.upload, bytes: script.upload_bytes() });
            let talker = Talker::new(script.clone(), Side::Client, connection.client);
            clients.push(Client::new(
                ProcessId::new(connection.process),
                remote,
                connection.flags,
                connection.expected,
                talker,
                (connection.start_us, connection.connect_limit),
            ));
            talkers.push(if connection.expected == Expected::Established {
                let handle = server.listen(port, &connection.habits)?;
                Some((handle, Talker::new(script.clone(), Side::Server, connection.server)))
            } else {
                None
            });
        }
        let dhcp = DhcpServer {
            addresses: BTreeMap::from([(MAC.0, ADDRESS)]),
            lease_seconds: scenario.lease_seconds,
            broadcasts: scenario.broadcasts,
        };
        let peer = Peer { server, dhcp, talkers };
        let link = Channel::new(scenario.impairments);
        let figures = Figures { seeds: 1, connections: clients.len() as u64, ..Figures::default() };
        Ok(Run {
            scenario,
            station,
            link,
            random,
            clients,
            peer,
            now_us: 0,
            killed: false,
            trace,
            figures,
            heard: None,
        })
    }

    fn until_the_end(&mut self) -> Result<()> {
        let mut progress = Progress::default();
        loop {
            self.figures.steps += 1;
            let mut moved = self.arrivals()?;
            let mut rounds = 0;
            while self.instant()? {
                moved = true;
                rounds += 1;
                ensure!(rounds < ROUNDS_MAX, "the applications do not come to rest");
            }
            let occupied = self.station.processes().map(|process| self.station.in_use(process)).sum();
            progress.note(self.now_us, moved, occupied)?;
            if occupied == 0 && self.is_over() {
                return Ok(());
            }
            self.now_us = self.next_us().context("nothing is left to happen, and the run is not over")?;
        }
    }

    /// Whether the run stands still because of smoltcp: each connection that is not over waits for what smoltcp has to
    /// send next, or for a socket that such a connection has.
    fn is_peer_stuck(&mut self) -> bool {
        let watch = &self.station.watch;
        let mut stuck = Vec::new();
        for (client, peer) in self.clients.iter().zip(&self.peer.talkers) {
            let has_more = peer.as_ref().is_some_and(|(handle, _)| self.peer.server.stream(*handle).has_more());
            if has_more && client.is_talking() && watch.is_peers_turn(client.remote(), client.talker.written) {
                stuck.push((client.process(), client.remote()));
            }
        }
        let is_explained = |client: &Client| {
            client.outcome().is_some()
                || stuck.contains(&(client.process(), client.remote()))
                || client.is_waiting() && stuck.iter().any(|(process, _)| *process == client.process())
        };
        !stuck.is_empty() && self.clients.iter().all(is_explained)
    }

    /// Ends what is left.
    fn end(&mut self) {
        for process in self.station.processes() {
            self.station.kill(process);
        }
        self.figures.count_link(&self.link);
        count_stack(&mut self.figures, self.station, self.now_us);
    }

    /// When it is, and where the connections stand that are not over.
    fn describe(&mut self) -> String {
        let mut text = format!("at {:.6} s", self.now_us as f64 / 1e6);
        for (number, (client, peer)) in self.clients.iter().zip(&mut self.peer.talkers).enumerate() {
            let Some((handle, talker)) = peer.as_mut().filter(|(_, talker)| !talker.closed) else { continue };
            let state = self.peer.server.stream(*handle).state();
            // Writing to a string does not fail.
            let _: Result<(), _> = write!(text, "; connection {number}: {client}; the peer {talker} in {state}");
        }
        text
    }

    fn send(&mut self, from: usize, frame: &[u8]) {
        let fate = self.link.send(from, frame, self.now_us, &mut self.random);
        show(self.trace, self.now_us, from, Some(fate), frame);
    }

    fn arrivals(&mut self) -> Result<bool> {
        let now = Instant::from_micros(self.now_us);
        if let Some((process, _)) = self.scenario.kill.filter(|&(_, at)| at <= self.now_us && !self.killed) {
            self.killed = true;
            let process = ProcessId::new(process);
            self.station.kill(process);
            self.clients.iter_mut().filter(|client| client.process() == process).for_each(Client::kill);
            ensure!(self.station.in_use(process) == 0, "a killed process has sockets");
        }
        while let Some((end, frame)) = self.link.arrived(self.now_us) {
            if self.trace {
                show(true, self.now_us, 1 - end, None, &frame);
            }
            if end == 0 {
                self.station.deliver(&frame, now)?;
                if let Some(heard) = &mut self.heard {
                    heard.push((self.now_us, frame));
                }
                continue;
            }
            match self.peer.dhcp.answer(&frame) {
                (false, _) => self.peer.server.deliver(frame),
                (true, Some(answer)) => self.send(1, &answer),
                (true, None) => {}
            }
        }
        Ok(false)
    }

    /// Does what can be done now, once; whether any byte moved.
    fn instant(&mut self) -> Result<bool> {
        let now = Instant::from_micros(self.now_us);
        let (link, random, trace, now_us) = (&mut self.link, &mut self.random, self.trace, self.now_us);
        self.station.settle(now, |frame| {
            let fate = link.send(0, frame, now_us, random);
            show(trace, now_us, 0, Some(fate), frame);
        })?;
        let ready = self.station.take_ready();
        let mut moved = 0;
        for client in &mut self.clients {
            let is_ready = ready.contains(client.process());
            moved += client.act(self.station, now, is_ready)?;
        }
        // What has arrived comes first, for the applications go by it; what they do then leaves behind them.
        for frame in self.peer.server.poll(self.now_us) {
            self.send(1, &frame);
        }
        for (handle, talker) in self.peer.talkers.iter_mut().flatten() {
            let mut stream = self.peer.server.stream(*handle);
            if !stream.is_early() {
                if stream.state() == State::TimeWait {
                    // smoltcp throws away what was not read ten seconds later.
                    talker.hurry();
                }
                talker.wake();
                moved += talker.act(&mut stream, self.now_us)?;
            }
        }
        for frame in self.peer.server.poll(self.now_us) {
            self.send(1, &frame);
        }
        Ok(moved > 0)
    }

    /// Whether all that had to be said was said, as far as anybody can know.
    fn is_over(&mut self) -> bool {
        let given_up = self.given_up();
        let killed = self.killed_process();
        let peer = &mut self.peer;
        self.clients.iter().zip(&mut peer.talkers).all(|(client, talker)| match (client.outcome(), talker) {
            (None, _) => false,
            (Some(Outcome::Over), Some((_, talker))) => {
                let excused = talker.script().is_cut_short() || killed == Some(client.process());
                talker.closed || excused || client.talker.gone || given_up
            }
            _ => true,
        })
    }

    /// What this process had written may be lost, even where it had let go of the connection.
    fn killed_process(&self) -> Option<ProcessId> {
        self.scenario.kill.filter(|_| self.killed).map(|(process, _)| ProcessId::new(process))
    }

    /// Whether our stack gave up on a peer that did not answer in time, when no process was there to be told.
    fn given_up(&self) -> bool {
        let told = self.clients.iter().filter(|client| {
            client.outcome() == Some(Outcome::TimedOut) || client.error == Some(slopos_net::tcp::Error::TimedOut)
        });
        self.station.stack.counters().tcp.timed_out > told.count() as u64 && self.scenario.may_lose()
    }

    fn next_us(&mut self) -> Option<u64> {
        let now_us = self.now_us;
        let server = self.peer.server.deadline_us(now_us).map(|at| at.max(now_us + SERVER_REST_US));
        let stack = self.station.stack.next_deadline().map(Instant::as_micros);
        let kill = self.scenario.kill.filter(|_| !self.killed).map(|(_, at)| at);
        let clients = self.clients.iter().filter_map(Client::wake_us);
        let peer = &mut self.peer;
        let talkers = peer
            .talkers
            .iter()
            .flatten()
            .filter(|(handle, _)| !peer.server.stream(*handle).is_early())
            .filter_map(|(_, talker)| talker.wake_us());
        let others = [self.link.next_arrival_us(), server, stack, kill].into_iter().flatten();
        clients.chain(talkers).chain(others).map(|at| at.max(now_us + 1)).min()
    }

    fn check_outcomes(&mut self) -> Result<()> {
        let may_lose = self.scenario.may_lose();
        let given_up = self.given_up();
        let killed = self.killed_process();
        for (number, (client, peer)) in self.clients.iter().zip(&self.peer.talkers).enumerate() {
            let Some(outcome) = client.outcome() else { bail!("connection {number} is not over") };
            let figures = &mut self.figures;
            match (client.expected, outcome) {
                (_, Outcome::Killed) => figures.cut_short += 1,
                (Expected::Refused, Outcome::Refused) => figures.refused += 1,
                (Expected::Unanswered, Outcome::TimedOut) => figures.unanswered += 1,
                (Expected::Refused | Expected::Established, Outcome::TimedOut) if may_lose => {
                    figures.connect_timeouts += 1;
                }
                (Expected::Established, Outcome::Over)
                    if client.talker.script().is_cut_short() || killed == Some(client.process()) =>
                {
                    figures.cut_short += 1;
                }
                (Expected::Established, Outcome::Over) => {
                    let whole = client.talker.is_done() && peer.as_ref().is_some_and(|(_, peer)| peer.is_done());
                    let timed_out = client.error == Some(slopos_net::tcp::Error::TimedOut) && may_lose;
                    if !whole && (given_up || timed_out) {
                        figures.given_up += 1;
                    } else if !whole {
                        let peer = peer.as_ref().map(|(_, peer)| peer.to_string()).unwrap_or_default();
                        bail!("connection {number} is not whole: {client}; the peer {peer}");
                    }
                }
                (expected, outcome) => bail!("connection {number} should be {expected:?} and is {outcome:?}"),
            }
            figures.bytes += (client.talker.read + peer.as_ref().map_or(0, |(_, peer)| peer.read)) as u64;
        }
        self.figures.count_link(&self.link);
        count_stack(&mut self.figures, self.station, self.now_us);
        Ok(())
    }
}

/// Takes over what our stack has counted.
pub fn count_stack(figures: &mut Figures, station: &Station<'_>, now_us: u64) {
    let counters = station.stack.counters();
    figures.straight_bytes += station.straight_bytes;
    figures.established += counters.tcp.established;
    figures.retransmits += counters.tcp.retransmits;
    figures.fast_retransmits += counters.tcp.fast_retransmits;
    figures.repairs_lost += counters.tcp.repairs_lost;
    figures.reordering_timeouts += counters.tcp.reordering_timeouts;
    figures.timeouts += counters.tcp.retransmission_timeouts;
    figures.window_probes += counters.tcp.window_probes;
    figures.recycled += counters.events.recycled;
    figures.virtual_seconds = figures.virtual_seconds.max(now_us / 1_000_000);
}
