//! Two of our stacks that call each other at the same time, through a translator of ports.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};
use slopos_net::MacAddress;

use crate::client::{Client, Expected, Outcome};
use crate::figures::Figures;
use crate::network::{ADDRESS, MAC, Progress, ROUNDS_MAX, count_stack, show};
use crate::router::{DhcpServer, ROUTER_MAC, Translator, answer_arp};
use crate::scenario::{draw_impairments, draw_pace, draw_processes, draw_script};
use crate::station::{Identity, Memory, Station, with_stations};
use crate::talker::{Side, Talker};
use crate::watch::{Upload, segment_of};
use slopos_lab::chance::Random;
use slopos_lab::impair::{Channel, Impairments};

const OTHER_MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x65, 0x43, 0x21]);
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 16);
/// The ports that the two call.
const CALLED: [u16; 2] = [7_001, 7_002];
/// The protocol's own limit of a connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(180);
/// Bytes that both together say at most.
const BUDGET_MAX: u64 = 150_000;
/// Times that the smallest ring is filled.
const FILLS_MAX: usize = 150;

struct Run<'r, 'a> {
    stations: &'r mut [Station<'a>; 2],
    clients: [Client; 2],
    link: Channel,
    random: Random,
    dhcp: DhcpServer,
    translator: Translator,
    may_lose: bool,
    now_us: u64,
    trace: bool,
    figures: Figures,
}

/// Runs one seed.
///
/// # Errors
/// What must hold and does not, and when.
pub fn run(seed: u64, trace: bool) -> Result<Figures> {
    let mut random = Random::new(seed);
    let impairments = draw_impairments(&mut random);
    let sizes = draw_processes(&mut random);
    let mut memories = [Memory::new(&sizes[..1]), Memory::new(&sizes[1..])];
    let seeds = [(); 2].map(|()| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&random.draw().to_le_bytes());
        seed
    });
    let smallest = sizes.iter().map(|sizes| sizes.receive.min(sizes.send)).min().unwrap_or(1);
    let budget = (random.magnitude(100, BUDGET_MAX) as usize).min(smallest * FILLS_MAX);
    let identity = |mac, seed| Identity { mac, max_frame: 1_514, seed };
    let identities = [identity(MAC, seeds[0]), identity(OTHER_MAC, seeds[1])];
    let figures =
        with_stations(&mut memories, identities, |stations| run_both(stations, random, impairments, budget, trace))?;
    ensure!(memories.iter().all(Memory::is_wiped), "bytes are left in the memory of sockets that are free");
    Ok(figures)
}

fn run_both<'r, 'a>(
    stations: &'r mut [Station<'a>; 2],
    mut random: Random,
    impairments: [Impairments; 2],
    budget: usize,
    trace: bool,
) -> Result<Figures> {
    let script = draw_script(&mut random, budget);
    if trace {
        println!("{impairments:#?} {script:#?}");
    }
    // By then both have an address, unless the link is very bad: a neighbour that has none does not answer.
    let first = 60_000_000 + random.magnitude(1, 5_000_000);
    // Mostly they call at nearly the same time, so that the SYNs cross.
    let second = first + random.pick(&[0, 1, 1_000, 400_000, 1_500_000]);
    let mut client = |side, process, address, port, content, bytes, start, station: &mut Station<'_>| {
        let remote = Endpoint { address, port };
        station.watch.expect(remote, Upload { content, bytes });
        let flags = SocketFlags { nodelay: random.permille(500), ..SocketFlags::default() };
        let talker = Talker::new(script.clone(), side, draw_pace(&mut random, budget));
        Client::new(process, remote, flags, Expected::Established, talker, (start, CONNECT_LIMIT))
    };
    let process = ProcessId::new(0);
    let clients = [
        client(
            Side::Client,
            process,
            OTHER_ADDRESS,
            CALLED[0],
            script.upload,
            script.upload_bytes(),
            first,
            &mut stations[0],
        ),
        client(
            Side::Server,
            process,
            ADDRESS,
            CALLED[1],
            script.download,
            script.download_bytes(),
            second,
            &mut stations[1],
        ),
    ];
    let mut run = Run {
        stations,
        clients,
        link: Channel::new(impairments),
        random,
        dhcp: DhcpServer {
            addresses: BTreeMap::from([(MAC.0, ADDRESS), (OTHER_MAC.0, OTHER_ADDRESS)]),
            lease_seconds: u32::MAX,
            broadcasts: false,
        },
        translator: Translator { called: CALLED, drawn: [None; 2] },
        may_lose: impairments.iter().any(Impairments::may_lose),
        now_us: 0,
        trace,
        figures: Figures { seeds: 1, connections: 2, ..Figures::default() },
    };
    if let Err(error) = run.until_the_end() {
        let [one, other] = &run.clients;
        let at = format!("at {:.6} s; {one}; {other}", run.now_us as f64 / 1e6);
        return Err(error).context(at);
    }
    run.check_outcomes()?;
    Ok(run.figures)
}

impl Run<'_, '_> {
    fn until_the_end(&mut self) -> Result<()> {
        let mut progress = Progress::default();
        loop {
            self.figures.steps += 1;
            while let Some((end, frame)) = self.link.arrived(self.now_us) {
                show(self.trace, self.now_us, 1 - end, None, &frame);
                self.arrive(1 - end, &frame)?;
            }
            let mut moved = false;
            let mut rounds = 0;
            while self.instant()? {
                moved = true;
                rounds += 1;
                ensure!(rounds < ROUNDS_MAX, "the applications do not come to rest");
            }
            let occupied = self.stations.iter_mut().map(|station| station.in_use(ProcessId::new(0))).sum();
            progress.note(self.now_us, moved, occupied)?;
            if occupied == 0 && self.clients.iter().all(|client| client.outcome().is_some()) {
                return Ok(());
            }
            self.now_us = self.next_us().context("nothing is left to happen, and the run is not over")?;
        }
    }

    /// A frame of the station `from` has crossed the link.
    fn arrive(&mut self, from: usize, frame: &[u8]) -> Result<()> {
        let now = Instant::from_micros(self.now_us);
        let to = 1 - from;
        let (is_dhcp, answer) = self.dhcp.answer(frame);
        if let Some(answer) = answer.or_else(|| answer_arp(frame)) {
            let fate = self.link.send(to, &answer, self.now_us, &mut self.random);
            show(self.trace, self.now_us, to, Some(fate), &answer);
        } else if is_dhcp || frame.starts_with(&ROUTER_MAC) {
            // For the router alone, and it has nothing to say.
        } else if segment_of(frame).is_some() {
            if let Some(frame) = self.translator.translate(from, frame) {
                self.stations[to].deliver(&frame, now)?;
            }
        } else {
            self.stations[to].deliver(frame, now)?;
        }
        Ok(())
    }

    fn instant(&mut self) -> Result<bool> {
        let now = Instant::from_micros(self.now_us);
        let mut moved = 0;
        for (end, (station, client)) in self.stations.iter_mut().zip(&mut self.clients).enumerate() {
            let (link, random, trace, now_us) = (&mut self.link, &mut self.random, self.trace, self.now_us);
            let translator = &mut self.translator;
            station.settle(now, |frame| {
                translator.learn(end, frame);
                let fate = link.send(end, frame, now_us, random);
                show(trace, now_us, end, Some(fate), frame);
            })?;
            let ready = station.take_ready().contains(client.process());
            moved += client.act(station, now, ready)?;
        }
        Ok(moved > 0)
    }

    fn next_us(&mut self) -> Option<u64> {
        let stacks = self.stations.iter().filter_map(|station| station.stack.next_deadline());
        let clients = self.clients.iter().filter_map(Client::wake_us);
        let all = stacks.map(Instant::as_micros).chain(clients).chain(self.link.next_arrival_us());
        all.map(|at| at.max(self.now_us + 1)).min()
    }

    fn check_outcomes(&mut self) -> Result<()> {
        let given_up = self.may_lose
            && self.stations.iter().any(|station| {
                let tcp = station.stack.counters().tcp;
                tcp.timed_out > 0
            });
        let outcomes = [0, 1].map(|end: usize| self.clients[end].outcome());
        let cut_short = self.clients[0].talker.script().is_cut_short();
        let whole = self.clients.iter().all(|client| client.talker.is_done());
        match outcomes {
            [Some(Outcome::Over), Some(Outcome::Over)] if cut_short => self.figures.cut_short += 2,
            [Some(Outcome::Over), Some(Outcome::Over)] if whole => {}
            _ if given_up && outcomes.contains(&Some(Outcome::TimedOut)) => self.figures.connect_timeouts += 2,
            _ if given_up => self.figures.given_up += 2,
            _ => bail!("not whole: {outcomes:?}, {:?}", self.clients.each_ref().map(|client| client.error)),
        }
        self.figures.count_link(&self.link);
        for (station, client) in self.stations.iter().zip(&self.clients) {
            self.figures.bytes += client.talker.read as u64;
            count_stack(&mut self.figures, station, self.now_us);
        }
        Ok(())
    }
}
