//! What follows from a seed: the link, the memory, the connections, and when something else goes wrong.

use slopos_abi::SocketFlags;
use slopos_kernel::time::Duration;

use crate::client::Expected;
use crate::server::Habits;
use crate::station::Sizes;
use crate::talker::{Ending, Pace, Script, Turn};
use slopos_lab::chance::{Content, Random};
use slopos_lab::impair::Impairments;

/// Connections take as long as they take; a connect with nobody at the other end takes so long.
const SHORT_CONNECT: Duration = Duration::from_secs(5);
/// The protocol's own limit of a connect.
const LONG_CONNECT: Duration = Duration::from_secs(180);
/// Reads and writes of one connection, so that a run ends in good time on the machine that it runs on.
const CALLS_MAX: usize = 400;
/// Times that the smallest buffer on the way is filled.
const FILLS_MAX: usize = 150;

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which process begins it.
    pub process: u8,
    /// What must become of it.
    pub expected: Expected,
    /// When, in microseconds.
    pub start_us: u64,
    /// How long its connect may take.
    pub connect_limit: Duration,
    /// What the process asks of its socket.
    pub flags: SocketFlags,
    /// What the applications say.
    pub script: Script,
    /// How our process goes about it.
    pub client: Pace,
    /// How the server does.
    pub server: Pace,
    /// How the server's stack does.
    pub habits: Habits,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// From us, and to us.
    pub impairments: [Impairments; 2],
    /// The processes with network.
    pub processes: Vec<Sizes>,
    /// The connections, in the order of their ports.
    pub connections: Vec<Connection>,
    /// Bytes of our largest frame.
    pub max_frame: u16,
    /// Bytes of the peer's largest frame.
    pub peer_frame: usize,
    /// Of the lease, in seconds.
    pub lease_seconds: u32,
    /// The DHCP server answers to everybody.
    pub broadcasts: bool,
    /// A process is killed, and when, in microseconds.
    pub kill: Option<(u8, u64)>,
}

impl Scenario {
    /// The scenario that is drawn next.
    pub fn draw(random: &mut Random) -> Scenario {
        let impairments = draw_impairments(random);
        let processes = draw_processes(random);
        let connections = match random.below(10) {
            0..5 => 1,
            5..9 => random.between(2, 6),
            _ => random.between(7, 24),
        };
        let budget = random.magnitude(500, 400_000) as usize / connections as usize;
        let max_frame = random.pick(&[1_514, 1_514, 1_514, 1_514, 590, 342]);
        let peer_frame = random.pick(&[1_514, 1_514, 1_514, 9_014, 590, 200]);
        let connections =
            (0..connections).map(|_| draw_connection(random, &processes, budget)).collect::<Vec<Connection>>();
        let kill = random.permille(60).then(|| (random.below(2) as u8, random.magnitude(1_000, 20_000_000)));
        Scenario {
            impairments,
            processes,
            connections,
            max_frame,
            peer_frame,
            lease_seconds: random.pick(&[u32::MAX, 86_400, 7_200]),
            broadcasts: random.permille(300),
            kill,
        }
    }

    /// Whether frames may fail to arrive.
    pub fn may_lose(&self) -> bool {
        self.impairments.iter().any(Impairments::may_lose)
    }
}

/// The faults of both directions: the same delay and kind, but each its own chances.
pub fn draw_impairments(random: &mut Random) -> [Impairments; 2] {
    let kind = random.below(20);
    let delay_us = random.magnitude(10, 150_000);
    let rate = random.permille(350).then(|| random.magnitude(20_000, 20_000_000));
    let queue_bytes = random.magnitude(5_000, 200_000);
    let outage = (kind == 19).then(|| {
        let from = random.magnitude(10_000, 3_000_000);
        (from, from + random.magnitude(100_000, 20_000_000))
    });
    [(); 2].map(|()| {
        let worst = match kind {
            0..4 => 0,
            4..12 => 20,
            12..18 => 60,
            _ => 150,
        };
        Impairments {
            loss: random.below(worst + 1),
            duplication: random.below(worst + 1),
            corruption: random.below(worst / 2 + 1),
            reordering: random.below(2 * worst + 1),
            delay_us,
            jitter_us: random.below(delay_us + 1),
            reorder_us: random.magnitude(1, 2 * delay_us),
            rate,
            queue_bytes: Some(queue_bytes),
            outage,
        }
    })
}

fn draw_buffer(random: &mut Random) -> usize {
    let (low, high) = match random.below(20) {
        0 => (1, 100),
        1..4 => (100, 3_000),
        4..18 => (3_000, 65_535),
        _ => (65_536, 300_000),
    };
    random.magnitude(low, high) as usize
}

/// Two processes with a few sockets each.
pub fn draw_processes(random: &mut Random) -> Vec<Sizes> {
    let process = |random: &mut Random| Sizes {
        sockets: random.between(1, 5) as usize,
        receive: draw_buffer(random),
        send: draw_buffer(random),
    };
    vec![process(random), process(random)]
}

/// How an application goes about `bytes`.
pub fn draw_pace(random: &mut Random, bytes: usize) -> Pace {
    let least = (bytes / CALLS_MAX) as u64 + 1;
    let call = |random: &mut Random| random.magnitude(least, 30_000.max(least)) as usize;
    let pause_us = if random.permille(700) { 0 } else { random.magnitude(500, 1_000_000) };
    Pace { read: call(random), write: call(random), pause_us }
}

/// What is said, at most `budget` bytes in all.
pub fn draw_script(random: &mut Random, budget: usize) -> Script {
    let mut share = |part: u64| random.below(budget as u64 * part / 100 + 1) as usize;
    let (small, most) = (share(2), share(100));
    let turns = match random.below(5) {
        // A download, an upload, both, one after the other, and next to nothing.
        0 => vec![Turn { request: small, response: most }],
        1 => vec![Turn { request: most, response: small }],
        2 => vec![Turn { request: most / 2, response: most / 2 }],
        3 => {
            let rounds = random.between(2, 12) as usize;
            let mut half = || random.below((budget / rounds / 2) as u64 + 1) as usize;
            (0..rounds).map(|_| Turn { request: half(), response: half() }).collect()
        }
        _ => vec![Turn { request: random.below(3) as usize, response: random.below(3) as usize }],
    };
    let mut script = Script {
        turns,
        eager: random.permille(400),
        ending: random.pick(&[Ending::ServerFirst, Ending::ClientHalfCloses, Ending::ClientCloses, Ending::Both]),
        upload: Content(random.draw()),
        download: Content(random.draw()),
        client_quits_after: None,
        server_aborts_after: None,
    };
    match random.below(10) {
        0 => script.client_quits_after = Some(random.below(script.download_bytes() as u64 + 1) as usize),
        1 => script.server_aborts_after = Some(random.below(script.download_bytes() as u64 + 1) as usize),
        _ => {}
    }
    script
}

fn draw_connection(random: &mut Random, processes: &[Sizes], budget: usize) -> Connection {
    let process = random.below(processes.len() as u64) as u8;
    let habits = Habits {
        receive: draw_buffer(random),
        send: draw_buffer(random),
        nagle: random.permille(500),
        ack_delay_ms: random.pick(&[None, Some(10), Some(200)]),
        congestion: random.below(3) as u8,
        timestamps: random.permille(600),
    };
    let sizes = processes[usize::from(process)];
    let smallest = [sizes.receive, sizes.send, habits.receive, habits.send].into_iter().min().unwrap_or(1);
    let budget = budget.min(smallest * FILLS_MAX);
    let script = draw_script(random, budget);
    let expected = match random.below(30) {
        0 => Expected::Refused,
        1 => Expected::Unanswered,
        _ => Expected::Established,
    };
    Connection {
        process,
        expected,
        start_us: if random.permille(500) { 0 } else { random.magnitude(1_000, 30_000_000) },
        connect_limit: if expected == Expected::Unanswered { SHORT_CONNECT } else { LONG_CONNECT },
        flags: SocketFlags { nodelay: random.permille(500), keepalive: random.permille(300), nonblock: false },
        client: draw_pace(random, budget),
        server: draw_pace(random, budget),
        habits,
        script,
    }
}
